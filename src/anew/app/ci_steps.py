"""The checks of a pipeline of continuous integration, for the process that makes them."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from anew.adapters.pipeline_module import load_pipeline
from anew.app.ci import Checked, CheckOptions, Needs, Step, unsaid
from anew.app.doctor.project import references
from anew.app.gate_check import check_gates
from anew.app.model_card import CARD
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import Settings, load
from anew.app.wiring import stages
from anew.domain.errors import AnewError, SettingsError
from anew.loop.replay import ReplayReport
from anew.loop.replay_trouble import said_of

__all__ = ["Checks", "judge_backtest", "needs_of"]


def needs_of(settings: Settings) -> Needs:
    """Return what has to be there where the checks run, or the project itself does."""
    policy = settings.policy
    named = [policy.data.history, *(each.file for each in policy.suites.values()), *policy.train.reads]
    card = [CARD] if any("model_card" in each for each in policy.gates) else []
    return Needs(
        secrets=tuple(sorted(set(references(settings)))),
        files=tuple(dict.fromkeys([policy.pipeline, *filter(None, named), *card])),
    )


class Checks:
    """A project and what it is checked by; in a process of its own, for all steps."""

    def __init__(self, told: tuple[Path, CheckOptions]) -> None:
        self.project, self.options = told
        self.settings: Settings | None = None
        self.run = cache(self._replayed)

    def validate(self) -> Step:
        """Read the policy, wire it and import the pipeline."""
        try:
            settings = load(self.project)
            stages(settings)
            load_pipeline(settings.pipeline)
        except SettingsError as exc:
            problems = tuple(line for problem in exc.problems for line in problem.splitlines())
            return Step(step="validate", outcome="fail", said=problems)
        self.settings = settings
        return Step(step="validate", outcome="pass", said=(f"anew.yaml is valid: {settings.model}",))

    def step(self, name: str) -> Step:
        """Take a step; those after `validate` need its settings."""
        if name == "validate":
            return self.validate()
        if self.settings is None:
            return unsaid(name, "the policy is not valid")
        if name == "backtest":
            return _backtest(self.run(), self.options.worse)
        return _gates(self.settings, self.options, self.run)

    def checked(self, name: str) -> Checked:
        """Take a step, and return it with what the project needs as far as that is known."""
        step, settings = self.step(name), self.settings
        if settings is None:
            return Checked(model="", steps=(step,), needs=None)
        return Checked(model=settings.model, steps=(step,), needs=needs_of(settings))

    def _replayed(self) -> ReplayReport | str:
        assert self.settings is not None, "validate came first"  # noqa: S101  an invariant of ours
        return _replayed(self.settings, self.options)


def _replayed(settings: Settings, options: CheckOptions) -> ReplayReport | str:
    """Return what the project's own loop did on the rows, or why it could do nothing."""
    history = settings.policy.data.history
    data = options.data or (settings.root / history if history else None)
    if data is None:
        return "there are no labelled rows: name a file by --data, or history in anew.yaml"
    try:
        return replay(settings, ReplayOptions(data=data, windows=options.windows))
    except AnewError as exc:
        return str(exc)


def _backtest(run: ReplayReport | str, worse: float) -> Step:
    if isinstance(run, str):
        return Step(step="backtest", outcome="unmeasured", said=(run,))
    return judge_backtest(run.data, worse)


def judge_backtest(data: Mapping[str, Any], worse: float) -> Step:
    """Judge a replay's report: pass when the policy lost no more than never retraining, by the share `worse`."""
    loss, never = float(data["loss"]), float(data["loss_never_retrained"])
    figures = {"loss": loss, "loss_never_retrained": never, "windows": len(data["windows"]), "fits": data["fits"]}
    figures["incidents"] = data["incidents"]
    good = loss <= never * (1 + worse)
    said = f"the policy loses {loss:.4g}, never retraining {never:.4g}, on {data['rows']} rows"
    broken = map(said_of, data["troubles"])
    return Step(step="backtest", outcome="pass" if good else "fail", said=(said, *broken), figures=figures)


def _gates(settings: Settings, options: CheckOptions, run: Callable[[], ReplayReport | str]) -> Step:
    if not options.version:
        made = run()
        if isinstance(made, str):
            return Step(step="gates", outcome="unmeasured", said=(made,))
        figures = {name: made.data[name] for name in ("promotions", "rejections", "rollbacks")}
        said = "what pipeline.py makes of the first rows passed every gate that needs no champion"
        return Step(step="gates", outcome="pass", said=(said,), figures=figures)
    try:
        check = check_gates(settings, options.version)
    except AnewError as exc:
        return Step(step="gates", outcome="unmeasured", said=(str(exc),))
    outcome = {"accepted": "pass", "waiting": "asks"}.get(check.outcome, "fail")
    verdicts = tuple(f"{each.verdict.name} {each.gate}: {each.reason}" for each in check.verdicts)
    return Step(step="gates", outcome=outcome, said=verdicts)
