"""New projects: what `anew init` writes, with or without data to look at."""

import json
import re
import string
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import polars as pl

from anew.adapters.schema_inference import Inferred, Roles, infer_schema
from anew.adapters.system_clock import SystemClock
from anew.adapters.table_file import read_table
from anew.app.duration import parse_duration
from anew.app.first_look import FirstLook, look_ahead
from anew.app.policy import ServingPolicy, policy_schema
from anew.app.policy_numbers import PolicyNumbers, attainable, nearest_window
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.duration import write_duration
from anew.domain.errors import ConflictError, SchemaError, SettingsError

__all__ = ["SCHEMA_FILE", "Created", "Given", "create_from_file", "create_from_frame", "create_skeleton", "model_name"]

SCHEMA_FILE = ".anew-schema.json"
"""Named on the first line of `anew.yaml`, so that editors find it without a network."""

_SKEW = parse_duration(ServingPolicy().future_skew)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new project: its folder, the files written, and what its owner should know of the data."""

    model: str
    folder: Path
    written: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    inferred: Inferred | None = None
    look: FirstLook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a new project has besides what its rows tell.

    Attributes
    ----------
    pipeline
        Source of ``pipeline.py``; empty for trees on numbers and categories.
    history
        Name of the file in the folder that the project begins with; empty for none.
    triggers
        Lines of ``triggers``, in the place of the one on PSI; `psi` and `windows` of the numbers are not asked then.
    sections
        Further sections of ``anew.yaml``, each as it stands there.
    files
        Further files, by name.
    look
        Measures what the first objective rests on.
    """

    pipeline: str = ""
    history: str = ""
    triggers: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    look: Callable[[pl.DataFrame, Columns, str], FirstLook] = look_ahead
    numbers: PolicyNumbers = PolicyNumbers()


def create_from_file(
    parent: Path, source: Path, roles: Roles, *, name: str = "", numbers: PolicyNumbers | None = None
) -> Created:
    """Write a working project for the stream in the file `source` into ``parent/name``.

    The schema is read off the file; the first objective is measured with a quick model on its first rows.

    Raises
    ------
    SettingsError
        The file cannot be read, its columns cannot serve, or `name` cannot be a model's.
    ConflictError
        The folder has a project already.
    """
    model = model_name(name, source.stem)
    given = Given(numbers=numbers or PolicyNumbers())
    _refuse_existing(parent / model)
    return create_from_frame(parent / model, model, _read(source), roles, given)


def create_from_frame(folder: Path, model: str, frame: pl.DataFrame, roles: Roles, given: Given) -> Created:
    """Write a working project for the stream in `frame` into `folder`; raises as `create_from_file` does."""
    _refuse_existing(folder, *given.files)
    inferred = infer_schema(frame, roles, latest=SystemClock().now() + _SKEW)
    pipeline = given.pipeline or _pipeline(model, inferred.columns, inferred.vocabulary)
    look = given.look(frame, inferred.columns, pipeline)
    policy = _policy(model, inferred, look, given)
    written = _write(folder, pipeline, policy, given.files)
    return Created(model=model, folder=folder, written=written, notes=inferred.notes, inferred=inferred, look=look)


def _read(source: Path) -> pl.DataFrame:
    try:
        frame = read_table(source)
    except SchemaError as exc:
        raise SettingsError(str(exc)) from exc
    if not frame.height:
        raise SettingsError(f"{source} has no rows")
    return frame


def create_skeleton(folder: Path, *, numbers: PolicyNumbers | None = None) -> Created:
    """Write a project with example columns into `folder`, for its owner to edit.

    Raises
    ------
    ConflictError
        The folder has a project already.
    """
    _refuse_existing(folder)
    model = model_name("", folder.resolve().name)
    columns = Columns(
        time="at",
        target="label",
        features=(Column(name="amount", kind=ColumnKind.NUMBER), Column(name="country", kind=ColumnKind.CATEGORY)),
        task=Task.BINARY,
        classes=(0, 1),
    )
    example = Inferred(
        columns=columns,
        vocabulary={"country": ("DE", "FR", "US")},
        rows=0,
        start=_EXAMPLE_START,
        end=_EXAMPLE_START + 100 * timedelta(days=1),
        zoned=True,
    )
    pipeline = _pipeline(model, columns, example.vocabulary)
    return Created(
        model=model,
        folder=folder,
        written=_write(folder, pipeline, _policy(model, example, None, Given(numbers=numbers or PolicyNumbers()))),
        notes=("the columns are an example; put your own into anew.yaml and pipeline.py",),
    )


