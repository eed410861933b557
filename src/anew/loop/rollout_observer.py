"""The observer's eye on a rollout: what new rows and newly mature labels say of the challenger."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import polars as pl

from anew.domain.facts import GuardrailTripped, RolloutHeld, RolloutObserved, Stage
from anew.domain.interval import Interval
from anew.loop.breach import Breaches, RuleLimit, answers_of
from anew.loop.look import Counted, Outcomes, look
from anew.loop.measure import Floats, as_values, losses
from anew.loop.observer_plan import ObserverPlan
from anew.loop.recorder import Recorder
from anew.ports.lake import Lake
from anew.rollout import KPI, Probation, RolloutState, next_look

__all__ = ["RolloutObserver"]

_BLIND_SHARE = 10
"""Looks that find no label go on after this part of a window, so that what they read does not grow."""


class RolloutObserver:
    """Submits what is seen of a challenger; reads new rows alone, but once after a restart where users count.

    `joined` returns the predictions of a span with their labels.
    """

    def __init__(
        self, plan: ObserverPlan, recorder: Recorder, lake: Lake, joined: Callable[[Interval], pl.DataFrame]
    ) -> None:
        self._plan = plan
        self._recorder = recorder
        self._lake = lake
        self._joined = joined
        self._told_s: dict[tuple[str, datetime], float] = {}
        self._users: dict[str, tuple[tuple[object, ...], Counted]] = {}
        self._breaches: dict[str, tuple[datetime, Breaches]] = {}

    @property
    def _rollout(self) -> RolloutState:
        state: RolloutState = self._recorder.state("rollout")
        return state

    def guard(self, now: datetime) -> None:
        """Report a challenger whose new answers break a rule too often, or cannot be read; once for each routing.

        Where a rule cannot be read, users are spared such answers; in shadow, where none hears them, it takes no step.
        Where a version takes all traffic at once, it is a new champion of which that is reported.
        """
        limit, rollout = self._plan.rule_limit, self._rollout
        if limit is None:
            return
        watched = {each.challenger[0]: (each.since, each.stage) for each in rollout.arms}
        new = "" if limit.steps else rollout.newcomer(now)
        if new and rollout.promoted is not None:
            watched[new] = (rollout.promoted, Stage.STEADY)
        self._breaches = {name: seen for name, seen in self._breaches.items() if name in watched}
        for version, (began, stage) in watched.items():
            self._guard(version, began, stage, limit, now)

    def _guard(self, version: str, began: datetime, stage: Stage, limit: RuleLimit, now: datetime) -> None:
        since, seen = self._breaches.get(version, (began, Breaches(limit)))
        if now <= since:
            return
        self._breaches[version] = (now, seen)
        broken = seen.add(answers_of(self._lake.predictions(Interval(start=since, end=now)), version))
        if broken is None:
            return
        model, cause, reason = self._plan.model, self._rollout.shifts, broken.problem
        if not broken.measured and stage is Stage.SHADOW and limit.steps:
            self._hold(version, f"guardrail {broken.name}: {reason}", now)
            return
        if broken.measured:
            reason = f"{broken.value:.2%} of {broken.n} answers break it; allowed are {limit.at_most:.2%}"
        self._recorder.submit(
            GuardrailTripped(
                model=model,
                at=now,
                cause=cause,
                version=version,
                guardrail=broken.name,
                evidence=(broken,),
                reason=reason,
            )
        )

    def look(self, now: datetime) -> None:
        """Report what newly mature labels say of each challenger."""
        self._users = {name: counted for name, counted in self._users.items() if self._rollout.arm(name)}
        for version in [each.challenger[0] for each in self._rollout.arms]:
            probation = self._rollout.arm(version)  # what was said of one may have ended the others
            if probation is not None and not self._unread(version):
                self._look(probation, now)

    def _unread(self, version: str) -> bool:
        """Is there a rule that could not be read on the challenger's answers?"""
        return version in self._breaches and self._breaches[version][1].unread is not None

    def _silent(self, probation: Probation, now: datetime) -> bool:
        """Hold a challenger in shadow while a rule is null on all of its answers."""
        version, limit = probation.challenger[0], self._plan.rule_limit
        if version not in self._breaches or limit is None or not limit.steps or probation.stage is not Stage.SHADOW:
            return False
        seen = self._breaches[version][1]
        if seen.silent:
            self._hold(version, f"guardrail {seen.silent}: it is null on all {seen.asked} answers", now)
        return bool(seen.silent)

    def _hold(self, version: str, why: str, now: datetime) -> None:
        reason, cause = f"{why}; no step while nobody can say that the rule is kept", self._rollout.shifts
        self._recorder.submit(RolloutHeld(model=self._plan.model, at=now, cause=cause, version=version, reason=reason))

    def _look(self, probation: Probation, now: datetime) -> None:
        number, since = next_look(probation)
        until = now - max(self._plan.label_delay, self._plan.lateness)
        if until <= since or self._silent(probation, now):
            return
        span = Interval(start=since, end=until)
        short = span.length < self._plan.pace / _BLIND_SHARE
        if short and self._plan.columns.key:
            return  # a user counts by the mean over the look that it comes in: a moment would be a single request
        rows = self._pairs(self._joined(span), probation.challenger[0])
        if not rows.height and short:
            return
        users = self._counted(probation)
        counted = look(self._outcomes(rows, probation), users)
        self._recorder.submit(
            RolloutObserved(
                model=self._plan.model,
                at=now,
                version=probation.challenger[0],
                stage=probation.stage,
                look=number,
                span=span,
                paired_down=counted.paired_down,
                paired_up=counted.paired_up,
                champion_loss=counted.champion_loss,
                challenger_loss=counted.challenger_loss,
                paired_of=self._plan.outcome(self._plan.paired_by),
                arms_of=self._plan.outcome(self._plan.arms_by),
                compute_s=self._taken(probation),
            )
        )

    def _taken(self, probation: Probation) -> float:
        """Return the CPU seconds since the last look; workers that began anew count from nothing again."""
        version, which = probation.challenger[0], (probation.challenger[0], probation.since)
        now = self._plan.rollout_cpu_s(version)
        before = self._told_s.get(which, probation.compute_s)
        self._told_s = {key: each for key, each in self._told_s.items() if self._rollout.arm(key[0])} | {which: now}
        return now - before if now >= before else now

    def _counted(self, probation: Probation) -> Counted:
        """Return the users that were counted: remembered, or read again after a restart and at a new step."""
        step = (probation.challenger, probation.stage, probation.share, probation.stepped)
        version = probation.challenger[0]
        if version not in self._users or self._users[version][0] != step:
            users = Counted()
            if self._plan.columns.key and probation.looked is not None and probation.looked > probation.since:
                before = Interval(start=probation.since, end=probation.looked)
                rows = self._pairs(self._joined(before), probation.challenger[0])
                look(self._outcomes(rows, probation), users)
            self._users[version] = (step, users)
        return self._users[version][1]

    @staticmethod
    def _pairs(joined: pl.DataFrame, challenger: str) -> pl.DataFrame:
        """Return the labelled rows of the rollout: answered by the challenger, or shadowed by it."""
        ours = (pl.col("_version") == challenger) | (pl.col("_shadow_version") == challenger)
        return joined.filter(pl.col("_label").is_not_null() & (ours | (pl.col("_arm") == "champion")))

    def _outcomes(self, rows: pl.DataFrame, probation: Probation) -> Outcomes:
        challenger, digest = probation.challenger
        scale = self._plan.known(digest).loss_scale
        said = {version: self._said(rows, version) for version in (self._rollout.champion[0], challenger)}
        champion = self._rollout.champion[0]
        paired = {version: self._losses_of(rows, each, scale, self._plan.paired_by) for version, each in said.items()}
        arms = {version: self._losses_of(rows, each, scale, self._plan.arms_by) for version, each in said.items()}
        arm, version = rows.get_column("_arm"), rows.get_column("_version")
        return Outcomes(
            champion=paired[champion],
            challenger=paired[challenger],
            champion_arm=arms[champion],
            challenger_arm=arms[challenger],
            by_champion=((arm == "champion") & (version == champion)).to_numpy(),
            by_challenger=(version == challenger).to_numpy(),
            in_step=(rows.get_column("_epoch") >= probation.begun).to_numpy(),
            users=np.asarray(rows.get_column("_key").to_list(), dtype=np.str_) if self._plan.columns.key else None,
        )

    @staticmethod
    def _said(rows: pl.DataFrame, version: str) -> pl.Series:
        """Return what `version` said to each row; null where it said nothing."""
        said = (
            pl.when(pl.col("_version") == version)
            .then(pl.col("_output"))
            .when((pl.col("_shadow_version") == version) & pl.col("_shadow_output").is_not_null())
            .then(pl.col("_shadow_output"))
        )
        return rows.select(said.alias("said")).get_column("said")

    def _losses_of(self, rows: pl.DataFrame, output: pl.Series, scale: float, kpi: KPI | None) -> Floats:
        """Return the losses of answers; NaN where there is none."""
        label = rows.get_column("_label")
        if kpi is not None:
            return kpi.losses(rows.select(self._plan.columns.names), output, label)
        task = self._plan.columns.task
        loss = losses(task, as_values(label, task), as_values(output, task), scale)
        loss[output.is_null().to_numpy()] = np.nan
        return loss
