"""One request for answers, from its turn in the queue to the word that ends it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from anew.domain.observation import Answer, Prediction
from anew.gateway.ask import Ask
from anew.gateway.logged import Logged
from anew.gateway.routing import Route
from anew.gateway.row import RequestRow

__all__ = ["Answered", "Entry"]

Answered = tuple[Route, Sequence[Prediction]]
"""The route under which the rows of a request were answered, and one prediction for each."""


class Entry(msgspec.Struct, eq=False):
    """One request on its way.

    Attributes
    ----------
    show
        Makes of its answers what `done` hears; `done` hears that, or a RefusedError.
    ids, asks, answers, failure, predictions
        What is known of its rows so far: their ids, what challengers were asked, the champion's answers or the
        fallback's, in which case `failure` says what the champion did, and what the record keeps.
    """

    rows: Sequence[RequestRow]
    show: Callable[[Answered], Any]
    done: Callable[[Any], None]
    started: float
    within_s: float
    logged: Logged | None = None
    ids: Sequence[str] = ()
    asks: Sequence[Ask] = ()
    answers: Sequence[Answer] = ()
    failure: str = ""
    predictions: Sequence[Prediction] = ()
    shown: Any = None
    heard: bool = False
    pending: bool = False
    ended: bool = False

    def prepare(self, route: Route) -> Any:
        """Say what its rows came to; nobody hears it yet."""
        if self.shown is None:
            self.shown = self.show((route, self.predictions))
        return self.shown

    def end(self, outcome: Any) -> None:
        """Tell whoever asked what `prepare` returned, or a RefusedError."""
        if not self.ended:
            self.done(outcome)
            self.ended = True
