"""Gates' verdicts become an acceptance or a refusal; a person may override, by a signed fact for that digest."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from anew.domain.evidence import BROKEN, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalSigned,
    CandidateAccepted,
    CandidateHeld,
    CandidateMeasured,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    OverrideSigned,
    SourceCapped,
)
from anew.domain.verdict import Verdict
from anew.validate import Gate, HeldOut, Judgement, Validate, ValidateState

T0 = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A gate on one number, at most 1."""

    key: str
    needs_champion: ClassVar[bool] = False

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:  # noqa: ARG002  the gate's contract
        """Measure nothing: the tests give the evidence."""
        return ()

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when the number is at most 1."""
        value = evidence[0].value
        if value is None:
            return Judgement(verdict=Verdict.ERROR, reason=evidence[0].problem)
        return Judgement(verdict=Verdict.PASS if value <= 1 else Verdict.FAIL, reason=f"{value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Limit):
    """The same, beside a champion."""

    needs_champion: ClassVar[bool] = True


GATES: Mapping[str, tuple[Gate, bool]] = {
    "a": (Limit(key="a"), True),
    "b": (Compared(key="b"), True),
    "c": (Limit(key="c"), False),
}


def trained(version: str = "v2", champion: str = "v1", digest: str = "d2") -> CandidateTrained:
    return CandidateTrained(
        model="m",
        at=T0,
        id=f"trained-{version}",
        version=version,
        champion=champion,
        digest=digest,
        snapshot="",
        rows=1,
        compute_s=0.0,
    )


def measured(
    values: Mapping[str, float | None], *, version: str = "v2", champion: str = "v1", digest: str = "d2"
) -> CandidateMeasured:
    return CandidateMeasured(
        model="m",
        at=T0,
        id=f"measured-{version}",
        cause=f"trained-{version}",
        version=version,
        champion=champion,
        digest=digest,
        evidence=tuple(Evidence.of(name, value, 10) for name, value in values.items()),
    )


def broke(version: str = "v2") -> EffectFailed:
    return EffectFailed(
        model="m",
        at=T0,
        id="broke",
        cause=f"trained-{version}",
        effect="measure",
        version=version,
        reason="oom",
        detail="killed",
    )


def signed(gate: str, *, version: str = "v2", digest: str = "d2") -> OverrideSigned:
    return OverrideSigned(
        model="m", at=T0, version=version, digest=digest, gate=gate, by="ada", reason="urgent", signature="s"
    )


def approved(gate: str, *, version: str = "v2", digest: str = "d2") -> ApprovalSigned:
    return ApprovalSigned(
        model="m", at=T0, version=version, digest=digest, gate=gate, by="ada", reason="looked", signature="s"
    )


def heard(
    facts: list[Fact], gates: Mapping[str, tuple[Gate, bool]] = GATES, asking: frozenset[str] = frozenset()
) -> tuple[ValidateState, list[Fact]]:
    stage = Validate(gates=gates, asking=asking)
    state = stage.initial()
    decided: list[Fact] = []
    for fact in facts:
        state = stage.apply(state, fact)
        for decision in stage.decide(state, fact):
            state = stage.apply(state, decision)
            decided.append(decision)
    return state, decided


def outcomes(decided: list[Fact]) -> list[str]:
    return [fact.kind for fact in decided if isinstance(fact, CandidateAccepted | CandidateHeld | CandidateRefused)]


def verdicts(decided: list[Fact]) -> dict[str, Verdict]:
    return {fact.gate: fact.verdict for fact in decided if isinstance(fact, GateJudged)}


@pytest.mark.parametrize(
    ("values", "worst", "in_the_way"),
    [
        ({"a": 0, "b": 0, "c": 0}, None, ()),
        ({"a": 0, "b": 0, "c": 5}, None, ()),
        ({"a": 5, "b": 0, "c": 0}, Verdict.FAIL, ("a",)),
        ({"a": float("nan"), "b": 0, "c": 0}, Verdict.ERROR, ("a",)),
        ({"a": None, "b": 5, "c": 0}, Verdict.FAIL, ("a", "b")),
        ({"b": 0, "c": 0}, Verdict.INCONCLUSIVE, ("a",)),
        ({}, Verdict.INCONCLUSIVE, ("a", "b")),
    ],
)
def test_the_worst_required_verdict_decides(
    values: dict[str, float | None], worst: Verdict | None, in_the_way: tuple[str, ...]
) -> None:
    _, decided = heard([trained(), measured(values)])
    assert set(verdicts(decided)) == {"a", "b", "c"}
    last = decided[-1]
    if worst is None:
        assert isinstance(last, CandidateAccepted)
        assert (last.version, last.champion, last.digest) == ("v2", "v1", "d2")
    else:
        assert isinstance(last, CandidateRefused)
        assert (last.verdict, last.gates) == (worst, in_the_way)
        assert all(gate in last.reason for gate in in_the_way)


def test_a_first_champion_passes_the_gates_that_need_no_champion() -> None:
    _, decided = heard([trained(champion=""), measured({"a": 0}, champion="")])
    assert set(verdicts(decided)) == {"a", "c"}
    assert outcomes(decided) == ["CandidateAccepted"]


def test_without_a_required_gate_nothing_is_proved_and_no_override_helps() -> None:
    advisory = {"c": (Limit(key="c"), False)}
    _, decided = heard([trained(), measured({"c": 0}), signed("c")], advisory)
    assert outcomes(decided) == ["CandidateRefused"]
    assert outcomes(heard([trained(), measured({})], {})[1]) == ["CandidateRefused"]
    compared = {"b": (Compared(key="b"), True)}
    _, (refused,) = heard([trained(champion=""), measured({}, champion="")], compared)
    assert isinstance(refused, CandidateRefused)
    assert refused.reason.startswith("no required gate looks at a first champion (b: beside one)")


@pytest.mark.parametrize(
    "late",
    [measured({"a": 0, "b": 0}, version="v1"), broke("v1"), signed("a", version="v1")],
    ids=lambda fact: fact.kind,
)
def test_what_concerns_an_older_candidate_changes_nothing(late: Fact) -> None:
    assert heard([trained("v1"), trained("v2"), late])[1] == []


@pytest.mark.parametrize(
    "other",
    [
        measured({"a": 0, "b": 0, "c": 0}, digest="d3"),
        measured({"a": 0, "c": 0}, champion=""),
        measured({"a": 0, "b": 0, "c": 0}, champion="v0"),
    ],
    ids=["other digest", "champion left out", "other champion"],
)
def test_evidence_about_something_else_is_an_error(other: CandidateMeasured) -> None:
    _, decided = heard([trained(), other])
    assert set(verdicts(decided).values()) == {Verdict.ERROR}
    assert outcomes(decided) == ["CandidateRefused"]


def test_a_failed_measurement_is_an_error_of_every_gate() -> None:
    _, decided = heard([trained(), broke()])
    assert verdicts(decided) == {"a": Verdict.ERROR, "b": Verdict.ERROR, "c": Verdict.ERROR}
    refused = decided[-1]
    assert isinstance(refused, CandidateRefused)
    assert "oom" in refused.reason


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ([signed("a")], ["CandidateRefused", "CandidateAccepted"]),
        ([signed("a"), signed("a")], ["CandidateRefused", "CandidateAccepted"]),
        ([signed("b")], ["CandidateRefused"]),
        ([signed("a", digest="d3")], ["CandidateRefused"]),
        ([signed("measurement")], ["CandidateRefused"]),
    ],
    ids=["the gate in the way", "twice", "another gate", "another digest", "no gate"],
)
def test_an_override_clears_its_own_gate_for_its_own_digest(facts: list[Fact], found: list[str]) -> None:
    assert outcomes(heard([trained(), measured({"a": 5, "b": 0}), *facts])[1]) == found


def test_every_gate_in_the_way_needs_its_own_override() -> None:
    refused = [trained(), measured({"a": 5, "b": 5})]
    assert outcomes(heard([*refused, signed("a")])[1]) == ["CandidateRefused"]
    assert outcomes(heard([*refused, signed("a"), signed("b")])[1]) == ["CandidateRefused", "CandidateAccepted"]


def test_no_single_override_lets_an_unmeasured_candidate_through() -> None:
    refused: list[Fact] = [trained(), broke()]
    assert outcomes(heard([*refused, signed("a")])[1]) == ["CandidateRefused"]
    assert outcomes(heard([*refused, signed("a"), signed("b")])[1]) == ["CandidateRefused", "CandidateAccepted"]


def test_an_override_signed_before_the_measurement_counts() -> None:
    assert outcomes(heard([trained(), signed("a"), measured({"a": 5, "b": 0})])[1]) == ["CandidateAccepted"]
    assert outcomes(heard([trained(), signed("a"), measured({"a": 5, "b": 5})])[1]) == ["CandidateRefused"]


def test_an_accepted_candidate_is_accepted_once() -> None:
    assert outcomes(heard([trained(), measured({"a": 0, "b": 0}), signed("a")])[1]) == ["CandidateAccepted"]


def test_a_changed_gate_changes_no_decision_taken() -> None:
    """An override is judged by the verdicts on record, not by the gates of today."""
    state, _ = heard([trained(), measured({"a": 5, "b": 0})])
    today = Validate(gates={"z": (Limit(key="z"), True)})
    assert today.decide(today.apply(state, signed("z")), signed("z")) == ()
    assert [fact.kind for fact in today.decide(today.apply(state, signed("a")), signed("a"))] == ["CandidateAccepted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing(Limit):
    """A gate of somebody's own, with a mistake in it."""

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:  # noqa: ARG002  the gate's contract
        """Fail."""
        raise ZeroDivisionError("division by zero")


