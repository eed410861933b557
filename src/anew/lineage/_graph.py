"""The lineage of a version as a graph: what it came from, what was decided about it, and what it did."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from anew.domain.blend import Blend
from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    ApprovalAsked,
    ApprovalSigned,
    CandidateAccepted,
    CandidateHeld,
    CandidateRefused,
    CandidateTrained,
    EffectFailed,
    GateJudged,
    GuardrailTripped,
    IncidentRaised,
    OverrideSigned,
    ProjectChanged,
    QuarantineReleased,
    RejectionSigned,
    RetrainApproved,
    RetrainCommanded,
    RetrainHeld,
    RetrainRefused,
    RetrainRequested,
    RetrainWithheld,
    RolledBack,
    RolloutApproved,
    RolloutDelayed,
    RolloutRefused,
    RolloutStarted,
    RolloutSuperseded,
    RowsChecked,
    SnapshotTaken,
    SourceCapped,
    Stage,
    Ticked,
    TrafficShifted,
    TrainingEnded,
    TrainingPlanned,
    VersionArchived,
    VersionPromoted,
    WindowClosed,
    WindowScored,
)
from anew.domain.manifest import Manifest
from anew.lineage._index import Indexed
from anew.lineage._walk import causes, history_of

__all__ = ["Edge", "Lineage", "Node", "NodeKind", "lineage_around", "lineage_of"]


_MOST_NAMES = 100
_MOST_LED = 200


class NodeKind(StrEnum):
    """What a node is; the order is that of a walk from the cause to the effect."""

    CAUSE = "cause"
    DECISION = "decision"
    PLAN = "plan"
    DATA = "data"
    CODE = "code"
    VERSION = "version"
    VERDICT = "verdict"
    TRAFFIC = "traffic"
    OUTCOME = "outcome"
    PREDICTION = "prediction"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Something that a version came from or led to.

    Attributes
    ----------
    id
        The fact's id, or ``kind:name`` for what is no fact (a table, a file's digest).
    label
        A few words; digests are cut to 12 digits here and whole in `detail`.
    at
        Event time, ISO 8601; empty for what has none.
    detail
        Names and values, in order.
    """

    id: str
    kind: NodeKind
    label: str
    at: str = ""
    detail: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`source` led to `target`; `role` says how."""

    source: str
    target: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Nodes by id, in order of recording, and edges, sorted, with no circle among them."""

    subject: str
    nodes: Mapping[str, Node] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()


_KINDS: Mapping[type[Fact], NodeKind] = {
    WindowClosed: NodeKind.CAUSE,
    WindowScored: NodeKind.CAUSE,
    RowsChecked: NodeKind.CAUSE,
    Ticked: NodeKind.CAUSE,
    RetrainCommanded: NodeKind.CAUSE,
    ProjectChanged: NodeKind.CAUSE,
    AlertRaised: NodeKind.CAUSE,
    IncidentRaised: NodeKind.CAUSE,
    RetrainRequested: NodeKind.DECISION,
    RetrainHeld: NodeKind.DECISION,
    RetrainRefused: NodeKind.DECISION,
    RetrainWithheld: NodeKind.DECISION,
    RetrainApproved: NodeKind.DECISION,
    TrainingPlanned: NodeKind.PLAN,
    SnapshotTaken: NodeKind.DATA,
    SourceCapped: NodeKind.VERDICT,
    CandidateTrained: NodeKind.VERSION,
    GateJudged: NodeKind.VERDICT,
    OverrideSigned: NodeKind.VERDICT,
    CandidateHeld: NodeKind.VERDICT,
    ApprovalAsked: NodeKind.VERDICT,
    ApprovalSigned: NodeKind.VERDICT,
    RejectionSigned: NodeKind.VERDICT,
    RolloutDelayed: NodeKind.VERDICT,
    RolloutApproved: NodeKind.VERDICT,
    RolloutRefused: NodeKind.OUTCOME,
    TrafficShifted: NodeKind.TRAFFIC,
    CandidateAccepted: NodeKind.OUTCOME,
    CandidateRefused: NodeKind.OUTCOME,
    TrainingEnded: NodeKind.OUTCOME,
    EffectFailed: NodeKind.OUTCOME,
    RolloutStarted: NodeKind.OUTCOME,
    GuardrailTripped: NodeKind.OUTCOME,
    VersionPromoted: NodeKind.OUTCOME,
    RolledBack: NodeKind.OUTCOME,
    RolloutSuperseded: NodeKind.OUTCOME,
    QuarantineReleased: NodeKind.OUTCOME,
    VersionArchived: NodeKind.OUTCOME,
}
"""Facts that are nodes; others (looks, measurements, deliveries) are in no version's graph."""


