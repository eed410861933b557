"""Fold: why."""

from anew.lineage._walk import causes, history_of, index

__all__ = ["causes", "history_of", "index"]
