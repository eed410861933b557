"""A record in which everything that a page shows bears a given text, and a source of pages over it."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from anew.app.narration import narrate
from anew.dashboard.at_hand import AtHand
from anew.dashboard.entrance import Errand, Vouched, Ways
from anew.dashboard.source import (
    Artifact,
    Bar,
    Consent,
    Desk,
    InForce,
    Log,
    Neighbour,
    Shift,
    Surroundings,
    Tried,
    Worker,
)
from anew.dashboard.web import Dashboard
from anew.domain.access import Principal, Role
from anew.domain.blend import Blend
from anew.domain.column import Value
from anew.domain.errors import ConflictError, ForbiddenError
from anew.domain.evidence import Counts, Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateAccepted,
    CandidateHeld,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    IncidentRaised,
    Order,
    ProjectChanged,
    RetrainApproved,
    RetrainCommanded,
    RetrainRequested,
    RetrainWithheld,
    RolloutApproved,
    RolloutObserved,
    RolloutStarted,
    SnapshotTaken,
    Stage,
    Ticked,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.health import Finding
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from anew.lineage import Indexed, Lineage, lineage_of
from anew.ports.eventlog import Recorded
from anew.ports.review import Question
from anew.rollout import Rollout
from anew.trigger import Trigger

__all__ = ["AT", "TOKENS", "ToldSource", "among_others", "dashboard_over", "story"]

AT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TOKENS = {role.value: Principal(id=f"id-{role}", name=f"name of {role}", role=role) for role in Role}
"""Who each token belongs to; tokens of tests are called as their roles are."""


class _Told:
    """Facts in order, each caused by what it says."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def add(self, fact: Fact, cause: str = "") -> str:
        made = fact.caused_by(cause)
        self.facts.append(made)
        return made.id


def story(text: str, *, days: int = 8) -> list[Fact]:
    """Return a record: a champion, a challenger in its canary, a candidate that waits; `text` is in all their names."""
    told = _Told()
    told.add(ProjectChanged(model="m", at=AT, settings="5" * 64, code="6" * 64))
    first, second, third = (f"v{i}{text}" for i in (1, 2, 3))
    _trained(told, first, "", text, 0)
    told.add(RolloutApproved(model="m", at=AT, version=first, champion="", digest="1" * 64, by=text))
    told.add(VersionPromoted(model="m", at=AT, version=first, digest="1" * 64, previous="", evidence=(), reason=text))
    told.add(_shift(1, Stage.STEADY, 0.0, (first, "1" * 64), ("", "")))
    for day in range(days):
        _window(told, first, text, day)
    _trained(told, second, first, text, 1)
    told.add(RolloutStarted(model="m", at=AT + days * DAY, version=second, digest="2" * 64, champion=first))
    pair = (first, "1" * 64), (second, "2" * 64)
    told.add(replace(_shift(2, Stage.CANARY, 0.1, *pair), at=AT + days * DAY))
    for look in range(1, 6):
        told.add(_look(second, look, AT + days * DAY))
    _trained(told, third, first, text, 2)
    held = CandidateHeld(
        model="m", at=AT, version=third, champion=first, digest="3" * 64, gates=(f"gate{text}",), reason=text
    )
    told.add(held)
    told.add(EffectFailed(model="m", at=AT, effect="train", version=third, reason="error", detail=text))
    told.add(Ticked(model="m", at=AT + (days + 1) * DAY, wall=AT))
    return told.facts


