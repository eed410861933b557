"""Where versions stand, after every fact that moves them."""

from datetime import UTC, datetime

import pytest

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateRefused,
    CandidateTrained,
    QuarantineReleased,
    RolledBack,
    RolloutStarted,
    Stage,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.registry import ALIASES, Registry, RegistryState, Standing

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def planned(version: str) -> Fact:
    return TrainingPlanned(
        model="m",
        at=T0,
        version=version,
        champion="",
        span=Interval(start=T0, end=T0),
        holdout_share=0.1,
        seed=1,
        code="",
        settings="",
    )


def trained(version: str) -> Fact:
    return CandidateTrained(
        model="m", at=T0, version=version, champion="", digest=f"d-{version}", snapshot="", rows=1, compute_s=1.0
    )


def started(version: str) -> Fact:
    return RolloutStarted(model="m", at=T0, version=version, digest=f"d-{version}", champion="")


def promoted(version: str, previous: str = "") -> Fact:
    return VersionPromoted(
        model="m", at=T0, version=version, digest=f"d-{version}", previous=previous, evidence=(), reason=""
    )


def back(version: str, to: str) -> Fact:
    return RolledBack(model="m", at=T0, version=version, to=to, evidence=(), reason="harm")


def shifted(champion: str, fallback: str = "") -> Fact:
    pairs = [(each, f"d-{each}" if each else "") for each in (champion, fallback)]
    return TrafficShifted(
        model="m", at=T0, epoch=1, stage=Stage.STEADY, share=0.0, champion=pairs[0], fallback=pairs[1]
    )


def archived(version: str) -> Fact:
    return VersionArchived(
        model="m", at=T0, command=f"a-{version}", version=version, digest=f"d-{version}", by="ada", reason="room"
    )


def released(version: str) -> Fact:
    return QuarantineReleased(model="m", at=T0, command="c", version=version, by="ada", reason="fine")


def refused(version: str) -> Fact:
    return CandidateRefused(model="m", at=T0, version=version, verdict=Verdict.FAIL, gates=(), reason="bad")


def ended(version: str, outcome: str) -> Fact:
    return TrainingEnded(model="m", at=T0, version=version, outcome=outcome, detail="oom", compute_s=0.0)


V1 = [planned("v1"), trained("v1"), started("v1"), promoted("v1")]
V2 = [planned("v2"), trained("v2"), started("v2")]
V3 = [planned("v3"), trained("v3"), started("v3")]


def folded(facts: list[Fact]) -> RegistryState:
    state = Registry().initial()
    for fact in facts:
        state = Registry().apply(state, fact)
        assert Registry().decide(state, fact) == ()
    return state


@pytest.mark.parametrize(
    ("facts", "standings"),
    [
        ([planned("v1")], {"v1": "training"}),
        ([planned("v1"), ended("v1", "failed")], {"v1": "failed"}),
        ([planned("v1"), trained("v1")], {"v1": "candidate"}),
        ([planned("v1"), trained("v1"), refused("v1"), ended("v1", "refused")], {"v1": "refused"}),
        (V1, {"v1": "champion"}),
        ([*V1, *V2], {"v1": "champion", "v2": "challenger"}),
        ([*V1, *V2, promoted("v2", "v1")], {"v1": "retired", "v2": "champion"}),
        ([*V1, *V2, back("v2", "v1")], {"v1": "champion", "v2": "quarantined"}),
        ([*V1, *V2, promoted("v2", "v1"), back("v2", "v1")], {"v1": "champion", "v2": "quarantined"}),
        ([*V1, *V2, back("v2", "v1"), released("v2")], {"v1": "champion", "v2": "retired"}),
        ([*V1, released("v1")], {"v1": "champion"}),
        ([*V1, *V2, released("v2")], {"v1": "champion", "v2": "challenger"}),
        ([*V1, released("v9")], {"v1": "champion"}),
        ([*V1, *V2, promoted("v2", "v1"), archived("v1")], {"v1": "archived", "v2": "champion"}),
        ([*V1, *V2, back("v2", "v1"), archived("v2"), released("v2")], {"v1": "champion", "v2": "archived"}),
        ([*V1, *V2, archived("v1"), archived("v2"), archived("v9")], {"v1": "champion", "v2": "challenger"}),
    ],
)
def test_standings(facts: list[Fact], standings: dict[str, str]) -> None:
    state = folded(facts)
    assert {name: str(record.standing) for name, record in state.versions.items()} == standings


def test_a_version_keeps_its_digest_through_every_standing() -> None:
    state = folded([*V1, *V2, back("v2", "v1"), released("v2")])
    assert {name: record.digest for name, record in state.versions.items()} == {"v1": "d-v1", "v2": "d-v2"}


def test_what_was_archived_says_what_it_was_before_and_is_not_asked_as_one_that_served() -> None:
    state = folded([*V1, *V2, promoted("v2", "v1"), archived("v1"), archived("v1")])
    assert state.versions["v1"].reason == "retired before; archived by ada: room"
    assert state.versions["v1"].digest == "d-v1"
    assert state.served == ("v2",)


def test_champion_and_challenger_are_found() -> None:
    state = folded([*V1, *V2])
    assert state.champion is not None
    assert state.challenger is not None
    assert (state.champion.version, state.challenger.version) == ("v1", "v2")
    assert folded([]).champion is None
    assert [record.version for record in state.standing(Standing.RETIRED)] == []


def aliases(facts: list[Fact]) -> tuple[str, ...]:
    state = folded(facts)
    return tuple(record.version if (record := state.named(alias)) else "" for alias in ALIASES)


def test_aliases_follow_a_rollout_a_promotion_and_a_rollback() -> None:
    assert aliases([]) == ("", "", "")
    assert aliases([*V1]) == ("v1", "", "")
    assert aliases([*V1, *V2]) == ("v1", "v2", "")
    promotion = [*V1, *V2, promoted("v2", "v1"), shifted("v2", "v1")]
    assert aliases(promotion) == ("v2", "", "v1")
    assert aliases([*promotion, back("v2", "v1"), shifted("v1")]) == ("v1", "", ""), "nobody to go back to"
    kept = aliases([*promotion, *V3, promoted("v3", "v2"), shifted("v3", "v2"), back("v3", "v2"), shifted("v2", "v1")])
    assert kept == ("v2", "", "v1"), "the gateways never left v2, nor its fallback"
    assert aliases([*V1, *V2, back("v2", ""), shifted("v1")]) == ("v1", "", ""), "a challenger is no way back"
    assert folded([*V1]).named("best") is None
