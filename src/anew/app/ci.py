"""What a pipeline of continuous integration checks of a project, and what it needs for that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from anew.adapters.local_workers import LocalWorkers
from anew.adapters.pipeline_module import load_pipeline
from anew.app.doctor.project import references
from anew.app.gate_check import check_gates
from anew.app.model_card import CARD
from anew.app.replay import ReplayOptions, replay
from anew.app.settings import Settings, load
from anew.app.wiring import stages
from anew.domain.errors import AnewError, SettingsError, UnavailableError
from anew.loop.replay import ReplayReport
from anew.loop.replay_trouble import said_of

__all__ = [
    "STEPS",
    "CheckOptions",
    "Checked",
    "Needs",
    "Step",
    "check_project",
    "judge_backtest",
    "needs_of",
    "pipeline_file",
]

STEPS: Final = ("validate", "backtest", "gates")
"""In their order: what fails in the first leaves nothing to do for the others."""
_KINDS: Final = {"github": "github.yml", "gitlab": "gitlab.yml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What has to be there where the checks run: where the policy's secrets are, and the files that it reads."""

    secrets: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One check: `outcome` is pass, fail, asks (a gate asks a person) or unmeasured, which is as bad as fail."""

    step: str
    outcome: str
    said: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the checks found; `needs` is None of a project whose policy cannot be read."""

    model: str
    steps: tuple[Step, ...]
    needs: Needs | None

    @property
    def outcome(self) -> str:
        """Return the worst of the steps: invalid, refused, asks or pass."""
        outcomes = {each.step: each.outcome for each in self.steps}
        if outcomes.get("validate", "pass") != "pass":
            return "invalid"
        if {"fail", "unmeasured"} & set(outcomes.values()) or not outcomes:
            return "refused"
        return "asks" if "asks" in outcomes.values() else "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What is to be checked.

    Parameters
    ----------
    data
        File of labelled rows; None: the policy's history.
    version
        A version of the project's registry that the gates are asked about; empty: the first champion that
        `pipeline.py` makes of the rows.
    only
        Steps; what is not among them is not looked at.
    worse
        How much more the policy may lose than never retraining does, as a share of that.
    windows
        Windows of equal size that the rows are cut into; None: the policy's.
    """

    data: Path | None = None
    version: str = ""
    only: tuple[str, ...] = STEPS
    worse: float = 0.0
    windows: int | None = None


def pipeline_file(kind: str) -> str:
    """Return the file for GitHub Actions or GitLab that runs the checks."""
    return files("anew.app").joinpath("ci_pipelines", _KINDS[kind]).read_text("utf-8")


def needs_of(settings: Settings) -> Needs:
    """Return what has to be there where the checks run, or the project itself does."""
    policy = settings.policy
    named = [policy.data.history, *(each.file for each in policy.suites.values()), *policy.train.reads]
    card = [CARD] if any("model_card" in each for each in policy.gates) else []
    return Needs(
        secrets=tuple(sorted(set(references(settings)))),
        files=tuple(dict.fromkeys([policy.pipeline, *filter(None, named), *card])),
    )


def check_project(project: Path, options: CheckOptions) -> Checked:
    """Check a project as it is in its folder; what is asked for and cannot be measured has not passed.

    Raises
    ------
    SettingsError
        There is no such step.
    """
    unknown = [each for each in options.only if each not in STEPS]
    if unknown or not options.only:
        raise SettingsError(f"there is no step {', '.join(unknown) or 'to take'}; there are {', '.join(STEPS)}")
    steps = ["validate", *(each for each in STEPS[1:] if each in options.only)]
    found: dict[str, Checked] = {}
    lost = ""
    try:
        # Apart, for the project's code may end the process that it runs in, and nobody would hear what was found.
        for number, checked in LocalWorkers(1, apart=True).each(_Checks, (project, options), _checked, steps):
            found[steps[number]] = checked
    except UnavailableError as exc:
        lost = str(exc)
    valid = found.get("validate", Checked(model="", steps=(_unsaid("validate", lost),), needs=None))
    if valid.outcome != "pass":
        return valid
    made = [found[each].steps[0] if each in found else _unsaid(each, lost) for each in steps if each in options.only]
    return replace(valid, steps=tuple(made))


def _unsaid(step: str, lost: str) -> Step:
    return Step(step=step, outcome="fail" if step == "validate" else "unmeasured", said=(lost,))


class _Checks:
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
            return _unsaid(name, "the policy is not valid")
        if name == "backtest":
            return _backtest(self.run(), self.options.worse)
        return _gates(self.settings, self.options, self.run)

    def _replayed(self) -> ReplayReport | str:
        assert self.settings is not None, "validate came first"  # noqa: S101  an invariant of ours
        return _replayed(self.settings, self.options)


def _checked(checks: _Checks, name: str) -> Checked:
    step, settings = checks.step(name), checks.settings
    if settings is None:
        return Checked(model="", steps=(step,), needs=None)
    return Checked(model=settings.model, steps=(step,), needs=needs_of(settings))


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
