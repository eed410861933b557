"""Which workers hang: those that said something once and then nothing for a minute in which somebody looked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from anew.app.silence import MOST_SILENT_S, Silence
from anew.ports.traffic import WorkerStatus

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Workers:
    """A clock, and workers of which some have stopped talking."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: dict[int, WorkerStatus] = {}
        self.silence = Silence(lambda: list(self.said.values()), lambda: self.now)

    def pass_s(self, seconds: int, *talking: int) -> dict[int, float]:
        """Look each second while some of them talk; return what the last look found."""
        for _ in range(seconds):
            self.now += 1.0
            for pid in talking:
                at = AT + timedelta(seconds=self.now)
                self.said[pid] = WorkerStatus(model="m", worker=str(pid), pid=pid, started=1, port=1, at=at, epoch=1)
            found = self.silence.hung()
        return found


def test_one_that_stops_talking_hangs_a_minute_later_and_the_others_do_not() -> None:
    ours = Workers()
    assert ours.pass_s(100, 1, 2) == {}
    assert ours.pass_s(int(MOST_SILENT_S) - 1, 2) == {}
    assert ours.pass_s(1, 2) == {1: MOST_SILENT_S}
    assert ours.pass_s(1, 1, 2) == {}, "it was only slow"


def test_where_all_of_them_slept_whoever_looks_first_takes_it_for_no_silence() -> None:
    ours = Workers()
    ours.pass_s(2, 1)
    ours.now += 3600.0
    assert ours.silence.hung() == {}
    assert ours.pass_s(3) == {}
    assert ours.pass_s(1, 1) == {}, "it is awake now"
    assert ours.pass_s(int(MOST_SILENT_S) - 1) == {}


def test_a_loop_that_looks_rarely_finds_it_as_well() -> None:
    ours = Workers()
    ours.pass_s(2, 1)
    for _ in range(4):
        ours.now += 25.0
        assert ours.silence.hung() == {}
    ours.now += 25.0
    assert ours.silence.hung() == {1: 125.0}


def test_what_could_not_be_written_down_is_forgotten() -> None:
    ours = Workers()
    ours.pass_s(2, 1)
    assert ours.pass_s(int(MOST_SILENT_S)) == {1: MOST_SILENT_S}
    ours.silence.forget()
    assert ours.pass_s(int(MOST_SILENT_S)) == {}, "it begins anew, though nothing was said since"
    assert ours.pass_s(1) == {1: MOST_SILENT_S}


def test_one_that_is_loaded_again_under_another_pid_begins_anew() -> None:
    ours = Workers()
    ours.pass_s(2, 1)
    assert ours.pass_s(int(MOST_SILENT_S)) == {1: MOST_SILENT_S}
    ours.said = {3: replace(ours.said[1], pid=3)}
    assert ours.pass_s(int(MOST_SILENT_S) - 1) == {}


def test_asked_often_it_looks_once_a_second() -> None:
    looks: list[float] = []
    now = [0.0]

    def living() -> list[WorkerStatus]:
        looks.append(now[0])
        return []

    silence = Silence(living, lambda: now[0])
    for _ in range(100):
        now[0] += 0.1
        silence.hung()
    assert 9 <= len(looks) <= 10
