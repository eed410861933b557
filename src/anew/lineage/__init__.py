"""Fold: why."""

from anew.lineage._graph import Edge, Lineage, Node, NodeKind, lineage_of
from anew.lineage._walk import causes, history_of, index

__all__ = ["Edge", "Lineage", "Node", "NodeKind", "causes", "history_of", "index", "lineage_of"]
