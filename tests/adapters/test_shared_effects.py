"""One runner for many loops: who runs what, what a loop that is gone leaves behind, and that none waits for another."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest

from anew.adapters.shared_effects import SharedEffects
from anew.domain.errors import UnavailableError
from anew.ports.effects import PostponedRun, Steps, Work


@dataclass
class Runner:
    """Runs what it is asked for when told to."""

    work: Work
    asked: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""

    def ask(self, fact_id: str) -> None:
        """Note it."""
        self.asked.append(fact_id)

    def active(self) -> frozenset[str]:
        """Return all of it."""
        return frozenset(self.asked)

    def close(self) -> None:
        """End."""


class Plain:
    """Steps that are run at once and keep nothing."""

    def run(self, _name: str, function: Callable[[], str]) -> str:
        """Run it."""
        return function()

    def sleep(self, seconds: float) -> None:
        """Wait for nothing."""


@dataclass
class Loop:
    """What one loop gives to those who run its effects."""

    ran: list[str] = field(default_factory=list)
    exhausted: list[str] = field(default_factory=list)
    step: Callable[[Steps], None] = lambda _: None
    left: Collection[str] = ()
    began: bool = False

    @property
    def work(self) -> Work:
        """What the runner is given."""

        def run(fact_id: str, steps: Steps) -> None:
            self.ran.append(fact_id)
            self.step(steps)

        def pending() -> Collection[str]:
            assert not self.began, "a loop that hangs would keep all waiting"
            self.began = True
            return self.left

        return Work(run=run, pending=pending, exhausted=self.exhausted.append)


def shared(stopping: bool = False) -> tuple[SharedEffects, Runner]:
    made: list[Runner] = []

    def make(work: Work) -> Runner:
        made.append(Runner(work))
        return made[0]

    return SharedEffects(make, lambda: stopping), made[0]


def test_each_effect_is_run_by_its_own_loop_whatever_the_models_are_called() -> None:
    whole, runner = shared()
    loops = {name: Loop() for name in ("a", "a.b", "a-1")}
    for name, loop in loops.items():
        part = whole.part(name, loop.work)
        part.start()
        part.ask(f"fact{name}".replace(".", "").replace("-", ""))
    for id in list(runner.asked):
        runner.work.run(id, Plain())
    assert {name: loop.ran for name, loop in loops.items()} == {"a": ["facta"], "a.b": ["factab"], "a-1": ["facta1"]}


def test_what_was_asked_for_is_pending_until_it_has_run_to_its_end() -> None:
    whole, runner = shared()

    def fails(_: Steps) -> None:
        raise UnavailableError("not now")

    loop = Loop(step=fails)
    part = whole.part("m", loop.work)
    part.start()
    part.ask("f")
    with pytest.raises(UnavailableError):
        runner.work.run("m.f", Plain())
    assert list(runner.work.pending()) == ["m.f"]
    loop.step = lambda _: None
    runner.work.run("m.f", Plain())
    assert list(runner.work.pending()) == []
    part.ask("g")
    assert part.active() == {"f", "g"}
    runner.work.exhausted("m.g")
    assert loop.exhausted == ["g"]
    assert list(runner.work.pending()) == []


def test_a_run_ends_with_its_loop_and_the_next_loop_has_it_run_again() -> None:
    whole, runner = shared()
    seen: list[str] = []

    def two_steps(steps: Steps) -> None:
        seen.append(steps.run("one", lambda: "done"))
        part.close()
        steps.sleep(1.0)

    loop = Loop(step=two_steps)
    part = whole.part("m", loop.work)
    part.start()
    part.ask("f")
    part.running = -1  # it closes from within its own run here, which would wait for itself
    with pytest.raises(PostponedRun):
        runner.work.run("m.f", Plain())
    assert seen == ["done"]
    with pytest.raises(PostponedRun):
        runner.work.run("m.f", Plain())
    assert loop.ran == ["f"], "nobody runs what has no loop"
    again = Loop()
    next_part = whole.part("m", again.work)
    next_part.start()
    part.close()
    next_part.ask("f")
    runner.work.run("m.f", Plain())
    assert again.ran == ["f"]


def test_when_all_stop_the_runner_interrupts_and_no_attempt_fails() -> None:
    whole, runner = shared(stopping=True)
    seen: list[str] = []

    def step(steps: Steps) -> None:
        part.gone.set()
        seen.append(steps.run("one", lambda: "done"))

    loop = Loop(step=step)
    part = whole.part("m", loop.work)
    part.start()
    runner.work.run("m.f", Plain())
    assert seen == ["done"]


def test_attempts_are_settled_once_their_loop_is_there_and_asks_no_more() -> None:
    whole, runner = shared()
    assert not runner.work.settled("m.f"), "its loop may come yet"
    part = whole.part("m", Loop(left=["f"]).work)
    part.start()
    assert list(runner.work.pending()) == ["m.f"]
    assert [runner.work.settled(f"m.{each}") for each in "fg"] == [False, True]
    runner.work.run("m.f", Plain())
    assert runner.work.settled("m.f")
    part.close()
    assert not runner.work.settled("m.f")
