"""What passes for an answer."""

import math
from dataclasses import replace

import pytest

from anew.domain.column import Task
from anew.domain.observation import Answer
from anew.gateway.sanity import nonsense
from anew.testing.fake_predictor import FAKE_COLUMNS

CLASSES = replace(FAKE_COLUMNS, task=Task.BINARY, classes=(0, 1))


@pytest.mark.parametrize(
    "answer", [Answer(output=1), Answer(output=0, proba=(1.0, 0.0)), Answer(output=1, proba=(0.5, 0.5))]
)
def test_answers_of_a_classifier(answer: Answer) -> None:
    assert nonsense([answer], 1, CLASSES) == ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(output=2),
        Answer(output="1"),
        Answer(output=True),
        Answer(output=math.nan),
        Answer(output=1, proba=(1.0,)),
        Answer(output=1, proba=(math.nan, 1.0)),
        Answer(output=1, proba=(-0.5, 1.5)),
        Answer(output=1, proba=(0.2, 0.2)),
        Answer(output=1, proba=()),
    ],
)
def test_no_answers_of_a_classifier(answer: Answer) -> None:
    assert nonsense([Answer(output=1), answer], 2, CLASSES).startswith(("answer 1", "the probabilities of answer 1"))


@pytest.mark.parametrize("output", [math.nan, math.inf, 1.1e100, -1e308, 10**400, "3", True])
def test_no_answers_of_a_regression(output: float | str) -> None:
    assert nonsense([Answer(output=output)], 1, FAKE_COLUMNS)


def test_the_furthest_answer_of_a_regression() -> None:
    assert nonsense([Answer(output=1e100), Answer(output=-1e100)], 2, FAKE_COLUMNS) == ""


def test_a_wrong_number_of_answers() -> None:
    assert nonsense([], 1, FAKE_COLUMNS) == "0 answers to 1 rows"
    assert nonsense([Answer(output=1.0)] * 3, 2, FAKE_COLUMNS) == "3 answers to 2 rows"
    assert nonsense([Answer(output=1.0)] * 2, 2, FAKE_COLUMNS) == ""
