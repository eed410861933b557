"""Why a job came to nothing, in one word: what lies behind an error counts, not what it was wrapped in."""

import errno
from collections.abc import Callable
from typing import cast

import pytest

from anew.adapters.job_worker import reason_of
from anew.domain.errors import SchemaError, TrainingError
from anew.domain.evidence import failure
from anew.loop.training import user_code


def wrapped(exc: Exception) -> Exception:
    try:
        try:
            raise exc
        except Exception as found:
            raise SchemaError("it cannot answer") from found
    except SchemaError as made:
        return made


@pytest.mark.parametrize(
    ("exc", "reason"),
    [
        (MemoryError(), "oom"),
        (RuntimeError("std::bad_alloc"), "oom"),
        (RuntimeError("bad allocation"), "oom"),
        (TrainingError("oom", "the model ran out of memory"), "oom"),
        (OSError(errno.ENOSPC, "full"), "disk_full"),
        (OSError(errno.EFBIG, "too large"), "disk_full"),
        (OSError(errno.ENOENT, "gone"), "error"),
        (ValueError("x"), "error"),
    ],
)
def test_what_lies_behind_names_the_reason(exc: Exception, reason: str) -> None:
    assert reason_of(exc)[0] == reason
    found, said = reason_of(wrapped(exc))
    assert found == reason
    assert "SchemaError: it cannot answer" in said
    evidence = failure(wrapped(exc))
    assert evidence.startswith(f"{reason}: ") == (reason != "error"), evidence


@pytest.mark.parametrize(("number", "reason"), [(errno.EFBIG, "disk_full"), (errno.ENOENT, "error")])
def test_what_lies_behind_an_error_of_the_users_code_names_the_reason_too(number: int, reason: str) -> None:
    def correct() -> None:
        raise OSError(number, "said so")

    with pytest.raises(TrainingError) as found:
        user_code("correct()", correct)
    assert reason_of(found.value)[0] == reason
    assert "correct() raised" in reason_of(found.value)[1]


class _NoWordsError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


def _at(file: str, raised: BaseException) -> Callable[[], None]:
    """Return code that raises this in a file of that name."""
    names: dict[str, object] = {"raised": raised}
    exec(compile("def code():\n    raise raised\n", file, "exec"), names)  # noqa: S102  ours
    return cast("Callable[[], None]", names["code"])


def test_what_has_no_words_for_itself_is_told_by_type_and_place() -> None:
    with pytest.raises(TrainingError) as found:
        user_code("train()", _at("/p/pipeline.py", _NoWordsError()))
    said = "_NoWordsError at /p/pipeline.py:2: <exception str() failed>"
    assert reason_of(found.value) == ("error", f"train() raised {said}")
    assert failure(_NoWordsError()) == "_NoWordsError: <exception str() failed>"


@pytest.mark.parametrize(("file", "place"), [("/p/pipeline.py", " at /p/pipeline.py:2"), ("/p/other.py", "")])
def test_what_ends_a_job_past_the_users_code_is_told_with_its_place_there(file: str, place: str) -> None:
    with pytest.raises(KeyboardInterrupt) as found:
        user_code("train()", _at(file, KeyboardInterrupt("ctrl")))
    assert reason_of(found.value) == ("error", f"KeyboardInterrupt{place}: ctrl")


def test_a_training_that_says_why_is_believed() -> None:
    assert reason_of(TrainingError("nothing_to_correct", "no row")) == ("nothing_to_correct", "no row")
