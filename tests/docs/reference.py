"""The reference, made from the code: settings, commands, HTTP, facts, components, metrics.

``python -m tests.docs.reference FOLDER`` writes its pages. What is not documented where it is declared is an error.
"""

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import anew.cli
from anew.app.component import find_component, known_components
from anew.app.metering import FAMILIES
from anew.app.policy import ProjectPolicy
from anew.cli._exit import EXIT_CODES
from anew.cli._help import commands, help_of
from anew.domain.facts import FACTS
from anew.gateway.metrics import _HELP
from anew.gateway.openapi import document
from anew.gateway.settings import GatewaySettings
from anew.stats.metric import METRICS
from anew.testing.fake_predictor import FAKE_COLUMNS

__all__ = ["PAGES", "UndocumentedError", "write"]

STAGES = ("monitor", "trigger", "train", "validate", "rollout", "governance")
MORE_CODES = {0: "done", 6: "not allowed", 8: "waiting for an approval", 130: "interrupted"}


class UndocumentedError(Exception):
    """Something that people use is not explained where it is declared."""


def said(text: str | None, what: str) -> str:
    """Return the first paragraph of a docstring or a description; there has to be one."""
    if not text or not text.strip():
        raise UndocumentedError(f"{what} is not documented")
    return re.sub(r"\s+", " ", inspect.cleandoc(text).split("\n\n")[0]).strip()


def cell(text: object) -> str:
    """Return a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def table(heads: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]


def settings() -> Iterator[str]:
    """Yield the page of `anew.yaml`."""
    yield "# Settings\n\nEverything that `anew.yaml` may say, section by section. Durations: `90d`, `2h`, `30m`.\n"
    yield from _section("", ProjectPolicy)


def _section(path: str, section: type[BaseModel]) -> Iterator[str]:
    rows: list[tuple[object, ...]] = []
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in section.model_fields.items():
        key = field.alias or name
        whole = f"{path}.{key}" if path else key
        below = _sections(field)
        if below:
            inner.append((whole, below[0]))
            about = said(below[0].__doc__, whole)
            rows.append((f"[`{key}`](#{_anchor(whole)})", "section", "", about))
        else:
            about = field.description or _PLAIN.get(whole) or ""
            rows.append((f"`{key}`", _kind(field), _default(field), said(about, f"setting {whole}")))
    yield f"## {path or 'The file'}\n"
    yield said(section.__doc__, path or "the file") + "\n"
    yield from table(("key", "type", "default", "meaning"), rows)
    for whole, below_it in inner:
        yield from _section(whole, below_it)


_PLAIN = {"task": "what the model answers: binary, multiclass or regression"}


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", text.lower())


def _sections(field: FieldInfo) -> list[type[BaseModel]]:
    kinds, left = [], [field.annotation]
    while left:
        each = left.pop()
        left += get_args(each)
        if isinstance(each, type) and not isinstance(each, UnionType) and issubclass(each, BaseModel):
            kinds.append(each)
    return kinds


def _kind(field: FieldInfo) -> str:
    text = field.annotation.__name__ if isinstance(field.annotation, type) else str(field.annotation)
    text = re.sub(r"Annotated\[([\w.]+),.*?\]", r"\1", text).replace("typing.", "").replace("NoneType", "none")
    return re.sub(r"\b(?:anew|pydantic)[\w.]*\.", "", text).split("[", 1)[0] if len(text) > 60 else text


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value, default=str)}`"


def command_line() -> Iterator[str]:
    """Yield the page of the commands: what their help says, how they end, what `--json` prints."""
    yield '# Command line\n\nData goes to stdout, talk to stderr. `--json` prints `{"schema": …, "data": …}`.\n'
    yield "## How a command ends\n"
    codes = {code: said(kind.__doc__, kind.__name__) for kind, code in EXIT_CODES} | MORE_CODES
    yield from table(("exit code", "meaning"), [(code, codes[code]) for code in sorted(codes)])
    for command in commands():
        name = " ".join(command)
        yield f"## anew {name}\n\n```text\n{said_whole(help_of(command), name)}\n```\n"
        schema = json.loads(
            (Path(anew.cli.__file__).parent / "schemas" / f"{'.'.join(command)}.json").read_text("utf-8")
        )
        yield f"`--json` prints `{schema['$id']}`: {said(schema.get('description'), f'the schema of {name}')}\n"
        yield f'??? note "JSON Schema of {schema["$id"]}"\n'
        yield "    ```json"
        yield from (
            f"    {line}" for line in json.dumps(schema["properties"].get("data", schema), indent=1).splitlines()
        )
        yield "    ```\n"


def said_whole(text: str, what: str) -> str:
    """Return a text as it is; there has to be some."""
    if not text.strip():
        raise UndocumentedError(f"{what} says nothing")
    return text.strip()


def http() -> Iterator[str]:
    """Yield the page of the gateway's paths, from its own OpenAPI document."""
    yield "# HTTP\n\nWhat a gateway of one model answers; the document for its own columns is at `/openapi.json`.\n"
    found = document([GatewaySettings(model="MODEL", columns=FAKE_COLUMNS)])
    rows: list[tuple[object, ...]] = []
    for path, item in sorted(found["paths"].items()):
        for method, operation in item.items():
            codes = ", ".join(sorted(operation["responses"]))
            rows.append((f"`{method.upper()} {path}`", said(operation.get("summary"), f"{method} {path}"), codes))
    yield from table(("path", "what it does", "answers"), rows)


