"""Searches find, end, resume, and come to the same whatever happens on the way."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from anew.adapters.model_format import DataFormats
from anew.adapters.model_loader import ModelLoader
from anew.adapters.optuna_search import OptunaStudy
from anew.adapters.pipeline_module import load_pipeline
from anew.app.artifact_glance import artifact_of
from anew.domain.boundary import hook
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.errors import InvariantError, TrainingError
from anew.loop.fold import fold_scores
from anew.loop.search import SearchPlan, fold_rows, suggested_before
from anew.loop.training import Kit, Recipe
from anew.loop.training_run import Searching, TrainingRun, run_scores, run_training
from anew.ports.search import Attempt
from anew.testing.killpoint import boundaries
from tests.loop.searched import Bowl

KIT = Kit(formats=DataFormats(), loader=ModelLoader())
PLAN = SearchPlan(metric="mae", trials=12, folds=2)


def test_it_finds_what_is_good_and_the_same_each_time() -> None:
    first, again = Bowl(), Bowl()
    found = first.search(PLAN)
    assert found == again.search(PLAN)
    assert first.seen == again.seen
    record = json.loads(found.record)
    best = record["trials"][record["best"]]
    assert (best["params"], best["suggested"]) == (found.params, found.suggested)
    assert (
        record["value"]
        == best["means"][-1]
        == min(t["means"][-1] for t in record["trials"] if t["state"] == "complete")
    )
    assert len(record["trials"]) == 12
    assert abs(found.params["depth"] - 5) <= 1
    assert Bowl().search(PLAN, seed=8).record != found.record


def test_hopeless_trials_end_after_a_fold_and_only_when_asked_for() -> None:
    pruning, thorough = Bowl(), Bowl()
    states = {t["state"] for t in json.loads(pruning.search(PLAN).record)["trials"]}
    assert states == {"complete", "pruned"}
    thorough.search(SearchPlan(metric="mae", trials=12, folds=2, prune=False))
    assert len(pruning.seen) < len(thorough.seen) == 24


def test_how_many_run_at_once_is_part_of_the_search_and_batches_are_asked_for_as_a_whole() -> None:
    three = SearchPlan(metric="mae", trials=8, folds=2, parallel=3)
    bowl = Bowl()
    assert bowl.search(three) == Bowl().search(three)
    assert bowl.seen[:6] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert {number for number, _ in bowl.seen} == set(range(8))


class Interrupted(BaseException):
    """The process is gone."""


@contextmanager
def interruption(name: str, nth: int) -> Iterator[None]:
    """Interrupt what runs at the nth time that it reaches the boundary `name`."""
    left = nth

    def reached(boundary: str) -> None:
        nonlocal left
        left -= boundary == name
        if boundary == name and left == 0:
            raise Interrupted

    hook(reached)
    try:
        yield
    finally:
        hook(None)


@pytest.mark.parametrize("name", [name for name in boundaries() if name.startswith("search.")])
def test_a_search_interrupted_at_any_boundary_goes_on_and_comes_to_the_same(name: str, tmp_path: Path) -> None:
    plan = SearchPlan(metric="mae", trials=5, folds=2, parallel=2)
    whole = Bowl()
    expected, nth, over = whole.search(plan), 0, False
    while not over:
        nth += 1
        journal, first, second = tmp_path / f"{nth}.journal", Bowl(), Bowl()
        with interruption(name, nth):
            try:
                first.search(plan, journal)
                over = True
            except Interrupted:
                assert second.search(plan, journal) == expected
        asked = first.seen + second.seen
        again = {each for each in asked if asked.count(each) > 1}
        assert set(asked) == set(whole.seen)
        assert len(asked) - len(whole.seen) == len(again) < plan.parallel, "at most what was scored and not yet kept"
        assert not again or name == "search.scored"
    assert nth > 3


def test_a_line_that_was_being_written_is_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    expected = Bowl().search(PLAN)
    assert Bowl().search(PLAN, journal) == expected
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) * 2 // 3])
    bowl = Bowl()
    assert bowl.search(PLAN, journal) == expected
    assert 0 < len(bowl.seen) < 12


def test_a_warm_start_tries_what_was_best_before_and_draws_what_no_longer_is() -> None:
    before = Bowl().search(PLAN)
    assert suggested_before(before.record) == before.suggested
    assert suggested_before(b"nonsense") == suggested_before(b"[]") == {}
    warm = SearchPlan(metric="mae", trials=3, folds=1, warm=(before.suggested, {"depth": 99, "gone": 1}))
    tried = json.loads(Bowl().search(warm).record)["trials"]
    assert tried[0]["suggested"] == dict(before.suggested)
    assert 1 <= tried[1]["suggested"]["depth"] <= 8


def test_failed_trials_cost_themselves_and_a_search_of_nothing_else_fails() -> None:
    bowl = Bowl(fails=lambda attempt: attempt.number % 2 == 0)
    states = [t["state"] for t in json.loads(bowl.search(PLAN).record)["trials"]]
    assert states[::2] == ["failed"] * 6
    with pytest.raises(TrainingError, match="none of 12 trials came to a score; the first: no luck"):
        Bowl(fails=lambda _: True).search(PLAN)


def test_time_that_is_up_begins_no_further_trial() -> None:
    bowl = Bowl()
    bowl.search(SearchPlan(metric="mae", trials=12, folds=2, timeout_s=0.0))
    assert bowl.seen == [(0, 0), (0, 1)]


def test_progress_counts_trials_that_have_ended() -> None:
    bowl = Bowl()
    bowl.search(PLAN)
    assert [(told.done, told.of) for told in bowl.told] == [(k, 12) for k in range(1, 13)]
    best = [told.best for told in bowl.told if told.best is not None]
    assert best == sorted(best, reverse=True)


def test_folds_are_the_newest_rows_in_order() -> None:
    assert fold_rows(100, 1) == ((75, 100),)
    assert fold_rows(1000, 7)[0] == (300, 400)
    for rows, folds in ((4, 1), (61, 3), (999, 5)):
        found = fold_rows(rows, folds)
        assert found[-1][1] == rows
        assert all(before < end for before, end in found)
        assert [end for _, end in found[:-1]] == [before for before, _ in found[1:]]
    with pytest.raises(TrainingError, match="fewer folds"):
        fold_rows(5, 3)
    with pytest.raises(InvariantError):
        SearchPlan(metric="mae", trials=0)


PIPELINE = """
from sklearn.linear_model import Ridge

