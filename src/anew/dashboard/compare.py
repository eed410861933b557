"""A candidate beside the champion it was judged against: the same rows, the same measures, the same requests."""

from dataclasses import dataclass

from anew.dashboard.asking import Asking
from anew.dashboard.part import Gate, Measure, gates_of
from anew.dashboard.record import Record
from anew.domain.evidence import Counts
from anew.domain.facts import TrainingPlanned

__all__ = ["ComparePage", "Paired", "compare_page"]

_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Answers of both to the same live requests, with mature labels; shares of `n`."""

    n: int
    gain: float
    better: float
    same: float
    worse: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """All of it.

    Attributes
    ----------
    versions
        Candidates that gates have judged, the newest first.
    measures
        What was measured of the candidate, `reference` being the champion's value or the limit.
    slices
        The same, part by part of the rows.
    """

    version: str
    champion: str
    versions: tuple[str, ...]
    measures: tuple[Measure, ...]
    slices: tuple[Measure, ...]
    gates: tuple[Gate, ...]
    paired: Paired | None


def compare_page(asking: Asking) -> ComparePage:
    """Make the page."""
    record = asking.record
    judged = [each.version for each in record.registry.versions.values() if _is_judged(record, each.version)]
    asked = asking.query.get("version", "")
    version = asked if asked in judged else judged[-1] if judged else ""
    gates = gates_of(record.about(version))
    plan = next((each for each in record.about(version) if isinstance(each, TrainingPlanned)), None)
    evidence = [(gate.gate, each) for gate in gates for each in gate.evidence]
    return ComparePage(
        version=version,
        champion=plan.champion if plan else "",
        versions=tuple(reversed(judged[-_MOST:])),
        measures=tuple(each for gate, each in evidence if not gate.startswith(("slices", "fairness"))),
        slices=tuple(each for gate, each in evidence if gate.startswith(("slices", "fairness"))),
        gates=gates,
        paired=_paired(record, version),
    )


def _is_judged(record: Record, version: str) -> bool:
    return any(each.kind == "GateJudged" for each in record.about(version))


def _paired(record: Record, version: str) -> Paired | None:
    probation = record.rollout.arm(version)
    if probation is None or probation.paired_down is None:
        return None
    counts: Counts = probation.paired_down
    if not counts.n:
        return None
    middle = (len(counts.counts) - 1) // 2
    return Paired(
        n=counts.n,
        gain=counts.mean or 0.0,
        better=sum(counts.counts[middle + 1 :]) / counts.n,
        same=counts.counts[middle] / counts.n,
        worse=sum(counts.counts[:middle]) / counts.n,
    )
