"""Effects run on DBOS: once asked, resumed after a stop, tried again after a failure, given up in the end."""

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

import pytest

from anew.adapters.dbos_effects import DBOSEffects, EffectSettings
from anew.adapters.shared_effects import SharedEffects
from anew.domain.errors import ConflictError, IntegrityError, UnavailableError
from anew.ports.effects import Steps, Work

SETTINGS = EffectSettings(attempts=3, backoff_s=0.05, poll_s=0.02, reap_s=0.02, grace_s=5.0)


@dataclass
class Loop:
    """A loop that remembers what was asked for, what ended and what was given up, as the record would."""

    effect: Callable[[str, Steps], None]
    asked: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def run(self, fact_id: str, steps: Steps) -> None:
        """Run the effect unless it has ended."""
        if fact_id in self.ended:
            return
        with self.lock:
            self.runs.append(fact_id)
        self.effect(fact_id, steps)
        with self.lock:
            self.ended.append(fact_id)

    def pending(self) -> list[str]:
        """Return what was asked for and came to no end."""
        with self.lock:
            return [id for id in self.asked if id not in self.ended and id not in self.given_up]

    def exhausted(self, fact_id: str) -> None:
        """Note what is given up."""
        with self.lock:
            self.given_up.append(fact_id)

    @property
    def work(self) -> Work:
        """Return the three for the effects."""
        return Work(run=self.run, pending=self.pending, exhausted=self.exhausted)


Start = Callable[[Loop | Work], DBOSEffects]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that was used before: a new one costs a second, in which DBOS finds its queue."""
    path = tmp_path_factory.mktemp("template") / "dbos.db"
    effects = DBOSEffects(path, work=Loop(nothing).work, executor="template", settings=SETTINGS)
    effects.start()
    effects.close()
    return path


@pytest.fixture
def start(tmp_path: Path, template: Path) -> Iterator[Start]:
    """Start effects on one database, with a new executor each time; the ones before are closed."""
    started: list[DBOSEffects] = []
    shutil.copy(template, tmp_path / "dbos.db")

    def begin(what: Loop | Work) -> DBOSEffects:
        for effects in started:
            effects.close()
        work = what.work if isinstance(what, Loop) else what
        effects = DBOSEffects(tmp_path / "dbos.db", work=work, executor=f"executor-{len(started)}", settings=SETTINGS)
        started.append(effects)
        effects.start()
        return effects

    yield begin
    for effects in started:
        effects.close()


def until(condition: Callable[[], object], what: str, deadline_s: float = 20.0) -> None:
    """Wait until `condition` holds; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.005)


def nothing(fact_id: str, steps: Steps) -> None:
    steps.run("only", lambda: fact_id)


def test_what_is_asked_for_runs_once_however_often_it_is_asked_for(start: Start) -> None:
    loop = Loop(nothing)
    effects = start(loop)
    for _ in range(5):
        effects.ask("f1")
    effects.ask("f2")
    until(lambda: len(loop.ended) == 2, "both end")
    until(lambda: not effects.active(), "nothing is active")
    assert sorted(loop.runs) == ["f1", "f2"]


def test_what_is_pending_runs_without_being_asked_for_again(start: Start) -> None:
    loop = Loop(nothing, asked=["f1"])
    start(loop)
    until(lambda: loop.ended == ["f1"], "the reaper asks for it")


def test_steps_give_their_results_in_order(start: Start) -> None:
    results: list[str] = []

    def effect(fact_id: str, steps: Steps) -> None:
        results.append(steps.run("submit", lambda: f"{fact_id}-job"))
        for i in range(3):
            results.append(steps.run("poll", lambda i=i: f"poll {i} ✓"))  # type: ignore[misc]  # a lambda's default
            steps.sleep(0.001)

    start(Loop(effect, asked=["f"]))
    until(lambda: len(results) == 4, "all steps run")
    assert results == ["f-job", "poll 0 ✓", "poll 1 ✓", "poll 2 ✓"]


def test_an_active_effect_is_known_and_not_begun_again(start: Start) -> None:
    go, inside = Event(), Event()

    def effect(fact_id: str, steps: Steps) -> None:
        inside.set()
        assert go.wait(20)

    loop = Loop(effect, asked=["f"])
    effects = start(loop)
    assert inside.wait(20)
    for _ in range(10):
        effects.ask("f")
    assert effects.active() == {"f"}
    go.set()
    until(lambda: loop.ended == ["f"], "it ends")
    assert loop.runs == ["f"]


