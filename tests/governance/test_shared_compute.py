"""Where compute is shared, a request to retrain waits for its turn; alone again, it waits for nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest

from anew.domain.facts import RetrainAdmitted, RetrainApproved, RetrainHeld, RetrainQueued, RetrainRequested, Ticked
from anew.governance import Governance
from tests.governance.test_approvals import FREEZE, T0, Told, kinds, promoted, requested


def admitted(request: RetrainRequested, after: timedelta = timedelta(0)) -> RetrainAdmitted:
    return RetrainAdmitted(
        model="m", at=T0, wall=T0 + after, request=request.id, reason="due", detail="", expected_s=1.0, waited_s=2.0
    ).caused_by(request.id)


def queued(request: RetrainRequested) -> RetrainQueued:
    return RetrainQueued(
        model="m", at=T0, wall=T0, request=request.id, reason="turn", detail="", due=T0, place=1, of=2
    ).caused_by(request.id)


def test_consent_is_given_with_the_turn_to_all_that_was_asked_for() -> None:
    told, request = Told(Governance(shares=True)), replace(requested(), corrected=True, revive="v1")
    assert told.hear(request, queued(request)) == []
    assert told.tick(T0 + timedelta(days=9)) == []
    assert told.state.queued is not None
    (approved,) = told.hear(admitted(request))
    assert isinstance(approved, RetrainApproved)
    assert (approved.request, approved.corrected, approved.revive) == (request.id, True, "v1")
    assert told.state.queued is None


def test_a_turn_that_is_not_of_the_request_that_waits_gives_no_consent() -> None:
    told, request = Told(Governance(shares=True)), requested()
    told.hear(request)
    assert told.hear(replace(admitted(request), request="another")) == []
    told.hear(admitted(request))
    assert told.hear(admitted(request, timedelta(hours=1))) == []


def test_a_request_that_waited_when_sharing_ended_goes_on_at_the_next_tick() -> None:
    shared, request = Told(Governance(shares=True)), requested()
    shared.hear(request, queued(request))
    alone = Told(Governance())
    alone.state = shared.state
    assert kinds(alone.tick(T0)) == ["RetrainApproved"]
    assert alone.tick(T0) == []


def test_a_freeze_holds_what_has_its_turn_and_another_turn_lets_it_go() -> None:
    told, request = Told(Governance(shares=True, freezes=(FREEZE,), holds_retrains=True)), requested()
    told.tick(FREEZE.start)
    told.hear(request)
    (held,) = told.hear(admitted(request))
    assert isinstance(held, RetrainHeld)
    assert kinds(told.tick(FREEZE.end)) == ["FreezeEnded"]
    assert kinds(told.hear(admitted(request, timedelta(hours=1)))) == ["RetrainApproved"]


def test_what_a_freeze_held_while_compute_was_shared_goes_on_alone_after_it() -> None:
    shared, request = Told(Governance(shares=True, freezes=(FREEZE,), holds_retrains=True)), requested()
    shared.tick(FREEZE.start)
    shared.hear(request, admitted(request))
    alone = Told(Governance(freezes=(FREEZE,), holds_retrains=True))
    alone.state = shared.state
    assert alone.tick(FREEZE.start + timedelta(hours=1)) == []
    assert kinds(alone.tick(FREEZE.end)) == ["FreezeEnded", "RetrainApproved"]
    late = Told(Governance(shares=True, freezes=(FREEZE,), holds_retrains=True))
    late.state = shared.state
    late.tick(FREEZE.end)
    alone = Told(Governance(freezes=(FREEZE,), holds_retrains=True))
    alone.state = late.state
    assert kinds(alone.tick(FREEZE.end)) == ["RetrainApproved"]


@pytest.mark.parametrize("champion", [False, True])
def test_a_first_run_is_consented_to_as_of_its_request_and_a_later_one_as_of_its_turn(champion: bool) -> None:
    """A first one is of a history that may end long ago; what came while a later one waited is learned from."""
    told, request, later = Told(Governance(shares=True)), requested(), T0 + timedelta(days=300)
    told.hear(*([promoted("v1")] if champion else []), request)
    (approved,) = told.hear(replace(admitted(request), at=later))
    assert approved.at == (later if champion else request.at)


@pytest.mark.parametrize("shares", [False, True])
def test_a_first_run_that_a_freeze_held_is_consented_to_as_of_its_request(shares: bool) -> None:
    told, request = Told(Governance(shares=shares, freezes=(FREEZE,), holds_retrains=True)), requested()
    told.tick(FREEZE.start)
    told.hear(request, *([admitted(request)] if shares else []))
    assert told.state.held is not None
    later = told.hear(Ticked(model="m", at=FREEZE.end, wall=FREEZE.end))
    if shares:
        later = told.hear(replace(admitted(request, timedelta(hours=1)), at=FREEZE.end))
    assert (later[-1].kind, later[-1].at) == ("RetrainApproved", request.at)
