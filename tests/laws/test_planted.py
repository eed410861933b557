"""Every law catches the fault that is planted for it: a law that never fails says nothing."""

from collections.abc import Callable, Iterable, Mapping

import pytest

from anew.domain.errors import ConflictError, InvariantError
from anew.loop.engine import Engine, Stages
from anew.testing.law import LAWS
from anew.testing.small_stages import small_stages
from tests.laws.planted import ENGINES, OTHERS, STAGES
from tests.laws.telling import SETTINGS, Teller, differences, folded, record, stuck, warmed

SEEDS = range(400)

Check = Callable[[Teller, int], Iterable[str]]


def _law(name: str) -> Check:
    return lambda teller, seed: LAWS[name](teller.tell(warmed(seed)).transactions, SETTINGS)


def _same_story(teller: Teller, seed: int) -> Iterable[str]:
    if record(teller.tell(warmed(seed))) != record(teller.tell(warmed(seed))):
        yield "the same story gave two records"


def _other_settings(teller: Teller, seed: int) -> Iterable[str]:
    stages = teller.stages()
    strict = {**OTHERS["strict"]()}
    # the same fault under other settings
    fault = stages["trigger"].applied  # type: ignore[attr-defined]  # planted
    strict["trigger"] = type(stages["trigger"])(strict["trigger"], fault)  # type: ignore[call-arg]  # planted
    facts = teller.tell(warmed(seed)).facts
    if folded(facts, stages) != folded(facts, strict):
        yield "the fold depends on the settings"


def _live_state(teller: Teller, seed: int) -> Iterable[str]:
    return differences(teller.tell(warmed(seed)), teller.stages())


def _crashes(teller: Teller, seed: int) -> Iterable[str]:
    whole = Teller(engine=teller.engine, stages=teller.stages, faults=False)
    if record(teller.tell(warmed(seed))) != record(whole.tell(warmed(seed))):
        yield "a crash left a trace"


CHECKS: Mapping[str, Check] = {
    **{name: _law(name) for name in LAWS},
    "stuck": lambda teller, seed: stuck(teller.tell(warmed(seed))),
    "same story": _same_story,
    "other settings": _other_settings,
    "live state": _live_state,
    "crashes": _crashes,
}


def _caught(check: Check, teller: Teller) -> bool:
    """Is the fault caught in any story? One that the engine refuses to record is not the law's to catch."""
    for seed in SEEDS:
        try:
            if any(True for _ in check(teller, seed)):
                return True
        except (ConflictError, InvariantError):
            continue
    return False


@pytest.mark.parametrize(
    ("law", "stages"),
    [pytest.param(law, stages, id=f"{law}: {what}") for law, faults in STAGES.items() for what, stages in faults],
)
def test_a_law_catches_its_planted_stage(law: str, stages: Callable[[], Stages]) -> None:
    assert _caught(CHECKS[law], Teller(stages=stages))


@pytest.mark.parametrize(
    ("law", "engine"),
    [pytest.param(law, engine, id=f"{law}: {what}") for law, faults in ENGINES.items() for what, engine in faults],
)
def test_a_law_catches_its_planted_engine(law: str, engine: type[Engine]) -> None:
    assert _caught(CHECKS[law], Teller(engine=engine))


@pytest.mark.parametrize("law", sorted(set(CHECKS) - {"other settings"}))
def test_without_a_fault_nothing_is_caught(law: str) -> None:
    """The same check on the same stories holds for the loop as it is."""
    teller = Teller(stages=small_stages)
    assert [each for seed in range(12) for each in CHECKS[law](teller, seed)] == []


def test_every_law_has_its_planted_fault() -> None:
    assert set(CHECKS) == set(STAGES) | set(ENGINES)
