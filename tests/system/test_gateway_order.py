"""Orders to real gateway workers while everything else is down: record, artifacts, lake and control plane."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.segment_reader import SegmentReader
from anew.app.order import order
from anew.domain.errors import PolicyError
from anew.domain.facts import Order
from anew.domain.order import ordered
from anew.loop.drain import Drainer
from anew.ports.traffic import WorkerStatus
from anew.testing.fake_predictor import FAKE_COLUMNS
from tests.system.gateway_bed import MODEL, Bed, Client, bed, wait

pytestmark = pytest.mark.system


def served(ours: Bed, workers: int = 2) -> list[Client]:
    """Serve v2 with v1 warm behind it, by several workers on ports of their own."""
    one, two = ours.version("v1"), ours.version("v2")
    ours.shift(one)
    clients = [ours.client(ours.begin(str(worker))) for worker in range(workers)]
    ours.shift(two, fallback=one)
    ours.applied(2)
    for client in clients:
        assert answered(client) == "v2"
    return clients


def answered(client: Client) -> str:
    status, body = client.predict()
    assert status == 200
    return str(body["predictions"][0]["version"])


def statuses(ours: Bed) -> list[WorkerStatus]:
    return list(ours.traffic.workers(MODEL))


def lose(state: Path) -> None:
    """Take away all but what gateways and orders live by: no artifact, no record that can be read, and no lake.

    The lake had rows, and where it was, none can be made again.
    """
    with closing(DeltaLake(state / "lake", FAKE_COLUMNS, MODEL, state / "lake.db")) as lake:
        while Drainer(SegmentReader(state / "journal"), lake, keep=100).drain_once().read:
            pass
        assert lake.counts()["predictions"]
    for name in ("models", "lake"):
        shutil.rmtree(state / name)
    for name in ("anew.db", "lake.db", "lake"):
        (state / name).write_bytes(b"no database " * 100)
    assert {each.name for each in state.iterdir() if each.is_dir()} <= {"journal", "keys", "routing", "run", "workers"}


@pytest.mark.fault("P13")
@pytest.mark.fault("P14")
def test_a_rollback_needs_neither_record_nor_artifacts_nor_lake_nor_control_plane(tmp_path: Path) -> None:
    """The fallback is loaded in every worker: not even the deletion of its artifact keeps it from serving."""
    with bed(tmp_path) as ours:
        clients = served(ours, workers=4)
        lose(ours.project / ".anew")
        done = order(ours.project, Order.ROLLBACK, "it answers nonsense")
        assert not done.recorded
        ours.applied(done.order.epoch)
        assert [answered(client) for client in clients] == ["v1"] * 4
        assert [each.problem for each in statuses(ours)] == [""] * 4


@pytest.mark.fault("P14")
def test_control_a_version_that_no_worker_has_loaded_cannot_be_served_without_its_artifact(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        clients = served(ours)
        three = ours.version("v3")
        shutil.rmtree(ours.project / ".anew" / "models")
        ours.shift(three, fallback=("v2", ours.traffic.published(MODEL).champion[1]))  # type: ignore[union-attr]  # it was published
        wait(lambda: all(each.refused == 3 for each in statuses(ours)), ours.log)
        assert [answered(client) for client in clients] == ["v2", "v2"]


@pytest.mark.fault("P5")
def test_an_order_outlives_a_restart_of_the_workers_and_an_older_epoch(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        clients = served(ours, workers=1)
        done = order(ours.project, Order.ROLLBACK, "worse")
        ours.applied(done.order.epoch)
        ours.shift(("v2", ours.version("v2")[1]))  # a loop that has not heard goes on with epoch 3
        assert answered(clients[0]) == "v1"
        ours.processes["0"].kill()
        ours.processes["0"].wait()
        again = ours.client(ours.begin("0"))
        assert answered(again) == "v1"
        assert ours.status().epoch == done.order.epoch


@pytest.mark.fault("P16")
@pytest.mark.parametrize("columns", [["amount"], ["amount", "shop", "count", "of_old"]])
def test_going_back_to_other_features_is_refused_where_it_could_not_answer_and_adapted_where_it_can(
    tmp_path: Path, columns: list[str]
) -> None:
    """A fallback that reads fewer columns gets those; one that reads what requests do not carry is refused before."""
    with bed(tmp_path) as ours:
        one, two = ours.version("v1", features=columns), ours.version("v2")
        ours.shift(two, fallback=one)
        client = ours.client(ours.begin())
        ours.applied(1)
        if "of_old" not in columns:
            done = order(ours.project, Order.ROLLBACK, "worse")
            ours.applied(done.order.epoch)
            assert answered(client) == "v1"
            return
        wait(lambda: bool(ours.status().unfit), ours.log)
        with pytest.raises(PolicyError, match="of_old"):
            order(ours.project, Order.ROLLBACK, "worse")
        assert answered(client) == "v2"
        assert ours.status().epoch == 1


@pytest.mark.fault("P16")
def test_control_an_order_that_asks_nobody_first_names_a_version_that_cannot_answer(tmp_path: Path) -> None:
    """Without the preflight the order stands, the record would follow it, and no worker ever comes to it."""
    with bed(tmp_path) as ours:
        one, two = ours.version("v1", features=["amount", "of_old"]), ours.version("v2")
        ours.shift(two, fallback=one)
        client = ours.client(ours.begin())
        ours.applied(1)
        wait(lambda: bool(ours.status().unfit), ours.log)
        made = ours.traffic.order(MODEL, lambda found: ordered(found, Order.ROLLBACK, command="c", by="p", reason="r"))
        wait(lambda: ours.status().refused == made.epoch, ours.log)
        assert (made.champion[0], ours.status().epoch, answered(client)) == ("v1", 1, "v2")


def test_a_held_canary_goes_on_answering_its_share(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"), ours.version("v2"), share=1.0)
        client = ours.client(ours.begin())
        ours.applied(1)
        done = order(ours.project, Order.HOLD, "lunch")
        ours.applied(done.order.epoch)
        wait(lambda: answered(client) == "v2", ours.log)
        done = order(ours.project, Order.ABORT, "enough")
        ours.applied(done.order.epoch)
        assert answered(client) == "v1"
