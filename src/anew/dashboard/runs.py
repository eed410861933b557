"""Every run that was planned, the newest first: what came of it and what it cost."""

from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.record import Record
from anew.dashboard.spent import Spent, spent_on
from anew.domain.facts import RetrainRequested, SnapshotTaken, TrainingPlanned
from anew.registry import VersionRecord

__all__ = ["RunLine", "RunsPage", "runs_page"]

_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One run."""

    version: str
    standing: str
    planned: datetime
    triggers: tuple[str, ...]
    rows: int | None
    spent: Spent
    passed: int
    gates: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsPage:
    """Some of `total` runs, the newest first, and what all of them cost; `older` is how many are older than these."""

    total: int
    compute_s: float
    cost: float | None
    runs: tuple[RunLine, ...]
    older: int


def runs_page(asking: Asking) -> RunsPage:
    """Make the page."""
    record, hour = asking.record, asking.policy.compute_hour
    told = asking.query.get("before", "")
    end = min(int(told), record.runs) if told.isdecimal() and len(told) < 16 else record.runs
    begin = max(0, end - _MOST)
    shown = record.versions(begin, end)[::-1]
    return RunsPage(
        total=record.runs,
        compute_s=record.compute_s,
        cost=record.compute_s / 3600 * hour if hour else None,
        runs=tuple(_line(record, each, hour) for each in shown),
        older=begin,
    )


def _line(record: Record, version: VersionRecord, hour: float) -> RunLine:
    about = record.about(version.version)
    plan = next((each for each in about if isinstance(each, TrainingPlanned)), None)
    asked = next((each for each in record.causes(plan) if isinstance(each, RetrainRequested)), None) if plan else None
    taken = next((each for each in about if isinstance(each, SnapshotTaken)), None)
    verdicts = {each.gate: each.verdict.name for each in about if each.kind == "GateJudged"}  # type: ignore[attr-defined]  # its kind says so
    return RunLine(
        version=version.version,
        standing=version.standing.value,
        planned=plan.at if plan else version.since,
        triggers=asked.triggers if asked else (),
        rows=taken.rows if taken else None,
        spent=spent_on(about, hour),
        passed=sum(1 for each in verdicts.values() if each == "PASS"),
        gates=len(verdicts),
        reason=version.reason,
    )
