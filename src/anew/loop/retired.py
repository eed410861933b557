"""What retired champions lose on rows that the present one has answered: measured by inference, row by row."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from anew.domain.evidence import Evidence
from anew.loop.measure import Floats

__all__ = ["evidence_file", "retired_losses"]


def evidence_file(id: str) -> str:
    """Return the name of the file that holds the evidence of the window that the fact with this id asks about."""
    return f"evidence-{id}.json"


def retired_losses(losses: Mapping[str, Floats], order: Sequence[str]) -> tuple[Evidence, ...]:
    """Return evidence for each version of `order`, the champion first.

    Parameters
    ----------
    losses
        By version, of the same rows in the same order, shape `(n,)`.

    Returns
    -------
    tuple
        As `RetiredScored` has it; rows on which a loss is not finite are left out for all.
    """
    known = np.logical_and.reduce([np.isfinite(losses[name]) for name in order])
    kept = {name: losses[name][known] for name in order}
    n, champion = int(known.sum()), kept[order[0]]
    found = []
    for name in order:
        mean = float(kept[name].mean()) if n else math.nan
        error = float(np.std(kept[name] - champion) / math.sqrt(n)) if n else math.nan
        theirs = float(champion.mean()) if n else math.nan
        found.append(Evidence.of("loss", mean, n, subject=name, reference=theirs, interval=(mean, mean + error)))
    return tuple(found)
