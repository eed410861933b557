"""What stands where, read from the record without the stores' own programs: quick, and never in the loop's way."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from anew.adapters.fact_reader import count_facts, read_facts, read_lease
from anew.adapters.file_traffic import FileTraffic, is_living, routing_file
from anew.adapters.signing import Verifier
from anew.adapters.sqlite_errors import translate
from anew.adapters.sqlite_opening import read_only
from anew.adapters.system_clock import SystemClock
from anew.app.alone import turning
from anew.app.dashboard_status import dashboard_address
from anew.app.hold import Holding
from anew.app.mirror_status import mirror_status
from anew.app.narration import narrate
from anew.app.progress import describe_run
from anew.app.record_place import record_place
from anew.app.standstill import Standstill
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    FACTS,
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutHeld,
    RolloutResumed,
    RolloutSuperseded,
    TrafficOrdered,
    TrafficShifted,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.unserved import ATTEMPT, Unserved, unserved
from anew.governance import Governance, GovernanceState
from anew.registry import Registry, RegistryState, Standing, VersionRecord

__all__ = [
    "challengers",
    "gateway_address",
    "living_workers",
    "loop_holder",
    "project_status",
    "state_folder",
    "stored_rows",
    "told_hold",
    "told_loop",
    "told_problem",
    "told_run",
    "told_traffic",
    "unrecorded_order",
]

_DECISIONS = (
    CandidateRefused, EffectFailed, RetrainRequested, RetrainWithheld, RolledBack, RolloutHeld, RolloutResumed,
    RolloutSuperseded, VersionPromoted,
)  # fmt: skip
_UNSEEN = frozenset({"Ticked", "RolloutObserved"})


def state_folder(project: Path) -> Path:
    """Return the project's ``.anew`` folder; it need not be there."""
    return project / ".anew"


def project_status(project: Path) -> Mapping[str, Any]:
    """Return the status of a project as plain values.

    Raises
    ------
    NotFoundError
        The project was never brought up.
    """
    state = state_folder(project)
    registry, governance = Registry(), Governance()
    versions, consent, holding = registry.initial(), governance.initial(), Holding()
    last: dict[str, Fact] = {}
    decisions: list[Fact] = []
    asked: dict[str, Fact] = {}
    attempt: list[Fact] | None = None
    scored: WindowScored | None = None
    standing = Standstill()
    model = ""
    for recorded in read_facts(record_place(state), kinds=FACTS.keys() - _UNSEEN):
        fact = recorded.fact
        model = fact.model
        versions, consent = registry.apply(versions, fact), governance.apply(consent, fact)
        holding.hear(fact)
        standing.hear(fact)
        last[fact.kind] = fact
        if isinstance(fact, _DECISIONS):
            decisions = [*decisions[-9:], fact]
        if isinstance(fact, WindowScored) and (scored is None or scored.window <= fact.window):
            scored = fact
        if isinstance(fact, RetrainRequested | CandidateAccepted):
            attempt = []
        elif isinstance(fact, ATTEMPT):
            attempt = [*(attempt or ()), fact]
        if fact.ends:
            asked.pop(fact.cause, None)
        if fact.asks:
            asked[fact.id] = fact
    traffic, stored = last.get("TrafficShifted"), stored_rows(state)
    order, problem = _order(state, model, holding.known)
    closed, served = last.get("WindowClosed"), versions.champion or versions.challenger or consent.waiting
    return {
        "model": model,
        "facts": count_facts(record_place(state)),
        **_loop(state),
        "standstill": standing.until(SystemClock().now()),
        "ordered": order,
        "routing_problem": problem,
        "champion": _version(versions.champion),
        "unserved": None if served else _unserved(unserved(attempt, stored)),
        "challenger": _version(versions.challenger),
        "waiting": _waiting(consent),
        "asking": _asking(last, versions),
        "frozen": _frozen(consent),
        "held": None if consent.held is None else {"by": consent.held.requester},
        "traffic": _traffic(traffic) if isinstance(traffic, TrafficShifted) else None,
        "rollout": _rollout(holding),
        "versions": [_version(record) for record in versions.versions.values()],
        "last_window": _window(closed) if isinstance(closed, WindowClosed) else None,
        "last_score": _score(scored, versions.champion) if scored else None,
        "decisions": [_decision(fact) for fact in decisions],
        "pending_effects": sorted(each.asks for each in asked.values()),
        "runs": [describe_run(state, each) for each in asked.values()],
        "quarantined": [record.version for record in versions.standing(Standing.QUARANTINED)],
        "workers": _workers(state),
        "stored": stored,
        "mirror": mirror_status(state),
        "dashboard": dashboard_address(state),
    }


