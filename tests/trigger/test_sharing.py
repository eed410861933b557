"""Whose retrain is next where models share compute: order, budget, nobody starves, and what stands outside of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    FIRST,
    FreezeEnded,
    RetrainAdmitted,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainQueued,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    TrainingEnded,
)
from anew.domain.severity import Severity
from anew.trigger import Sharing, SharingState

AT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class World:
    """Models whose facts one `Sharing` hears, and a clock."""

    sharing: Sharing
    wall: datetime = AT
    state: SharingState = field(default_factory=SharingState)
    count: int = 0
    facts: list[Fact] = field(default_factory=list)

    def hear(self, *facts: Fact) -> None:
        """Put facts on record."""
        for fact in facts:
            self.facts.append(fact)
            self.state = self.sharing.apply(self.state, fact)

    def ask(self, model: str, rate: float | None = None, *triggers: str, cause: str = "", revive: str = "") -> str:
        """Ask for a retrain."""
        self.count += 1
        considered = () if rate is None else (("regret an hour", repr(rate * 4)), ("price", "4.0"))
        fact = RetrainRequested(
            model=model, at=AT, reason="", triggers=triggers or ("economic",), severity=Severity.MEDIUM,
            considered=considered, revive=revive,
        ).caused_by(cause or f"cause {self.count}")  # fmt: skip
        self.hear(fact)
        return fact.id

    def turn(self, hours: float = 0.0, absent: Iterable[str] = ()) -> list[str]:
        """Let time pass and decide; governance consents at once. Returns whose turn it is."""
        self.wall += hours * HOUR
        found = self.sharing.decide(self.state, self.wall, frozenset(absent))
        for fact in found:
            recorded = fact.caused_by(fact.cause)
            self.hear(recorded)
            if isinstance(recorded, RetrainAdmitted):
                approved = RetrainApproved(model=fact.model, at=AT, by="policy", request=recorded.request)
                self.hear(approved.caused_by(recorded.id))
        return [fact.model for fact in found if isinstance(fact, RetrainAdmitted)]

    def end(self, model: str, compute_s: float = 60.0) -> None:
        """End the model's run."""
        self.hear(TrainingEnded(model=model, at=AT, version="v", outcome="accepted", detail="", compute_s=compute_s))

    def queued(self, model: str) -> list[str]:
        """Return the reasons on record of a model's waiting."""
        return [each.reason for each in self.facts if isinstance(each, RetrainQueued) and each.model == model]


def test_the_highest_share_of_its_price_an_hour_is_next_and_what_is_not_known_last() -> None:
    world = World(Sharing(at_once=1))
    for model, rate in (("low", 0.1), ("unknown", None), ("high", 2.0), ("middle", 0.5)):
        world.ask(model, rate)
    order = []
    for _ in range(4):
        order += world.turn(0.1)
        world.end(order[-1])
    assert order == ["high", "middle", "low", "unknown"]


@pytest.mark.parametrize(
    ("word", "name", "goes"),
    [
        ("slo", "slo(f1>=0.8)", True),
        ("psi", "psi>0.5", True),
        ("domain_classifier", "domain_classifier>0.7", True),
        ("every", "every 24h", True),
        ("mine", "mine", True),
        ("psi>0.5", "psi>0.5", True),
        ("psi", "psi_of_mine>0.5", False),
        ("psi>0.5", "psi>0.55", False),
        ("drift", "label_drift>0.1", False),
    ],
)
def test_who_goes_first_is_told_by_a_kind_or_a_whole_name(word: str, name: str, goes: bool) -> None:
    world = World(Sharing(at_once=1, first=(word,)))
    world.ask("busy", 1.0)
    world.turn()
    world.ask("hard", None, name)
    world.ask("rich", 9.0)
    world.end("busy")
    assert world.turn() == ["hard" if goes else "rich"]


def test_what_is_not_a_number_counts_as_not_known() -> None:
    world = World(Sharing())
    fact = RetrainRequested(
        model="odd", at=AT, reason="", triggers=("economic",), severity=Severity.LOW,
        considered=(("regret an hour", "nan"), ("price", "0.0")),
    ).caused_by("x")  # fmt: skip
    world.hear(fact)
    world.ask("known", 0.001)
    assert world.turn() == ["known"]


