"""Consent by policy, on record."""

from datetime import UTC, datetime

from anew.domain.facts import CandidateAccepted, RetrainApproved, RetrainRequested, RolloutApproved, Ticked
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
    (approved,) = stage.decide(stage.initial(), accepted)
    assert isinstance(approved, RolloutApproved)
    assert (approved.version, approved.champion, approved.digest, approved.by) == ("v2", "v1", "d2", "policy")


def test_nothing_else_is_decided() -> None:
    stage = Governance()
    assert stage.decide(stage.initial(), Ticked(model="m", at=T0, wall=T0)) == ()
