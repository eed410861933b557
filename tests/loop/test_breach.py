"""Answers of a challenger that break a rule trip a guardrail without any label."""

from dataclasses import replace

import polars as pl
import pytest

from anew.domain.facts import GuardrailTripped, RolledBack, RolloutHeld, RolloutObserved, Stage
from anew.domain.observation import Answer
from anew.loop.breach import Breaches, RuleLimit, answers_of
from anew.monitor.rule import Rule
from anew.rollout import Outcome
from tests.loop.observed import COLUMNS, START, Bed, hour


def rows(*said: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"_output": list(said), "x": [1.0] * len(said)}, schema={"_output": pl.Float64, "x": pl.Float64}
    )


def limit(at_most: float, *conditions: str) -> RuleLimit:
    rules = tuple(Rule(keep=each) for each in conditions)
    return RuleLimit(rules=rules, at_most=at_most, numbered=COLUMNS.numbered)


def test_the_share_of_all_answers_is_what_counts() -> None:
    seen = Breaches(limit(0.25, "prediction >= 0"))
    assert seen.add(rows(1, 1, 1, -1)) is None
    assert seen.add(rows()) is None
    found = seen.add(rows(-1, 1))
    assert found is not None
    assert (found.name, found.value, found.n, found.reference) == ("rule(prediction >= 0)", 2 / 6, 6, 0.25)


def test_none_may_break_where_none_is_allowed() -> None:
    seen = Breaches(limit(0.0, "prediction < 9", "prediction >= 0"))
    assert seen.add(rows(*[1.0] * 500)) is None
    found = seen.add(rows(-1))
    assert found is not None
    assert found.name == "rule(prediction >= 0)"


def test_a_rule_that_cannot_be_read_is_neither_kept_nor_broken() -> None:
    seen = Breaches(limit(0.5, "price >= 0", "prediction >= 0"))
    found = seen.add(rows(1, 2))
    assert found is not None
    assert not found.measured
    assert found.problem.startswith('it could not be read on 2 answers: unable to find column "price"')
    assert seen.add(rows(1)) == found, "what was answered then stays answered"
    broken = seen.add(rows(*[-1.0] * 9))
    assert broken is not None
    assert (broken.name, broken.value) == ("rule(prediction >= 0)", 9 / 12), "what is broken for sure comes first"


def test_an_answer_on_which_a_rule_is_null_is_not_counted() -> None:
    seen = Breaches(limit(0.25, "prediction >= 0 OR NULLIF(x, 1) > 0"))
    assert seen.silent == ""
    assert seen.add(rows(-1, -1, -1)) is None
    assert seen.silent == "rule(prediction >= 0 OR NULLIF(x, 1) > 0)"
    assert seen.add(rows(1, 1, 1)) is None
    assert seen.silent == ""
    found = seen.add(rows(-1, 1).with_columns(x=2.0 * pl.col("_output")))
    assert found is None, "-2 is above 0 no more than -1 is: one of five"


def test_its_answers_are_those_to_callers_and_those_in_shadow() -> None:
    frame = pl.DataFrame(
        {
            "_version": ["v1", "v2", "v1", "v1"],
            "_output": [1.0, 2.0, 3.0, 4.0],
            "_shadow_version": ["v2", "v1", "", "v2"],
            "_shadow_output": [5.0, 6.0, None, None],
        }
    )
    assert answers_of(frame, "v2").get_column("_output").to_list() == [5.0, 2.0]


@pytest.mark.parametrize(("said", "trips"), [(0, True), (1, False)])
def test_a_challenger_that_breaks_a_rule_is_taken_back_without_a_label(said: int, trips: bool) -> None:
    bed = Bed(rules=limit(0.0, "prediction >= 1"))
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.serve("a", hour(1.5), shadow_version="v2", shadow=Answer(output=said))
    bed.turn(hour(1.6))
    assert [each.guardrail for each in bed.facts(GuardrailTripped)] == (["rule(prediction >= 1)"] if trips else [])
    assert [each.version for each in bed.facts(RolledBack)] == (["v2"] if trips else [])
    bed.turn(hour(1.7))
    assert len(bed.facts(GuardrailTripped)) == trips


def test_where_a_rule_cannot_be_read_a_challenger_takes_no_step_and_answers_no_users() -> None:
    bed = Bed(rules=limit(0.0, "prediction < 'many'"))
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.turn(hour(1.1))
    bed.judge.outcome = Outcome.ADVANCE
    bed.serve("a", hour(1.2), shadow_version="v2", shadow=Answer(output=1))
    bed.label("a", 1, hour(1.3))
    for at in (1.4, 1.5):
        bed.turn(hour(at))
    (held,) = bed.facts(RolloutHeld)
    assert held.version == "v2"
    assert held.reason.startswith("guardrail rule(prediction < 'many'): it could not be read on 1 answers: cannot comp")
    assert not bed.facts(RolledBack)
    assert not bed.facts(GuardrailTripped)
    assert [each.span.end for each in bed.facts(RolloutObserved)] == [hour(1.1)], "it was looked at before alone"


