"""A project's history is taken in once, and never from the future."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import polars as pl
import pytest

from anew.app.history import history_problems, take_history
from anew.app.settings import load
from anew.app.stores import OpenStores, open_stores
from anew.app.up import UpOptions, _Up
from anew.domain.errors import NotFoundError, SchemaError
from tests.app.small_project import YAML, write_project

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[OpenStores]:
    """The stores of a small project whose history is `history.csv`."""
    project = write_project(tmp_path / "p", YAML.replace("data: {", "data: {history: history.csv, "))
    settings = load(project)
    settings.state.mkdir(mode=0o700)
    with open_stores(settings) as opened:
        yield opened


def write(tmp_path: Path, *minutes: float) -> Path:
    """Write one row for each of these minutes from now."""
    file = tmp_path / "p" / "history.csv"
    at = [(NOW + each * MINUTE).isoformat() for each in minutes]
    pl.DataFrame({"at": at, "y": 1, "x": 0.5, "z": 0.5}).write_csv(file)
    return file


def test_it_is_taken_once_and_may_go_then(tmp_path: Path, stores: OpenStores) -> None:
    settings = load(tmp_path / "p")
    with pytest.raises(NotFoundError):
        take_history(settings, stores.lake, NOW)
    file = write(tmp_path, -10, -5)
    for _ in range(2):
        assert take_history(settings, stores.lake, NOW) == NOW - 5 * MINUTE
    assert stores.lake.counts()["history"] == 2
    file.unlink()
    assert take_history(settings, stores.lake, NOW) is None


def test_what_a_gateway_would_refuse_for_its_time_is_refused_and_nothing_of_it_stored(
    tmp_path: Path, stores: OpenStores
) -> None:
    """Event time would go on from there: no window would be closed for decades."""
    settings = load(tmp_path / "p")
    write(tmp_path, -10, 6, 1e6)
    with pytest.raises(SchemaError, match=r"history.csv: 2 of 3 rows lie in .* row 2: 'at' 2026-01-01T00:06"):
        take_history(settings, stores.lake, NOW)
    assert not stores.lake.counts().get("history")
    write(tmp_path, -10, 5)
    assert take_history(settings, stores.lake, NOW) == NOW + 5 * MINUTE


def test_what_is_stored_is_not_held_against_a_clock_that_was_set_back(tmp_path: Path, stores: OpenStores) -> None:
    settings = load(tmp_path / "p")
    write(tmp_path, -10, -5)
    take_history(settings, stores.lake, NOW)
    assert take_history(settings, stores.lake, NOW - timedelta(days=9_000)) == NOW - 5 * MINUTE
    write(tmp_path, -10, -5, -4)
    with pytest.raises(SchemaError, match="3 of 3 rows"):
        take_history(settings, stores.lake, NOW - timedelta(days=9_000))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("x: number", "xx: number", "history.csv has no column xx (it has at, y, x, z)"),
        ("z: number", "z: vector(3)", "'z'"),
        ("[0, 1]", "[a, b]", "history.csv: the target 'y' holds 1; declared are a, b"),
        ("history.csv", "words.csv", "words.csv: column 'z' is String, declared is a number"),
        ("history.csv", "late.csv", "late.csv: 1 of 1 rows lie in the future"),
    ],
)
def test_what_would_be_refused_is_a_problem_at_its_place(tmp_path: Path, before: str, after: str, said: str) -> None:
    yaml = YAML.replace("data: {", "data: {history: history.csv, ")
    project = write_project(tmp_path / "p", yaml)
    file = write(tmp_path, -10)
    file.with_name("words.csv").write_text(file.read_text(encoding="utf-8").replace("0.5\n", "red\n"), encoding="utf-8")
    assert not history_problems(load(project), NOW)
    write(tmp_path, 10).rename(file.with_name("late.csv"))
    write(tmp_path, -10)
    write_project(tmp_path / "p", yaml.replace(before, after))
    (problem,) = history_problems(load(project), NOW)
    assert problem.startswith("anew.yaml:8:8: data.history: ")
    assert said in problem


def test_a_history_that_is_not_there_is_no_problem_of_the_settings(tmp_path: Path) -> None:
    assert not history_problems(load(write_project(tmp_path / "q")), NOW)
    assert not history_problems(
        load(write_project(tmp_path / "p", YAML.replace("{span", "{history: no.csv, span"))), NOW
    )


@pytest.mark.parametrize(
    ("clock", "newest_min", "asked"),
    [
        ("wall", 5, NOW),
        ("wall", -5, NOW - 5 * MINUTE + timedelta(microseconds=1)),
        ("data", 5, NOW + 5 * MINUTE + timedelta(microseconds=1)),
    ],
)
def test_a_first_champion_is_asked_for_no_later_than_event_time_by_the_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: str, newest_min: int, asked: datetime
) -> None:
    """Else a start within those minutes would find the clock behind the record."""
    project = write_project(tmp_path / "p", YAML.replace("monitor: {", f"monitor: {{clock: {clock}, "))
    loop = _Up(load(project), MagicMock(), UpOptions(), MagicMock(), MagicMock())
    for name in ("keep_one_history", "seen_before"):
        monkeypatch.setattr(f"anew.app.up.{name}", lambda *_: (None, None))
    newest = NOW + newest_min * MINUTE
    monkeypatch.setattr("anew.app.up.take_history", lambda *_: newest)
    monkeypatch.setattr(loop, "_record_revision", lambda _: None)
    loop._loop, engine = MagicMock(), MagicMock()
    loop._loop.event_time.return_value = newest if clock == "data" else NOW
    engine.state.return_value = SimpleNamespace(champion=("", ""), running=(), planned=0, waits=False)
    loop._begin(engine)
    (told,) = loop._loop.submit.call_args.args
    assert told.at == asked
