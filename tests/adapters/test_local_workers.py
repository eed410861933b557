"""Pieces of work in processes of this machine."""

import os
from typing import Any

import pytest

from anew.adapters.local_workers import LocalWorkers
from anew.domain.errors import UnavailableError
from anew.testing.contract_workers import WorkersContract


@pytest.mark.system
class TestLocalWorkers(WorkersContract):
    """The contract."""

    @pytest.fixture
    def workers(self) -> LocalWorkers:
        """Return two."""
        return LocalWorkers(2)


def test_one_process_is_this_one() -> None:
    found = list(LocalWorkers(1).each(int, "7", lambda state, task: state * task, [1, 2]))
    assert found == [(0, 7), (1, 14)]


def _ends(_: object, how: str) -> Any:
    if how == "raises":
        raise SystemExit(0)
    os._exit(0)


@pytest.mark.system
@pytest.mark.parametrize(("how", "said"), [("raises", "SystemExit: 0"), ("is over", "ended with exit code 0")])
def test_a_task_that_ends_its_process_is_an_error_with_its_cause(how: str, said: str) -> None:
    with pytest.raises(UnavailableError, match=said) as caught:
        list(LocalWorkers(1, apart=True).each(str, 1, _ends, [how]))
    assert "memory" not in str(caught.value)