def test_a_gate_that_fails_lets_nobody_through() -> None:
    stage = Validate(gates={"a": (Failing(key="a"), True)})
    state = stage.apply(stage.initial(), trained())
    judged, refused = stage.decide(state, measured({"a": 0.5}))
    assert isinstance(judged, GateJudged)
    assert (judged.verdict, judged.reason) == (
        Verdict.ERROR,
        "the gate itself failed: ZeroDivisionError: division by zero",
    )
    assert isinstance(refused, CandidateRefused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Careless(Limit):
    """A gate of somebody's own that passes whatever it is shown."""

    said: object = Judgement(verdict=Verdict.PASS, reason="fine")

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:  # noqa: ARG002  the gate's contract
        """Say what the test wants."""
        return self.said  # type: ignore[return-value]  # the mistake


def careless(evidence: tuple[Evidence, ...], gate: Gate) -> GateJudged:
    stage = Validate(gates={"a": (gate, True), "c": (Limit(key="c"), True)})
    fact = measured({"c": 0.5})
    judged, other, *_ = stage.decide(
        stage.apply(stage.initial(), trained()), replace(fact, evidence=(*evidence, *fact.evidence))
    )
    assert isinstance(judged, GateJudged)
    assert isinstance(other, GateJudged)
    assert other.verdict is Verdict.PASS, "the others are judged all the same"
    return judged


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (
            Evidence.of("a", None, 0, subject=BROKEN, problem="RuntimeError: boom"),
            "it could not measure: RuntimeError: boom",
        ),
        (Evidence.of("a", float("nan"), 9, subject="loss"), "loss: value not finite; the gate judged PASS"),
        (Evidence.of("a", 0.1, 9, problem="half of it is missing"), "half of it is missing; the gate judged PASS"),
    ],
)
def test_what_was_not_measured_passes_no_gate_whatever_it_says(evidence: Evidence, told: str) -> None:
    good = Evidence.of("a", 0.1, 9, subject="rest")
    judged = careless((good, evidence), Careless(key="a"))
    assert judged.verdict is Verdict.ERROR
    assert judged.reason.startswith(told)
    assert careless((good,), Careless(key="a")).verdict is Verdict.PASS, "the control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial(Careless):
    """A gate that says that a part of its evidence is enough."""

    partial: ClassVar[bool] = True


