"""A project's settings: `anew.yaml` read, checked and turned into values."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from anew.app.duration import parse_alarms, parse_amount, parse_count, parse_duration, parse_rate
from anew.app.loopback import is_loopback
from anew.app.policy import MonitorPolicy, ProjectPolicy
from anew.app.secret import may_be_secret
from anew.app.yaml_file import Document, read_yaml
from anew.domain.column import Column, Columns, Task
from anew.domain.errors import AnewError, SettingsError
from anew.feedback.join import LabelRules
from anew.feedback.outcome import Implicit

__all__ = ["FILE", "Settings", "load"]

FILE = "anew.yaml"
SPANS = ("all", "since_change", "auto")
"""Spans that are no duration."""


_REVISE = timedelta(days=30)


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
    def window(self) -> timedelta | None:
        """Length of a window; None for windows of so many rows."""
        return None if self.window_rows else parse_duration(self.policy.monitor.window)

    @property
    def window_rows(self) -> int | None:
        """Predictions in a window; None for windows of a length of time."""
        return _rows(self.policy.monitor.window)

    @property
    def label_delay(self) -> timedelta:
        """Age at which a label is mature."""
        return parse_duration(self.policy.monitor.label_delay)

    @property
    def lateness(self) -> timedelta:
        """How long a window waits for late rows."""
        return parse_duration(self.policy.monitor.lateness)

    @property
    def revise(self) -> timedelta:
        """How long after a window's labels are mature what comes late scores it again."""
        return parse_duration(self.policy.feedback.revise)

    @property
    def keep(self) -> timedelta | None:
        """How long observations are kept; None for ever."""
        keep = self.policy.data.keep
        return parse_duration(keep) if keep else None

    @property
    def label_rules(self) -> LabelRules:
        """Which of several labels of a prediction counts."""
        feedback = self.policy.feedback
        return LabelRules(trust=feedback.trust, park=parse_duration(feedback.park))

    @property
    def implicit(self) -> Implicit | None:
        """Labels that follow from an event."""
        given = self.policy.feedback.implicit
        if given is None:
            return None
        last = self.columns.classes[-1] if self.columns.classes else None
        return Implicit(
            event=given.event,
            within=parse_duration(given.within),
            then=last if given.then is None else given.then,
            otherwise=given.otherwise,
            skew=parse_duration(self.policy.serving.future_skew),
        )

    @property
    def events(self) -> tuple[str, ...]:
        """Events that feedback may bear, thumbs apart."""
        feedback = self.policy.feedback
        implied = (feedback.implicit.event,) if feedback.implicit else ()
        return tuple(dict.fromkeys((*feedback.events, *implied)))


def load(project: Path) -> Settings:
    """Read and check the project in the folder `project`.

    Raises
    ------
    NotFoundError
        There is no project in this folder.
    SettingsError
        Everything that is wrong in the file, each with ``file:line:column``.
    """
    document = read_yaml(project / FILE)
    try:
        policy = ProjectPolicy.model_validate(document.values)
    except ValidationError as exc:
        raise SettingsError(*dict.fromkeys(_problem(document, error) for error in exc.errors())) from exc
    problems = [*_durations(document, policy), *_columns_problems(document, policy), *_binding(document, policy)]
    problems += [] if problems else _feedback_problems(document, policy)
    problems += [] if problems else _store_problems(document, policy)
    problems += [] if problems else _log_problems(document, policy)
    try:
        code = _digest(project / policy.pipeline)
    except SettingsError as exc:
        problems.append(f"{document.where(('pipeline',))}: pipeline: {exc}")
    if problems:
        raise SettingsError(*problems)
    return Settings(
        root=project.resolve(),
        policy=policy,
        columns=_columns(policy),
        document=document,
        digest=_digest(project / FILE),
        code=code,
    )