_EXAMPLE_START = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def model_name(name: str, fallback: str) -> str:
    """Return `name`, which has to be one of a model, or one made of `fallback` where it is empty."""
    if name:
        if not _NAME.fullmatch(name):
            raise SettingsError(
                f"a model cannot be called {name!r}; use a small letter, then up to 62 of a-z, 0-9, - and _ "
                f"(such as {model_name('', name)}). Of a path, the last part names the model"
            )
        return name
    slug = re.sub(r"[^a-z0-9_-]+", "-", fallback.casefold()).strip("-_")[:60]
    return slug if _NAME.fullmatch(slug) else f"m-{slug}".rstrip("-")


def _refuse_existing(folder: Path, *others: str) -> None:
    names = ("anew.yaml", "pipeline.py", ".anew", ".gitignore", SCHEMA_FILE, *others)
    there = [name for name in names if (folder / name).exists()]
    if there or (folder.exists() and not folder.is_dir()):
        raise ConflictError(
            f"{folder} has {', '.join(there) or 'a file of this name'} already; nothing is overwritten: "
            "choose another name or move it away"
        )


def _write(
    folder: Path, pipeline: str, policy: str, others: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[Path, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    texts = {
        "pipeline.py": pipeline,
        "anew.yaml": policy,
        SCHEMA_FILE: policy_schema(),
        ".gitignore": _template("gitignore"),
    }
    for name, data in ({name: text.encode() for name, text in texts.items()} | dict(others)).items():
        path = folder / name
        with path.open("xb") as file:  # never over a file that came meanwhile
            file.write(data)
        written.append(path)
    return tuple(written)


def _template(name: str) -> str:
    return files("anew.app").joinpath("templates", f"{name}.template").read_text("utf-8")


def _fill(name: str, values: Mapping[str, object]) -> str:
    return string.Template(_template(name)).substitute(values)


def _pipeline(model: str, columns: Columns, vocabulary: Mapping[str, Sequence[str]]) -> str:
    numbers = [column.name for column in columns.features if column.kind is not ColumnKind.CATEGORY]
    features = (
        _fill("features.py", {"numbers": _listing(numbers, ""), "categories": _vocabulary(vocabulary)})
        if vocabulary
        else "\n# There is no `features` here: all columns are numbers and go to the model as they are.\n"
    )
    return _fill(
        "pipeline.py",
        {
            "model": model,
            "wrapper": "LGBMClassifier" if columns.task.classifies else "LGBMRegressor",
            "polars": "import polars as pl\n" if vocabulary else "",
            "features": features,
            "categorical": "\n        categorical_feature=[data.x.columns.index(name) for name in CATEGORIES],"
            if vocabulary
            else "",
        },
    )


def _vocabulary(vocabulary: Mapping[str, Sequence[str]]) -> str:
    lines = [f"    {_text(name)}: {_listing(levels, '    ')}," for name, levels in vocabulary.items()]
    return "\n".join(["{", *lines, "}"])


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _listing(items: Sequence[str], indent: str) -> str:
    line = f"[{', '.join(map(_text, items))}]"
    if len(line) <= 90:
        return line
    lines, row = [], ""
    for item in map(_text, items):
        if row and len(row) + len(item) > 100:
            lines.append(row)
            row = ""
        row += f"{item}, "
    inner = textwrap.indent("\n".join(part.rstrip() for part in [*lines, row]), f"{indent}    ")
    return f"[\n{inner}\n{indent}]"


def _policy(model: str, inferred: Inferred, look: FirstLook | None, given: Given) -> str:
    columns, window = inferred.columns, nearest_window(inferred.length)
    numbers = attainable(given.numbers, inferred, window) if look else given.numbers
    optional = ""
    if columns.task.classifies:
        optional += f"\n  classes: [{', '.join(_scalar(label) for label in columns.classes)}]"
    if columns.key:
        optional += f"\n  key: {_scalar(columns.key)}"
    if columns.sensitive:
        optional += f"\n  sensitive: [{', '.join(map(_scalar, columns.sensitive))}]"
    plain: dict[str, object] = {field.name: getattr(numbers, field.name) for field in fields(numbers)}
    return _fill(
        "anew.yaml",
        plain
        | {
            "model": model,
            "task": columns.task.value,
            "time": _scalar(columns.time),
            "target": _scalar(columns.target),
            "optional": optional,
            "zone_comment": "instants are stored in UTC"
            if inferred.zoned
            else "the instants in the file carry no zone and are taken as UTC",
            "schema": SCHEMA_FILE,
            "features": "\n".join(f"    {_scalar(column.name)}: {column.declared}" for column in columns.features),
            "window": write_duration(window),
            "window_comment": f"about a hundredth of the {inferred.length.days} days in the file"
            if look
            else "length of the windows that are compared with the training data",
            "most_comment": "and the rows that are enough: the newest teach most" if look else "0: as many as it is",
            "metric": "error" if columns.task.classifies else "mae",
            "at_most": f"{_objective(look, numbers.slo_slack):.3g}",
            "slo_comment": _slo_comment(look, numbers.slo_slack),
            "span": "auto" if numbers.span_windows is None else write_duration(numbers.span_windows * window),
            "cooldown": write_duration(numbers.cooldown_windows * window),
            "budget": f"{numbers.budget_retrains} per {write_duration(numbers.budget_windows * window)}",
            "canary": list(numbers.canary),
            "slo_for": _windows(numbers.slo_windows),
            "slo_over": _over(numbers.slo_over_windows, window),
            "triggers": _triggers(numbers, window, given),
            "history": f"\n  history: {given.history}  # labelled rows from before it served" if given.history else "",
            "sections": "".join(f"{section}\n\n" for section in given.sections),
            "patience": ""
            if numbers.patience_windows is None
            else f"\n  patience: {write_duration(numbers.patience_windows * window)}"
            "  # a step takes long here: a later candidate has to wait for so long",
        },
    )


def _triggers(numbers: PolicyNumbers, window: timedelta, given: Given) -> str:
    """Return what stands behind ``triggers:``; where a window has too few rows for PSI, how to ask for it all the same.

    Over a period it could be measured there, and would ask too early: with a candidate of few rows from after the
    change, which then stands in the way of a later one.
    """
    over = _over(numbers.psi_over_windows, window)
    psi = f"{{psi: {{above: {numbers.psi}{over}}}, for: {_windows(numbers.psi_windows)}}}"
    if given.triggers or not over:
        return "".join(f"\n  - {line}" for line in given.triggers or (psi,))
    return f" []  # a window has too few rows for psi; to be asked when columns move, well or ill:\n# triggers: [{psi}]"


def _over(windows: int | None, window: timedelta) -> str:
    return "" if windows is None else f", over: {write_duration(windows * window)}"


def _windows(count: int) -> str:
    return f"{count} window{'' if count == 1 else 's'}"


def _objective(look: FirstLook | None, slack: float) -> float:
    if look is None:
        return 0.1
    aim = slack * look.loss
    # Zero would call every wrong answer a breach, and an error of 1 none.
    return min(max(aim, 0.01), 0.99) if look.metric == "error" else max(aim, 0.01 * look.scale)


def _slo_comment(look: FirstLook | None, slack: float) -> str:
    if look is None:
        return "  # An example; set the error that your users can live with."
    if not look.train_rows:
        return (
            f"  # Measured, not promised: the adopted model has {look.metric} {look.loss:.4g} on the {look.test_rows} "
            f"rows of the file\n  # (it may have been trained on some of them); the objective is {slack:g} times that."
        )
    return (
        f"  # Measured, not promised: a model trained on the first {look.train_rows} rows of the file had "
        f"{look.metric} {look.loss:.4g}\n  # on the next {look.test_rows}; the objective is {slack:g} times that."
    )


def _scalar(value: int | str) -> str:
    """Write a value as YAML reads it back: text in quotes unless it is plainly a word."""
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())