def test_a_stopped_effect_goes_on_at_the_step_where_it_stopped(start: Start) -> None:
    submitted: list[str] = []
    polls: list[int] = []
    done = Event()

    def effect(fact_id: str, steps: Steps) -> None:
        job = steps.run("submit", lambda: submitted.append(fact_id) or "job-1")  # type: ignore[func-returns-value]  # it returns None, and then comes the text
        assert job == "job-1"
        while steps.run("poll", lambda: polls.append(1) or str(done.is_set())) != "True":  # type: ignore[func-returns-value]  # it returns None, and then comes the text
            steps.sleep(0.01)

    loop = Loop(effect, asked=["f"])
    effects = start(loop)
    until(lambda: len(polls) >= 3, "it polls")
    effects.close()
    assert loop.ended == []
    before = len(polls)
    done.set()
    start(loop)
    until(lambda: loop.ended == ["f"], "the next process takes it up")
    assert submitted == ["f"]
    # Polls that have a checkpoint are not repeated: one more, or two when it was stopped before a checkpoint.
    assert 1 <= len(polls) - before <= 2


def test_a_long_sleep_is_interrupted(start: Start) -> None:
    asleep = Event()

    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("before", lambda: asleep.set() or "")  # type: ignore[func-returns-value]  # it returns None, and then comes the text
        steps.sleep(3600.0)

    loop = Loop(effect, asked=["f"])
    effects = start(loop)
    assert asleep.wait(20)
    effects.close()  # the time limit of the tests would end the hour
    assert loop.ended == []


def test_a_failed_attempt_is_followed_by_another_with_its_own_steps(start: Start) -> None:
    tries: list[int] = []

    def effect(fact_id: str, steps: Steps) -> None:
        number = steps.run("try", lambda: tries.append(1) or str(len(tries)))  # type: ignore[func-returns-value]  # it returns None, and then comes the text
        if number == "1":
            raise OSError("the first one fails")

    loop = Loop(effect, asked=["f"])
    start(loop)
    until(lambda: loop.ended == ["f"], "the second attempt ends")
    assert len(tries) == 2