def lineage_of(facts: Indexed, version: str, manifest: Manifest | str = "") -> Lineage:
    """Return the graph of `version`: back to the window or command that began it, on to what it served and led to.

    Parameters
    ----------
    facts
        The record by id, as `index` returns it.
    manifest
        What the version's artifact says of itself: its parameters, features and environment; or why it is not at hand.

    Raises
    ------
    NotFoundError
        No version of this name was ever planned.
    """
    told = facts.ordered([*history_of(facts, version), *facts.routing(version)])
    history = [fact for fact in told if type(fact) in _KINDS]
    nodes: dict[str, Node] = {fact.id: _node(fact) for fact in history}
    edges: set[Edge] = set()
    made = ""
    for fact in history:
        cause = _shown_cause(facts, fact, nodes)
        if cause:
            edges.add(Edge(cause, fact.id, "led to"))
        elif made:  # what was seen of it, or commanded, came from outside
            edges.add(Edge(made, fact.id, "seen or commanded"))
        if isinstance(fact, CandidateTrained) and fact.version == version:
            made = fact.id
            if isinstance(manifest, str) and manifest:
                nodes[made] = replace(nodes[made], detail=(*nodes[made].detail, ("artifact not at hand", manifest)))
        for node, edge in (*_materials(facts, fact, version), *_made_by(fact, version, manifest)):
            nodes.setdefault(node.id, node)
            edges.add(edge)
    for node, edge in _successors(facts, version, made):
        nodes.setdefault(node.id, node)
        edges.add(edge)
    return Lineage(subject=version, nodes=nodes, edges=tuple(sorted(edges)))


def lineage_around(facts: Indexed, id: str) -> Lineage:
    """Return the graph of a fact that is about no version: its causes, itself, and the first that it led to.

    Parameters
    ----------
    facts
        The record by id, in which the fact is.
    """
    before = causes(facts, facts[id])[1:]
    told = [*reversed(before), *islice(facts.led(id), _MOST_LED)]
    nodes = {fact.id: _node(fact) for fact in told}
    edges = {Edge(cause, fact.id, "led to") for fact in told if (cause := _shown_cause(facts, fact, nodes))}
    return Lineage(subject=id, nodes=nodes, edges=tuple(sorted(edges)))


def _successors(facts: Indexed, version: str, made: str) -> Iterator[tuple[Node, Edge]]:
    """Yield the versions that were trained to succeed this one, which was `made` by that fact (empty: never)."""
    for plan in facts.succeeding(version) if made else ():
        node = _version(facts, plan.version)
        yield node, Edge(made, node.id, "succeeded by")


def _shown_cause(facts: Indexed, fact: Fact, nodes: Mapping[str, Node]) -> str:
    """Return the nearest cause of `fact` that is a node; empty for none."""
    return next((each.id for each in causes(facts, fact)[1:] if each.id in nodes), "")


def _materials(facts: Indexed, fact: Fact, version: str) -> Iterator[tuple[Node, Edge]]:
    """Yield what a fact names that is no fact itself: tables, files, other versions."""
    match fact:
        case TrainingPlanned() if fact.version == version:
            for name, digest in (("pipeline.py", fact.code), ("anew.yaml", fact.settings)):
                yield _thing(NodeKind.CODE, name, digest), Edge(_name(NodeKind.CODE, name, digest), fact.id, "fixed")
            if fact.champion:
                node = _version(facts, fact.champion)
                yield node, Edge(node.id, fact.id, "to be compared with")
        case CandidateTrained() if fact.version == version and fact.both is not None:
            yield from _beside(facts, fact, fact.both)
        case SnapshotTaken() if fact.version == version:
            for table, number in fact.tables:
                yield (
                    _thing(NodeKind.DATA, f"table {table}", f"version {number}"),
                    Edge(_name(NodeKind.DATA, f"table {table}", f"version {number}"), fact.id, "read"),
                )


def _beside(facts: Indexed, fact: CandidateTrained, pair: Blend) -> Iterator[tuple[Node, Edge]]:
    """Yield the second snapshot of a version of two models, and its tables, which are those of the first."""
    name, label = _name(NodeKind.DATA, "snapshot", pair.snapshot), _short(pair.snapshot)
    told = (("snapshot", pair.snapshot), ("rows", str(pair.rows)), ("sources", _sources(pair.sources)))
    detail = tuple((each, value) for each, value in told if value)
    node = Node(id=name, kind=NodeKind.DATA, label=f"snapshot beside {label}", detail=detail)
    yield node, Edge(name, fact.id, "second model trained on")
    for taken in facts.naming(fact.version):
        for table, number in taken.tables if isinstance(taken, SnapshotTaken) and taken.id == fact.cause else ():
            read = _thing(NodeKind.DATA, f"table {table}", f"version {number}")
            yield read, Edge(read.id, name, "read")


