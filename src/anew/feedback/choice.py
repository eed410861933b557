"""Which answers people are asked about: a quota, spread over reasons, each drawn at random with a known probability."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.errors import InvariantError
from anew.domain.interval import Interval

__all__ = ["RANDOM", "Chosen", "ReviewRule", "choose", "disagreeing", "quota", "unsure"]

RANDOM = "random"
"""The reason of an audit: drawn from all answers, whatever they are."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRule:
    """What is reviewed.

    Parameters
    ----------
    per_day
        Answers in a day of event time, those with a known answer apart.
    confidence_below
        Greatest class probability below which an answer is unsure; None asks about none.
    ood
        Share of ordinary rows that would be taken for strange; None asks about no strange rows.
    disagreement
        Difference of the champion's and the challenger's numbers, in the range that errors are measured by, from which
        they disagree; for classes any other answer does. None asks about none.
    random
        Share of the quota that is drawn from all answers.
    double
        Share of the answers that two persons have to agree on.
    gold_share, gold_sources
        Share of the questions that a labeller gets that have a known answer, and whose labels these are.
    """

    per_day: int
    confidence_below: float | None = None
    ood: float | None = None
    disagreement: float | None = None
    random: float = 0.2
    double: float = 0.2
    gold_share: float = 0.1
    gold_sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.per_day < 1 or not 0 < self.random <= 1:
            raise InvariantError(
                f"a review of {self.per_day} answers a day, {self.random} of them at random: ask for one at least, and "
                "draw some at random, or nothing can be estimated from it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One answer to be looked at, why, and with which probability it was chosen."""

    prediction: str
    reason: str
    propensity: float


def quota(rule: ReviewRule, span: Interval) -> int:
    """Return how many answers of `span` may be chosen: over a day they add up to the quota, however it is cut."""
    start, end = ((at - _EPOCH) / _DAY for at in (span.start, span.end))
    return int(end * rule.per_day) - int(start * rule.per_day)


def choose(ids: Sequence[str], pools: Mapping[str, npt.NDArray[np.bool_]], most: int, random: float) -> list[Chosen]:
    """Choose at most `most` of `ids`; the same ones whenever it is asked.

    Each reason draws its share of the quota from its own pool, without looking at what others drew. An id that two
    drew is looked at once, by the first reason; the propensity is that of being drawn by any.

    Parameters
    ----------
    pools
        By reason, which of the ids are in its pool, shape `(n,)`; `RANDOM`, which has all, is added.
    random
        Share of the quota that is drawn from all, in (0, 1]; the rest is divided evenly, and what a small pool leaves
        goes to the others.
    """
    everything = np.ones(len(ids), dtype=np.bool_)
    wanted = {name: pool for name, pool in pools.items() if pool.any()}
    audit = min(len(ids), most if not wanted else max(1, round(random * most)) if most else 0)
    shares = {RANDOM: audit} | _shared(most - audit, {name: int(pool.sum()) for name, pool in wanted.items()})
    drawn: dict[str, str] = {}
    missed = np.ones(len(ids))
    for name, pool in {RANDOM: everything, **wanted}.items():
        size = int(pool.sum())
        if not size or not shares[name]:
            continue
        members = [id for id, inside in zip(ids, pool, strict=True) if inside]
        for id in sorted(members, key=lambda each: _lot(name, each))[: shares[name]]:
            drawn.setdefault(id, name)
        missed[pool] *= 1.0 - shares[name] / size
    return [
        Chosen(prediction=id, reason=drawn[id], propensity=float(1.0 - missed[i]))
        for i, id in enumerate(ids)
        if id in drawn
    ]


def unsure(rows: pl.DataFrame, below: float) -> npt.NDArray[np.bool_]:
    """Return which rows have no class as probable as `below`; rows without probabilities are not unsure."""
    best = rows.get_column("_proba").list.max()
    found: npt.NDArray[np.bool_] = (best < below).fill_null(False).to_numpy()
    return found


def disagreeing(rows: pl.DataFrame, apart: float) -> npt.NDArray[np.bool_]:
    """Return which rows two models answered differently: other classes, or numbers at least `apart` apart."""
    one, other = rows.get_column("_output"), rows.get_column("_shadow_output")
    differs = one != other if one.dtype == pl.String else (one - other).abs() >= apart
    found: npt.NDArray[np.bool_] = differs.fill_null(False).to_numpy()
    return found


def _shared(left: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Divide what is left, smallest pool first, so that what it cannot use goes to the others."""
    shares = dict.fromkeys(sizes, 0)
    for place, name in enumerate(sorted(sizes, key=lambda each: (sizes[each], each))):
        shares[name] = min(sizes[name], left // (len(sizes) - place))
        left -= shares[name]
    return shares


def _lot(reason: str, id: str) -> str:
    return hashlib.sha256(f"{reason}/{id}".encode()).hexdigest()
