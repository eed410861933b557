"""Pieces of work in processes of this machine."""

import pytest

from anew.adapters.local_workers import LocalWorkers
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
