"""Replay: the real deciders over a historical stream, in virtual time, with effects run inline."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import numpy as np

from anew.domain.errors import NotFoundError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    FIRST,
    CandidateRefused,
    IncidentRaised,
    ProjectChanged,
    RetrainCommanded,
    RolledBack,
    RolloutObserved,
    RowsChecked,
    Stage,
    Ticked,
    TrafficShifted,
    TrainingEnded,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.loop.engine import Engine
from anew.loop.look import look
from anew.loop.measure import Values, measure_seen
from anew.loop.progress import uncounted
from anew.loop.replay_effects import ReplayEffects
from anew.loop.replay_look import LookedAt, Seen, seen_after
from anew.loop.replay_stream import ReplayStream, Stopwatch, TrainedVersion
from anew.loop.replay_trouble import troubles
from anew.loop.replay_window import ReplayScores, seen_window
from anew.monitor import Detectors
from anew.rollout import KPI, Probation, RolloutState, answered_by

__all__ = ["Replay", "ReplayPlan", "ReplayReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """What is replayed, and how.

    Attributes
    ----------
    bounds
        Row numbers at which windows begin, ascending from 0, and the number of rows at last.
    code, settings
        Digests of the project's files.
    warmup
        Windows that the first champion is trained on; they do not count.
    label_delay
        Windows after which a window's labels are mature.
    revise
        How long after that what comes late, in a stream whose labels have times of their own, scores a window again.
    looks
        Looks at a rollout per window, and at what does not wait for its end.
    at_once
        Those detectors that do not wait.
    paired_by, arms_by
        What a rollout's pairs and arms are judged by; None is the error.
    """

    model: str
    bounds: Sequence[int]
    detectors: Detectors
    code: str
    settings: str
    warmup: int = 5
    label_delay: int = 0
    revise: timedelta = timedelta(days=35)
    looks: int = 4
    at_once: Detectors = field(default_factory=dict)
    paired_by: KPI | None = None
    arms_by: KPI | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay found: `data` is plain and, ``timings`` aside, the same for the same input, bit for bit.

    `versions` are all that were trained, by name.
    """

    data: Mapping[str, Any]
    facts: Sequence[Fact] = field(repr=False)
    versions: Mapping[str, TrainedVersion] = field(repr=False, default_factory=dict)