def test_a_hard_rule_goes_before_what_saves_more_and_the_longest_due_before_it() -> None:
    world = World(Sharing(at_once=1, patience=2 * HOUR))
    world.ask("first", 1.0)
    assert world.turn() == ["first"]
    world.ask("old", 0.01)
    world.turn()
    world.ask("rich", 9.0)
    world.turn(2.5)
    world.ask("hard", None, "slo(f1>=0.8)")
    world.turn()
    order = []
    for _ in range(3):
        world.end(world.sharing.under_way(world.state)[0])
        order += world.turn(0.01)
    assert order == ["old", "hard", "rich"]


def test_a_rule_that_fires_while_its_model_waits_speeds_up_the_request_that_waits() -> None:
    world = World(Sharing(at_once=1))
    world.ask("first", 1.0)
    world.turn()
    world.ask("rich", 9.0)
    world.ask("poor", 0.01)
    world.turn()
    busy = RetrainWithheld(model="poor", at=AT, reason="busy", detail="", triggers=("rule(prediction >= 0)",))
    world.hear(busy.caused_by("alert"))
    world.end("first")
    assert world.turn(0.1) == ["poor"]


@pytest.mark.parametrize("held", [False, True])
def test_a_person_waits_for_nothing_and_a_program_whose_wish_is_held_waits(held: bool) -> None:
    world = World(Sharing(at_once=1, hours=1.0))
    world.ask("first", 1.0)
    world.turn()
    command = RetrainCommanded(model="mine", at=AT, command="c1", by="eve", reason="now", held=held).caused_by("")
    world.hear(command)
    world.ask("mine", None, "command", cause=command.id)
    assert world.turn() == ([] if held else ["mine"])


def test_a_first_champion_is_due_at_once_but_keeps_to_the_runs_at_a_time() -> None:
    world = World(Sharing(at_once=2))
    for number in range(5):
        command = RetrainCommanded(
            model=f"m{number}", at=AT, command=f"{FIRST}0", by="anew up", reason="there is no champion"
        ).caused_by("")
        world.hear(command)
        world.ask(f"m{number}", None, "command", cause=command.id)
    assert world.turn() == ["m0", "m1"]
    assert world.queued("m4") == ["turn"]


def test_a_revival_takes_nothing_and_waits_for_nothing() -> None:
    world = World(Sharing(at_once=1))
    world.ask("first", 1.0)
    world.turn()
    world.ask("back", None, revive="v3")
    assert world.turn() == ["back"]


def test_who_comes_first_and_does_not_fit_is_waited_for_until_a_period_has_passed() -> None:
    world = World(Sharing(at_once=2, hours=1.0, period=10 * HOUR))
    world.ask("small", 1.0)
    world.turn()
    world.end("small", 0.1 * 3600)
    world.ask("large", 1.0)
    world.turn()
    world.end("large", 0.7 * 3600)
    world.ask("large", 2.0)
    world.ask("small", 1.0)
    assert world.turn(1) == []
    assert world.queued("large") == ["compute"]
    assert world.queued("small") == ["turn"]
    assert world.turn(9.5) == ["large", "small"]


def test_what_no_period_has_room_for_says_so_and_keeps_nobody_waiting() -> None:
    world = World(Sharing(at_once=1, hours=1.0))
    world.ask("huge", 9.0)
    world.turn()
    world.end("huge", 2 * 3600)
    world.ask("huge", 9.0)
    world.ask("small", 0.1)
    world.hear(TrainingEnded(model="small", at=AT, version="v", outcome="accepted", detail="", compute_s=60.0))
    assert world.turn(30) == ["small"]
    assert world.queued("huge") == ["too_dear"]


def test_a_model_whose_loop_is_gone_holds_no_place() -> None:
    world = World(Sharing(at_once=1))
    world.ask("broken", 9.0)
    assert world.turn() == ["broken"]
    world.ask("well", 0.1)
    assert world.turn() == []
    assert world.turn(absent=["broken"]) == ["well"]


