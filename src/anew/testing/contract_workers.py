"""What all workers must do: a class of tests to inherit, with one fixture to define.

class TestMyWorkers(WorkersContract):
    @pytest.fixture
    def workers(self): return MyWorkers()
"""
# ruff: noqa: S101, D102 - a contract suite asserts, and its tests say by their names what they do

import os
from pathlib import Path
from typing import Any

import pytest

from anew.domain.errors import SchemaError, TrainingError
from anew.ports.workers import Workers

__all__ = ["WorkersContract"]


class WorkersContract:
    """Inherit, and define the fixture `workers`: with two places at least."""

    def test_every_task_is_done_once_and_told_by_its_number(self, workers: Workers) -> None:
        found = dict(workers.each(_begin, 10, _add, range(7)))
        assert found == {number: 10 + number for number in range(7)}
        assert list(workers.each(_begin, 10, _add, [])) == []

    def test_they_begin_once_in_each_process(self, workers: Workers) -> None:
        found = [pids for _, pids in workers.each(_counting, None, _count, range(12))]
        assert {begun for _, begun in found} == {1}
        assert os.getpid() not in {pid for pid, _ in found}

    def test_an_error_of_a_task_is_that_of_the_batch(self, workers: Workers) -> None:
        with pytest.raises(TrainingError, match="oom: too large") as caught:
            list(workers.each(_begin, 0, _fail, range(5)))
        assert caught.value.reason == "oom"
        with pytest.raises(SchemaError, match="never begins"):
            list(workers.each(_refuse, 0, _add, range(5)))

    def test_a_batch_that_is_left_early_ends(self, workers: Workers) -> None:
        batch = workers.each(_begin, 1, _add, range(50))
        next(batch)
        batch.close()  # type: ignore[attr-defined]  # a generator
        assert dict(workers.each(_begin, 2, _add, [0, 1])) == {0: 2, 1: 3}

    @pytest.mark.fault("O7")
    def test_whoever_is_killed_is_replaced_or_it_is_said(self, workers: Workers, tmp_path: Path) -> None:
        try:
            found = dict(workers.each(_begin, str(tmp_path / "killed"), _kill_once, range(6)))
        except ConnectionError as exc:
            assert type(exc).__name__ == "UnavailableError"
        else:
            assert found == dict.fromkeys(range(6), True)
        assert (tmp_path / "killed").exists()


def _begin(told: Any) -> Any:
    return told


def _add(state: int, task: int) -> int:
    return state + task


_begun = 0


def _counting(_: None) -> int:
    global _begun  # noqa: PLW0603 - of this process, as the test wants it
    _begun += 1
    return _begun


def _count(state: int, _: int) -> tuple[int, int]:
    return os.getpid(), state


def _fail(_: int, task: int) -> int:
    if task == 3:
        raise TrainingError("oom", "too large")
    return task


def _refuse(_: int) -> int:
    raise SchemaError("it never begins")


def _kill_once(file: str, task: int) -> bool:
    if task == 2:
        try:
            Path(file).touch(exist_ok=False)
        except FileExistsError:
            return True
        os.kill(os.getpid(), 9)
    return True
