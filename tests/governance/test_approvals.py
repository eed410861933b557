"""Persons consent by policy: the right ones, in time, to exactly what was asked, and outside of freezes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from anew.domain.errors import InvariantError
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalCounted,
    ApprovalRefused,
    ApprovalSigned,
    CandidateAccepted,
    FreezeBegan,
    GateJudged,
    OverrideSigned,
    ProjectChanged,
    RejectionSigned,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainRequested,
    RolledBack,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
    Ticked,
    TrainingPlanned,
    VersionPromoted,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from anew.governance import PROMOTION, Governance
from anew.governance.approvals import Approvals, Reason
from anew.governance.freeze import Once

T0 = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
FREEZE = Once(name="holidays", start=T0 + 2 * DAY, end=T0 + 4 * DAY)


def signed(version: str = "v2", digest: str = "d2", by: str = "bob", gate: str = PROMOTION) -> ApprovalSigned:
    return ApprovalSigned(
        model="m", at=T0, version=version, digest=digest, gate=gate, by=by, reason="ok", signature="s"
    )


def rejected(by: str = "bob") -> RejectionSigned:
    return RejectionSigned(
        model="m", at=T0, version="v2", digest="d2", gate=PROMOTION, by=by, reason="not on my watch", signature="s"
    )


def commanded(by: str) -> RetrainCommanded:
    return RetrainCommanded(model="m", at=T0, command="c", by=by, reason="try").caused_by("")


def requested(cause: Fact | None = None, severity: Severity = Severity.LOW) -> RetrainRequested:
    fact = RetrainRequested(model="m", at=T0, reason="", triggers=(), severity=severity)
    return fact.caused_by(cause.id if cause else "")


def planned(version: str) -> TrainingPlanned:
    span = Interval(start=T0 - DAY, end=T0)
    return TrainingPlanned(
        model="m", at=T0, version=version, champion="v1", span=span, holdout_share=0.1, seed=1, code="c", settings="s"
    )


def accepted(version: str = "v2") -> CandidateAccepted:
    return CandidateAccepted(model="m", at=T0, version=version, champion="v1", digest=version.replace("v", "d"))


def judged(verdict: Verdict, *, required: bool) -> GateJudged:
    return GateJudged(model="m", at=T0, version="v2", gate="g", verdict=verdict, required=required, reason="")


def changed(settings: str = "s", code: str = "c") -> ProjectChanged:
    return ProjectChanged(model="m", at=T0, settings=settings, code=code)


def promoted(version: str) -> VersionPromoted:
    return VersionPromoted(model="m", at=T0, version=version, digest="d", previous="", evidence=(), reason="")


@dataclass
class Told:
    """The stage, told one fact after the other; what it decides is told to it, too."""

    stage: Governance
    said: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.stage.initial()

    def hear(self, *facts: Fact) -> Sequence[Fact]:
        """Return all that is decided on them."""
        found: list[Fact] = []
        for fact in facts:
            self.state = self.stage.apply(self.state, fact)
            self.said.append(fact)
            for decision in self.stage.decide(self.state, fact):
                found += [decision, *self.hear(decision)]
        return found

    def tick(self, wall: datetime) -> Sequence[Fact]:
        """Tick, if one is due."""
        return self.hear(Ticked(model="m", at=T0, wall=wall)) if self.stage.due(self.state, wall) else []


def asked(approvals: Approvals | None = None, *before: Fact, **settings: object) -> Told:
    """Return a stage that waits for persons about v2."""
    told = Told(Governance(approvals=approvals or Approvals(promotion=1), **settings))  # type: ignore[arg-type]  # by name
    told.hear(changed(), promoted("v1"), *before, planned("v2"), accepted())
    (fact,) = told.tick(T0)
    assert isinstance(fact, ApprovalAsked)
    return told


def kinds(facts: Sequence[Fact]) -> list[str]:
    return [fact.kind for fact in facts]


@pytest.mark.fault("P15")
def test_a_candidate_waits_until_enough_persons_have_signed() -> None:
    told = asked(Approvals(promotion=2))
    assert told.tick(T0 + 6 * DAY) == []
    (counted,) = told.hear(signed(by="bob"))
    assert isinstance(counted, ApprovalCounted)
    assert (counted.given, counted.needed) == (1, 2)
    counted, approved = told.hear(signed(by="eve"))
    assert isinstance(approved, RolloutApproved)
    assert (approved.version, approved.digest, approved.champion, approved.by) == ("v2", "d2", "v1", "bob, eve")
    assert told.tick(T0 + 9 * DAY) == []


@pytest.mark.fault("P15")
@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (signed(by="ada"), "somebody else has to sign"),  # she asked for the retrain
        (signed(by="kim"), "somebody else has to sign"),  # he overrode a gate of it
        (signed(by="bob"), "counts once"),
        (signed(digest="d3"), "waits for no approval"),
        (signed(version="v3", digest="d3"), "waits for no approval"),
        (rejected(by="nobody"), "none of the approvers"),
        (signed(by="nobody"), "none of the approvers"),
    ],
)
def test_a_signature_that_does_not_count_is_refused_with_its_reason(signature: Fact, said: str) -> None:
    ask = commanded("ada")
    override = OverrideSigned(
        model="m", at=T0, version="v2", digest="d2", gate="g", by="kim", reason="r", signature="s"
    )
    told = Told(Governance(approvals=Approvals(promotion=2, approvers=("ada", "bob", "kim", "eve"))))
    told.hear(changed(), promoted("v1"), ask, requested(ask), planned("v2"), override, accepted())
    told.tick(T0)
    told.hear(signed(by="bob"))
    (refused,) = told.hear(signature)
    assert isinstance(refused, ApprovalRefused)
    assert said in refused.reason
    assert kinds(told.hear(signed(by="eve"))) == ["ApprovalCounted", "RolloutApproved"]


@pytest.mark.fault("P15")
def test_a_run_that_began_meanwhile_hides_nothing_of_a_candidate() -> None:
    """v2 waits at a gate while v3 is planned; who asked for v2 and who overrode its gate still count."""
    ask = commanded("ada")
    override = OverrideSigned(
        model="m", at=T0, version="v2", digest="d2", gate="g", by="ada", reason="r", signature="s"
    )
    told = Told(Governance(approvals=Approvals(promotion=1, overridden=3, high_severity=2)))
    told.hear(changed(), promoted("v1"), ask, requested(ask, Severity.HIGH), planned("v2"))
    told.hear(requested(), planned("v3"), override, accepted("v2"))
    (fact,) = told.tick(T0)
    assert isinstance(fact, ApprovalAsked)
    assert (fact.needed, fact.requester, fact.barred) == (3, "ada", ("ada",))


def test_of_a_candidate_that_is_forgotten_the_worst_is_believed() -> None:
    told = Told(Governance(approvals=Approvals(promotion=1, overridden=3, high_severity=2)))
    told.hear(changed(), promoted("v1"), planned("v2"), *(planned(f"v{n}") for n in range(3, 120)), accepted("v2"))
    (fact,) = told.tick(T0)
    assert isinstance(fact, ApprovalAsked)
    assert fact.needed == 3


@pytest.mark.fault("P15")
def test_control_without_four_eyes_who_asked_may_approve() -> None:
    ask = commanded("ada")
    told = asked(Approvals(promotion=1, four_eyes=False), ask, requested(ask))
    assert kinds(told.hear(signed(by="ada"))) == ["ApprovalCounted", "RolloutApproved"]


@pytest.mark.fault("P15")
def test_control_a_governance_that_forgets_who_signed_counts_one_person_twice() -> None:
    told = asked(Approvals(promotion=2))
    told.hear(signed(by="bob"))
    assert told.state.waiting is not None
    remembered, forgetful = told.state, replace(told.state, waiting=replace(told.state.waiting, signed=("eve",)))
    assert kinds(told.hear(signed(by="bob"))) == ["ApprovalRefused"]
    assert told.state == remembered
    told.state = forgetful
    assert kinds(told.hear(signed(by="bob"))) == ["ApprovalCounted", "RolloutApproved"]


@pytest.mark.fault("P15")
@pytest.mark.parametrize("late", [True, False])
def test_control_the_same_signature_counts_as_long_as_it_is_in_time(late: bool) -> None:
    told = asked(Approvals(promotion=1, expires=3 * DAY))
    told.tick(T0 + 3 * DAY - timedelta(seconds=0 if late else 1))
    assert kinds(told.hear(signed())) == (["ApprovalRefused"] if late else ["ApprovalCounted", "RolloutApproved"])


@pytest.mark.fault("P15")
def test_approvals_expire() -> None:
    told = asked(Approvals(promotion=1, expires=3 * DAY))
    assert told.tick(T0 + 3 * DAY - timedelta(seconds=1)) == []
    (refused,) = told.tick(T0 + 3 * DAY)
    assert isinstance(refused, RolloutRefused)
    assert "0 of 1 approvals came before 2026-01-08 00:00 UTC" in refused.reason
    (late,) = told.hear(signed())
    assert isinstance(late, ApprovalRefused)


@pytest.mark.fault("P15")
@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (changed(settings="other"), "anew.yaml has changed"),
        (changed(code="other"), "the pipeline has changed"),
        (promoted("v3"), "the champion was v1 and is v3 now"),
        (RolledBack(model="m", at=T0, version="v1", to="v0", evidence=(), reason=""), "is v0 now"),
        (rejected(), "bob said no: not on my watch"),
    ],
)
def test_what_has_changed_or_was_rejected_is_refused_at_once(meanwhile: Fact, said: str) -> None:
    told = asked(Approvals(promotion=2))
    told.hear(signed(by="eve"))
    (refused,) = told.hear(meanwhile)
    assert isinstance(refused, RolloutRefused)
    assert said in refused.reason
    assert refused.by == ("bob" if meanwhile.kind == "RejectionSigned" else Governance().by)
    assert kinds(told.hear(signed(by="bob"))) == ["ApprovalRefused"]
    assert told.hear(changed()) == []


def test_the_policy_says_how_many() -> None:
    approvals = Approvals(high_severity=2, sensitive_data=1, advisory=3, overridden=1)
    assert approvals.needed(Reason()) == (0, ())
    assert approvals.needed(Reason(high_severity=True, advisory=True)) == (3, ("high_severity", "advisory"))
    for severity, persons in ((Severity.MEDIUM, 0), (Severity.HIGH, 2), (Severity.CRITICAL, 2)):
        told = Told(Governance(approvals=approvals))
        decided = [*told.hear(requested(severity=severity), planned("v2"), accepted()), *told.tick(T0)]
        assert [each.needed for each in decided if isinstance(each, ApprovalAsked)] == [persons] * bool(persons)
    for sensitive, verdict, required, persons in (
        (True, Verdict.PASS, False, 1),
        (False, Verdict.PASS, False, 0),
        (False, Verdict.FAIL, True, 0),
        (False, Verdict.INCONCLUSIVE, False, 3),
    ):
        told = Told(Governance(approvals=approvals, sensitive=sensitive))
        told.hear(planned("v2"), judged(verdict, required=required), accepted())
        told.tick(T0)
        waiting = told.state.waiting
        assert (waiting.asked.needed if waiting and waiting.asked else 0) == persons


def test_numbers_that_nobody_can_fulfil_are_refused() -> None:
    with pytest.raises(InvariantError, match="2 have to sign, and only 1 may"):
        Approvals(promotion=2, approvers=("ada",))
    with pytest.raises(InvariantError, match="can never be given"):
        Approvals(promotion=1, expires=timedelta(0))


def test_a_later_candidate_takes_the_place_of_one_that_waits() -> None:
    told = asked()
    (refused,) = told.hear(planned("v3"), accepted("v3"))
    assert isinstance(refused, RolloutRefused)
    assert (refused.version, refused.reason) == ("v2", "v3 was accepted while this one was waiting")
    assert kinds(told.tick(T0)) == ["ApprovalAsked"]
    assert kinds(told.hear(signed())) == ["ApprovalRefused"]
    assert kinds(told.hear(signed("v3", "d3"))) == ["ApprovalCounted", "RolloutApproved"]


def test_a_freeze_delays_what_is_accepted_and_says_why() -> None:
    told = Told(Governance(freezes=(FREEZE,)))
    assert kinds(told.tick(FREEZE.start)) == ["FreezeBegan"]
    assert told.hear(planned("v2"), accepted()) == []
    (delayed,) = told.tick(FREEZE.start + timedelta(minutes=1))
    assert isinstance(delayed, RolloutDelayed)
    assert delayed.reason == "freeze holidays, until 2026-01-09 00:00 UTC"
    assert told.tick(FREEZE.end - timedelta(seconds=1)) == []
    assert kinds(told.tick(FREEZE.end)) == ["FreezeEnded", "RolloutApproved"]
    assert told.tick(FREEZE.end + DAY) == []


def test_outside_of_freezes_consent_waits_for_the_clock_alone() -> None:
    told = Told(Governance(freezes=(FREEZE,)))
    assert told.hear(planned("v2"), accepted()) == []
    assert kinds(told.tick(T0)) == ["RolloutApproved"]


def test_persons_may_sign_in_a_freeze_and_the_rollout_begins_after_it() -> None:
    told = Told(Governance(approvals=Approvals(promotion=1, expires=DAY), freezes=(FREEZE,)))
    told.hear(planned("v2"), accepted())
    assert kinds(told.tick(FREEZE.start)) == ["FreezeBegan", "ApprovalAsked"]
    assert kinds(told.hear(signed())) == ["ApprovalCounted", "RolloutDelayed"]
    assert kinds(told.hear(signed(by="eve"))) == ["ApprovalRefused"]
    assert kinds(told.tick(FREEZE.end)) == ["FreezeEnded", "RolloutApproved"]  # long after they would have expired


def test_retrains_wait_where_the_policy_says_so() -> None:
    for holds in (False, True):
        told = Told(Governance(freezes=(FREEZE,), holds_retrains=holds))
        told.tick(FREEZE.start)
        request = replace(requested(), corrected=True)
        (answer,) = told.hear(request)
        assert isinstance(answer, RetrainHeld if holds else RetrainApproved)
        decided = told.tick(FREEZE.end)
        assert kinds(decided) == ["FreezeEnded", *["RetrainApproved"] * holds]
        if holds:
            approved = decided[-1]
            assert isinstance(approved, RetrainApproved)
            assert (approved.corrected, approved.request) == (True, request.id)


@pytest.mark.fault("P15")
def test_nothing_goes_to_traffic_without_the_consent_that_the_policy_asks() -> None:
    """Random stories; each approval is checked by counting signatures on record, as an auditor would."""
    approved = refused = 0
    for seed in range(300):
        chance = Random(seed)
        approvals = Approvals(promotion=chance.choice((1, 2)), expires=chance.choice((DAY, 5 * DAY)))
        told = Told(Governance(approvals=approvals, freezes=(FREEZE,) * chance.randrange(2)))
        _tell(told, chance)
        _audited(told.said, approvals)
        approved += any(isinstance(fact, RolloutApproved) for fact in told.said)
        refused += any(isinstance(fact, RolloutRefused) for fact in told.said)
    assert min(approved, refused) > 100


def _tell(told: Told, chance: Random) -> None:
    told.hear(changed(), promoted("v1"))
    wall, number = T0, 1
    for _ in range(60):
        wall += chance.choice((timedelta(0), timedelta(hours=5), DAY))
        told.tick(wall)
        match chance.randrange(9):
            case 0:
                number += 1
                told.hear(ask := commanded(chance.choice("ab")), requested(ask), planned(f"v{number}"))
            case 1 if number > 1:
                told.hear(accepted(f"v{number}"))
                told.tick(wall)
            case 2 if chance.random() < 0.3:
                told.hear(changed(settings=chance.choice("st")))
            case 3 if chance.random() < 0.2:
                told.hear(promoted(f"v{number - 1}"))
            case _:
                digest = f"d{number}" if chance.random() < 0.9 else "another"
                told.hear(replace(signed(f"v{number}", digest, chance.choice("abcd")), at=wall))


def _audited(record: Sequence[Fact], approvals: Approvals) -> None:
    frozen, requester, ground = False, "", ("", "")
    base: dict[str, tuple[int, str, tuple[str, str]]] = {}
    asked_at: dict[str, datetime] = {}
    wall = T0
    for i, fact in enumerate(record):
        match fact:
            case Ticked():
                wall = fact.wall
                frozen = FREEZE.start <= wall < FREEZE.end and any(isinstance(each, FreezeBegan) for each in record)
            case RetrainCommanded():
                requester = fact.by
            case VersionPromoted():
                ground = (fact.version, ground[1])
            case ProjectChanged():
                ground = (ground[0], fact.settings)
            case CandidateAccepted():
                base[fact.version] = (i, requester, ground)
            case ApprovalAsked():
                asked_at[fact.version] = wall
            case RolloutApproved():
                begun, barred, was = base[fact.version]
                until = asked_at.get(fact.version, T0) + approvals.expires
                there = {
                    each.by
                    for each in record[begun:i]
                    if isinstance(each, ApprovalSigned)
                    and (each.version, each.digest) == (fact.version, fact.digest)
                    and each.at < until
                }
                assert len(there - {barred}) >= approvals.promotion
                assert not frozen
                assert was == ground


@pytest.mark.fault("P15")
def test_control_the_audit_of_stories_finds_consent_that_was_not_given() -> None:
    approved = RolloutApproved(model="m", at=T0, version="v2", champion="v1", digest="d2", by="policy")
    story = [changed(), promoted("v1"), commanded("a"), accepted(), signed(by="a"), approved]
    with pytest.raises(AssertionError):
        _audited(story, Approvals(promotion=1))
    _audited([*story[:-1], signed(by="b"), approved], Approvals(promotion=1))
