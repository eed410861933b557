"""The lineage of a version, a prediction or a decision of a project."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anew.adapters.fact_reader import read_facts
from anew.app.accepted import accepted
from anew.app.kept import artifact_files
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.app.stores import open_lake
from anew.domain.errors import AnewError, NotFoundError
from anew.domain.interval import Interval
from anew.domain.manifest import Manifest
from anew.lineage import Edge, Indexed, Lineage, Node, NodeKind, index, lineage_around, lineage_of

__all__ = ["find_lineage", "lineage_among", "manifest_of"]

_MANIFEST = "manifest.json"
_OF_WINDOWS = ("WindowClosed", "WindowScored", "RowsChecked", "AlertRaised")

_PREDICTION = re.compile(r"[0-9a-f]{12}7[0-9a-f]{19}")
_FACT = re.compile(r"[0-9a-f]{26}")


def find_lineage(project: Path, subject: str) -> Lineage:
    """Return the lineage of `subject`: the name of a version, the id of a prediction, or the id of a fact.

    Raises
    ------
    NotFoundError
        Nothing on record has this name or id; or the project was never brought up.
    """
    return lineage_among(project, subject, index(each.fact for each in read_facts(record_place(state_folder(project)))))


def lineage_among(project: Path, subject: str, facts: Indexed) -> Lineage:
    """Return the same by facts at hand; a prediction is looked for in the project's lake."""
    if _PREDICTION.fullmatch(subject):
        return _of_prediction(project, facts, subject)
    if _FACT.fullmatch(subject):
        return _of_fact(project, facts, subject)
    return _of_version(project, facts, subject)


def manifest_of(project: Path, facts: Indexed, version: str) -> Manifest | str:
    """Return what the artifact of a version says of itself, verified; or why it is not at hand, if it was trained."""
    trained = facts.trained(version)
    if trained is None:
        return ""
    try:
        stored = artifact_files(state_folder(project), trained.digest, _MANIFEST)
        return Manifest.from_json(stored[_MANIFEST].decode("utf-8", "replace")) if stored else "it has no manifest"
    except AnewError as exc:
        return str(exc)


def _of_version(project: Path, facts: Indexed, version: str) -> Lineage:
    return lineage_of(facts, version, manifest_of(project, facts, version))


def _of_fact(project: Path, facts: Indexed, id: str) -> Lineage:
    """Return the graph of the version that a fact led to, if any, with the fact itself and what is around it."""
    if id not in facts:
        raise NotFoundError(f"no fact on record has the id {id}; `anew audit show --json` has them all")
    version = _version_of(facts, id)
    found = _of_version(project, facts, version) if version else Lineage(subject=id)
    if id not in found.nodes:
        around = lineage_around(facts, id)
        found = Lineage(
            subject=id,
            nodes={**around.nodes, **found.nodes},
            edges=tuple(sorted({*around.edges, *found.edges})),
        )
    return replace(found, subject=id)


def _version_of(facts: Indexed, id: str) -> str:
    """Return the version that a fact, or the first later one that it led to, names; empty for none."""
    for fact in facts.led(id):
        version = str(getattr(fact, "version", ""))
        if facts.plan(version) is not None and fact.kind not in _OF_WINDOWS:
            return version
    return ""


def _of_prediction(project: Path, facts: Indexed, id: str) -> Lineage:
    settings = accepted(project)
    at = datetime.fromtimestamp(int(id[:12], 16) / 1000, UTC)  # an id begins with its event time, cut to milliseconds
    span = Interval(start=at - timedelta(milliseconds=1), end=at + timedelta(milliseconds=2))
    with open_lake(settings) as lake:
        rows = lake.predictions(span)
    rows = rows.filter(rows.get_column("_id") == id)
    if rows.is_empty():
        raise NotFoundError(
            f"no stored prediction has the id {id}; what was answered last may not be drained yet, and rows that were "
            "erased (anew data purge) or are older than data.keep are there no more"
        )
    row = rows.row(0, named=True)
    found = _of_version(project, facts, row["_version"])
    routed = facts.routed(row["_epoch"])
    shift = "" if routed is None else routed.id
    detail = (
        ("answer", str(row["_output"])),
        ("arm", row["_arm"]),
        ("epoch", str(row["_epoch"])),
        ("received", row["_received_at"].isoformat()),
    )
    node = Node(id=id, kind=NodeKind.PREDICTION, label="prediction", at=row["_at"].isoformat(), detail=detail)
    edges = [
        Edge(each.id, id, "answered") for each in found.nodes.values() if _is(each, NodeKind.VERSION, row["_version"])
    ]
    edges += [Edge(shift, id, "routed")] if shift in found.nodes else []
    return Lineage(subject=id, nodes={**found.nodes, id: node}, edges=tuple(sorted({*found.edges, *edges})))


def _is(node: Node, kind: NodeKind, version: str) -> bool:
    return node.kind is kind and node.label.split()[0] == version
