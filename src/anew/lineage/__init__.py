"""Fold: why."""

from anew.lineage._graph import Edge, Lineage, Node, NodeKind, lineage_of
from anew.lineage._index import FactIndex, index
from anew.lineage._walk import causes, history_of

__all__ = ["Edge", "FactIndex", "Lineage", "Node", "NodeKind", "causes", "history_of", "index", "lineage_of"]
