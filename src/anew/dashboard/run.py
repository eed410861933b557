"""One run: why it was asked for, from which rows, how it went, what the gates said, what it made and cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from anew.dashboard.asking import Asking
from anew.dashboard.part import Gate, Said, Standing, gates_of, sentences, standing
from anew.dashboard.source import Artifact, Log
from anew.dashboard.spent import Spent, spent_on
from anew.domain.blend import Blend
from anew.domain.errors import NotFoundError
from anew.domain.facts import CandidateTrained, SnapshotTaken, TrainingEnded, TrainingPlanned

__all__ = ["Plan", "Rows", "RunPage", "run_page"]

_COUNTED = {"windows": "WindowClosed", "alerts": "AlertRaised"}
"""What is told of the windows that a version served: how many, and how many alerts they raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was fixed before anything was trained."""

    at: datetime
    start: datetime
    end: datetime
    why_span: str
    holdout_share: float
    seed: int
    code: str
    settings: str
    rehearsal: float
    corrected: bool
    left_out: int
    revive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The snapshot: which rows, from which versions of which tables, from whom."""

    digest: str
    rows: int
    holdout_rows: int
    rehearsed: int
    repaired: int
    dropped: int
    tables: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """All of it; `artifact` is None where nothing is stored, `problem` says why it cannot be shown.

    `blend` are the two models that it is made of, None of one; `alone_because` is why it is of one where two were
    planned.
    """

    run: Standing
    champion: str
    plan: Plan
    why: tuple[Said, ...]
    snapshot: Rows | None
    trained_rows: int | None
    blend: Blend | None
    alone_because: str
    spent: Spent
    outcome: str
    gates: tuple[Gate, ...]
    timeline: tuple[Said, ...]
    artifact: Artifact | None
    problem: str
    logs: tuple[Log, ...]
    counts: Mapping[str, int]


def run_page(asking: Asking) -> RunPage:
    """Make the page.

    Raises
    ------
    NotFoundError
        There is no such version.
    """
    record, version = asking.record, asking.params["version"]
    found, about = record.version(version), record.about(version)
    run = standing(found)
    plan = next((each for each in about if isinstance(each, TrainingPlanned)), None)
    if run is None or plan is None:
        known = ", ".join(each.version for each in record.versions(max(0, record.runs - 10), record.runs)) or "none yet"
        raise NotFoundError(f"there is no version {version!r}; the newest are {known}")
    trained = next((each for each in about if isinstance(each, CandidateTrained)), None)
    ended = next((each for each in about if isinstance(each, TrainingEnded)), None)
    artifact, problem = _artifact(asking, run.digest)
    timeline = [each for each in about if each.kind != "GateJudged"]
    return RunPage(
        run=run,
        champion=plan.champion,
        plan=_plan(plan),
        why=sentences(reversed(list(record.causes(plan))), asking.source.narrate),
        snapshot=_rows(next((each for each in about if isinstance(each, SnapshotTaken)), None)),
        trained_rows=trained.rows if trained else None,
        blend=trained.both if trained else None,
        alone_because=trained.alone_because if trained else "",
        spent=spent_on(about, asking.policy.compute_hour),
        outcome=f"{ended.outcome}: {ended.detail}" if ended else "under way",
        gates=gates_of(about),
        timeline=sentences(timeline, asking.source.narrate),
        artifact=artifact,
        problem=problem,
        logs=tuple(asking.source.logs([each for each in about if each.asks])),
        counts={name: record.many(version, kind) for name, kind in _COUNTED.items()},
    )


def _artifact(asking: Asking, digest: str) -> tuple[Artifact | None, str]:
    if not digest:
        return None, ""
    try:
        return asking.source.artifact(digest), ""
    except NotFoundError as exc:
        return None, str(exc)


def _plan(plan: TrainingPlanned) -> Plan:
    return Plan(
        at=plan.at,
        start=plan.span.start,
        end=plan.span.end,
        why_span=plan.why_span,
        holdout_share=plan.holdout_share,
        seed=plan.seed,
        code=plan.code,
        settings=plan.settings,
        rehearsal=plan.rehearsal,
        corrected=plan.corrected,
        left_out=len(plan.left_out),
        revive=plan.revive,
    )


def _rows(taken: SnapshotTaken | None) -> Rows | None:
    if taken is None:
        return None
    return Rows(
        digest=taken.digest,
        rows=taken.rows,
        holdout_rows=taken.holdout_rows,
        rehearsed=taken.rehearsed,
        repaired=taken.repaired,
        dropped=taken.dropped,
        tables=taken.tables,
        sources=taken.sources,
    )
