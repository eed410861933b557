"""The projects of `examples/`, run through the loop as they stand, or with their trigger taken away."""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import polars as pl
import yaml

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.fact import Fact
from anew.domain.facts import RetrainRequested
from anew.loop.replay import ReplayReport

__all__ = ["EXAMPLES", "asked", "data_of", "of_kind", "ran", "ran_changed"]

EXAMPLES = Path(__file__).parents[2] / "examples"

F = TypeVar("F", bound=Fact)


@dataclass(frozen=True)
class Asked:
    """A request to retrain after the first champion: when, and by which rules of the policy."""

    at: datetime
    triggers: tuple[str, ...]


@cache
def data_of(name: str) -> pl.DataFrame:
    """Return the rows that the example's `data.py` makes."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / name / "data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows: pl.DataFrame = module.rows()
    return rows


@cache
def ran(name: str) -> ReplayReport:
    """Replay the example as it stands."""
    return _replayed(name, lambda _: None, ("", ""))


def ran_changed(
    name: str, change: Callable[[dict[str, Any]], None], *, pipeline: tuple[str, str] = ("", "")
) -> ReplayReport:
    """Replay a copy whose policy `change` has edited, and in whose `pipeline` one text became another."""
    return _replayed(name, change, pipeline)


def _replayed(name: str, change: Callable[[dict[str, Any]], None], pipeline: tuple[str, str]) -> ReplayReport:
    with TemporaryDirectory() as folder:
        project = Path(folder) / name
        shutil.copytree(EXAMPLES / name, project, ignore=shutil.ignore_patterns("__pycache__", ".anew"))
        policy = yaml.safe_load((project / "anew.yaml").read_text("utf-8"))
        change(policy)
        (project / "anew.yaml").write_text(yaml.safe_dump(policy, sort_keys=False), "utf-8")
        code = (project / "pipeline.py").read_text("utf-8")
        assert pipeline[0] in code
        (project / "pipeline.py").write_text(code.replace(*pipeline) if pipeline[0] else code, "utf-8")
        source = Path(folder) / "events.parquet"
        data_of(name).write_parquet(source)
        return replay(load(project), ReplayOptions(data=source))


def of_kind(report: ReplayReport, kind: type[F], **values: object) -> list[F]:
    """Return the facts of one kind, those with these values."""
    return [
        fact
        for fact in report.facts
        if isinstance(fact, kind) and all(getattr(fact, name) == value for name, value in values.items())
    ]


def asked(report: ReplayReport) -> list[Asked]:
    """Return the requests that followed the first champion."""
    found = [Asked(fact.at, fact.triggers) for fact in of_kind(report, RetrainRequested)]
    return [each for each in found if each.triggers != ("command",)]