def _trained(told: _Told, version: str, champion: str, text: str, number: int) -> None:
    at = AT + number * DAY
    common: dict[str, Any] = {"model": "m"}
    span = Interval(start=at - 9 * DAY, end=at)
    asked = told.add(RetrainCommanded(**common, at=at, command=f"c{number}", by=text, reason=text))
    requested = told.add(
        RetrainRequested(
            **common, at=at, reason=text, triggers=(text,), severity=Severity.HIGH, considered=((text, text),)
        ),
        asked,
    )
    approved = told.add(RetrainApproved(**common, at=at, by=text), requested)
    planned = told.add(
        TrainingPlanned(
            **common, at=at, version=version, champion=champion, span=span, holdout_share=0.2, seed=number,
            code="6" * 64, settings="5" * 64, why_span=text,
        ),
        approved,
    )  # fmt: skip
    taken = told.add(
        SnapshotTaken(
            **common, at=at, version=version, champion=champion, digest="8" * 64, tables=((text, 3),), span=span,
            rows=900, holdout_rows=180, seed=number, sources=((text, 900, 900),),
        ),
        planned,
    )  # fmt: skip
    digest = str(number + 1) * 64
    pair = Blend(
        alone="a" * 64, beside="b" * 64, weight=0.64, snapshot="7" * 64, rows=2_340, sources=((text, 2_340, 2_340),)
    )
    trained = told.add(
        CandidateTrained(
            **common, at=at, version=version, champion=champion, digest=digest, snapshot="8" * 64, rows=720,
            compute_s=2.5, blend=pair if number == 1 else None, alone_because=text if number == 2 else "",
        ),
        taken,
    )  # fmt: skip
    evidence = (Evidence.of(text or "gate", 0.1, 180, subject=text, interval=(0.05, 0.2)),)
    for gate, verdict in (("slos", Verdict.PASS), (f"gate{text}", Verdict.INCONCLUSIVE)):
        told.add(
            GateJudged(
                **common, at=at, version=version, gate=gate, verdict=verdict, required=True, reason=text,
                evidence=evidence, ask=verdict is not Verdict.PASS,
            ),
            trained,
        )  # fmt: skip
    if number < 2:
        told.add(CandidateAccepted(**common, at=at, version=version, champion=champion, digest=digest), trained)
    told.add(TrainingEnded(**common, at=at, version=version, outcome="accepted", detail=text, compute_s=2.5), trained)


def _window(told: _Told, version: str, text: str, day: int) -> None:
    window = Interval(start=AT + day * DAY, end=AT + (day + 1) * DAY)
    common: dict[str, Any] = {"model": "m", "at": window.end, "version": version, "window": window}
    seen = (Evidence.of(f"psi({text})", 0.1 * day, 200, subject=f"column{text}", p_value=0.01),)
    told.add(WindowClosed(**common, n=200, rows="9" * 64, evidence=seen))
    measure = Evidence.of(
        f"slo({text})", 0.1 + 0.01 * day, 180, subject=f"error{text}", reference=0.3, interval=(0.05, 0.3)
    )
    scored = told.add(
        WindowScored(**common, n=200, labelled=180, revision=0, evidence=(measure,), delay_p50_s=60, delay_p90_s=4000)
    )
    told.add(
        AlertRaised(**common, detector=f"psi({text})", severity=Severity.MEDIUM, evidence=seen, message=text), scored
    )
    told.add(
        RetrainWithheld(model="m", at=window.end, reason="cooldown", detail=text, triggers=(text,)), f"alert {day}"
    )
    told.add(IncidentRaised(**common, detector=f"quality({text})", evidence=seen, message=text), scored)


def _shift(
    epoch: int, stage: Stage, share: float, champion: tuple[str, str], challenger: tuple[str, str]
) -> TrafficShifted:
    return TrafficShifted(
        model="m", at=AT, epoch=epoch, stage=stage, share=share, champion=champion, challenger=challenger
    )


def _look(version: str, look: int, at: datetime) -> RolloutObserved:
    def counts(low: float, *found: int) -> Counts:
        return Counts(low=low, high=1.0, counts=found)

    return RolloutObserved(
        model="m",
        at=at + look * DAY,
        version=version,
        stage=Stage.CANARY,
        look=look,
        span=Interval(start=at + (look - 1) * DAY, end=at + look * DAY),
        paired_down=counts(-1.0, 2, 30, 4),
        paired_up=counts(-1.0, 2, 30, 4),
        champion_loss=counts(0.0, 20, 3),
        challenger_loss=counts(0.0, 9, 1),
    )


