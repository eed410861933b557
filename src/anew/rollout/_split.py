"""Sticky split of traffic: the same key gets the same arm, in every process and for as long as a rollout lasts."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["answered_by_challenger", "position"]


def position(model: str, challenger: str, key: str) -> float:
    """Return where `key` falls in [0, 1) for this challenger.

    Another challenger shuffles the keys anew, so that no user is always the first to meet a new version; a growing
    share only adds keys.
    """
    digest = hashlib.blake2b(
        f"{model}\x00{challenger}\x00{key}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def answered_by_challenger(model: str, challenger: str, keys: Sequence[str], share: float) -> npt.NDArray[np.bool_]:
    """Return for each of `keys`, shape `(n,)`, whether the challenger answers it at this `share` in [0, 1]."""
    return np.fromiter((position(model, challenger, key) < share for key in keys), dtype=np.bool_, count=len(keys))