def test_while_a_rule_is_null_on_all_answers_a_challenger_in_shadow_takes_no_step() -> None:
    bed = Bed(rules=limit(0.0, "prediction >= NULLIF(x, 1)"))
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.judge.outcome = Outcome.ADVANCE
    for name, x, at in (("a", 1.0, 1.2), ("b", 0.0, 1.5)):
        bed.serve(name, hour(at), row={"x": x}, shadow_version="v2", shadow=Answer(output=1))
        bed.label(name, 1, hour(at + 0.05))
        bed.turn(hour(at + 0.1))
        bed.turn(hour(at + 0.2))
        (held,) = bed.facts(RolloutHeld)
        assert held.reason.startswith("guardrail rule(prediction >= NULLIF(x, 1)): it is null on all 1 answers; no")
        assert bool(bed.facts(RolloutObserved)) is (name == "b")
    assert not bed.facts(RolledBack)


def test_where_no_step_is_looked_at_a_challenger_whose_answers_cannot_be_checked_is_taken_back() -> None:
    bed = Bed(rules=replace(limit(0.0, "prediction < 'many'"), steps=False))  # as blue-green does
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.serve("a", hour(1.2), shadow_version="v2", shadow=Answer(output=1))
    bed.turn(hour(1.4))
    assert not bed.facts(RolloutHeld)
    assert [each.version for each in bed.facts(RolledBack)] == ["v2"]


def test_where_users_hear_it_a_challenger_whose_answers_cannot_be_checked_is_taken_back() -> None:
    bed = Bed(rules=limit(0.0, "CAST(x AS INT) >= 0 OR prediction < 'many'"))
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.judge.outcome = Outcome.ADVANCE
    bed.turn(hour(1.1))
    bed.apply()
    probation = bed.engine.state("rollout").probation
    assert probation.stage is Stage.CANARY
    bed.judge.outcome = Outcome.HOLD
    bed.serve("a", hour(1.2), version="v2")
    bed.turn(hour(1.3))
    (back,) = bed.facts(RolledBack)
    assert "it could not be read on 1 answers" in back.reason
    assert "%" not in back.reason


@pytest.mark.parametrize("restarts", [False, True])
def test_a_champion_that_took_all_traffic_at_once_is_taken_back_for_a_rule_that_its_answers_break(
    *, restarts: bool
) -> None:
    bed = Bed(rules=replace(limit(0.0, "prediction < 1"), steps=False), blue_green=True, restarts=restarts)
    bed.approve("v1", START)
    bed.serve("before", hour(0.5))  # the version before it may break what it likes: there is none to go back to
    bed.approve("v2", hour(1))
    assert bed.engine.state("rollout").champion[0] == "v2"
    bed.apply()
    bed.serve("a", hour(1.2), version="v2", answer=Answer(output=0))
    bed.turn(hour(1.3))
    assert not bed.facts(GuardrailTripped)
    bed.serve("b", hour(1.4), version="v2")
    bed.turn(hour(1.5))
    (tripped,) = bed.facts(GuardrailTripped)
    assert (tripped.version, tripped.reason) == ("v2", "50.00% of 2 answers break it; allowed are 0.00%")
    assert bed.engine.state("rollout").champion[0] == "v1"
    bed.apply()
    bed.serve("c", hour(1.6))
    bed.turn(hour(1.7))
    assert len(bed.facts(GuardrailTripped)) == 1


@pytest.mark.parametrize(("steps", "later"), [(False, 25.0), (True, 1.2)])
def test_a_champion_that_is_no_new_one_or_was_a_challenger_is_left_to_the_triggers(
    *, steps: bool, later: float
) -> None:
    bed = Bed(rules=replace(limit(0.0, "prediction < 1"), steps=steps), blue_green=True)
    bed.approve("v1", START)
    bed.approve("v2", hour(1))
    bed.apply()
    bed.serve("a", hour(later), version="v2")
    bed.turn(hour(later + 0.1))
    assert not bed.facts(GuardrailTripped)


def test_a_share_is_of_all_answers_also_where_a_rule_is_null_on_most() -> None:
    seen = Breaches(limit(0.1, "prediction >= 0 OR NULLIF(x, 1) IS NULL AND NULL"))
    assert seen.add(rows(*[-1.0] * 100)) is None
    broken = rows(-1.0).with_columns(x=pl.lit(2.0))
    assert seen.add(broken) is None
    assert (seen.broken, seen.asked) == ({seen.limit.rules[0].key: 1}, 101)
