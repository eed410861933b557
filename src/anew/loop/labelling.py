"""Keeps a labelling tool of somebody else's and the review queue alike: questions there, answers back."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from anew.ports.labelling import LabellingTool, Placed, PlacedTask

__all__ = ["Labelling"]

_LOG = logging.getLogger("anew.labelling")
_BATCH = 100


class Labelling:
    """Brings each open item to the tool once, and each vote from there to the queue. Belongs to one thread.

    It never believes what it is told: it looks at what the tool has, so that it does not matter how often, in which
    order or by whom it is told that something changed. Killed anywhere, it goes on: an item whose task may have been
    made is looked for before it is placed again.

    Parameters
    ----------
    answers
        Whether people are shown what the model said.
    """

    def __init__(self, tool: LabellingTool, placed: Placed, now: Callable[[], datetime], *, answers: bool) -> None:
        self._tool = tool
        self._placed = placed
        self._now = now
        self._answers = answers

    def step(self) -> bool:
        """Do what is to be done; tell whether anything was.

        Raises
        ------
        UnavailableError
            The tool does not answer: what was not done is done the next time.
        SettingsError
            It cannot be used as the policy says.
        """
        self._tool.prepare()
        heard = self._hear()
        placed = self._place()
        return any([heard, placed, self._widen(), self._clear()])

    def _hear(self) -> bool:
        """Look at what changed there; settle, too, which tasks were made before somebody pulled the plug."""
        doubtful, reading = self._placed.doubtful(), self._tool.changed()
        found, changed = dict[str, int](), False
        for task in reading.tasks:
            if self._is_its_items(task, found):
                found[task.item] = task.task
                changed |= self._placed.hear(task.item, self._tool.prefix, task.votes, self._now())
        new = {item: task for item, task in found.items() if self._placed.task(item) is None}
        if doubtful or new:
            self._placed.place(new)
        if reading.whole:
            self._placed.keep(found)
        return changed

    def _is_its_items(self, task: PlacedTask, found: Mapping[str, int]) -> bool:
        """Tell whether a task is the one of its item; a second one, and one about nothing, are removed."""
        known = found.get(task.item) or self._placed.task(task.item)
        if known in (None, task.task):
            return True
        self._tool.remove(task.task)
        _LOG.info("a task is removed task=%d reason=%s", task.task, "twice" if known else "erased")
        return False

    def _place(self) -> bool:
        waiting = self._placed.waiting(_BATCH)
        if not waiting:
            return False
        if not self._answers:
            waiting = [replace(each, answer=None, score=None, version="") for each in waiting]
        self._placed.placing([each.item for each in waiting])
        self._placed.place(self._tool.place(waiting))
        return True

    def _widen(self) -> bool:
        """Have the tool ask more people where one was not enough."""
        narrow = self._placed.narrow()
        for item, task, people in narrow:
            self._tool.widen(task, people)
            self._placed.widened(item, people)
        return bool(narrow)

    def _clear(self) -> bool:
        """Remove what nobody has to answer any more."""
        needless = self._placed.needless(self._tool.prefix)
        for item, task in needless.items():
            self._tool.remove(task)
            self._placed.forget([item])
        return bool(needless)