def test_a_gate_that_may_leave_a_part_unmeasured_passes_by_the_rest_and_never_by_none() -> None:
    small = Evidence.of("a", None, 3, subject="tiny", problem="3 rows, 50 are needed")
    assert careless((Evidence.of("a", 0.1, 9), small), Partial(key="a")).verdict is Verdict.PASS
    assert careless((small,), Partial(key="a")).verdict is Verdict.ERROR


@pytest.mark.parametrize("said", [None, (True, "fine"), True, Judgement(verdict="PASS", reason="x")])  # type: ignore[arg-type]  # the mistake
def test_what_no_gate_may_say_is_an_error_of_that_gate(said: object) -> None:
    judged = careless((Evidence.of("a", 0.1, 9),), Careless(key="a", said=said))
    assert judged.verdict is Verdict.ERROR
    assert judged.reason.startswith("the gate itself failed: TypeError: judge returned ")


ASKS = frozenset({"b"})
HELD, ACCEPTED, REFUSED = "CandidateHeld", "CandidateAccepted", "CandidateRefused"


@pytest.mark.parametrize(
    ("values", "signatures", "found"),
    [
        ({"a": 0, "b": 0}, [], [ACCEPTED]),
        ({"a": 0, "b": 5}, [], [HELD]),
        ({"a": 0}, [], [HELD]),
        ({"a": 0, "b": float("nan")}, [], [HELD]),
        ({"a": 5, "b": 5}, [], [REFUSED]),
        ({"a": 0, "b": 5}, [approved("b")], [HELD, ACCEPTED]),
        ({"a": 0, "b": 5}, [approved("b"), approved("b")], [HELD, ACCEPTED]),
        ({"a": 0, "b": 5}, [signed("b")], [HELD, ACCEPTED]),
        ({"a": 0, "b": 5}, [approved("a")], [HELD]),
        ({"a": 0, "b": 5}, [approved("b", digest="d3")], [HELD]),
        ({"a": 0, "b": 5}, [approved("b", version="v1")], [HELD]),
        ({"a": 5, "b": 0}, [approved("a")], [REFUSED]),
        ({"a": 5, "b": 5}, [signed("a")], [REFUSED, HELD]),
        ({"a": 5, "b": 5}, [signed("a"), approved("b")], [REFUSED, HELD, ACCEPTED]),
        ({"a": 5, "b": 5}, [approved("b"), signed("a")], [REFUSED, ACCEPTED]),
    ],
)
def test_a_gate_that_asks_waits_for_its_own_approval(
    values: dict[str, float | None], signatures: list[Fact], found: list[str]
) -> None:
    state, decided = heard([trained(), measured(values), *signatures], asking=ASKS)
    assert outcomes(decided) == found
    assert state.waits is (found[-1:] == [HELD])
    for fact in decided:
        if isinstance(fact, CandidateHeld):
            assert (fact.gates, fact.digest) == (("b",), "d2")


