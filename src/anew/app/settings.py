"""A project's settings: `anew.yaml` read, checked and turned into values."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from anew.app.duration import parse_duration, parse_rate
from anew.app.policy import ProjectPolicy
from anew.app.yaml_file import Document, read_yaml
from anew.domain.column import Column, Columns, Task
from anew.domain.errors import AnewError, SettingsError

__all__ = ["FILE", "Settings", "load"]

FILE = "anew.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A project as it stands in its folder.

    Attributes
    ----------
    root, state, pipeline
        The project's folder, its ``.anew`` folder, and the user's code.
    policy
        The file's values, checked one by one; `document` has their places for messages.
    digest, code
        SHA-256 of `anew.yaml` and of the pipeline file: the project's revision.
    """

    root: Path
    policy: ProjectPolicy
    columns: Columns
    document: Document
    digest: str
    code: str

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.policy.model

    @property
    def task(self) -> Task:
        """What the model answers."""
        return self.policy.task

    @property
    def state(self) -> Path:
        """Folder of everything that anew keeps for the project."""
        return self.root / ".anew"

    @property
    def pipeline(self) -> Path:
        """The user's pipeline file."""
        return self.root / self.policy.pipeline

    @property
    def window(self) -> timedelta:
        """Length of a window."""
        return parse_duration(self.policy.monitor.window)

    @property
    def label_delay(self) -> timedelta:
        """Age at which a label is mature."""
        return parse_duration(self.policy.monitor.label_delay)

    @property
    def lateness(self) -> timedelta:
        """How long a window waits for late rows."""
        return parse_duration(self.policy.monitor.lateness)


def load(project: Path) -> Settings:
    """Read and check the project in the folder `project`.

    Raises
    ------
    SettingsError
        Everything that is wrong in the file, each with ``file:line:column``.
    """
    document = read_yaml(project / FILE)
    try:
        policy = ProjectPolicy.model_validate(document.values)
    except ValidationError as exc:
        raise SettingsError(*(_problem(document, error) for error in exc.errors())) from exc
    problems = _durations(document, policy)
    if problems:
        raise SettingsError(*problems)
    return Settings(
        root=project.resolve(),
        policy=policy,
        columns=_columns(document, policy),
        document=document,
        digest=_digest(project / FILE),
        code=_digest(
            project / policy.pipeline, missing=f"{document.where(('pipeline',))}: {policy.pipeline} is not there"
        ),
    )


def _columns(document: Document, policy: ProjectPolicy) -> Columns:
    declared = policy.columns
    try:
        return Columns(
            time=declared.time,
            target=declared.target,
            features=tuple(Column(name=name, kind=kind) for name, kind in declared.features.items()),
            task=policy.task,
            classes=declared.classes,
            key=declared.key,
            sensitive=declared.sensitive,
        )
    except AnewError as exc:
        raise SettingsError(f"{document.where(('columns',))}: {exc}") from exc


def _digest(file: Path, missing: str = "") -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError as exc:
        raise SettingsError(missing or f"{file} is not there") from exc


def _problem(document: Document, error: Any) -> str:
    path = tuple(part for part in error["loc"] if isinstance(part, str | int))
    where, name = document.where(path), ".".join(str(part) for part in path)
    if error["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        close = get_close_matches(str(path[-1]), known, 1)
        hint = f"; did you mean {close[0]}?" if close else f" (known: {', '.join(known)})"
        return f"{where}: unknown key {name!r}{hint}"
    if error["type"] == "missing":
        return f"{where}: {name} is missing"
    return f"{where}: {name}: {error['msg']} (found {error['input']!r})"


def _known_keys(path: tuple[str | int, ...]) -> list[str]:
    section: Any = ProjectPolicy
    for part in path:
        field = next((f for n, f in section.model_fields.items() if part in (n, f.alias)), None)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        section = annotation
    return sorted(field.alias or name for name, field in section.model_fields.items())


def _durations(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem for each text that should be a duration or a rate and is none."""
    written: list[tuple[tuple[str, ...], str]] = [
        (("monitor", "window"), policy.monitor.window),
        (("monitor", "lateness"), policy.monitor.lateness),
        (("monitor", "label_delay"), policy.monitor.label_delay),
        (("train", "timeout"), policy.train.timeout),
        (("policy", "cooldown"), policy.policy.cooldown),
        (("rollout", "expire"), policy.rollout.expire),
        (("serving", "future_skew"), policy.serving.future_skew),
    ]
    if policy.data.span != "all":
        written.append((("data", "span"), policy.data.span))
    problems = []
    for path, text in written:
        try:
            parse_duration(text)
        except SettingsError as exc:
            problems.append(f"{document.where(path)}: {'.'.join(path)}: {exc}")
    if parse_problem := _rate_problem(policy):
        problems.append(f"{document.where(('policy', 'budget'))}: policy.budget: {parse_problem}")
    if not problems and parse_duration(policy.monitor.window) <= timedelta(0):
        problems.append(f"{document.where(('monitor', 'window'))}: monitor.window: a window must have a length")
    return problems


def _rate_problem(policy: ProjectPolicy) -> str:
    for text in policy.policy.budget.values():
        try:
            parse_rate(text)
        except SettingsError as exc:
            return str(exc)
    return ""
