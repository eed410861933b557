"""Sticky split of traffic: the same key gets the same arm, in every process and for as long as a rollout lasts."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from anew.domain.facts import Arm

__all__ = ["answered_by", "position"]


def position(model: str, challenger: str, key: str) -> float:
    """Return where `key` falls in [0, 1) for this challenger, or in the trial of this name.

    Another challenger or trial shuffles the keys anew, so that no user is always the first to meet a new version; a
    growing share only adds keys.
    """
    digest = hashlib.blake2b(
        f"{model}\x00{challenger}\x00{key}".encode("utf-8", "surrogatepass"), digest_size=8
    ).digest()
    return int.from_bytes(digest, "big") / 2**64


def answered_by(model: str, arm: Arm, keys: Sequence[str], trial: str = "") -> npt.NDArray[np.bool_]:
    """Return for each of `keys`, shape `(n,)`, whether `arm` answers it; as an arm of `trial`, where there is one."""
    salt = trial or arm.version
    return np.fromiter((arm.answers(position(model, salt, key)) for key in keys), dtype=np.bool_, count=len(keys))