def test_a_newer_candidate_ends_the_waiting() -> None:
    held = [trained("v1", digest="d1"), measured({"a": 0, "b": 5}, version="v1", digest="d1")]
    assert outcomes(heard([*held, trained("v2"), approved("b", version="v1", digest="d1")], asking=ASKS)[1]) == [HELD]


@pytest.mark.fault("A1")
@pytest.mark.parametrize("when", ["with its snapshot", "with its second model's"])
def test_a_candidate_of_a_flooded_snapshot_waits_for_a_person(when: str) -> None:
    stage = Validate(gates=GATES)
    alarm = SourceCapped(model="m", at=T0, version="v2", source="mallory", rows=900, kept=25, share=0.9, at_most=0.2)
    good = measured({"a": 0.0, "b": 0.0, "c": 0.0})
    heard_of = [alarm, trained()] if when == "with its snapshot" else [trained(), alarm]
    state = stage.initial()
    for fact in heard_of:
        state = stage.apply(state, fact)
    *judged, held = stage.decide(state, good)
    assert isinstance(held, CandidateHeld)
    assert held.gates == ("sources",)
    assert "mallory with 90%" in held.reason
    for each in judged:
        state = stage.apply(state, each)
    (accepted,) = stage.decide(stage.apply(state, signed := approval("sources")), signed)
    assert isinstance(accepted, CandidateAccepted)
    # The control: an alarm about another version's snapshot holds nobody.
    state = stage.apply(stage.apply(stage.initial(), alarm), trained("v3", digest="d3"))
    assert isinstance(
        stage.decide(state, measured({"a": 0.0, "b": 0.0}, version="v3", digest="d3"))[-1], CandidateAccepted
    )


def approval(gate: str) -> ApprovalSigned:
    return ApprovalSigned(
        model="m", at=T0, version="v2", digest="d2", gate=gate, by="ada", reason="known", signature="s"
    )
