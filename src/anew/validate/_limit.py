"""What gates have in common: whether evidence may be judged at all, and judgements by limits on intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict, worst
from anew.validate._gate import Judgement

__all__ = ["all_of", "at_most", "is_too_small", "lacking", "naming", "too_small", "unmeasured"]

_TOO_SMALL = "too small to be compared: "


def unmeasured(name: str, subject: str, problem: str, n: int = 0) -> Evidence:
    """Return the evidence of nothing, with why."""
    return Evidence.of(name, None, n, subject=subject, problem=problem)


def too_small(name: str, subject: str, n: int, why: str) -> Evidence:
    """Return the evidence of rows that a gate leaves out, as they are too few to be judged by themselves."""
    return unmeasured(name, subject, f"{_TOO_SMALL}{why}", n)


def is_too_small(each: Evidence) -> bool:
    """Is it evidence of rows that were left out?"""
    return each.problem.startswith(_TOO_SMALL)


def naming(said: Judgement, evidence: Sequence[Evidence]) -> Judgement:
    """Return the judgement with what was left out in its reason.

    Examples
    --------
    >>> left_out = too_small("slices", "shop = 9", 7, "7 rows, 50 are needed")
    >>> naming(Judgement(verdict=Verdict.PASS, reason="2 slices"), [left_out]).reason
    '2 slices; too small to be compared: shop = 9 (7 rows)'
    """
    small = ", ".join(f"{each.subject} ({each.n} rows)" for each in evidence if is_too_small(each))
    return replace(said, reason=f"{said.reason}; {_TOO_SMALL}{small}") if small else said


def lacking(each: Evidence, at_least_rows: int) -> Judgement | None:
    """Return why a piece of evidence may not be judged: too few rows is INCONCLUSIVE, a problem ERROR; None if it may.

    Examples
    --------
    >>> lacking(Evidence.of("error", 0.1, 20), 50).verdict
    <Verdict.INCONCLUSIVE: 1>
    >>> lacking(Evidence.of("error", float("nan"), 80), 50).verdict
    <Verdict.ERROR: 2>
    """
    subject = f"{each.subject}: " if each.subject else ""
    if each.n < at_least_rows:
        why = each.problem or f"{each.n} rows, {at_least_rows} are needed"
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{subject}{why}")
    if not each.measured:
        return Judgement(verdict=Verdict.ERROR, reason=f"{subject}{each.problem or 'nothing measured'}")
    return None


def at_most(each: Evidence, limit: float, at_least_rows: int, *, proved: bool = False) -> Judgement:
    """Judge a number that may be `limit` at most: clearly above it is FAIL, above it but not clearly INCONCLUSIVE.

    Parameters
    ----------
    proved
        Ask that the whole interval keeps the limit, instead of the number alone.
    """
    problem = lacking(each, at_least_rows)
    if problem or each.value is None:
        return problem or Judgement(verdict=Verdict.ERROR, reason=f"{each.subject}: nothing measured")
    interval = "" if each.low is None or each.high is None else f" ({each.low:.4g} to {each.high:.4g})"
    found = f"{each.subject} {each.value:.4g}{interval} on {each.n} rows, at most {limit:.4g}".strip()
    low = each.value if each.low is None else each.low
    high = each.value if each.high is None else each.high
    if low > limit:
        return Judgement(verdict=Verdict.FAIL, reason=found)
    if each.value > limit or (proved and high > limit):
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{found}: not clear")
    return Judgement(verdict=Verdict.PASS, reason=found)


def all_of(judgements: Iterable[Judgement], *, asked: Sequence[str] = (), found: Iterable[str] = ()) -> Judgement:
    """Return the worst of several judgements, with the sentences of those that are the worst.

    Parameters
    ----------
    asked, found
        Subjects that evidence is needed of, and those that it is there of: one that lacks it is INCONCLUSIVE.
    """
    missing = [each for each in asked if each not in set(found)]
    each = [
        *judgements,
        *(Judgement(verdict=Verdict.INCONCLUSIVE, reason=f"{name}: nothing measured") for name in missing),
    ]
    verdict = worst(one.verdict for one in each)
    said = [one.reason for one in each if one.verdict is verdict]
    more = f"; and {len(said) - _SAID} more" if len(said) > _SAID else ""
    return Judgement(verdict=verdict, reason=("; ".join(said[:_SAID]) + more) or "nothing measured")


_SAID = 5
"""Sentences that a verdict is given with at the most."""
