"""`anew backtest` on a small project: its policies, its cache, its chart; and what it refuses."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from anew.app import backtest_rollout
from anew.app.backtest import Backtest, BacktestOptions, backtest
from anew.app.backtest_rollout import through_rollout
from anew.app.backtest_table import table
from anew.app.settings import load
from anew.dashboard.backtest_svg import backtest_svg
from anew.domain.errors import SettingsError
from anew.loop.backtest_report import described
from anew.trigger import Trigger
from tests.app.small_project import write_project

ROWS = 1600


def stream(folder: Path) -> Path:
    chance = np.random.default_rng(0)
    x, z = chance.normal(size=(2, ROWS))
    swapped = np.arange(ROWS) >= ROWS // 2
    label = (np.where(swapped, -x, x) + 0.2 * chance.normal(size=ROWS) > 0).astype(int)
    at = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(ROWS)]  # noqa: DTZ001  as files often are
    file = folder / "stream.parquet"
    pl.DataFrame({"at": at, "x": x, "z": z, "y": label}).write_parquet(file)
    return file


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("project") / "small")
    stream(folder)
    return folder


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def found(project: Path, told: list[tuple[int, int]]) -> Iterator[Backtest]:
    options = BacktestOptions(data=project / "stream.parquet", windows=20, processes=1)
    yield backtest(load(project), options, lambda *done: told.append(done))


def test_all_policies_are_tried(found: Backtest) -> None:
    named = set(found.runs)
    assert {"economic", "never", "every_1", "every_20", "psi", "ks", "ddm", "adwin", "page_hinkley"} <= named
    assert {"cost_aware", "own", "trigger:psi>0.5", "trigger:slo(error<=0.3)"} <= named
    assert not found.left_out


def test_the_change_is_answered_by_those_that_look_at_labels(found: Backtest) -> None:
    for name in ("economic", "trigger:slo(error<=0.3)", "own"):
        assert any(10 < each.window <= 12 for each in found.runs[name][0.01].fits), name
    assert not found.runs["never"][0.01].fits


def test_the_table_names_every_policy_once_and_the_chart_says_its_numbers_in_words(found: Backtest) -> None:
    report = described(found.board, found.hindsight, found.runs)
    lines = table(found, report)
    for name in found.runs:
        assert sum(f"  {name} " in line for line in lines) == 1
    assert any(line.startswith("recommended: ") for line in lines)
    drawn = ElementTree.fromstring(backtest_svg(report))  # noqa: S314  our own
    words = drawn.findtext("{http://www.w3.org/2000/svg}desc") or ""
    assert f"never: loss {report['policies'][1]['loss']:.4f}" in words


def test_models_are_fitted_once_for_the_same_content(
    project: Path, found: Backtest, told: list[tuple[int, int]]
) -> None:
    again: list[tuple[int, int]] = []
    options = BacktestOptions(
        data=project / "stream.parquet", windows=20, processes=1, policies=("economic",), label_delay=2
    )
    other = backtest(load(project), options, lambda *done: again.append(done))
    models = told[0][1]
    assert told == [(k, models) for k in range(models + 1)]
    assert again == [(models, models)]
    assert list(other.runs) == ["economic"]
    assert other.hindsight.path.loss[0] == pytest.approx(found.hindsight.path.loss[0])


@pytest.mark.system
def test_two_processes_find_what_one_does(project: Path, found: Backtest, tmp_path: Path) -> None:
    fresh = write_project(tmp_path / "fresh")
    options = BacktestOptions(data=project / "stream.parquet", windows=20, processes=2, policies=("economic",))
    other = backtest(load(fresh), options)
    assert other.hindsight.path.loss.tolist() == found.hindsight.path.loss.tolist()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"windows": 3}, "--windows 3"),
        ({"windows": 20, "policies": ("economik",)}, "did you mean economic"),
        ({"windows": 20, "label_delay": 18}, "--label-delay 18"),
        ({"windows": 20, "label_delay": -1}, "--label-delay -1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(project: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        backtest(load(project), BacktestOptions(data=project / "stream.parquet", **options))  # type: ignore[arg-type]  # by name


def test_gates_and_rollout_take_their_time_from_the_policy_that_was_best(project: Path, found: Backtest) -> None:
    options = BacktestOptions(data=project / "stream.parquet", windows=20, processes=1)
    for names in (("economic", "ddm"), ("every_5",), ("never",), ("trigger:slo(error<=0.3)",)):
        some = replace(found, runs={name: found.runs[name] for name in names})
        rolled = through_rollout(load(project), options, some)
        run = found.runs[names[0]][0.01]
        assert (rolled.policy, rolled.fits_without) == (names[0], len(run.fits))
        assert rolled.plain["gap"] == rolled.loss - rolled.loss_without
        if names == ("never",):
            assert (rolled.fits, rolled.promotions, rolled.held) == (0, 0, 0)
            continue
        assert rolled.fits >= rolled.promotions
        assert rolled.loss >= rolled.loss_without  # the change is answered later than it is asked for
    report = described(some.board, some.hindsight, some.runs) | {"with_rollout": rolled.plain}
    assert table(some, report)[-1].startswith("trigger:slo(error<=0.3) through gates and rollout: loss ")


def test_what_the_loop_cannot_run_has_no_rollout(project: Path, found: Backtest) -> None:
    options = BacktestOptions(data=project / "stream.parquet", windows=20, processes=1)
    only = replace(found, runs={"ddm": found.runs["ddm"]})
    with pytest.raises(SettingsError, match="the loop cannot run ddm; let --policies have economic"):
        through_rollout(load(project), options, only)


@pytest.mark.parametrize("name", ["economic", "never", "every_5", "own"])
def test_whatever_policy_is_tried_through_the_rollout_a_trial_keeps_its_places(name: str) -> None:
    whole = Trigger(arms=3)
    assert backtest_rollout._trigger(name, whole, timedelta(hours=1), 0.01).arms == 3
