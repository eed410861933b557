"""A candidate beside the champion it was judged against: the same rows, the same measures, the same requests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anew.dashboard.asking import Asking
from anew.dashboard.part import Gate, Measure, champions_own, gates_of
from anew.dashboard.record import Record
from anew.domain.evidence import Counts
from anew.domain.facts import TrainingPlanned
from anew.validate.beats_champion import BETTER, WORSE

__all__ = ["ComparePage", "Paired", "compare_page"]

_MOST = 50
_PARTS = {"slices": "slices", "fairness": "slices", "calibration": "calibration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Answers of both to the same rows, whose labels are known: shares of `n`, and by how much less it loses."""

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
        What was measured of the candidate, `reference` being the champion's own value of the same kind.
    slices
        The same, part by part of the rows.
    calibration
        How far what it says of its own certainty is off.
    held_out, paired
        Where the two disagree: on the held-out rows, and on the same live requests.
    """

    version: str
    champion: str
    versions: tuple[str, ...]
    measures: tuple[Measure, ...]
    slices: tuple[Measure, ...]
    calibration: tuple[Measure, ...]
    gates: tuple[Gate, ...]
    held_out: Paired | None
    paired: Paired | None


def compare_page(asking: Asking) -> ComparePage:
    """Make the page."""
    record = asking.record
    asked, newest = asking.query.get("version", ""), record.judged(most=_MOST)
    version = asked if record.is_judged(asked) else newest[0] if newest else ""
    gates = gates_of(record.about(version))
    plan = next((each for each in record.about(version) if isinstance(each, TrainingPlanned)), None)
    evidence = [
        (_part_of(gate.gate), replace(each, reference=champions_own(gate.gate, each)))
        for gate in gates
        for each in gate.evidence
    ]
    return ComparePage(
        version=version,
        champion=plan.champion if plan else "",
        versions=tuple(newest),
        measures=tuple(each for part, each in evidence if not part and each.subject not in (BETTER, WORSE)),
        slices=tuple(each for part, each in evidence if part == "slices"),
        calibration=tuple(each for part, each in evidence if part == "calibration"),
        gates=gates,
        held_out=_held_out([each for part, each in evidence if not part]),
        paired=_paired(record, version),
    )


def _part_of(gate: str) -> str:
    return next((part for name, part in _PARTS.items() if gate.startswith(name)), "")


def _held_out(measures: Sequence[Measure]) -> Paired | None:
    """Return how the held-out rows divide; `gain` is of the loss, 0 where another metric was compared."""
    shares = {each.subject: each for each in measures if each.subject in (BETTER, WORSE)}
    if len(shares) < 2:
        return None
    better, worse = (shares[name].value or 0.0 for name in (BETTER, WORSE))
    n = shares[BETTER].n
    same = round(n * (1.0 - better - worse)) / max(1, n)  # of whole rows: what is left over may be 1e-17 of one
    excess = next((each.value for each in measures if each.name == "beats_champion" and each.value is not None), 0.0)
    return Paired(n=n, gain=-excess, better=better, same=same, worse=worse)


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
