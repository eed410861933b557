"""An installation: projects that one `anew up` keeps, each with a policy of its own, and the compute they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator

from anew.app.component import hint, known_components
from anew.app.duration import parse_amount, parse_duration
from anew.app.policy_section import Section, in_a_period
from anew.app.settings import FILE
from anew.app.standing import INSTALLATION
from anew.app.yaml_file import Document, read_yaml
from anew.domain.errors import AnewError, SettingsError
from anew.trigger import Sharing

__all__ = ["ComputePolicy", "Installation", "InstallationPolicy", "load_installation"]

_OTHERS = ("all", "any", "changed", "command", "economic", "every", "new_data", "webhook")
"""Kinds of triggers that are no detectors."""
_NEAR = 0.8
"""How like a known kind an unknown word is that is taken for a slip of the pen, by `difflib`."""


class ComputePolicy(Section):
    """What all models together may take."""

    at_once: int = Field(default=1, ge=1, le=1_000, description="training runs under way at a time")
    hours: str = Field(default="", description="CPU hours of training in any period, e.g. 20 per 1d; empty: no limit")
    patience: str = Field(default="1d", description="after so long a request is next, whatever it saves")
    first: tuple[str, ...] = Field(
        default=("command", "rule", "slo"),
        description="triggers that do not wait for their rank: kinds, such as slo, or whole names",
    )

    @field_validator("hours", mode="before")
    @classmethod
    def _in_a_period(cls, value: object) -> object:
        return in_a_period(value)

    @field_validator("first")
    @classmethod
    def _some_trigger(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no name, and a slip of the pen; a detector of somebody's own may be called by any other."""
        known = sorted({*known_components("monitor"), *_OTHERS})
        wrong = [each for each in words if not each.strip()]
        wrong += [each for each in words if each not in known and get_close_matches(each, known, 1, _NEAR)]
        if wrong:
            said = ", ".join(f"{each!r}{hint(each, known)}" for each in wrong)
            raise ValueError(f"no trigger is called {said}; write a kind, or a whole name, as on record")
        return words


class InstallationPolicy(Section):
    """All that an installation is told; everything about one model stands in its own policy."""

    models: tuple[str, ...] = Field(default=("*",), min_length=1, description="folders of the projects, as patterns")
    compute: ComputePolicy = ComputePolicy()
    dashboard: str = Field(default="", description="folder of the project whose pages are served; empty: none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installation as it stands in its folder."""

    root: Path
    policy: InstallationPolicy
    sharing: Sharing

    @property
    def state(self) -> Path:
        """Folder of what is kept for the whole."""
        return self.root / ".anew"

    def projects(self) -> Mapping[str, Path]:
        """Return the folders of its projects by what they are called from here, in order; found anew at each call."""
        found: dict[str, Path] = {}
        for pattern in self.policy.models:
            for file in self.root.glob(f"{pattern}/{FILE}"):
                found[str(file.parent.relative_to(self.root))] = file.parent
        return dict(sorted(found.items()))


def load_installation(folder: Path) -> Installation:
    """Read and check an installation.

    Raises
    ------
    NotFoundError
        There is none in this folder.
    SettingsError
        Everything that is wrong in its file, each with ``file:line:column``. What is wrong in a project is not.
    """
    document = read_yaml(folder / INSTALLATION)
    try:
        policy = InstallationPolicy.model_validate(document.values)
    except ValidationError as exc:
        raise SettingsError(*(_problem(document, error) for error in exc.errors())) from exc
    problems = [
        f"{document.where(('models', place))}: {pattern!r} leads out of the folder; write it from there, as in models/*"
        for place, pattern in enumerate(policy.models)
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts
    ]
    try:
        sharing = _sharing(policy.compute)
    except AnewError as exc:
        problems.append(f"{document.where(('compute',))}: compute: {exc}")
    if problems:
        raise SettingsError(*problems)
    return Installation(root=folder.resolve(), policy=policy, sharing=sharing)


def _sharing(policy: ComputePolicy) -> Sharing:
    told: dict[str, Any] = {}
    if policy.hours:
        told["hours"], told["period"] = parse_amount(policy.hours)
    return Sharing(at_once=policy.at_once, patience=parse_duration(policy.patience), first=policy.first, **told)


def _problem(document: Document, error: Any) -> str:
    path = tuple(part for part in error["loc"] if isinstance(part, str | int))
    name = ".".join(str(part) for part in path)
    if error["type"] == "extra_forbidden":
        known = ComputePolicy if path[0] == "compute" else InstallationPolicy
        return f"{document.where(path)}: unknown key {name!r} (known: {', '.join(sorted(known.model_fields))})"
    return f"{document.where(path)}: {name}: {error['msg']} (found {error['input']!r})"