def test_a_request_of_a_model_whose_loop_is_gone_is_passed_over() -> None:
    world = World(Sharing(at_once=1))
    world.ask("broken", 9.0)
    world.ask("well", 0.1)
    assert world.turn(absent=["broken"]) == ["well"]


def test_what_a_freeze_holds_gives_its_place_back_and_has_another_turn_after_it() -> None:
    world = World(Sharing(at_once=1))
    request = world.ask("frozen", 9.0)
    (admitted,) = world.sharing.decide(world.state, world.wall)
    held = RetrainHeld(model="frozen", at=AT, by="policy", reason="freeze", until=AT + HOUR)
    world.hear(admitted.caused_by(admitted.cause), held.caused_by("x"))
    world.ask("well", 0.1)
    assert world.turn() == ["well"]
    world.hear(FreezeEnded(model="frozen", at=AT, window="freeze").caused_by("y"))
    world.end("well")
    assert world.turn(1) == ["frozen"]
    again = [each for each in world.facts if isinstance(each, RetrainAdmitted) and each.request == request]
    assert len({each.id for each in again}) == 2


def test_a_refusal_frees_the_place() -> None:
    world = World(Sharing(at_once=1))
    world.ask("refused", 9.0)
    world.turn()
    world.hear(RetrainRefused(model="refused", at=AT, by="policy", reason="no"))
    world.ask("well", 0.1)
    assert world.turn() == ["well"]


def test_a_reason_is_told_once() -> None:
    world = World(Sharing(at_once=1))
    world.ask("first", 1.0)
    world.turn()
    world.ask("second", 1.0)
    for _ in range(5):
        world.turn(0.1)
    assert world.queued("second") == ["turn"]


def test_the_place_and_the_reason_are_on_record() -> None:
    world = World(Sharing(at_once=1))
    for model, rate in (("first", 3.0), ("third", 1.0), ("second", 2.0)):
        world.ask(model, rate)
    world.turn()
    told = {each.model: each for each in world.facts if isinstance(each, RetrainQueued)}
    assert (told["third"].place, told["third"].of, told["third"].rate) == (2, 2, 1.0)
    assert told["third"].detail == "second is before it"
    assert told["second"].detail == "1 of 1 runs are under way (first)"


@pytest.mark.parametrize(
    "wrong",
    [{"at_once": 0}, {"hours": 0.0}, {"hours": float("nan")}, {"period": timedelta(0)}, {"patience": -HOUR}],
)
def test_a_budget_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvariantError):
        Sharing(**wrong)  # type: ignore[arg-type]  # what is wrong with it is the test


# Laws, on worlds that are made up: models of fixed cost ask and ask again, some far dearer to keep waiting than others.

MODELS = 6


@dataclass(frozen=True)
class Told:
    """A turn at which a request was admitted."""

    wall: datetime
    model: str
    reason: str
    queue: tuple[str, ...]
    spent_s: float


def run_world(world: World, costs: list[float], rates: list[float | None], script: list[list[int]]) -> list[Told]:
    """Let the models of each entry ask, if they do not wait or run; each run ends two entries later."""
    told: list[Told] = []
    ends: list[tuple[int, str, float]] = []
    taken: list[tuple[datetime, float]] = []
    for number, entry in enumerate(script):
        for when, model, cost in list(ends):
            if when <= number:
                world.end(model, cost)
                ends.remove((when, model, cost))
        for each in entry:
            line = world.state.line(f"m{each}")
            if line.asked is None and line.admitted is None:
                world.ask(f"m{each}", rates[each])
        order = tuple(each.model for each in world.sharing.queue(world.state, world.wall) if each.reason != "too_dear")
        for model in world.turn(0.0):
            cost = costs[int(model[1:])]
            taken.append((world.wall, cost))
            spent = sum(each for at, each in taken if at > world.wall - world.sharing.period)
            admitted = next(
                each for each in reversed(world.facts) if isinstance(each, RetrainAdmitted) and each.model == model
            )
            told.append(Told(world.wall, model, admitted.reason, order, spent))
            ends.append((number + 2, model, cost))
        assert len(world.sharing.under_way(world.state)) <= world.sharing.at_once
        world.wall += HOUR
    return told


