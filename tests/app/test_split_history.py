"""One history: routing that is gone is published again as it is on record, never beneath gateways that know more."""

import os
from pathlib import Path

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.signing import Signer
from anew.app.settings import Settings, load
from anew.app.split_history import keep_one_history
from anew.domain.errors import IntegrityError
from anew.domain.facts import Order, TrafficOrdered
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.ports.traffic import WorkerStatus
from tests.cli.recorded import AT, record, write_record

V1 = ("v1", "a" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project whose gateways were sent to v2, and ordered back to v1; its routing is gone."""
    made = write_record(tmp_path / "small")
    shifted = TrafficShifted(
        model="small", at=AT, epoch=7, stage=Stage.STEADY, share=0.0, champion=("v2", "b" * 64), fallback=V1
    )
    ordered = TrafficOrdered(
        model="small", at=AT, command="c", action=Order.ROLLBACK, version="v2", epoch=1000, stage=Stage.STEADY,
        share=0.0, champion=V1, challenger=("", ""), fallback=("", ""), by="ann", reason="it does harm", trial="t",
    )  # fmt: skip
    record(made, shifted, ordered)
    return load(made)


def traffic_of(settings: Settings) -> FileTraffic:
    signer = Signer.load(settings.state / "keys")
    return FileTraffic(settings.state, verifier=signer.verifier, signer=signer)


def test_routing_that_is_gone_is_published_again_as_it_is_on_record(settings: Settings) -> None:
    traffic = traffic_of(settings)
    keep_one_history(settings, traffic, 0)  # the control: nothing was ever served
    assert traffic.published("small") is None
    keep_one_history(settings, traffic, 1000)
    routing = traffic.published("small")
    assert routing is not None
    assert (routing.epoch, routing.champion) == (1000, V1)
    assert routing.trial == ""  # the order names the one that it ended
    keep_one_history(settings, traffic, 1000)
    assert traffic.published("small") == routing


@pytest.mark.fault("D21")
def test_nothing_is_published_beneath_gateways_that_know_more(settings: Settings) -> None:
    traffic = traffic_of(settings)
    started = process_started(os.getpid())
    assert started is not None
    status = WorkerStatus(worker="0", model="small", pid=os.getpid(), started=started, port=1, epoch=2000, at=AT)
    traffic.report(status)
    with pytest.raises(IntegrityError, match="epoch 2000, which is gone, and the record ends at 1000"):
        keep_one_history(settings, traffic, 1000)
    assert traffic.published("small") is None
