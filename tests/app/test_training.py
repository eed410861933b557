"""What anew.yaml says of training becomes limits, a search and a fence; what cannot be is refused with its place."""

from pathlib import Path

import pytest

from anew.app.settings import load
from anew.app.training import limits_of, search_plan, training_of
from anew.app.watch import watched_by
from anew.app.wiring import stages
from anew.domain.errors import SettingsError
from tests.app.small_project import PIPELINE, YAML, write_project

SPACE = PIPELINE + "\n\ndef search_space(trial):\n    return {'num_leaves': trial.suggest_int('num_leaves', 3, 9)}\n"


def test_without_a_word_nothing_is_searched_and_code_is_fenced_in_as_far_as_possible(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p"))
    how = training_of(settings, watched_by(settings))
    assert (how.search, how.export, how.reads, how.confined) == (None, False, (), "auto")
    assert limits_of(settings).wall_s == 3600


def test_a_search_has_its_time_besides_the_fit_and_a_metric_of_the_task(tmp_path: Path) -> None:
    more = "search: {trials: 5, timeout: 10m, parallel: 2, prune: none}\ntrain: {timeout: 5m, reads: [words.txt]}\n"
    settings = load(write_project(tmp_path / "p", YAML + more, SPACE))
    stages(settings)
    plan = search_plan(settings)
    assert plan is not None
    assert (plan.metric, plan.trials, plan.parallel, plan.prune, plan.timeout_s) == ("log_loss", 5, 2, False, 600)
    assert limits_of(settings).wall_s == 900
    assert training_of(settings, watched_by(settings)).reads == (str(settings.root / "words.txt"),)


@pytest.mark.parametrize(
    ("more", "pipeline", "said"),
    [
        ("search: {trials: 5}\n", PIPELINE, "defines no `search_space`"),
        (
            "search: {trials: 5, metric: rmse}\n",
            SPACE,
            "search.metric: there is no 'rmse' for binary; there are accuracy",
        ),
        ("search: {trials: 5, timeout: soon}\n", SPACE, "search.timeout"),
        ("search: {trial: 5}\n", SPACE, "did you mean trials?"),
        ("search: {trials: -1}\n", SPACE, "search.trials"),
        ("train: {sandbox: maybe}\n", PIPELINE, "train.sandbox"),
        ("train: {export: pickle}\n", PIPELINE, "train.export"),
        ("train: {cpu: much}\n", PIPELINE, "train.cpu"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, more: str, pipeline: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        stages(load(write_project(tmp_path / "p", YAML + more, pipeline)))
    problems = [line for problem in caught.value.problems for line in problem.splitlines()]
    assert any(said in line and "anew.yaml:14:" in line for line in problems), problems