given = []

def search_space(trial):
    return {"alpha": trial.suggest_float("alpha", 1e-3, 1e3, log=True)}

def train(data, params):
    given.append((data.x["a"].len(), float(data.x["a"].max()), params["alpha"]))
    return Ridge(alpha=params["alpha"]).fit(data.x.to_numpy(), data.y.to_numpy())
"""
COLUMNS = Columns(
    time="at", target="y", task=Task.REGRESSION, features=(Column(name="a", kind=ColumnKind.NUMBER),), classes=()
)


def rows(n: int = 80) -> pl.DataFrame:
    """Return rows whose feature tells their place."""
    at = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2026, 1, 1), "1h", time_zone="UTC", eager=True).head(n)
    a = np.arange(n, dtype=float)
    return pl.DataFrame({"_at": at, "_label": 2 * a + np.random.default_rng(0).normal(size=n), "a": a})


def planned(tmp_path: Path, plan: SearchPlan | None) -> TrainingRun:
    rows().write_parquet(tmp_path / "rows.parquet")
    rows().head(60).write_parquet(tmp_path / "part.parquet")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    return TrainingRun(
        columns=COLUMNS,
        rows=tmp_path / "rows.parquet",
        part=tmp_path / "part.parquet",
        pipeline=tmp_path / "pipeline.py",
        seed=4,
        holdout_rows=20,
        search=plan,
    )


def searching(tried: list[Any]) -> Searching:
    def scores(run: TrainingRun, frame: pl.DataFrame, pipeline: Any, previous: object) -> Any:
        tried.append(pipeline)
        return run_scores(run, frame, pipeline, KIT, previous)

    return Searching(
        study=lambda plan, seed, journal: OptunaStudy(journal, seed=seed, trials=plan.trials, warm=plan.warm),
        scores=scores,
    )


def test_a_run_searches_on_rows_that_are_not_held_out_and_fits_on_all_of_them(tmp_path: Path) -> None:
    run = planned(tmp_path, SearchPlan(metric="rmse", trials=4, folds=2))
    tried: list[Any] = []
    assert TrainingRun.from_json(run.to_json()) == run
    (tmp_path / "out").mkdir()
    run_training(run, tmp_path / "out", KIT, load_pipeline, searching(tried))
    (pipeline,) = tried
    given = pipeline.fit.__globals__["given"]
    assert {(n, newest) for n, newest, _ in given} == {(36, 35.0), (48, 47.0), (60, 59.0)}, "held out are 60 to 79"
    record = json.loads((tmp_path / "out" / "artifact" / "search.json").read_text())
    manifest = json.loads((tmp_path / "out" / "artifact" / "manifest.json").read_text())
    best = record["trials"][record["best"]]
    assert manifest["params"] == best["params"] == {"alpha": given[-1][2]}
    assert manifest["rows"] == given[-1][0] == 60
    shown = artifact_of(tmp_path / "out", "artifact").trials
    assert [each.value for each in shown] == [each["means"][-1] for each in record["trials"]]
    assert [each.number for each in shown if each.best] == [record["best"]]
    assert {(each.state, tuple(each.params)) for each in shown} == {("complete", ("alpha",))}


def test_a_fold_is_scored_by_the_metric_on_its_own_rows(tmp_path: Path) -> None:
    run = planned(tmp_path, SearchPlan(metric="mae", trials=1, folds=1))
    pipeline = load_pipeline(run.pipeline)
    assert run.search is not None
    recipe = Recipe(columns=COLUMNS, seed=4, params={"alpha": 5.0})
    score = fold_scores(rows().head(60), recipe, run.search, pipeline, KIT, None)
    low, high = (score([Attempt(number=0, fold=0, params={"alpha": alpha})])[0] for alpha in (1e-3, 1e6))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low < 2 < 20 < high
    (bad,) = score([Attempt(number=0, fold=0, params={"alpha": "much"})])
    assert "train() raised" in str(bad)


def test_a_search_without_a_space_says_what_to_write(tmp_path: Path) -> None:
    run = planned(tmp_path, SearchPlan(metric="mae"))
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace("search_space", "space"))
    with pytest.raises(TrainingError, match=r"defines no `search_space\(trial\)`"):
        run_training(run, tmp_path, KIT, load_pipeline, searching([]))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("    return 3", "returned int"),
        ("    raise KeyError('x')", "raised KeyError"),
        ("    return {'f': print}", "JSON"),
    ],
)
def test_a_space_that_is_wrong_ends_the_run(tmp_path: Path, body: str, says: str) -> None:
    run = planned(tmp_path, SearchPlan(metric="mae"))
    (tmp_path / "pipeline.py").write_text(f"def search_space(trial):\n{body}\n\ndef train(data, params):\n    pass\n")
    with pytest.raises(TrainingError, match=says):
        run_training(run, tmp_path, KIT, load_pipeline, searching([]))