def _made_by(fact: Fact, version: str, manifest: Manifest | str) -> Iterator[tuple[Node, Edge]]:
    """Yield what a version was fitted by besides rows and planned code: commit, environment, parameters, features."""
    if not isinstance(fact, CandidateTrained) or fact.version != version:
        return
    if fact.commit:
        changed = " with changes" if fact.dirty else ""
        told = (("commit", fact.commit), ("changes in no commit", str(fact.dirty).lower()))
        detail = (*told, ("repository", fact.repository)) if fact.repository else told
        id = _name(NodeKind.CODE, "commit", fact.commit + changed)
        node = Node(id=id, kind=NodeKind.CODE, label=f"commit {fact.commit[:12]}{changed}", detail=detail)
        yield node, Edge(id, fact.id, "checked out at")
    if isinstance(manifest, str):
        return
    environment = _thing(NodeKind.CODE, "environment", manifest.environment)
    yield environment, Edge(environment.id, fact.id, "installed")
    params = ", ".join(f"{name}={value}" for name, value in sorted(manifest.params.items()))
    for kind, name, label, value, role in (
        (NodeKind.CODE, "parameters", f"{len(manifest.params)} parameters", params or "none", "given"),
        (NodeKind.DATA, "features", f"{len(manifest.inputs)} features", _named(manifest.inputs), "seen as"),
    ):
        id = _name(kind, name, version)
        yield Node(id=id, kind=kind, label=label, detail=((name, value),)), Edge(id, fact.id, role)


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _sources(sources: Sequence[tuple[str, int, int]]) -> str:
    return ", ".join(f"{name or 'others'} {kept} of {came}" for name, came, kept in sources)


def _version(facts: Indexed, version: str) -> Node:
    trained = facts.trained(version)
    detail = (("artifact", trained.digest),) if trained else ()
    return Node(id=f"version:{version}", kind=NodeKind.VERSION, label=version, detail=detail)


def _thing(kind: NodeKind, name: str, value: str) -> Node:
    return Node(id=_name(kind, name, value), kind=kind, label=f"{name} {_short(value)}", detail=((name, value),))


def _name(kind: NodeKind, name: str, value: str) -> str:
    return f"{kind}:{name}:{value}"


def _short(value: str) -> str:
    return value[:12] if len(value) == 64 else value


def _node(fact: Fact) -> Node:
    label, detail = _said(fact)
    return Node(
        id=fact.id,
        kind=_KINDS.get(type(fact), NodeKind.OUTCOME),
        label=label,
        at=fact.at.isoformat(),
        detail=(("fact", fact.kind), *((name, value) for name, value in detail if value)),
    )


def _said(fact: Fact) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return a node's few words, and what stands behind them."""
    match fact:
        case WindowClosed() | WindowScored() | RowsChecked():
            done = (
                "scored" if isinstance(fact, WindowScored) else "closed" if isinstance(fact, WindowClosed) else "rows"
            )
            span = f"{fact.window.start.isoformat()} to {fact.window.end.isoformat()}"
            return f"window {done}: {fact.n} rows", (("window", span), ("served by", fact.version))
        case AlertRaised() | IncidentRaised():
            return f"{fact.detector}", (("found", fact.message), ("served by", fact.version))
        case RetrainRequested():
            return "retrain requested", (("why", fact.reason), ("triggers", ", ".join(fact.triggers)), *fact.considered)
        case TrainingPlanned():
            return f"{fact.version} planned", (
                ("seed", str(fact.seed)),
                ("span", _span(fact)),
                ("why this span", fact.why_span),
                ("without the sources", ", ".join(fact.purged)),
            )
        case SnapshotTaken():
            counts = f"{fact.rows} rows, {fact.holdout_rows} held out"
            found = (("digest", fact.digest), ("rows", counts), ("sources", _sources(fact.sources)))
            return f"snapshot {_short(fact.digest)}", found
        case SourceCapped():
            told = f"{fact.kept} of {fact.rows} rows kept, {fact.share:.0%} came, at most {fact.at_most:.0%} may"
            return f"source {fact.source or '(no name)'} capped", (("source", fact.source), ("rows", told))
        case CandidateTrained():
            return f"{fact.version} {_short(fact.digest)}", (
                ("artifact", fact.digest),
                ("rows", str(fact.rows)),
                ("made of", _pair(fact)),
                ("one model alone", fact.alone_because),
                ("seconds of compute", f"{fact.compute_s:.3g}"),
            )
        case GateJudged():
            return f"{fact.gate}: {fact.verdict.name}", (("why", fact.reason), ("required", str(fact.required).lower()))
        case TrafficShifted():
            where = "all" if fact.stage is Stage.STEADY else f"{fact.stage} {fact.share:.0%}"
            return f"traffic: {where} (epoch {fact.epoch})", (
                ("champion", " ".join(fact.champion).strip()),
                ("challenger", ", ".join(" ".join(arm.pair) for arm in fact.challengers)),
                ("fallback", " ".join(fact.fallback).strip()),
            )
    return _plainly(fact)


def _pair(fact: CandidateTrained) -> str:
    pair = fact.both
    if pair is None:
        return ""
    return f"{pair.weight:.3g} of the artifact {pair.alone} and {1 - pair.weight:.3g} of the artifact {pair.beside}"


def _plainly(fact: Fact) -> tuple[str, tuple[tuple[str, str], ...]]:
    words = "".join(f" {each.lower()}" if each.isupper() else each for each in fact.kind).strip()
    named = ((name, str(getattr(fact, name, ""))) for name in ("by", "gate", "reason", "detail", "outcome", "to"))
    return words, tuple((name, value) for name, value in named if value)


def _span(fact: TrainingPlanned) -> str:
    return f"{fact.span.start.isoformat()} to {fact.span.end.isoformat()}"
