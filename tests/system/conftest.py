"""What several system tests begin with."""

from collections.abc import Iterator

import pytest

from anew.domain.facts import TrafficApplied, VersionPromoted
from tests.system.loop_project import HISTORY, QUIET, WINDOW, LoopProject, loop_project

_LONGEST = frozenset({"test_demo.py", "test_rollout_examples.py"})


@pytest.fixture(scope="session")
def stale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopProject]:
    """A project that is down, to be copied: v1 serves, the world has moved, labels are there, nothing triggers."""
    with loop_project(tmp_path_factory.mktemp("stale") / "project", QUIET) as made:
        made.up()
        made.serves()
        made.hour()
        made.stream.shift = 6.0
        made.drive(lambda: made.stream.count >= HISTORY + 6 * WINDOW)
        assert [fact.version for fact in made.facts(VersionPromoted)] == ["v1"]
        assert made.down() == 0
        yield made


@pytest.fixture(scope="session")
def canary(stale: LoopProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopProject]:
    """The same with v2 in a canary that has just begun, half of the keys going to it."""
    with loop_project(tmp_path_factory.mktemp("canary") / "project", QUIET, like=stale) as made:
        made.up()
        made.serves()
        made.anew("retrain")
        made.wait_for(TrafficApplied, epoch=2)
        made.drive(lambda: made.facts(TrafficApplied, epoch=3))
        assert made.down() == 0
        yield made


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, which would else keep one processor busy long after the other has nothing left to do."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)