def facts() -> Iterator[str]:
    """Yield the page of the facts."""
    yield "# Facts\n\nEverything that goes on record. Each has `model`, `at` (event time), `id` and `cause` besides.\n"
    common = {"model", "at", "id", "cause"}
    for name, kind in sorted(FACTS.items()):
        yield f"## {name}\n\n{said(kind.__doc__, name)}\n"
        names = [(f"`{each.name}`", _type(each.type)) for each in dataclasses.fields(kind) if each.name not in common]
        asks = f"Asks for the effect `{kind.asks}`.\n" if kind.asks else ""
        yield asks
        yield from table(("field", "type"), list(names)) if names else ()


def _type(kind: object) -> str:
    return re.sub(r"\banew\.[\w.]*\.", "", kind.__name__ if isinstance(kind, type) else str(kind))


def components() -> Iterator[str]:
    """Yield the page of the components, stage by stage."""
    yield "# Components\n\nWhat the settings find by name: one file, one class, its fields are its options.\n"
    for stage in STAGES:
        yield f"## {stage}\n"
        for name in known_components(stage):
            component = find_component(stage, name)
            yield f"### {name}\n\n{said(component.__doc__, f'{stage}/{name}')}\n"
            rows = [
                (f"`{each.name}`", _type(each.type), _given(each))
                for each in dataclasses.fields(component)
                if each.init
            ]
            yield from table(("option", "type", "default"), list(rows)) if rows else ()


def _given(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default}`"
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()}`"


def metrics() -> Iterator[str]:
    """Yield the page of the metrics: those of models, and those of the gateway."""
    yield "# Metrics\n\n## Of models\n\nNames for `slos`, gates and `monitor.metrics`; each comes with its interval.\n"
    rows: list[tuple[object, ...]] = [
        (f"`{name}`", said(function.__doc__, name)) for name, function in sorted(METRICS.items())
    ]
    yield from table(("metric", "meaning"), rows)
    yield "## Of the gateway\n\nWhat `/metrics` says to Prometheus.\n"
    families: Mapping[str, tuple[str, str]] = {**_HELP, **FAMILIES}
    told = [(f"`{name}`", kind, said(text, name)) for name, (kind, text) in sorted(families.items())]
    yield from table(("family", "kind", "meaning"), list(told))


PAGES = {
    "settings": settings,
    "command-line": command_line,
    "http": http,
    "facts": facts,
    "components": components,
    "metrics": metrics,
}
"""What makes each page."""


def write(folder: Path) -> None:
    """Write all pages into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / f"{name}.md").write_text("\n".join(page()), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
