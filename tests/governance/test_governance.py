"""Consent by policy, on record."""

from datetime import UTC, datetime

import pytest

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateAccepted,
    CandidateHeld,
    ProjectChanged,
    RetrainApproved,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutRefused,
    Ticked,
    VersionPromoted,
)
from anew.domain.severity import Severity
from anew.governance import Governance

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def test_a_request_is_approved_in_the_policys_name() -> None:
    stage = Governance(by="policy")
    request = RetrainRequested(model="m", at=T0, reason="", triggers=(), severity=Severity.LOW)
    assert stage.decide(stage.apply(stage.initial(), request), request) == (
        RetrainApproved(model="m", at=T0, by="policy"),
    )


def test_a_rollout_is_approved_for_exactly_the_digest_that_was_accepted() -> None:
    stage = Governance()
    accepted = CandidateAccepted(model="m", at=T0, version="v2", champion="v1", digest="d2")
    (approved,) = stage.decide(stage.apply(stage.initial(), accepted), accepted)
    assert isinstance(approved, RolloutApproved)
    assert (approved.version, approved.champion, approved.digest, approved.by) == ("v2", "v1", "d2", "policy")


def test_nothing_else_is_decided() -> None:
    stage = Governance()
    assert stage.decide(stage.initial(), Ticked(model="m", at=T0, wall=T0)) == ()


def promoted(version: str) -> VersionPromoted:
    return VersionPromoted(model="m", at=T0, version=version, digest="d", previous="", evidence=(), reason="")


def changed(settings: str = "s", code: str = "c") -> ProjectChanged:
    return ProjectChanged(model="m", at=T0, settings=settings, code=code)


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        ([], ""),
        ([changed()], ""),
        ([changed(settings="other")], "anew.yaml has changed"),
        ([changed(code="other")], "the pipeline has changed"),
        ([promoted("v3")], "the champion was v1 and is v3 now"),
        ([RolledBack(model="m", at=T0, version="v1", to="v0", evidence=(), reason="")], "and is v0 now"),
    ],
)
def test_what_a_person_let_through_is_refused_when_anything_changed(meanwhile: list[Fact], said: str) -> None:
    stage = Governance()
    held = CandidateHeld(model="m", at=T0, version="v2", champion="v1", digest="d2", gates=("b",), reason="")
    state = stage.initial()
    for fact in (changed(), promoted("v1"), held, *meanwhile):
        state = stage.apply(state, fact)
    accepted = CandidateAccepted(model="m", at=T0, version="v2", champion="v1", digest="d2")
    (decided,) = stage.decide(stage.apply(state, accepted), accepted)
    if not said:
        assert isinstance(decided, RolloutApproved)
        return
    assert isinstance(decided, RolloutRefused)
    assert said in decided.reason
