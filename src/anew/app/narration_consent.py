"""Facts about people as sentences: who let whom do what, what waits for whom, what was reviewed and by whom."""

from collections import Counter
from functools import singledispatch

from anew.domain.fact import Fact
from anew.domain.facts import (
    AccessChanged,
    AccessGranted,
    AccessRevoked,
    ApprovalAsked,
    ApprovalCounted,
    ApprovalRefused,
    ApprovalSigned,
    CandidateHeld,
    FreezeBegan,
    FreezeEnded,
    LabellerWeighed,
    OverrideSigned,
    RejectionSigned,
    RetrainAdmitted,
    RetrainApproved,
    RetrainHeld,
    RetrainQueued,
    RetrainRefused,
    ReviewQueued,
    ReviewReopened,
    ReviewSettled,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
)

__all__ = ["narrate_consent"]


@singledispatch
def narrate_consent(fact: Fact) -> str:
    """Say in one line what `fact` records; its kind where it is about something else."""
    return fact.kind


@narrate_consent.register
def _(fact: AccessGranted) -> str:
    until = f", until {fact.expires:%Y-%m-%d %H:%M}" if fact.expires else ""
    return f"access for {fact.name} as {fact.role} given by {fact.by}{until} ({fact.token})"


@narrate_consent.register
def _(fact: AccessRevoked) -> str:
    return f"access of {fact.name} taken back by {fact.by} ({fact.token})"


@narrate_consent.register
def _(fact: AccessChanged) -> str:
    return f"access of {fact.name} changed by {fact.by}: {fact.change}"


@narrate_consent.register
def _(fact: ApprovalSigned) -> str:
    what = "the promotion" if fact.gate == "promotion" else f"gate {fact.gate}"
    return f"{what} of {fact.version} approved by {fact.by}: {fact.reason}"


@narrate_consent.register
def _(fact: OverrideSigned) -> str:
    return f"gate {fact.gate} of {fact.version} overridden by {fact.by}: {fact.reason}"


@narrate_consent.register
def _(fact: CandidateHeld) -> str:
    return f"{fact.version} waits for a person ({', '.join(fact.gates)}): {fact.reason}"


@narrate_consent.register
def _(fact: RolloutApproved) -> str:
    return f"rollout of {fact.version} approved by {fact.by}"


@narrate_consent.register
def _(fact: RolloutRefused) -> str:
    return f"rollout of {fact.version} refused: {fact.reason}"


@narrate_consent.register
def _(fact: RetrainApproved) -> str:
    return f"retrain approved by {fact.by}"


@narrate_consent.register
def _(fact: RetrainRefused) -> str:
    return f"retrain refused by {fact.by}: {fact.reason}"


@narrate_consent.register
def _(fact: RejectionSigned) -> str:
    return f"the promotion of {fact.version} rejected by {fact.by}: {fact.reason}"


@narrate_consent.register
def _(fact: FreezeBegan) -> str:
    return f"freeze {fact.window}: nothing is promoted until {fact.until:%Y-%m-%d %H:%M} UTC"


@narrate_consent.register
def _(fact: FreezeEnded) -> str:
    return f"the freeze {fact.window} has ended"


@narrate_consent.register
def _(fact: RetrainHeld) -> str:
    return f"retrain held by {fact.by} until {fact.until:%Y-%m-%d %H:%M} UTC: {fact.reason}"


@narrate_consent.register
def _(fact: RetrainQueued) -> str:
    return f"retrain waits for shared compute, {fact.place} of {fact.of}: {fact.detail}"


@narrate_consent.register
def _(fact: RetrainAdmitted) -> str:
    waited = f" after {fact.waited_s:.0f} s" if fact.waited_s >= 1 else ""
    return f"retrain has its turn at shared compute{waited}: {fact.detail}"


@narrate_consent.register
def _(fact: RolloutDelayed) -> str:
    return f"rollout of {fact.version} waits until {fact.until:%Y-%m-%d %H:%M} UTC: {fact.reason}"


@narrate_consent.register
def _(fact: ApprovalAsked) -> str:
    barred = f", but not by {', '.join(fact.barred)}" if fact.barred else ""
    persons = "1 person" if fact.needed == 1 else f"{fact.needed} persons"
    return (
        f"{fact.version} waits to be approved by {persons}{barred} ({', '.join(fact.why)}) until "
        f"{fact.expires:%Y-%m-%d %H:%M} UTC"
    )


@narrate_consent.register
def _(fact: ApprovalCounted) -> str:
    return f"approval of {fact.version} by {fact.by} counts: {fact.given} of {fact.needed}"


@narrate_consent.register
def _(fact: ApprovalRefused) -> str:
    return f"signature of {fact.by} for {fact.version} does not count: {fact.reason}"


@narrate_consent.register
def _(fact: ReviewQueued) -> str:
    counts = Counter(reason for _, reason, _ in fact.items)
    told = ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items()))
    return f"{len(fact.items)} answers since {fact.since:%Y-%m-%d %H:%M} are to be reviewed: {told}"


@narrate_consent.register
def _(fact: ReviewSettled) -> str:
    how = "" if fact.agreed else ", against another vote"
    return f"label of {fact.prediction} given by {', '.join(fact.by)}{how}"


@narrate_consent.register
def _(fact: ReviewReopened) -> str:
    why = f"{', '.join(fact.by)} is not believed" if fact.by else "who gave it took it back"
    return f"label of {fact.prediction} withdrawn, it is asked again: {why}"


@narrate_consent.register
def _(fact: LabellerWeighed) -> str:
    believed = "is believed" if fact.trusted else "is NOT believed any more"
    return f"{fact.labeller} {believed}: {fact.right} of {fact.asked} questions with a known answer right"
