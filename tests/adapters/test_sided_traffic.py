"""Which of two sets of workers answers, as both of them read it."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.process_table import process_started
from anew.adapters.sided_traffic import SidedTraffic
from anew.adapters.signing import Signer
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.ports.traffic import VersionHealth, WorkerStatus
from anew.rollout import Side

AT = datetime(2026, 6, 1, tzinfo=UTC)
ONE, TWO, NOBODY = ("v1", "d1"), ("v2", "d2"), ("", "")


class Sets:
    """Two sets of workers that are no processes, and the control plane's hands."""

    def __init__(self, folder: Path) -> None:
        signer = Signer.load_or_create(folder / "keys")
        self.traffic = FileTraffic(folder, signer.verifier, signer)
        self.sides = {side: SidedTraffic(FileTraffic(folder, signer.verifier), side) for side in Side}

    def shift(
        self, epoch: int, champion: tuple[str, str], *, challenger: tuple[str, str] = NOBODY,
        fallback: tuple[str, str] = NOBODY,
    ) -> None:  # fmt: skip
        """Publish a routing, which nobody has read yet."""
        routing = TrafficShifted(
            model="m", at=AT, epoch=epoch, stage=Stage.SHADOW if challenger[0] else Stage.STEADY, share=0.0,
            champion=champion, challenger=challenger, fallback=fallback,
        )  # fmt: skip
        self.traffic.publish(routing)

    def says(self, side: Side, version: str, worker: str = "0", refused: int = 0) -> None:
        """Let a worker of a set report that it answers by a version."""
        status = WorkerStatus(
            model="m", worker=f"{side}{worker}", pid=os.getpid(), started=process_started(os.getpid()) or 0, port=1,
            at=AT, epoch=1, refused=refused, champion=VersionHealth(version=version) if version else None,
        )  # fmt: skip
        self.sides[side].report(status)

    def answering(self) -> Side:
        """Let both read, and return which of them answers."""
        for side in Side:
            self.sides[side].published("m")
        (found,) = [side for side in Side if self.sides[side].answers_from is not None]
        return found


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    """Two sets of two workers: blue answers by v1, green holds v2."""
    made = Sets(tmp_path)
    made.shift(1, ONE)
    assert made.answering() is Side.BLUE
    made.shift(2, ONE, challenger=TWO)
    assert made.answering() is Side.BLUE
    for worker in "01":
        made.says(Side.BLUE, "v1", worker)
        made.says(Side.GREEN, "v2", worker)
    made.shift(3, TWO, fallback=ONE)
    return made


def test_a_set_whose_workers_all_have_it_takes_over_and_the_other_one_back(sets: Sets) -> None:
    assert sets.answering() is Side.GREEN
    sets.shift(4, ONE)
    assert sets.answering() is Side.BLUE
    routing = sets.sides[Side.GREEN].published("m")
    assert routing is not None
    assert (routing.champion, routing.fallback) == (ONE, ("", ""))


@pytest.mark.parametrize(("version", "refused"), [("", 0), ("v1", 0), ("v2", 3)], ids=["loading", "another", "in vain"])
def test_while_one_worker_of_it_has_not_the_set_that_answers_loads_it_itself(
    sets: Sets, version: str, refused: int
) -> None:
    sets.says(Side.GREEN, version, "1", refused)
    assert sets.answering() is Side.BLUE
    routing = sets.sides[Side.BLUE].published("m")
    assert routing is not None
    assert routing.champion == TWO
    sets.says(Side.GREEN, "v2", "1")
    assert sets.answering() is Side.BLUE, "what was decided at an order stays so"


def test_a_set_that_has_fewer_workers_than_answer_now_takes_no_turn(sets: Sets) -> None:
    sets.says(Side.BLUE, "v1", "2")
    assert sets.answering() is Side.BLUE


def test_a_worker_that_is_dead_has_loaded_nothing(sets: Sets) -> None:
    status = replace(sets.traffic.workers("m")[-1], started=1)
    sets.sides[Side.GREEN].report(status)
    assert sets.answering() is Side.BLUE
