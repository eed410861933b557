"""Backtest: policies replayed over a board of losses, each charged for its fits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError
from anew.loop.measure import Floats

Losses = npt.NDArray[np.float32]
"""Of rows, not negative."""

__all__ = ["Act", "Board", "BoughtFit", "Model", "Policy", "Run", "Sight", "play"]


@dataclass(frozen=True, slots=True, order=True)
class Model:
    """The model trained on the `span` windows before window `end`; a span of 0 is all that came before."""

    end: int
    span: int

    @property
    def name(self) -> str:
        """Tell it from all others of a board."""
        return f"{self.end}/{self.span or 'all'}"


@dataclass(frozen=True, kw_only=True)
class Board:
    """The losses of every model on every row that came after its training.

    Attributes
    ----------
    bounds
        Rows at which windows begin, ascending from 0, and the number of rows at last.
    first
        Windows that the first model is trained on.
    rows
        By model: the loss of each row from the beginning of window `end` on. A model that could not be trained is not
        there.
    """

    bounds: tuple[int, ...]
    first: int
    spans: tuple[int, ...]
    rows: Mapping[Model, Losses]

    def __post_init__(self) -> None:
        if self.start not in self.rows:
            raise InvariantError("there is no first model, so nothing could be served")

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.bounds) - 1

    @property
    def start(self) -> Model:
        """The first model."""
        return Model(self.first, 0)

    def model(self, end: int, span: int) -> Model:
        """Return the model of a span; one that reaches back to the beginning is the model of all."""
        return Model(end, 0 if span >= end else span)

    def trained_on(self, model: Model) -> tuple[int, int]:
        """Return the rows `low` up to `high` that a model is trained on."""
        return self.bounds[max(model.end - model.span, 0) if model.span else 0], self.bounds[model.end]

    def losses(self, model: Model, window: int) -> Losses:
        """Return the losses of a window's rows.

        Raises
        ------
        InvariantError
            The model was trained on the window: what it loses there says nothing.
        """
        if window < model.end:
            raise InvariantError(f"model {model.name} was trained on window {window}")
        base = self.bounds[model.end]
        return self.rows[model][self.bounds[window] - base : self.bounds[window + 1] - base]

    @cached_property
    def total(self) -> Floats:
        """Sums of losses, shape `(spans, windows, windows)`: as `anew.stats.schedule` takes them."""
        return self._sums(lambda rows: rows)

    @cached_property
    def halves(self) -> tuple[Floats, Floats]:
        """The same of the even rows, and of the odd ones."""
        return self._sums(lambda rows: rows * (np.arange(rows.size) % 2 == 0)), self._sums(
            lambda rows: rows * (np.arange(rows.size) % 2 == 1)
        )

    def _sums(self, part: Callable[[Floats], Floats]) -> Floats:
        found = np.full((len(self.spans), self.windows, self.windows), np.inf)
        bounds = np.array(self.bounds)
        for i, span in enumerate(self.spans):
            for end in range(self.first, self.windows):
                rows = self.rows.get(self.model(end, span))
                if rows is not None:
                    # Rows are even and odd by their number in the stream, whoever is asked about them.
                    whole = np.concatenate([np.zeros(bounds[end]), rows])
                    found[i, end, end:] = np.add.reduceat(part(whole), bounds[:-1])[end:]
        return found


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a policy may know before window `now`: losses of windows before `mature` alone."""

    board: Board
    now: int
    mature: int
    champion: Model
    price: float

    def losses(self, model: Model, window: int) -> Losses:
        """Return the losses of a window's rows.

        Raises
        ------
        InvariantError
            Its labels are not mature, or the model was trained on it.
        """
        if window >= self.mature:
            raise InvariantError(f"the labels of window {window} are not mature before window {self.now}")
        return self.board.losses(model, window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a policy does before a window: fit a span, revive a model, or nothing; and what it spent on probes."""

    fit: int | None = None
    revive: Model | None = None
    probes: float = 0.0


class Policy(Protocol):
    """Decides window by window. One object serves one run."""

    def act(self, sight: Sight) -> Act:
        """Decide before window ``sight.now``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BoughtFit:
    """A fit: before which window, on how many rows, of which span; `span` 0 is all."""

    window: int
    rows: int
    span: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a policy did over a stream: loss by window (sums over rows), fits, probes in units of fits.

    `revived` are the windows before which an archived model came back.
    """

    by_window: Floats
    fits: tuple[BoughtFit, ...]
    revived: tuple[int, ...]
    probes: float

    @property
    def spent(self) -> float:
        """Fits, probes at their share."""
        return len(self.fits) + self.probes


def play(policy: Policy, board: Board, *, delay: int, price: float) -> Run:
    """Let a policy decide before each window, and serve what it decided on.

    Before window `t` labels of windows before ``t - delay`` are mature; the first model's own are.

    Parameters
    ----------
    price
        Of a retrain, as a sum of losses of rows.
    """
    champion = board.start
    by_window, fits, revived, probes = [], list[BoughtFit](), list[int](), 0.0
    for now in range(board.first, board.windows):
        mature = max(now - delay, board.first)
        act = policy.act(Sight(board=board, now=now, mature=mature, champion=champion, price=price))
        probes += act.probes
        if act.revive is not None:
            champion = act.revive
            revived.append(now)
        elif act.fit is not None:
            model = board.model(mature, act.fit)
            low, high = board.trained_on(model)
            fits.append(BoughtFit(window=now, rows=high - low, span=model.span))
            if model in board.rows:  # one that could not be trained is paid for, and the champion stays
                champion = model
        by_window.append(float(board.losses(champion, now).sum()))
    return Run(by_window=np.array(by_window), fits=tuple(fits), revived=tuple(revived), probes=probes)