class Replay:
    """One run over one stream.

    Parameters
    ----------
    engine
        With the project's stages, over a log in memory.
    effects
        Over the same `stream`.
    """

    def __init__(
        self, plan: ReplayPlan, engine: Engine, stream: ReplayStream, effects: ReplayEffects, watch: Stopwatch
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._stream = stream
        self._effects = effects
        self._watch = watch
        self._facts: list[Fact] = []
        self._first = ""
        self._began = 0
        self._seen: dict[str, Seen] = {}
        self._now = 0
        self._heard: list[int] = []
        self._scored: dict[int, tuple[int, int]] = {}
        self._scores = ReplayScores(stream, plan.detectors, plan.bounds)
        self._windows = list(zip(plan.bounds[:-1], plan.bounds[1:], strict=True))

    def run(self, told: Callable[[int, int], None] = uncounted) -> ReplayReport:
        """Replay the stream; `told` is called with the number of windows that are done and of all.

        Raises
        ------
        NotFoundError
            No first champion was ever accepted; the message says why.
        """
        started = perf_counter()
        at = self._stream.at[0]
        self._submit(ProjectChanged(model=self._plan.model, at=at, settings=self._plan.settings, code=self._plan.code))
        began = None
        for number, (start, end) in enumerate(self._windows):
            self._now = start
            told(number, len(self._windows))
            self._hear(start)
            if not self._champion and number >= self._plan.warmup:
                self._found(number, start)
            if not self._champion:
                continue
            if began is None:
                began, self._began = number, start
            self._window(number, start, end)
        told(len(self._windows), len(self._windows))
        if began is None:
            raise NotFoundError(f"no first champion was accepted in {len(self._windows)} windows: {self._refusal()}")
        return self._report(began, started)

    @property
    def _rollout(self) -> RolloutState:
        state: RolloutState = self._engine.state("rollout")
        return state

    @property
    def _champion(self) -> str:
        return self._rollout.champion[0]

    def _submit(self, fact: Fact) -> None:
        """Submit a fact and run, inline, every effect that follows."""
        self._note(self._engine.submit(fact))
        while self._engine.pending:
            asked = next(iter(self._engine.pending.values()))
            self._note(self._engine.submit(self._effects.run(asked)))

    def _note(self, facts: Sequence[Fact]) -> None:
        self._facts.extend(facts)
        for fact in facts:
            if isinstance(fact, TrafficShifted):
                self._seen = seen_after(self._seen, fact, self._now)

    def _found(self, number: int, start: int) -> None:
        """Ask for a first champion on the mature rows before `start`."""
        self._effects.mature = self._mature(number, start)
        command = RetrainCommanded(
            model=self._plan.model,
            at=self._stream.at[start],
            command=f"{FIRST}{number}",
            by="replay",
            reason="there is no champion",
        )
        self._submit(command)
        self._first = self._champion

    def _window(self, number: int, start: int, end: int) -> None:
        cuts = np.linspace(start, end, self._plan.looks + 1).astype(int)
        for low, high in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            self._serve(low, high)
            self._now = high
            self._hear(high)
            self._effects.mature = self._mature(number, high)
            self._check(low, high)
            self._look(self._effects.mature)
        at = self._stream.at[end - 1]
        self._submit(Ticked(model=self._plan.model, at=at, wall=at, final=at))
        self._close(start, end)
        scored = number - self._plan.label_delay
        if scored >= 0 and self._stream.served_by[self._windows[scored][0]]:
            self._score(scored)
        self._revise(at, but=scored)
        self._stream.forget(self._in_play())

    def _in_play(self) -> frozenset[str]:
        rollout = self._rollout
        challengers = (each.challenger[0] for each in rollout.arms)
        return frozenset((self._first, rollout.champion[0], rollout.fallback[0], *challengers))

    def _mature(self, number: int, now: int) -> int:
        """Return the row up to which labels are mature once the rows before `now`, in window `number`, are served."""
        done = number - self._plan.label_delay
        if done < 0:
            return 0
        start, end = self._windows[number]
        low, high = self._windows[done]
        return low + (now - start) * (high - low) // (end - start)

    def _serve(self, low: int, high: int) -> None:
        """Answer rows as traffic stands now."""
        rollout = self._rollout
        self._stream.serve(low, high, rollout.champion[0])
        for probation in rollout.arms:
            challenger = probation.challenger[0]
            self._stream.answers(challenger, low, high)
            if probation.stage is not Stage.SHADOW:
                trial = rollout.trial if probation.stage is Stage.AB else ""
                mask = answered_by(self._plan.model, probation.arm, self._stream.keys[low:high], trial)
                self._stream.divert(low, high, challenger, mask)

    def _look(self, mature: int) -> None:
        """Report what newly mature labels say of each challenger."""
        for version in [each.challenger[0] for each in self._rollout.arms]:
            probation = self._rollout.arm(version)  # what was said of one may have ended the others
            if probation is not None and mature > self._seen[version].looked:
                self._look_at(probation, mature)

    def _look_at(self, probation: Probation, mature: int) -> None:
        challenger, stream, plan = probation.challenger[0], self._stream, self._plan
        seen = self._seen[challenger]
        low, seen.looked = seen.looked, mature
        rows = LookedAt(low=low, high=mature, step=seen.step, champion=self._champion, challenger=challenger)
        counted = look(rows.outcomes(stream, plan.paired_by, plan.arms_by), seen.counted)
        by_user = " by user" if stream.columns.key else ""
        paired, arms = (f"kpi {kpi.name}" if kpi else "error" for kpi in (plan.paired_by, plan.arms_by))
        self._submit(
            RolloutObserved(
                model=self._plan.model,
                at=stream.at[self._now - 1],
                version=challenger,
                stage=probation.stage,
                look=probation.looks + 1,
                span=stream.interval(low, mature),
                paired_down=counted.paired_down,
                paired_up=counted.paired_up,
                champion_loss=counted.champion_loss,
                challenger_loss=counted.challenger_loss,
                paired_of=paired + by_user,
                arms_of=arms + by_user,
            )
        )

    def _check(self, low: int, high: int) -> None:
        """Report new rows in which a detector that does not wait measured anything but 0."""
        evidence = self._checked(low, high) if self._plan.at_once and low < high else ()
        if any(each.value for each in evidence):
            self._submit(
                RowsChecked(
                    model=self._plan.model,
                    at=self._stream.at[high - 1],
                    version=self._champion,
                    window=self._stream.interval(low, high),
                    n=high - low,
                    evidence=evidence,
                )
            )

    def _checked(self, low: int, high: int) -> tuple[Evidence, ...]:
        return measure_seen(self._plan.at_once, seen_window(self._stream, self._champion, low, high))

    def _close(self, start: int, end: int) -> None:
        """Profile a window against the champion's reference."""
        seen = seen_window(self._stream, self._champion, start, end)
        self._submit(
            WindowClosed(
                model=self._plan.model,
                at=self._stream.at[end - 1],
                version=self._champion,
                window=self._stream.interval(start, end),
                n=end - start,
                rows=f"stream {start}:{end}",
                evidence=measure_seen(self._plan.detectors, seen),
            )
        )

    def _hear(self, row: int) -> None:
        """Take in the labels that have come by the time the rows before `row` are served."""
        if row:
            self._heard += self._stream.labels.hear(self._stream.at[row - 1]).tolist()

    def _revise(self, now: datetime, *, but: int) -> None:
        """Score the windows again that were scored before and whose labels have come since; not the window `but`."""
        touched = set((np.searchsorted(self._plan.bounds, self._heard, side="right") - 1).tolist())
        self._heard.clear()
        for number in sorted(touched & self._scored.keys() - {but}):
            mature = self._windows[number + self._plan.label_delay][1]
            if now <= self._stream.at[mature - 1] + self._plan.revise:
                self._score(number)
            else:
                del self._scored[number]

    def _score(self, number: int) -> None:
        """Measure the served answers of a window whose labels are mature, by those that have come."""
        start, end = self._windows[number]
        revision, before = self._scored.get(number, (0, 0))
        labelled = len(self._stream.labels.among(start, end))
        delays = self._stream.labels.delays_s(start, end)
        p50, p90 = np.quantile(delays, [0.5, 0.9]).tolist() if len(delays) else (None, None)
        if self._stream.labels.own:
            self._scored[number] = (revision + 1, labelled)
        self._submit(
            WindowScored(
                model=self._plan.model,
                at=self._stream.at[self._now - 1],
                version=self._stream.champion_of(start, end),
                window=self._stream.interval(start, end),
                n=end - start,
                labelled=labelled,
                revision=revision,
                evidence=self._scores.evidence(start, end, began=self._began),
                fresh=max(0, labelled - before) if self._stream.labels.own else None,
                delay_p50_s=p50,
                delay_p90_s=p90,
            )
        )

    def _refusal(self) -> str:
        for fact in reversed(self._facts):
            if isinstance(fact, CandidateRefused):
                return fact.reason
            if isinstance(fact, TrainingEnded):
                nobody = "; a replay has nobody to ask: mend this, or give the gate mode: advisory"
                return fact.detail + nobody * (fact.outcome == "held")
        return f"fewer windows than the {self._plan.warmup} that a first champion is trained on"

    def _report(self, began: int, started: float) -> ReplayReport:
        stream = self._stream
        spread = 1.0 if stream.columns.task.classifies else float(np.std(stream.label)) or 1.0
        low, high = self._windows[began][0], stream.n
        lost = stream.reported_loss(_plain(stream.output[low:high]), low, high, spread)
        total = perf_counter() - started
        never = stream.reported_loss(_plain(stream.answers(self._first, low, high)), low, high, spread)
        kinds = Counter(type(fact) for fact in self._facts)
        windows = [
            {
                "start": stream.at[start].isoformat(),
                "end": stream.interval(start, end).end.isoformat(),
                "n": end - start,
                "loss": float(lost[start - low : end - low].mean()),
                "version": str(stream.champion[end - 1]),
            }
            for start, end in self._windows[began:]
        ]
        own = total - sum(self._watch.seconds.values())
        timings = {
            "total_s": total,
            **self._watch.seconds,
            "anew_s": own,
            "anew_ms_per_window": 1e3 * own / len(windows),
        }
        data = {
            "rows": high - low,
            "windows": windows,
            "loss": float(lost.mean()),
            "loss_never_retrained": float(never.mean()),
            "fits": self._effects.fits,
            "promotions": kinds[VersionPromoted],
            "rejections": kinds[CandidateRefused],
            "rollbacks": kinds[RolledBack],
            "labelled": len(stream.labels.among(low, high)),
            "revisions": sum(1 for each in self._facts if isinstance(each, WindowScored) and each.revision),
            "incidents": kinds[IncidentRaised],
            "troubles": troubles(self._facts),
            "timings": timings,
        }
        return ReplayReport(data=data, facts=tuple(self._facts), versions=dict(stream.versions))


def _plain(values: Values) -> Values:
    return values.astype(np.str_) if values.dtype == object else values
