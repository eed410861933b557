"""Fold: why."""

from anew.lineage._graph import Edge, Lineage, Node, NodeKind, lineage_around, lineage_of
from anew.lineage._index import FactIndex, Indexed, index, named_by, routed_by
from anew.lineage._walk import causes, history_of, returns_of

__all__ = [
    "Edge",
    "FactIndex",
    "Indexed",
    "Lineage",
    "Node",
    "NodeKind",
    "causes",
    "history_of",
    "index",
    "lineage_around",
    "lineage_of",
    "named_by",
    "returns_of",
    "routed_by",
]