def test_an_effect_that_fails_too_often_is_given_up_and_told_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("fails", lambda: str(1 // 0))

    loop = Loop(effect, asked=["bad", "good"])
    loop.effect = lambda fact_id, steps: effect(fact_id, steps) if fact_id == "bad" else nothing(fact_id, steps)
    with caplog.at_level(logging.CRITICAL, logger="dbos"):
        effects = start(loop)
        until(lambda: loop.given_up, "it is given up")
    effects.ask("bad")
    assert loop.given_up == ["bad"]
    assert loop.runs.count("bad") == SETTINGS.attempts
    until(lambda: loop.ended == ["good"], "the other is not held up")


def test_a_run_that_returns_without_ending_is_tried_again(start: Start) -> None:
    loop = Loop(nothing, asked=["f"])
    seen: list[str] = []

    def run(fact_id: str, steps: Steps) -> None:
        seen.append(fact_id)
        if len(seen) == 2:
            loop.run(fact_id, steps)

    start(Work(run=run, pending=loop.pending, exhausted=loop.exhausted))
    until(lambda: loop.ended == ["f"], "the second run ends it")


def test_losing_the_database_loses_checkpoints_and_nothing_else(start: Start, tmp_path: Path) -> None:
    gate, inside = Event(), Event()

    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("first", lambda: "1")
        inside.set()
        while not gate.is_set():
            steps.sleep(0.005)

    loop = Loop(effect, asked=["f"])
    effects = start(loop)
    assert inside.wait(20)
    effects.close()
    for file in tmp_path.glob("dbos.db*"):
        file.unlink()
    gate.set()
    start(loop)
    until(lambda: loop.ended == ["f"], "it is run from the record alone")


def test_what_ran_under_another_order_of_steps_is_begun_afresh(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, inside, firsts = Event(), Event(), list[str]()

    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("first", lambda: firsts.append(fact_id) or "")  # type: ignore[func-returns-value]  # it returns None, and then comes the text
        inside.set()
        while not gate.is_set():
            steps.sleep(0.005)

    loop = Loop(effect, asked=["f"])
    effects = start(loop)
    assert inside.wait(20)
    effects.close()
    gate.set()
    monkeypatch.setattr("anew.adapters.dbos_runtime._VERSION", "anew.effects/2")
    start(loop)
    until(lambda: loop.ended == ["f"], "it is not stranded under the old version")
    assert firsts == ["f", "f"]


def test_ended_attempts_are_forgotten_at_the_next_start(start: Start, tmp_path: Path) -> None:
    loop = Loop(nothing, asked=["f"])
    effects = start(loop)
    until(lambda: loop.ended == ["f"] and not effects.active(), "it ends")
    effects = start(loop)
    until(lambda: not effects._started().attempts("f"), "its attempt is deleted")


def test_one_at_a_time_in_a_process(start: Start, tmp_path: Path) -> None:
    loop = Loop(nothing)
    first = start(loop)
    second = DBOSEffects(tmp_path / "other.db", work=loop.work, executor="x", settings=SETTINGS)
    with pytest.raises(ConflictError, match="already"):
        second.start()
    with pytest.raises(ConflictError, match="before"):
        first.start()
    first.ask("f")
    until(lambda: loop.ended == ["f"], "the first still works")


def test_asking_before_the_start_is_refused(tmp_path: Path) -> None:
    effects = DBOSEffects(tmp_path / "dbos.db", work=Loop(nothing).work, executor="x", settings=SETTINGS)
    with pytest.raises(UnavailableError, match="start them first"):
        effects.ask("f")
    effects.close()


def test_a_file_that_is_no_database_is_refused_and_the_process_stays_free(start: Start, tmp_path: Path) -> None:
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"no database " * 1000)
    loop = Loop(nothing, asked=["f"])
    with pytest.raises(IntegrityError, match=r"no SQLite file .*; stop, and delete it"):
        DBOSEffects(bad, work=loop.work, executor="x", settings=SETTINGS).start()
    start(loop)
    until(lambda: loop.ended == ["f"], "another may start")


def test_importing_the_module_does_not_import_dbos() -> None:
    code = "import sys, anew.adapters.dbos_effects; print('dbos' in sys.modules, 'sqlalchemy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == ["False", "False"]


def test_what_was_left_waits_for_its_loop_with_its_steps_however_often_it_is_begun(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More starts than attempts, each before the loop is there: the first attempt is resumed, none is lost."""
    monkeypatch.setattr("anew.adapters.dbos_effects._SWEEP_S", 0.0)
    firsts: list[str] = []
    inside, go = Event(), Event()

    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("first", lambda: firsts.append(fact_id) or "done")  # type: ignore[func-returns-value]  # it is None
        inside.set()
        while not go.is_set():
            steps.sleep(0.01)

    loop, others = Loop(effect, asked=["f"]), Loop(nothing)

    def begin(number: int) -> None:
        inside.clear()
        others.asked.append(f"g{number}")
        whole = SharedEffects(start)
        runtime = whole.effects._started()  # type: ignore[attr-defined]  # it is of DBOS
        until(lambda: not whole.effects.active(), "it gives its place to others")
        whole.part("n", others.work).start()
        until(lambda: f"g{number}" in others.ended, "others run")
        until(lambda: not runtime.attempts(f"n.g{number}"), "what has ended is forgotten")
        whole.part("m", loop.work).start()
        assert inside.wait(20)
        counts = [(1, number)]  # one for each process that ran it, so that what kills each is given up all the same
        until(lambda: [(each.number, each.begun) for each in runtime.attempts("m.f")] == counts, "it is counted once")

    for number in range(1, SETTINGS.attempts + 3):
        begin(number)
    go.set()
    until(lambda: "f" in loop.ended, "it ends")
    assert firsts == ["f"]
    assert loop.given_up == []


def test_a_loop_that_ends_again_and_again_costs_its_effects_no_attempt(start: Start) -> None:
    firsts: list[str] = []
    inside, go = Event(), Event()

    def effect(fact_id: str, steps: Steps) -> None:
        steps.run("first", lambda: firsts.append(fact_id) or "done")  # type: ignore[func-returns-value]  # it is None
        inside.set()
        while not go.is_set():
            steps.sleep(0.01)

    loop = Loop(effect, asked=["f"])
    whole = SharedEffects(start)
    for _ in range(SETTINGS.attempts + 2):
        inside.clear()
        part = whole.part("m", loop.work)
        part.start()
        assert inside.wait(20)
        part.close()
    go.set()
    whole.part("m", loop.work).start()
    until(lambda: "f" in loop.ended, "it ends")
    assert firsts == ["f"]
    assert loop.given_up == []
