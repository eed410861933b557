"""Retrains that no drift asks for: enough new labels, and a project that was edited; each from rows to promotion."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.fact import Fact
from anew.domain.facts import ProjectChanged, RetrainRequested, TrainingPlanned, VersionPromoted, WindowClosed
from anew.lineage import history_of, index
from anew.loop.replay import ReplayReport
from tests.app.small_project import PIPELINE, YAML, write_project

ROWS, A_DAY = 1200, 24
START = datetime(2024, 1, 1)  # noqa: DTZ001  files without a zone are what is common
QUIET = (
    YAML.split("slos:")[0].replace("holdout: 0.2", "holdout: 0.3")
    + "validate: [{slos: {objectives: [{metric: error, at_most: 0.9}], at_least_rows: 5}}]\n"
    + "rollout: {strategy: blue_green}\n"
)
"""A policy that nothing in a world without drift asks anything of."""


@dataclass(frozen=True)
class Editor:
    """Edits the project once, when the window of a day closes: what a person does to the files while the loop runs."""

    day: int
    part: str
    edited: str = "edited"

    def initial(self) -> tuple[str, str]:
        """Nothing is known of the project."""
        return "", ""

    def apply(self, state: tuple[str, str], fact: Fact) -> tuple[str, str]:
        """Remember the revision: settings and code."""
        return (fact.settings, fact.code) if isinstance(fact, ProjectChanged) else state

    def decide(self, state: tuple[str, str], fact: Fact) -> tuple[Fact, ...]:
        """Edit."""
        if not isinstance(fact, WindowClosed) or day_of(fact) != self.day or self.edited in state:
            return ()
        settings, code = (
            self.edited if part == self.part else was for part, was in zip(("policy", "code"), state, strict=True)
        )
        return (ProjectChanged(model=fact.model, at=fact.at, settings=settings, code=code),)


def day_of(fact: WindowClosed) -> int:
    return (fact.window.start.replace(tzinfo=None) - START).days


def replayed(folder: Path, triggers: str, editor: Editor | None = None) -> ReplayReport:
    """Replay fifty days of hourly rows of a world in which nothing changes."""
    x, z, u = np.random.default_rng(5).normal(size=(3, ROWS))
    at = [START + timedelta(hours=i) for i in range(ROWS)]
    pl.DataFrame({"at": at, "x": x, "z": z, "y": (x + 0.3 * u > 0).astype(int)}).write_parquet(folder / "rows.parquet")
    settings = load(write_project(folder / "p", QUIET + triggers, PIPELINE))
    edit = {} if editor is None else {"editor": editor}
    return replay(settings, ReplayOptions(data=folder / "rows.parquet"), deciders=lambda made, _: {**made, **edit})


def asked(report: ReplayReport) -> list[tuple[int, tuple[str, ...]]]:
    """Return on which day each retrain was asked for after the first, and by what."""
    return [
        ((each.at.replace(tzinfo=None) - START).days, each.triggers)
        for each in report.facts
        if isinstance(each, RetrainRequested) and each.triggers != ("command",)
    ]


def why(report: ReplayReport) -> set[tuple[str, ...]]:
    """Return what the history of each later promotion leads back to."""
    later = [each.version for each in report.facts if isinstance(each, VersionPromoted)][1:]
    graph = index(report.facts)
    return {next(f.triggers for f in history_of(graph, each) if isinstance(f, RetrainRequested)) for each in later}


def test_new_labels_ask_whenever_enough_of_them_have_come(tmp_path: Path) -> None:
    report = replayed(tmp_path, "triggers: [{new_data: 200 rows}]\n")
    days = [day for day, _ in asked(report)]
    assert {by for _, by in asked(report)} == {("new_data>=200",)}
    first = next(each.window.start for each in report.facts if isinstance(each, WindowClosed))
    nine = -(-200 // A_DAY)  # windows that bring 200 rows
    assert days == [(first.replace(tzinfo=None) - START).days + nine * k - 1 for k in range(1, len(days) + 1)]
    assert len(days) >= 4
    assert why(report) == {("new_data>=200",)}


@pytest.mark.parametrize("triggers", ["triggers: []\n", "triggers: [{new_data: 20000 rows}]\n"])
def test_without_the_trigger_or_with_too_few_labels_nothing_is_retrained(tmp_path: Path, triggers: str) -> None:
    assert asked(replayed(tmp_path, triggers)) == []


@pytest.mark.parametrize("part", ["code", "policy"])
def test_an_edited_project_is_retrained_at_once_with_what_it_has_become(tmp_path: Path, part: str) -> None:
    trigger = f"triggers: [{{changed: [{part}]}}]\n"
    report = replayed(tmp_path, trigger, Editor(day=30, part=part))
    assert asked(report) == [(30, (f"changed({part})",))]
    assert why(report) == {(f"changed({part})",)}
    planned = [each for each in report.facts if isinstance(each, TrainingPlanned)]
    assert [(each.code if part == "code" else each.settings) == "edited" for each in planned] == [False, True]
    other = "policy" if part == "code" else "code"
    assert asked(replayed(tmp_path, trigger, Editor(day=30, part=other))) == [], "the other half was edited"
    assert asked(replayed(tmp_path, "triggers: []\n", Editor(day=30, part=part))) == [], "without the trigger"