costs_of = st.lists(st.floats(60, 3600), min_size=MODELS, max_size=MODELS)
rates_of = st.lists(st.none() | st.floats(0, 100), min_size=MODELS, max_size=MODELS)
scripts = st.lists(st.lists(st.integers(0, MODELS - 1), max_size=MODELS), min_size=10, max_size=30)
sharings = st.builds(
    Sharing,
    at_once=st.integers(1, 3),
    hours=st.none() | st.floats(1.0, 3.0),
    period=st.sampled_from([5 * HOUR, 12 * HOUR]),
    patience=st.sampled_from([HOUR, 6 * HOUR]),
)


def known(world: World, costs: list[float]) -> None:
    """Let every model have run once, long ago, so that what a run takes is known."""
    world.wall -= 1000 * HOUR
    for number, cost in enumerate(costs):
        world.ask(f"m{number}", 1.0)
        world.turn(world.sharing.period / HOUR)
        world.end(f"m{number}", cost)
    world.wall = AT


@settings(deadline=None)
@given(sharing=sharings, costs=costs_of, rates=rates_of, script=scripts)
def test_law_no_period_takes_more_than_the_budget(
    sharing: Sharing, costs: list[float], rates: list[float | None], script: list[list[int]]
) -> None:
    world = World(sharing)
    known(world, costs)
    for each in run_world(world, costs, rates, script):
        assert sharing.hours is None or each.spent_s <= sharing.hours * 3600 + 1e-6


@settings(deadline=None)
@given(sharing=sharings, costs=costs_of, rates=rates_of, script=scripts)
def test_law_what_is_not_due_goes_by_rate(
    sharing: Sharing, costs: list[float], rates: list[float | None], script: list[list[int]]
) -> None:
    world = World(sharing)
    known(world, costs)
    for each in run_world(world, costs, rates, script):
        if each.reason == "rate":
            others = [
                other for other in each.queue[each.queue.index(each.model) + 1 :] if rates[int(other[1:])] is not None
            ]
            mine = rates[int(each.model[1:])]
            assert all(mine is not None and mine >= (rates[int(other[1:])] or 0.0) for other in others)


@settings(deadline=None)
@given(sharing=sharings, costs=costs_of, poor=st.floats(0, 0.1), hours=st.integers(100, 110))
def test_law_nobody_starves_however_much_the_others_would_save(
    sharing: Sharing, costs: list[float], poor: float, hours: int
) -> None:
    """Five rich models ask again as soon as they may; the poor one is passed by each at most once after it is due."""
    world = World(sharing)
    known(world, costs)
    rates: list[float | None] = [poor, *[50.0] * (MODELS - 1)]
    told = run_world(world, costs, rates, [list(range(1, MODELS)), *[list(range(MODELS))] * hours])
    asked = AT + HOUR
    due = asked + sharing.patience
    mine = next((each for each in told if each.model == "m0"), None)
    assert mine is not None, "it never had its turn"
    passed = [each.model for each in told if due <= each.wall <= mine.wall and each.model != "m0"]
    assert len(passed) <= 2 * (MODELS - 1)
    before = [each for each in told if each.wall > due + HOUR and each.wall < mine.wall]
    assert len(before) == len({each.model for each in before}), "somebody went past it twice"


def test_the_laws_can_fail() -> None:
    """The controls: without patience in sight the poor one starves, and without a limit the budget is passed."""
    endless = World(Sharing(at_once=1, patience=timedelta(days=9_999)))
    costs = [3600.0] * MODELS
    known(endless, costs)
    told = run_world(
        endless, costs, [0.0, *[50.0] * (MODELS - 1)], [list(range(1, MODELS)), *[list(range(MODELS))] * 50]
    )
    assert "m0" not in {each.model for each in told}
    free = World(replace(endless.sharing, at_once=MODELS))
    known(free, costs)
    spent = [each.spent_s for each in run_world(free, costs, [1.0] * MODELS, [list(range(MODELS))] * 20)]
    assert max(spent) > 3 * 3600
