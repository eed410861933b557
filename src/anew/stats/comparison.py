"""One column against its reference: every distance, what it is worth, and what they say together."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from anew.domain.errors import InvariantError
from anew.stats.bound import Bounds
from anew.stats.column import ColumnProfile
from anew.stats.distance import chi_squared, coarsen, js, kl, ks, psi, psi_deciles, total_variation, wasserstein
from anew.stats.multiple import holm
from anew.stats.significance import ks_significance, psi_interval, psi_significance

__all__ = ["ColumnDrift", "DriftVerdict", "Measurement", "judge", "measure"]


class DriftVerdict(StrEnum):
    """What the evidence on one column says."""

    DRIFT = "drift"
    """Changed by more than the margin."""
    SHIFT = "shift"
    """Changed, but not shown to have changed by more than the margin."""
    NONE_SEEN = "none_seen"
    """Nothing that chance does not explain; no proof that nothing changed."""
    INCONCLUSIVE = "inconclusive"
    """Nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """How far a column is from its reference, and with what certainty, taken by itself.

    Parameters
    ----------
    psi
        Population stability index on deciles, see `psi_deciles`: the one that a trigger's limit means. The interval is
        of the true index of this kind, by `psi_interval`; it reaches up to `psi` at least, which lies above it where a
        column happens to differ by less than chance alone explains.
    js, kl, total_variation, chi_squared
        See `anew.stats.distance`.
    ks, wasserstein
        Of numeric columns with numbers on both sides, else None.
    p_value
        That nothing changed: of the smoothed index on ten groups, and for a numeric column also of the KS distance on
        all bins, twice the smaller one (Bonferroni). The index sees nulls, atoms and spread, KS a small shift of all.
    p_margin
        That the smoothed index is at most the margin: what an empty group counts would be for the convention to say.
    """

    psi: float
    psi_interval: Bounds
    js: float
    kl: float
    total_variation: float
    chi_squared: float
    ks: float | None
    wasserstein: float | None
    p_value: float
    p_margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """The verdict on one column among others.

    Parameters
    ----------
    measured
        None if a side has no rows.
    p_value, p_margin
        As measured, corrected for the number of columns by Holm's method.
    """

    verdict: DriftVerdict
    measured: Measurement | None
    p_value: float | None
    p_margin: float | None


def measure(reference: ColumnProfile, current: ColumnProfile, margin: float = 0.0) -> Measurement | None:
    """Measure one column; None if a side has no rows.

    Raises
    ------
    InvariantError
        The two are on different bins, or the margin is negative.
    """
    if not reference.n or not current.n:
        return None
    first, second = coarsen(reference, current)
    n, m, bins = int(first.sum()), int(second.sum()), len(first)
    index, smoothed = psi_deciles(first, second), max(psi(first, second), 0.0)
    likely = psi_interval(index, n, m, bins)
    distance, p_value = None, psi_significance(smoothed, n, m, bins)
    if _numbers(reference) and _numbers(current):
        distance = ks(reference, current)
        p_value = min(2 * min(p_value, ks_significance(reference, current)), 1.0)
    return Measurement(
        psi=index,
        psi_interval=Bounds(likely.low, max(likely.high, index)),
        js=js(reference, current),
        kl=kl(reference, current),
        total_variation=total_variation(reference, current),
        chi_squared=chi_squared(first, second).statistic,
        ks=distance,
        wasserstein=wasserstein(reference, current) if reference.finite and current.finite else None,
        p_value=p_value,
        p_margin=psi_significance(smoothed, n, m, bins, margin),
    )


def _numbers(column: ColumnProfile) -> bool:
    return column.kind == "numeric" and bool(column.counts[:-2].any())


def judge(measured: Mapping[str, Measurement | None], alpha: float) -> dict[str, ColumnDrift]:
    """Judge columns together: the chance of any false ``shift`` or ``drift`` among them is at most alpha each.

    Raises
    ------
    InvariantError
        `alpha` is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise InvariantError(f"alpha lies between 0 and 1, not {alpha}")
    some = {name: each for name, each in measured.items() if each is not None}
    p_values = dict(zip(some, holm([each.p_value for each in some.values()]), strict=True))
    p_margins = dict(zip(some, holm([each.p_margin for each in some.values()]), strict=True))
    verdicts = {}
    for name, each in measured.items():
        p, beyond = p_values.get(name), p_margins.get(name)
        verdicts[name] = ColumnDrift(verdict=_verdict(p, beyond, alpha), measured=each, p_value=p, p_margin=beyond)
    return verdicts


def _verdict(p_value: float | None, p_margin: float | None, alpha: float) -> DriftVerdict:
    if p_value is None or p_margin is None:
        return DriftVerdict.INCONCLUSIVE
    if p_margin <= alpha:
        return DriftVerdict.DRIFT
    return DriftVerdict.SHIFT if p_value <= alpha else DriftVerdict.NONE_SEEN