def _binding(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem when others can reach the gateway and nobody asks who they are."""
    host = policy.serving.host
    if policy.access.anonymous == "nobody" or is_loopback(host):
        return []
    return [
        f"{document.where(('serving', 'host'))}: serving.host: others could reach {host!r}, and the gateway would ask "
        "nobody who they are; write access: {anonymous: nobody} and give tokens (anew access create), or use 127.0.0.1"
    ]


def _log_problems(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem where a share of the traffic is to be steered that another server answers."""
    if not policy.serving.log_only or policy.rollout.strategy != "staged" or not policy.rollout.canary:
        return []
    return [
        f"{document.where(('rollout', 'canary'))}: rollout.canary: another server answers (serving.log_only), and no "
        "share of its requests can be sent to a challenger; write canary: [], which promotes from shadow"
    ]


def _columns(policy: ProjectPolicy) -> Columns:
    declared = policy.columns
    return Columns(
        time=declared.time,
        target=declared.target,
        features=tuple(Column.declared_as(name, kind) for name, kind in declared.features.items()),
        task=policy.task,
        classes=tuple(sorted(declared.classes, key=_class_order)),
        key=declared.key,
        sensitive=declared.sensitive,
    )


def _class_order(label: int | str) -> tuple[bool, int, str]:
    return (True, 0, label) if isinstance(label, str) else (False, label, "")


def _store_problems(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem for each thing that the feature store cannot be asked."""
    store = policy.feature_store
    if store is None:
        return []
    declared, where = policy.columns.features, ("feature_store",)
    found = [
        f"{document.where((*where, 'features', name))}: feature_store.features.{name}: no such feature is declared in "
        f"columns.features (known: {', '.join(declared)})"
        for name in store.features
        if name not in declared
    ]
    given = [name for name in (*declared, policy.columns.key) if name and name not in store.features]
    found += [
        f"{document.where((*where, 'entity', key))}: feature_store.entity.{key}: {column!r} has to be the key or a "
        f"feature that requests bring (known: {', '.join(given)})"
        for key, column in store.entity.items()
        if column not in given
    ]
    return found


def _columns_problems(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem for each thing about the columns that cannot be."""
    declared, problems = policy.columns, []
    texts = [str(label) for label in declared.classes]
    if not policy.task.classifies and texts:
        problems.append(("classes", f"the task is {policy.task}; only a classification has classes"))
    if len(set(texts)) < len(texts) or "" in texts:
        problems.append(("classes", f"{list(declared.classes)}: two are written the same, or one is empty"))
    if len({type(label) for label in declared.classes}) > 1:
        problems.append(("classes", f"{list(declared.classes)}: use numbers or text, not both"))
    if policy.task is Task.BINARY and len(texts) > 2:
        problems.append(("classes", f"task binary has 2 classes, found {len(texts)}; use task: multiclass"))
    if declared.time == declared.target:
        problems.append(("target", f"{declared.target!r} is the time column as well"))
    if declared.key == declared.target:
        problems.append(("key", f"{declared.key!r} is the target, which no request brings; name another column"))
    shared = sorted(set(declared.sensitive) & {*declared.features, declared.target})
    if shared:
        problems.append(("sensitive", f"{', '.join(shared)}: what is kept from the model is no feature and no target"))
    known = [name for name in (*declared.features, declared.key, *declared.sensitive) if name]
    unknown = [name for name in declared.personal if name not in known]
    if unknown:
        problems.append(
            ("personal", f"{', '.join(unknown)}: no feature, key or sensitive column (known: {', '.join(known)})")
        )
    found = [f"{document.where(('columns', key))}: columns.{key}: {problem}" for key, problem in problems]
    if not found:
        try:
            _columns(policy)
        except AnewError as exc:
            found.append(f"{document.where(('columns',))}: {exc}")
    return found


def _feedback_problems(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem for each thing about feedback that cannot be."""
    feedback = policy.feedback
    problems: list[tuple[tuple[str | int, ...], str]] = []
    known = {*policy.columns.features, "prediction", "label", "thumb"}
    for i, name in enumerate(feedback.events):
        if name in known:
            problems.append((("events", i), f"{name!r} is the name of something else"))
    implicit = feedback.implicit
    if implicit is not None:
        for key, value in (("then", implicit.then), ("otherwise", implicit.otherwise)):
            if value is not None and policy.task.classifies and value not in policy.columns.classes:
                problems.append((("implicit", key), f"{value!r} is none of the classes {list(policy.columns.classes)}"))
        if parse_duration(implicit.within) > parse_duration(policy.monitor.label_delay):
            problems.append(
                (("implicit", "within"), f"{implicit.within} is longer than monitor.label_delay; raise that to it")
            )
    review = feedback.review
    if review is not None and review.confidence_below is not None and not policy.task.classifies:
        problems.append((("review", "confidence_below"), "numbers have no probability; leave it out for a regression"))
    return [f"{document.where(('feedback', *path))}: feedback.{path[0]}: {problem}" for path, problem in problems]


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as exc:
        raise SettingsError(f"{file} cannot be read ({exc.strerror})") from exc


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
    said = "write a list, such as [a, b]" if error["type"] == "tuple_type" else error["msg"]
    said = error["ctx"]["error"] if error["type"] == "value_error" else said
    found = "" if error["type"] == "reference" or may_be_secret(path) else f" (found {error['input']!r})"
    return f"{where}: {name}: {said}{found}"


def _known_keys(path: tuple[str | int, ...]) -> list[str]:
    section: Any = ProjectPolicy
    for part in (each for each in path if isinstance(each, str)):  # a number is a place in a list of sections
        field = next((f for n, f in section.model_fields.items() if part in (n, f.alias)), None)
        annotation = field.annotation if field else None
        kinds = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
        section = next((each for each in kinds if issubclass(each, BaseModel)), None)
        if section is None:
            return []
    return sorted(field.alias or name for name, field in section.model_fields.items())


_BUDGETS: Mapping[str, Callable[[str], object]] = {
    "retrains": parse_rate,
    "compute_hours": parse_amount,
    "cost": parse_amount,
}


def _durations(document: Document, policy: ProjectPolicy) -> list[str]:
    """Return a problem for each text that should be a duration or a rate and is none."""
    positive: dict[tuple[str, ...], str] = {
        ("train", "timeout"): policy.train.timeout,
        ("train", "cpu"): policy.train.cpu,
        ("search", "timeout"): policy.search.timeout,
    }
    if policy.feedback.implicit is not None:
        positive["feedback", "implicit", "within"] = policy.feedback.implicit.within
    if policy.feedback.review is not None:
        for name in ("lease", "keep"):
            positive["feedback", "review", name] = getattr(policy.feedback.review, name)
        if policy.feedback.review.label_studio is not None:
            positive["feedback", "review", "label_studio", "every"] = policy.feedback.review.label_studio.every
    if not _counts(policy.monitor.window):
        positive["monitor", "window"] = policy.monitor.window
    may_be_empty = {
        ("data", "keep"): policy.data.keep,
        ("rollout", "expire"): policy.rollout.expire,
        ("rollout", "patience"): policy.rollout.patience,
    }
    positive |= {path: text for path, text in may_be_empty.items() if text}
    if policy.data.span not in SPANS:
        positive["data", "span"] = policy.data.span
    any_length = {
        ("monitor", "lateness"): policy.monitor.lateness,
        ("monitor", "label_delay"): policy.monitor.label_delay,
        ("feedback", "park"): policy.feedback.park,
        ("policy", "cooldown"): policy.policy.cooldown,
        ("serving", "future_skew"): policy.serving.future_skew,
    }
    checks: list[tuple[tuple[str, ...], Callable[[], object]]] = [
        *((path, partial(_positive, text)) for path, text in positive.items()),
        *((path, partial(parse_duration, text)) for path, text in any_length.items()),
        (("feedback", "revise"), partial(_revise, policy.feedback.revise)),
        (("monitor", "window"), partial(_rows, policy.monitor.window)),
        (("monitor", "false_alarms"), partial(_positive_rate, policy.monitor)),
        *((("policy", "budget", name), partial(_BUDGETS[name], text)) for name, text in policy.policy.budget if text),
    ]
    problems = []
    for path, check in checks:
        try:
            check()
        except SettingsError as exc:
            problems.append(f"{document.where(path)}: {'.'.join(path)}: {exc}")
    return problems


def _positive(text: str) -> None:
    if parse_duration(text) <= timedelta(0):
        raise SettingsError(f"{text!r} is no length of time; it must be positive")


def _revise(text: str) -> None:
    if parse_duration(text) < _REVISE:
        raise SettingsError(f"{text!r} is too short: labels and rows come as late as that; write 30d or more")


def _positive_rate(monitor: MonitorPolicy) -> None:
    text = monitor.false_alarms
    if parse_alarms(text)[0] < 1:
        raise SettingsError(f"{text!r}: no test keeps that; allow one in a longer period, e.g. 1 per 365d")


def _rows(text: str) -> int | None:
    """Return the number of a window written as ``500 rows``, None for a length of time."""
    return parse_count(text, "row") if _counts(text) else None


def _counts(text: str) -> bool:
    return text.strip().endswith(("row", "rows"))
