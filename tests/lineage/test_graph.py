"""The graph of a version: everything it came from, every verdict, and what it led to."""

from dataclasses import replace

import pytest

from anew.domain.blend import Blend
from anew.domain.errors import NotFoundError
from anew.domain.facts import CandidateTrained, SnapshotTaken, TrainingPlanned, VersionPromoted
from anew.lineage import FactIndex, Lineage, NodeKind, index, lineage_of
from tests.laws.telling import Teller, warmed
from tests.validate.trials import MANIFEST


@pytest.fixture(scope="module")
def facts() -> FactIndex:
    """The first record among drawn ones in which a promoted champion was succeeded by another candidate."""
    for seed in range(500):
        record = index(Teller().tell(warmed(seed)).facts)
        promoted = {each.version for each in record.values() if isinstance(each, VersionPromoted) and each.previous}
        if any(isinstance(each, TrainingPlanned) and each.champion in promoted for each in record.values()):
            return record
    raise AssertionError("no story has a promoted champion that was to be succeeded")


@pytest.fixture(scope="module")
def graph(facts: FactIndex) -> Lineage:
    promoted = next(each for each in facts.values() if isinstance(each, VersionPromoted) and each.previous)
    return lineage_of(facts, promoted.version)


def before(graph: Lineage, id: str) -> set[str]:
    """Return the ids of all nodes from which a way leads to `id`."""
    found: set[str] = set()
    waiting = [id]
    while waiting:
        target = waiting.pop()
        sources = {edge.source for edge in graph.edges if edge.target == target} - found
        found |= sources
        waiting += sources
    return found


def test_a_version_is_led_back_to_data_code_champion_and_cause(graph: Lineage, facts: FactIndex) -> None:
    trained = next(
        each for each in facts.values() if isinstance(each, CandidateTrained) and each.version == graph.subject
    )
    behind = [graph.nodes[id] for id in before(graph, trained.id)]
    kinds = {node.kind for node in behind}
    assert {NodeKind.CAUSE, NodeKind.DECISION, NodeKind.PLAN, NodeKind.DATA, NodeKind.CODE} <= kinds
    labels = {node.label.split()[0] for node in behind}
    assert {"pipeline.py", "anew.yaml"} <= labels
    assert trained.champion in labels
    snapshot = next(
        each for each in facts.values() if isinstance(each, SnapshotTaken) and each.version == graph.subject
    )
    assert {f"table {table}" for table, _ in snapshot.tables} <= {name for node in behind for name, _ in node.detail}


def test_verdicts_and_traffic_follow_from_the_version(graph: Lineage) -> None:
    promoted = next(node for node in graph.nodes.values() if node.label.startswith("version promoted"))
    behind = {graph.nodes[id].kind for id in before(graph, promoted.id)}
    assert NodeKind.VERSION in behind
    assert {NodeKind.VERDICT, NodeKind.TRAFFIC} <= {node.kind for node in graph.nodes.values()}


def test_a_version_says_who_was_trained_to_succeed_it(facts: FactIndex) -> None:
    for plan in [each for each in facts.values() if isinstance(each, TrainingPlanned) and each.champion]:
        assert f"version:{plan.version}" in lineage_of(facts, plan.champion).nodes


def test_every_graph_is_whole_and_has_no_circle(facts: FactIndex) -> None:
    for plan in [each for each in facts.values() if isinstance(each, TrainingPlanned)]:
        graph = lineage_of(facts, plan.version)
        assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= graph.nodes.keys()
        assert all(id not in before(graph, id) for id in graph.nodes)


def test_a_version_of_two_models_names_both_and_the_rows_of_each(facts: FactIndex) -> None:
    trained = next(each for each in facts.values() if isinstance(each, CandidateTrained))
    pair = Blend(alone="a" * 64, beside="b" * 64, weight=0.75, snapshot="s" * 64, rows=9, sources=(("shop", 12, 9),))
    known = {id: fact for id, fact in facts.items() if id != trained.id}

    def told(blend: Blend) -> Lineage:
        return lineage_of(index([*known.values(), replace(trained, blend=blend)]), trained.version)

    graph = told(pair)
    node = dict(graph.nodes[trained.id].detail)
    assert node["made of"] == f"0.75 of the artifact {'a' * 64} and 0.25 of the artifact {'b' * 64}"
    (edge,) = [edge for edge in graph.edges if edge.role == "second model trained on"]
    assert edge.target == trained.id
    assert dict(graph.nodes[edge.source].detail) == {"snapshot": "s" * 64, "rows": "9", "sources": "shop 9 of 12"}
    taken = next(each for each in facts.values() if each.id == trained.cause)
    assert isinstance(taken, SnapshotTaken)
    read = {each.source for each in graph.edges if (each.target, each.role) == (edge.source, "read")}
    assert {graph.nodes[each].label for each in read} == {f"table {name} version {at}" for name, at in taken.tables}
    compared = told(replace(pair, weight=1.0))
    assert "second model trained on" not in {edge.role for edge in compared.edges}


def test_a_version_names_commit_environment_parameters_and_features(facts: FactIndex) -> None:
    trained = next(each for each in facts.values() if isinstance(each, CandidateTrained))
    told = replace(trained, commit="c" * 40, dirty=True, repository="https://git.example.org/a.git")
    known = index([*(fact for id, fact in facts.items() if id != trained.id), told])
    graph = lineage_of(known, trained.version, replace(MANIFEST, environment="e" * 64, params={"depth": 3}))
    behind = {edge.role: graph.nodes[edge.source] for edge in graph.edges if edge.target == trained.id}
    assert behind["checked out at"].label == f"commit {'c' * 12} with changes"
    assert dict(behind["checked out at"].detail) == {
        "commit": "c" * 40, "changes in no commit": "true", "repository": "https://git.example.org/a.git"
    }  # fmt: skip
    assert dict(behind["installed"].detail) == {"environment": "e" * 64}
    assert dict(behind["given"].detail) == {"parameters": "depth=3"}
    assert dict(behind["seen as"].detail) == {"features": ", ".join(MANIFEST.inputs)}
    away = lineage_of(known, trained.version, "no artifact here")
    assert dict(away.nodes[trained.id].detail)["artifact not at hand"] == "no artifact here"
    assert "installed" not in {edge.role for edge in away.edges}


def test_an_unknown_version_is_not_found(facts: FactIndex) -> None:
    with pytest.raises(NotFoundError, match="there is no version 'v999'"):
        lineage_of(facts, "v999")