def told_loop(status: Mapping[str, Any]) -> str:
    """Say in a line who runs the loop."""
    if status["holder"]:
        return f"run by {status['holder']}"
    if status["without_lease"]:
        return (
            f"process {status['without_lease']} has the project and not the lease: it begins, is a command such as "
            "anew migrate, or cannot write the record (is the disk full?); see what it says"
        )
    return "not running"


def challengers(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the versions on probation of what `project_status` said: none, one, or the arms of a trial."""
    return [each for each in status["versions"] if each["standing"] == Standing.CHALLENGER.value]


def told_traffic(traffic: Mapping[str, Any]) -> str:
    """Say in a line how traffic is split."""
    arms = traffic["arms"] or [{"version": traffic["challenger"], "share": traffic["share"]}]
    share = "".join(f", {arm['share']:.0%} to {arm['version']}" for arm in arms if arm["share"])
    return f"{traffic['stage']}{share} (epoch {traffic['epoch']}, fallback {traffic['fallback'] or 'none'})"


def told_hold(rollout: Mapping[str, Any] | None) -> str:
    """Say in a line who holds the rollout under way, and why; empty where nobody does."""
    if rollout is None or rollout["held"] is None:
        return ""
    return f"of {', '.join(rollout['challengers'])} held by {rollout['held']['by']}: {rollout['held']['reason']}"


def unrecorded_order(traffic: FileTraffic, model: str, known: int) -> TrafficOrdered | None:
    """Return the newest order that gateways obey and a record that ends at the epoch `known` has not heard of."""
    return next((each for each in reversed(traffic.ordered(model)) if each.epoch > known), None)


def _order(state: Path, model: str, known: int) -> tuple[Mapping[str, Any] | None, str]:
    """Return the order that is not on record yet, and why that cannot be told: empty where it can."""
    if not routing_file(state, model).is_file():
        return None, ""
    try:
        traffic = FileTraffic(state, verifier=Verifier.load(state / "keys"))
        order = unrecorded_order(traffic, model, known)
    except (IntegrityError, NotFoundError, UnavailableError) as exc:
        return None, str(exc)
    if order is None:
        return None, ""
    about = {"action": order.action.value, "version": order.version, "by": order.by, "reason": order.reason}
    return {**_traffic(order.shifted()), **about, "said": narrate(order)}, ""


def told_problem(worker: str, epoch: int, problem: str) -> str:
    """Say in a line what keeps a gateway worker from what it was told to; without an `epoch` it has nobody to ask."""
    return f"worker {worker}{'' if epoch else ' answers nobody'}: {problem}"


def told_run(run: Mapping[str, Any]) -> str:
    """Say in a line which effect is under way, about which version where it is about one, and how far it is."""
    return f"{' '.join(filter(None, (run['effect'], run['version'])))}: {run['said']}"


def _version(record: VersionRecord | None) -> Mapping[str, Any] | None:
    if record is None:
        return None
    return {
        "version": record.version,
        "standing": record.standing.value,
        "since": record.since.isoformat(),
        "digest": record.digest,
        "reason": record.reason,
    }


def _unserved(found: Unserved | None) -> Mapping[str, str] | None:
    return None if found is None else {"version": found.version, "found": found.found, "fix": found.fix}


def _waiting(consent: GovernanceState) -> Mapping[str, Any] | None:
    """Return the accepted candidate that waits for persons or for the end of a freeze."""
    waiting = consent.waiting
    if waiting is None:
        return None
    asked = waiting.asked
    return {
        "version": waiting.accepted.version,
        "digest": waiting.accepted.digest,
        "champion": waiting.accepted.champion,
        "since": waiting.accepted.at.isoformat(),
        "needed": asked.needed if asked else 0,
        "signed": list(waiting.signed),
        "why": list(asked.why) if asked else [],
        "barred": list(asked.barred) if asked else [],
        "expires": asked.expires.isoformat() if asked else None,
        "delayed": waiting.delayed,
    }


def _loop(state: Path) -> Mapping[str, Any]:
    holder = loop_holder(state)
    return {"holder": holder, "without_lease": None if holder else turning(state)}


def _asking(last: Mapping[str, Fact], versions: RegistryState) -> Mapping[str, Any] | None:
    """Return the newest candidate where it waits for a person at gates that ask; an older one waits no more."""
    held, newest, accepted = (last.get(each) for each in ("CandidateHeld", "CandidateTrained", "CandidateAccepted"))
    if not isinstance(held, CandidateHeld) or versions.versions[held.version].standing is not Standing.HELD:
        return None
    about = (held.version, held.digest)
    if isinstance(newest, CandidateTrained) and (newest.version, newest.digest) != about:
        return None
    if isinstance(accepted, CandidateAccepted) and (accepted.version, accepted.digest) == about:
        return None
    return {
        "version": held.version,
        "gates": list(held.gates),
        "since": held.at.isoformat(),
        "reason": held.reason,
    }


def _frozen(consent: GovernanceState) -> Mapping[str, Any] | None:
    freeze = consent.frozen
    return None if freeze is None else {"window": freeze.window, "until": freeze.until.isoformat()}


def _traffic(fact: TrafficShifted) -> Mapping[str, Any]:
    return {
        "epoch": fact.epoch,
        "stage": fact.stage.value,
        "share": fact.share,
        "champion": fact.champion[0],
        "challenger": fact.challenger[0],
        "fallback": fact.fallback[0],
        "arms": [{"version": arm.version, "share": arm.share} for arm in fact.arms],
    }


def _rollout(holding: Holding) -> Mapping[str, Any] | None:
    """Return who is on probation, and who holds them there."""
    held = holding.held
    if not holding.arms:
        return None
    return {
        "challengers": list(holding.arms),
        "held": None if held is None else {"by": held.by, "reason": held.reason},
    }


def _window(fact: WindowClosed | WindowScored) -> Mapping[str, Any]:
    return {
        "start": fact.window.start.isoformat(),
        "end": fact.window.end.isoformat(),
        "predictions": fact.n,
        "version": fact.version,
    }


def _score(fact: WindowScored, champion: VersionRecord | None) -> Mapping[str, Any]:
    """Return how a window was scored, and whether that says how the champion does, since it serves."""
    return {
        **_window(fact),
        "of_champion": champion is not None and champion.measured_by(fact.version, fact.window),
        "labelled": fact.labelled,
        "revision": fact.revision,
        "labels": {
            "coverage": fact.labelled / fact.n if fact.n else None,
            "delay_p50_s": fact.delay_p50_s,
            "delay_p90_s": fact.delay_p90_s,
            "unmatched": fact.unmatched,
        },
        "metrics": _metrics(fact.evidence),
    }


def _metrics(evidence: Sequence[Evidence]) -> Mapping[str, Mapping[str, Any]]:
    """Name what was measured by its subject, with its detector where one before it, such as an objective, has that."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in evidence:
        name = each.subject or each.name
        found[f"{name} of {each.name}" if name in found else name] = {
            "value": each.value, "low": each.low, "high": each.high, "n": each.n,
            "verdict": "measured" if each.measured else "inconclusive", "problem": each.problem,
        }  # fmt: skip
    return found


def _decision(fact: Fact) -> Mapping[str, Any]:
    return {
        "at": fact.at.isoformat(),
        "kind": fact.kind,
        "version": getattr(fact, "version", ""),
        "reason": getattr(fact, "reason", ""),
        "detail": getattr(fact, "detail", ""),
    }


def loop_holder(state: Path) -> str:
    """Return who runs the loop of the project; empty when nobody does."""
    grant = read_lease(record_place(state), clock=SystemClock())
    return grant.holder if grant is not None else ""


def _workers(state: Path) -> list[Mapping[str, Any]]:
    """Return what each living gateway worker said last, in brief."""
    kept = ("worker", "pid", "port", "epoch", "at", "counts", "problem")
    return [{key: said.get(key) for key in kept} for said in living_workers(state)]


def living_workers(state: Path) -> Sequence[Mapping[str, Any]]:
    """Return all that each living gateway worker said last; a file that is being replaced is read at the next call."""
    found: list[Mapping[str, Any]] = []
    for file in sorted((state / "workers").glob("*.json")):
        try:
            said = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        pid, started = said.get("pid", 0), said.get("started", -1)
        if is_living(file, said.get("host", ""), pid, started, said.pop("home", "")):
            found.append(said)
    return found


def gateway_address(state: Path, port: int) -> str:
    """Return where this machine's gateway answers: on the port of a living worker, else on the configured one."""
    alive = (each["port"] for each in living_workers(state) if each.get("port"))
    return f"http://127.0.0.1:{next(alive, port)}"


def stored_rows(state: Path) -> Mapping[str, int] | None:
    """Return the rows of each table by the lake's high-water mark, None before the first."""
    file = state / "lake.db"
    if not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(read_only(file), uri=True, timeout=5)) as connection:
            made = connection.execute(_MADE).fetchone()  # the file is there a moment before its tables are
            return None if made is None else dict(connection.execute(_STORED).fetchall())
    except sqlite3.Error as exc:
        raise translate(exc, file) from exc


_MADE = "SELECT 1 FROM sqlite_master WHERE name = 'tables'"
_STORED = "SELECT name, rows FROM tables"
