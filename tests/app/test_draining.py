"""What drains a project: the loop alone unless more is asked for."""

from dataclasses import replace
from pathlib import Path

import pytest

from anew.app.draining import draining, waits_for_start
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.errors import SettingsError
from anew.loop.drain import Drainer
from anew.loop.shared_drain import SharedDrainer
from tests.app.small_project import YAML, write_project


def test_one_drainer_is_the_loop_itself_and_more_are_processes(tmp_path: Path) -> None:
    write_project(tmp_path)
    alone = load(tmp_path)
    with open_stores(alone) as stores, draining(alone, stores) as drainer:
        assert type(drainer) is Drainer
        assert not list((alone.state / "logs").glob("drainer-*"))
    write_project(tmp_path, YAML + "stores: {drainers: 3}\n")
    shared = load(tmp_path)
    with open_stores(shared) as stores, draining(shared, stores) as drainer:
        assert isinstance(drainer, SharedDrainer)
        assert drainer.drain_once().read == 0
        assert len(list((shared.state / "logs").glob("drainer-*.log"))) == 3


def test_what_only_a_start_takes_over_is_said_when_it_becomes_another(tmp_path: Path) -> None:
    write_project(tmp_path)
    began = load(tmp_path)
    write_project(tmp_path, YAML + "stores: {drainers: 3}\n")
    other = load(tmp_path)
    assert waits_for_start(began, began, other)
    assert not waits_for_start(began, other, replace(other, digest="changed")), "it was said"
    assert not waits_for_start(began, other, began), "it is as it was begun with"


@pytest.mark.parametrize("count", ["0", "65", "many"])
def test_a_number_of_drainers_that_cannot_be_is_refused(tmp_path: Path, count: str) -> None:
    write_project(tmp_path, YAML + f"stores: {{drainers: {count}}}\n")
    with pytest.raises(SettingsError, match=r"anew\.yaml:\d+:\d+: stores\.drainers"):
        load(tmp_path)
