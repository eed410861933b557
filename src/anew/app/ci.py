"""What a pipeline of continuous integration checks of a project, in a process apart: see `anew.app.ci_steps`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from anew.adapters.local_workers import LocalWorkers
from anew.domain.errors import SettingsError, UnavailableError

__all__ = [
    "STEPS",
    "CheckOptions",
    "Checked",
    "Needs",
    "Step",
    "check_project",
    "pipeline_file",
    "unsaid",
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
        for number, checked in LocalWorkers(1, apart=True).each(_begun, (project, options), _checked, steps):
            found[steps[number]] = checked
    except UnavailableError as exc:
        lost = str(exc)
    valid = found.get("validate", Checked(model="", steps=(unsaid("validate", lost),), needs=None))
    if valid.outcome != "pass":
        return valid
    made = [found[each].steps[0] if each in found else unsaid(each, lost) for each in steps if each in options.only]
    return replace(valid, steps=tuple(made))


def unsaid(step: str, lost: str) -> Step:
    """Return a step that could not be taken, and why."""
    return Step(step=step, outcome="fail" if step == "validate" else "unmeasured", said=(lost,))


def _begun(told: tuple[Path, CheckOptions]) -> Any:
    # What checks takes seconds to import, and the process that only asks has no use for it.
    return import_module("anew.app.ci_steps").Checks(told)


def _checked(checks: Any, step: str) -> Checked:
    checked: Checked = checks.checked(step)
    return checked