@dataclass
class ToldSource:
    """A `Source` over facts at hand; what is ordered is noted, and refused where something else is expected."""

    told: Sequence[Fact]
    text: str = ""
    ordered: list[tuple[str, str, str, str]] = field(default_factory=list)
    routed: tuple[str, str] | None = None
    judged: dict[str, str] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    cuts: dict[str, datetime] = field(default_factory=dict)
    open_ways: Ways = Ways()
    clock: datetime = AT + 40 * DAY
    beside: Sequence[Neighbour] = ()
    number: Value = 1.5
    kept: Path | None = None

    def now(self) -> datetime:
        """The clock, which a test may turn."""
        return self.clock

    def head(self) -> int:
        """How much was told."""
        return len(self.told)

    def facts(self, after: int) -> Iterable[Recorded]:
        """What was told after a number."""
        for seq, fact in enumerate(self.told[after:], after + 1):
            yield Recorded(seq=seq, recorded_at=AT, fact=fact)

    @contextmanager
    def reading(self) -> Iterator[AtHand]:
        """What was told, as it is now."""
        yield AtHand(self.told, AT)

    def catalogue(self) -> Path | None:
        """The file that a test says."""
        return self.kept

    def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
        """Something of everything."""
        text = self.text
        runs = tuple({"id": text, "version": text, "effect": text, "since": text, "said": text} for _ in asked[:1])
        worker = Worker(worker=text, port=1, epoch=1, at=text, problem=text, counts={"predictions": 3})
        return Surroundings(
            holder=text, workers=(worker,), waiting=3, stored={text: 1}, runs=runs, mirror={"state": text}
        )

    def in_force(self) -> InForce:
        """The defaults."""
        return InForce(
            model="m",
            task="binary",
            settings="5" * 64,
            code="6" * 64,
            text=self.text,
            label_delay=DAY,
            rollout=Rollout(),
            trigger=Trigger(),
            others=tuple(each.name for each in self.beside),
        )

    def others(self, who: Principal) -> Sequence[Neighbour]:  # noqa: ARG002  of the Protocol
        """Those that a test says."""
        return self.beside

    def narrate(self, fact: Fact) -> str:
        """As everywhere."""
        return narrate(fact)

    def lineage(self, subject: str, facts: Indexed) -> Lineage:
        """Over what was told."""
        return lineage_of(facts, subject)

    def artifact(self, digest: str) -> Artifact:
        """One that bears the text."""
        text = self.text
        return Artifact(
            format=f"{digest}{text}",
            inputs=2,
            metrics={text: 0.5},
            params={text: text},
            files={text: 3},
            search={"metric": text, text: text},
            trials=tuple(
                Tried(number=i, state=text, value=0.1, params={text: text}, problem=text, best=i == 1) for i in range(2)
            ),
        )

    def logs(self, asked: Sequence[Fact]) -> Sequence[Log]:
        """One that bears the text."""
        return [Log(effect=self.text, name=self.text, tail=self.text) for _ in asked]

    def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:  # noqa: ARG002  likewise
        """Two columns, of both kinds, where there is anything."""
        kinds = ("numeric", "categorical") if window.n else ()
        bars = tuple(Bar(name=f"{i}{self.text}", reference=0.5, current=0.1 * i) for i in range(1, 3))
        return [
            Shift(column=f"{kind}{self.text}", kind=kind, psi=0.3, p_value=None, ks=None, bars=bars) for kind in kinds
        ]

    def findings(self) -> tuple[datetime | None, Sequence[Finding]]:
        """One of each kind that needs something done."""
        return AT, [Finding.good(self.text, self.text), Finding.bad(self.text, self.text, f"mend {self.text}")]

    def backtested(self) -> tuple[datetime | None, Mapping[str, Any] | None]:
        """A backtest of two policies, one of which bears the text."""
        tried = [
            {"policy": name, "loss": loss, "fits": fits, "probes": 0.5, "normalised_regret": {"0.01": loss}}
            for name, loss, fits in ((f"every{self.text}", 0.2, [1]), ("never", 0.4, []))
        ]
        best = {"policy": f"every{self.text}", "normalised_regret": 0.2, "interval": [0.1, 0.3]}
        return AT, {"oracle": [0.4, 0.2, 0.15], "policies": tried, "recommended": best}

    def review(self, who: Principal) -> Desk | None:
        """A question until it is answered."""
        if who.name in self.judged:
            return None
        row: dict[str, Value] = {f"column{self.text}": self.text, "number": self.number, "none": None}
        question = Question(id="q" * 26, at=AT, row=row, until=AT + DAY)
        return Desk(
            question=question,
            target=f"y{self.text}",
            classes=(0, 1),
            open=1,
            leased=1,
            oldest="",
            answered=0,
            skipped=0,
        )

    def answer(self, who: Principal, item: str, value: str) -> None:
        """Note it, or refuse it."""
        if item != "q" * 26:
            raise ConflictError("that question is somebody else's now")
        self.judged[who.name] = value

    def skip(self, who: Principal, item: str) -> None:
        """Note it."""
        self.judged[who.name] = f"skipped {item[:1]}"

    def ways(self) -> Ways:
        """Those that a test says."""
        return self.open_ways

    def by_password(self, name: str, password: str) -> Principal | None:
        """One of `TOKENS`, whose password is like the token."""
        return TOKENS.get(name) if password == name else None

    def provider(self, errand: Errand) -> str:
        """Somewhere else."""
        return f"https://id.example/?state={errand.state}"

    def by_provider(self, errand: Errand, answer: Mapping[str, str]) -> Vouched:  # noqa: ARG002  of the Protocol
        """Whose token the code is."""
        if answer.get("code") not in TOKENS:
            raise ForbiddenError("it vouches for nobody")
        return Vouched(who=TOKENS[answer["code"]], at=self.clock, ties=(answer["code"],))

    def signed_out(self, word: str) -> tuple[datetime, tuple[str, ...]]:
        """Whose token the word is, now."""
        if word not in TOKENS:
            raise ForbiddenError("it says nothing of anybody")
        return self.clock, (word,)

    def era(self) -> str:
        """The only one."""
        return "1"

    def add(self, nonce: str, until: datetime) -> None:  # noqa: ARG002  likewise
        """Remember that a session ended."""
        self.over.add(nonce)

    def cut(self, ties: Collection[str], at: datetime, until: datetime) -> None:  # noqa: ARG002  likewise
        """Remember since when."""
        self.cuts |= dict.fromkeys(ties, at)

    def is_over(self, nonce: str, ties: Collection[str], began: datetime) -> bool:
        """Did this session end?"""
        return nonce in self.over or any(began <= self.cuts.get(each, AT) for each in ties)

    def holder(self, token: str) -> Principal | None:
        """One of `TOKENS`."""
        return TOKENS.get(token)

    def principal(self, id: str) -> Principal | None:
        """One of `TOKENS`, unless revoked."""
        found = {each.id: each for each in TOKENS.values()}.get(id)
        return None if id in self.revoked else found

    def order(
        self, action: Order, *, who: Principal, command: str, reason: str, expect: tuple[str, str]
    ) -> Sequence[str]:
        """Note it, or refuse it."""
        if self.routed is not None and expect != self.routed:
            raise ConflictError(f"it was to go from {expect[0]} to {expect[1]}, and would go to {self.routed[1]} now")
        self.ordered.append((action.value, who.name, command, reason))
        self.routed = ("", "")
        return [f"ordered by {who.name}", self.text]

    def sign(
        self, how: Consent, *, who: Principal, candidate: tuple[str, str], gate: str, reason: str
    ) -> Sequence[str]:
        """Note it, or refuse it."""
        if candidate[1] != "3" * 64:
            raise ConflictError(f"you were shown {candidate[0]}, and the candidate is another now")
        self.ordered.append((how, who.name, gate, reason))
        return [f"signed by {who.name}", self.text]


def among_others(text: str, **more: Any) -> ToldSource:
    """Return a source of a project beside two others, one of which is seen; `text` is in all their names."""
    beside = (
        Neighbour(name=f"seen{text}", source=ToldSource(story(text), text), address="http://127.0.0.1:1"),
        Neighbour(name=f"closed{text}", problem=f"nobody may{text}"),
    )
    return ToldSource(story(text), text, beside=beside, **more)


def dashboard_over(source: ToldSource, origin: str = "") -> Dashboard:
    """Return the application's parts over `source`, called by the names that the test client uses."""
    return Dashboard(
        source=source,
        entrance=source,
        ended=source,
        key=b"k" * 32,
        cookie="session",
        hosts=frozenset({"testserver", "127.0.0.1"}),
        origin=origin,
    )
