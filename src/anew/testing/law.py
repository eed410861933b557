"""The laws of the loop, as checks of a record: each yields a sentence for every place where it is broken.

They read facts alone, so they hold for a record whoever made it: simulated, replayed, or left behind by a killed
process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    GuardrailTripped,
    Order,
    OverrideSigned,
    QuarantineReleased,
    RetrainCommanded,
    RetrainRefused,
    RetrainRequested,
    RolledBack,
    RolloutObserved,
    RolloutStalled,
    RolloutStarted,
    RolloutSuperseded,
    SnapshotTaken,
    SpanFitted,
    Stage,
    TrafficOrdered,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.verdict import Verdict
from anew.lineage import causes, history_of, index
from anew.registry import Registry, Standing
from anew.rollout import Outcome, Probation, Rollout, RolloutState
from anew.testing.small_stages import SmallSettings

__all__ = [
    "LAWS",
    "Law",
    "Transactions",
    "cooldown_and_budget_are_kept",
    "effects_end",
    "harm_goes_back",
    "ids_are_unique",
    "nothing_passes_unmeasured",
    "one_champion_one_challenger",
    "orders_are_obeyed",
    "promotions_are_explained",
    "requests_are_answered",
    "rolled_back_stays_back",
    "routing_agrees_with_registry",
    "runs_are_charged",
    "superseded_after_stalling",
    "traffic_is_proved",
]

Transactions = Sequence[Sequence[Fact]]
Law = Callable[[Transactions, SmallSettings], Iterator[str]]


def ids_are_unique(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """No id comes twice, every cause comes before what it led to, and every id follows from its cause."""
    seen: set[str] = set()
    for fact in _all(record):
        if fact.id in seen:
            yield f"{fact.kind} {fact.id} is on record twice"
        if fact.cause and fact.cause not in seen:
            yield f"{fact.kind} {fact.id} was caused by {fact.cause}, which is not on record before it"
        if fact.caused_by(fact.cause).id != fact.id:
            yield f"the id of {fact.kind} {fact.id} does not follow from its cause"
        seen.add(fact.id)


def traffic_is_proved(record: Transactions, settings: SmallSettings) -> Iterator[str]:
    """No version answers unless each required gate passed, or was overridden by a signed fact, for its digest."""
    trained: dict[str, CandidateTrained] = {}
    judged: dict[tuple[str, str], Verdict] = {}
    overridden: set[tuple[str, str, str]] = set()
    for fact in _all(record):
        match fact:
            case CandidateTrained():
                trained[fact.version] = fact
            case GateJudged():
                judged[fact.version, fact.gate] = fact.verdict
            case OverrideSigned() if fact.signature and fact.by:
                overridden.add((fact.version, fact.digest, fact.gate))
        for version, digest in _answering(fact):
            candidate = trained.get(version)
            if candidate is None or candidate.digest != digest:
                yield f"{fact.kind} {fact.id} has {version} with digest {digest}, which was not trained so"
                continue
            for key, (gate, required) in settings.gates.items():
                if not required or (gate.needs_champion and not candidate.champion):
                    continue
                passed = judged.get((version, key)) is Verdict.PASS
                if not passed and (version, digest, key) not in overridden:
                    yield f"{fact.kind} {fact.id} lets {version} answer; gate {key} did not pass, nor was it overridden"


def nothing_passes_unmeasured(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """A gate passes on finite evidence of enough rows alone; nothing measured, NaN and problems never pass."""
    for fact in _all(record):
        if isinstance(fact, GateJudged) and fact.verdict is Verdict.PASS:
            if not fact.evidence:
                yield f"gate {fact.gate} passed {fact.version} on no evidence"
            for each in fact.evidence:
                if not each.measured or each.n < 50:
                    yield f"gate {fact.gate} passed {fact.version} on {each}"


def harm_goes_back(record: Transactions, settings: SmallSettings) -> Iterator[str]:
    """What shows a version harmful takes it off traffic in the same transaction; and gross harm is always seen."""
    stage = Rollout(shadow=settings.shadow, canary=settings.canary)
    state = stage.initial()
    for transaction in record:
        first, heard = transaction[0], stage.apply(state, transaction[0])
        for fact in transaction:
            state = stage.apply(state, fact)
        version = _found_harmful(first, heard, settings)
        if not version:
            continue
        back = any(isinstance(each, RolledBack) and each.version == version for each in transaction)
        shifts = [each for each in transaction if isinstance(each, TrafficShifted)]
        if not back or not shifts or version in _answered_by(shifts[-1]):
            yield f"{first.kind} {first.id} shows {version} harmful, and it was not rolled back"


def rolled_back_stays_back(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """A version that was rolled back gets no traffic before a person releases it, nor do its bytes by another name."""
    back: dict[str, str] = {}
    digests: dict[str, str] = {}
    started: set[str] = set()
    for fact in _all(record):
        match fact:
            case CandidateTrained():
                digests[fact.version] = fact.digest
            case RolloutStarted():
                started.add(fact.version)
            case RolledBack():
                back[fact.version] = digests.get(fact.version, "") if fact.version in started else ""
            case QuarantineReleased():
                back.pop(fact.version, None)
            case TrafficShifted():
                for version, digest in fact.named:
                    if version in back or (digest and digest in back.values()):
                        yield f"epoch {fact.epoch} routes to {version} ({digest}), which was rolled back"


def cooldown_and_budget_are_kept(record: Transactions, settings: SmallSettings) -> Iterator[str]:
    """Between requests lies the cooldown, and no period holds more than the budget; commands count, but are free."""
    asked: list[datetime] = []
    for fact in _all(record):
        if not isinstance(fact, RetrainRequested):
            continue
        if fact.triggers != ("command",):
            if any(fact.at - each < settings.cooldown for each in asked):
                yield f"a retrain was requested at {fact.at}, within the cooldown after {max(asked)}"
            if sum(1 for each in asked if fact.at - each < settings.budget.period) >= settings.budget.retrains:
                yield f"the retrain requested at {fact.at} is over the budget"
        asked.append(fact.at)


def one_champion_one_challenger(record: Transactions, settings: SmallSettings) -> Iterator[str]:
    """At any instant a model has at most one champion and one challenger, or as many as a trial has arms."""
    registry = Registry()
    state = registry.initial()
    for fact in _all(record):
        state = registry.apply(state, fact)
        for standing, most in ((Standing.CHAMPION, 1), (Standing.CHALLENGER, max(1, len(settings.arms)))):
            names = [each.version for each in state.standing(standing)]
            if len(names) > most:
                yield f"after {fact.kind} {fact.id} there are {len(names)} with the standing {standing}: {names}"


def routing_agrees_with_registry(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """Epochs grow by one or by an order, and after each transaction the routing says what the registry says."""
    registry = Registry()
    state, epoch, routing = registry.initial(), 0, None
    for transaction in record:
        for fact in transaction:
            state = registry.apply(state, fact)
            if isinstance(fact, TrafficOrdered):
                epoch = fact.epoch
            if isinstance(fact, TrafficShifted):
                if fact.epoch != epoch + 1:
                    yield f"epoch {fact.epoch} follows epoch {epoch}"
                epoch, routing = fact.epoch, fact
        routed = _answered_by(routing) if routing else set()
        stands = {each.version for kind in (Standing.CHAMPION, Standing.CHALLENGER) for each in state.standing(kind)}
        if routed != stands:
            yield f"after {transaction[0].kind} {transaction[0].id} traffic goes to {routed}, but {stands} stand there"


def orders_are_obeyed(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """An order outranks all before it; whom it took off traffic is off, and who is held takes no step."""
    epoch, held = 0, None
    for fact in _all(record):
        match fact:
            case TrafficOrdered():
                if fact.epoch <= epoch:
                    yield f"the order {fact.id} has epoch {fact.epoch}, and {epoch} was published before it"
                held = fact if fact.action is Order.HOLD else None
            case TrafficShifted():
                epoch = fact.epoch
                if held is not None and fact.challenger == held.challenger and fact.share > held.share:
                    yield f"epoch {epoch} takes a step with {fact.challenger[0]}, which {held.id} holds"
                if held is not None and fact.challenger != held.challenger:
                    held = None
            case VersionPromoted() if held is not None and fact.version == held.version:
                yield f"{fact.version} was promoted while {held.id} holds it"
    for transaction in record:
        order = transaction[0]
        if isinstance(order, TrafficOrdered) and order.action in (Order.ABORT, Order.ROLLBACK):
            last = [each for each in transaction if isinstance(each, TrafficShifted)][-1:]
            if not last or order.version in _answered_by(last[0]):
                yield f"the order {order.id} takes {order.version} off traffic, and the loop puts it back"
        if isinstance(order, TrafficOrdered) and order.action is Order.HOLD:
            last = [each for each in transaction if isinstance(each, TrafficShifted)][-1:]
            if not last or last[0].champion in {arm.pair for arm in order.challengers}:
                yield f"the order {order.id} holds {order.version}, and the loop has it serve everybody"


def superseded_after_stalling(record: Transactions, settings: SmallSettings) -> Iterator[str]:
    """A challenger gives way only if it took no step for the patience, twice as long after each that gave way.

    Or to another arm of its trial, which wins.
    """
    stepped: dict[str, datetime] = {}
    steps: dict[str, tuple[Stage, float]] = {}
    stalled: set[str] = set()
    passed = 0
    for fact in _all(record):
        match fact:
            case RolloutStarted():
                stepped[fact.version] = fact.at
                steps.pop(fact.version, None)
                stalled.discard(fact.version)
            case TrafficShifted():
                for arm in fact.challengers:
                    if steps.get(arm.version) != (fact.stage, arm.share):
                        stepped[arm.version], steps[arm.version] = fact.at, (fact.stage, arm.share)
                        stalled.discard(arm.version)
                stepped = {arm.version: stepped[arm.version] for arm in fact.challengers}
            case RolloutStalled():
                stalled.add(fact.version)
                since = stepped.get(fact.version)
                if since is None or fact.at - since <= settings.patience * 2**passed:
                    yield f"{fact.version} is said to stall at {fact.at}, and took a step at {since}"
            case RolloutSuperseded() if fact.version in stepped and fact.by not in stepped:
                stepped.pop(fact.version, None)
                passed += not stepped
                if fact.version not in stalled:
                    yield f"{fact.version} gave way to {fact.by}, and was not stalling"
            case VersionPromoted() | RolledBack():
                passed = 0


def promotions_are_explained(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """Each promotion leads back, cause by cause, to the window or the command that began it."""
    facts = index(_all(record))
    plans = {fact.version: fact for fact in facts.values() if isinstance(fact, TrainingPlanned)}
    for fact in facts.values():
        if not isinstance(fact, VersionPromoted):
            continue
        if fact.version not in plans:
            yield f"{fact.version} was promoted, and never planned"
            continue
        root = causes(facts, plans[fact.version])[-1]
        if not isinstance(root, WindowClosed | WindowScored | RetrainCommanded):
            yield f"{fact.version} was promoted, and its plan leads back to {root.kind}"
        history = history_of(facts, fact.version)
        if history[0] is not root or fact not in history:
            yield f"the history of {fact.version} does not go from {root.kind} to its promotion"


def effects_end(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """Every effect that was asked for has ended, once."""
    open_: dict[str, str] = {}
    for fact in _all(record):
        if fact.ends and open_.pop(fact.cause, None) is None:
            yield f"{fact.kind} {fact.id} ends an effect that nobody waits for"
        if fact.asks:
            open_[fact.id] = fact.asks
    for id, effect in open_.items():
        yield f"the effect {effect} asked for by {id} never ended"


def runs_are_charged(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """A run that ends is charged with all that its effects took, those that came to nothing too."""
    spent: dict[str, float] = {}
    for fact in _all(record):
        match fact:
            case SnapshotTaken() | CandidateTrained() | SpanFitted() | CandidateMeasured() | EffectFailed():
                spent[fact.version] = spent.get(fact.version, 0.0) + fact.compute_s
            case TrainingEnded() if abs(fact.compute_s - spent.get(fact.version, 0.0)) > 1e-9:
                took = spent.get(fact.version, 0.0)
                yield f"{fact.version} ended and is charged {fact.compute_s} s; its effects took {took} s"


def requests_are_answered(record: Transactions, settings: SmallSettings) -> Iterator[str]:  # noqa: ARG001  as every law
    """Every request to retrain is refused, or ends in exactly one end of a training."""
    facts = index(_all(record))
    ends: dict[str, int] = {id: 0 for id, fact in facts.items() if isinstance(fact, RetrainRequested)}
    plans = {fact.version: fact for fact in facts.values() if isinstance(fact, TrainingPlanned)}
    for fact in facts.values():
        if not isinstance(fact, TrainingEnded | RetrainRefused):
            continue
        begun = plans.get(fact.version, fact) if isinstance(fact, TrainingEnded) else fact
        for each in causes(facts, begun):
            if each.id in ends:
                ends[each.id] += 1
    for id, count in ends.items():
        if count != 1:
            yield f"the request {id} to retrain came to {count} ends"


LAWS: Mapping[str, Law] = MappingProxyType(
    {
        law.__name__: law
        for law in (
            ids_are_unique,
            traffic_is_proved,
            nothing_passes_unmeasured,
            harm_goes_back,
            rolled_back_stays_back,
            cooldown_and_budget_are_kept,
            one_champion_one_challenger,
            routing_agrees_with_registry,
            orders_are_obeyed,
            superseded_after_stalling,
            promotions_are_explained,
            effects_end,
            requests_are_answered,
            runs_are_charged,
        )
    }
)
"""Every law that can be read off a record that has been settled, by name."""


def _all(record: Transactions) -> Iterator[Fact]:
    return (fact for transaction in record for fact in transaction)


def _answering(fact: Fact) -> Iterator[tuple[str, str]]:
    """Yield the versions that `fact` lets answer callers, with their digests."""
    if isinstance(fact, VersionPromoted):
        yield fact.version, fact.digest
    elif isinstance(fact, TrafficShifted):
        if fact.champion[0]:
            yield fact.champion
        for arm in fact.challengers:
            if arm.share > 0:
                yield arm.pair


def _answered_by(routing: TrafficShifted) -> set[str]:
    """Return the versions that are answering, or are asked beside."""
    return {routing.champion[0], *(arm.version for arm in routing.challengers)} - {""}


def _found_harmful(fact: Fact, heard: RolloutState, settings: SmallSettings) -> str:
    """Return the version that `fact` shows to be harmful and that can be gone back from, empty for none."""
    probation = heard.arm(getattr(fact, "version", ""))
    if isinstance(fact, GuardrailTripped):
        on_probation = probation is not None
        just_promoted = not heard.arms and heard.champion[0] == fact.version and bool(heard.fallback[0])
        return fact.version if on_probation or just_promoted else ""
    if not isinstance(fact, RolloutObserved) or probation is None:
        return ""
    judges = {Stage.SHADOW: settings.shadow, Stage.AB: settings.ab}
    judge = judges.get(probation.stage, settings.canary)
    found = judge.rule(probation).outcome is Outcome.HARM
    return fact.version if found or _grossly_harmful(probation) else ""


def _grossly_harmful(probation: Probation) -> bool:
    """Is the harm so plain that no judge is needed to see it?"""
    paired, ours, theirs = probation.paired_down, probation.challenger_loss, probation.champion_loss
    if probation.stage is Stage.SHADOW:
        return paired is not None and paired.n >= 300 and (paired.mean or 0.0) < -0.3
    if ours is None or theirs is None:
        return False
    return min(ours.n, theirs.n) >= 300 and (ours.mean or 0.0) - (theirs.mean or 0.0) > 0.3
