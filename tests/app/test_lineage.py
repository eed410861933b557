"""Every fact on record has a lineage: that of the version it led to, or of what led to it and what it led to."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from anew.app.lineage import lineage_among
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.lineage import Edge, FactIndex, causes, index
from tests.laws.telling import Teller, warmed


@pytest.fixture(scope="module")
def records() -> list[FactIndex]:
    return [index(Teller().tell(warmed(seed)).facts) for seed in range(40)]


def first_of_each_kind(records: list[FactIndex]) -> dict[str, tuple[FactIndex, Fact]]:
    found: dict[str, tuple[FactIndex, Fact]] = {}
    for facts in records:
        for fact in facts.values():
            found.setdefault(fact.kind, (facts, fact))
    return found


def test_a_fact_of_every_kind_has_a_graph_that_it_is_in(records: list[FactIndex], tmp_path: Path) -> None:
    kinds = first_of_each_kind(records)
    assert kinds.keys() >= {
        "AlertRaised", "ProjectChanged", "RetrainWithheld", "TrafficApplied", "TrafficShifted", "WindowClosed",
        "WindowScored",
    }  # fmt: skip
    for facts, fact in kinds.values():
        graph = lineage_among(tmp_path, fact.id, facts)
        assert graph.subject == fact.id
        assert fact.id in graph.nodes, fact.kind
        assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= graph.nodes.keys()
        assert not circle(graph.edges), fact.kind


def circle(edges: tuple[Edge, ...]) -> bool:
    """Is there a way from a node back to it?"""
    try:
        tuple(
            TopologicalSorter(
                {target: {e.source for e in edges if e.target == target} for target in {e.target for e in edges}}
            ).static_order()
        )
    except CycleError:
        return True
    return False


def test_what_led_to_no_version_shows_its_causes_and_what_it_led_to(records: list[FactIndex], tmp_path: Path) -> None:
    facts, withheld = first_of_each_kind(records)["RetrainWithheld"]
    graph = lineage_among(tmp_path, withheld.id, facts)
    assert {each.id for each in causes(facts, withheld)} <= graph.nodes.keys()
    assert any(edge.target == withheld.id for edge in graph.edges)
    assert dict(graph.nodes[withheld.id].detail)["fact"] == "RetrainWithheld"


def test_an_id_that_is_not_on_record_is_not_found(records: list[FactIndex], tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no fact on record has the id"):
        lineage_among(tmp_path, "0" * 26, records[0])
