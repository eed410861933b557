"""The policies of a backtest: schedules, detectors of drift and of concept drift, cost-aware rules, and economic."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from anew.loop.backtest import Act, Board, Model, Sight
from anew.loop.measure import Floats
from anew.trigger.economic import Bought, Economic, Ledger, Standing, WindowLosses

__all__ = ["CostAware", "EconomicPolicy", "Every", "InputDrift", "LossDrift", "Never"]


class Never:
    """Never retrains."""

    def act(self, sight: Sight) -> Act:  # noqa: ARG002  the policy's contract
        """Do nothing."""
        return Act()


@dataclass(frozen=True)
class Every:
    """Retrains every `windows` windows, where labels have come since the last time."""

    windows: int
    span: int

    def act(self, sight: Sight) -> Act:
        """Retrain when it is time."""
        due = sight.now > sight.board.first and (sight.now - sight.board.first) % self.windows == 0
        return Act(fit=self.span) if due and sight.mature > sight.champion.end else Act()


@dataclass
class InputDrift:
    """Retrains when a distance between training and window is above a threshold, several windows in a row.

    `distance` is asked for a model's training rows and a window that has been served: it needs no labels.
    """

    distance: Callable[[Model, int], float]
    above: float
    in_a_row: int
    span: int
    run: int = 0

    def act(self, sight: Sight) -> Act:
        """Count the windows in a row."""
        last = sight.now - 1
        if last < max(sight.champion.end, sight.board.first):
            return Act()
        self.run = self.run + 1 if self.distance(sight.champion, last) > self.above else 0
        if self.run < self.in_a_row or sight.mature <= sight.champion.end:
            return Act()
        self.run = 0
        return Act(fit=self.span)


@dataclass(frozen=True)
class LossDrift:
    """Retrains when a detector finds that the champion's losses, in time order, have risen."""

    found: Callable[[Floats], bool]
    span: int

    def act(self, sight: Sight) -> Act:
        """Ask the detector about all mature losses since the champion was trained."""
        windows = range(sight.champion.end, sight.mature)
        if not windows:
            return Act()
        seen = np.concatenate([sight.losses(sight.champion, window) for window in windows])
        return Act(fit=self.span) if self.found(seen.astype(np.float64)) else Act()


@dataclass(frozen=True)
class CostAware:
    """Retrains when the champion's excess over its first loss adds up to the price: after CARA's cumulative rule.

    No noise is taken off, none is forgiven, and nothing is learned of whether retraining helps.
    """

    span: int

    def act(self, sight: Sight) -> Act:
        """Add up the excess of all mature windows since the champion was trained."""
        windows = range(sight.champion.end, sight.mature)
        if len(windows) < 2:
            return Act()
        losses = [float(sight.losses(sight.champion, window).sum()) for window in windows]
        excess = sum(max(0.0, each - losses[0]) for each in losses[1:])
        return Act(fit=self.span) if excess >= sight.price else Act()


@dataclass
class EconomicPolicy:
    """The default policy, told what the loop would tell it: losses of champion and archive on mature windows."""

    economic: Economic
    span: int
    archive: list[Model] = field(default_factory=list)
    windows: list[WindowLosses] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    since: int = 0
    revived: bool = False
    scored: int = 0

    def act(self, sight: Sight) -> Act:
        """Score the windows that have become mature, and let the rule decide."""
        champion = sight.champion
        self.since, self.scored = max(self.since, sight.board.first), max(self.scored, sight.board.first)
        while self.scored < sight.mature:
            if self.scored >= champion.end:
                self.windows.append(self._score(sight, self.scored))
            self.scored += 1
        ledger = Ledger(
            champion=_standing(sight.board, champion),
            archive=tuple(_standing(sight.board, each) for each in self.archive),
            windows=tuple(self.windows),
            now=sight.now,
            since=self.since,
            revived=self.revived,
            bought=tuple(self.bought),
            price=sight.price,
        )
        choice = self.economic.choose(ledger)
        if choice.kind == "revive":
            back = next(each for each in self.archive if each.name == choice.version)
            self.archive = [each for each in self.archive if each != back]
            self._change(sight, revived=True)
            return Act(revive=back)
        if choice.kind == "retrain" and sight.mature > champion.end:
            model = sight.board.model(sight.mature, self.span)
            if choice.bought is not None:
                self.bought.append(replace(choice.bought, new=model.name))
            if model in sight.board.rows:
                self._change(sight, revived=False)
            return Act(fit=self.span)
        return Act()

    def _change(self, sight: Sight, *, revived: bool) -> None:
        self.archive.append(sight.champion)
        self.since, self.revived = sight.now, revived

    def _score(self, sight: Sight, window: int) -> WindowLosses:
        champion = sight.champion
        kept = self.archive[-self.economic.archive :] if self.economic.archive else []
        ours = sight.losses(champion, window)
        loss, error = {champion.name: float(ours.sum())}, {}
        for each in kept:
            if each.end <= window:
                theirs = sight.losses(each, window)
                loss[each.name] = float(theirs.sum())
                error[each.name] = float(np.std(ours - theirs) * math.sqrt(ours.size))
        return WindowLosses(index=window, champion=champion.name, loss=loss, error=error)


def _standing(board: Board, model: Model) -> Standing:
    low, high = board.trained_on(model)
    return Standing(name=model.name, end=model.end, rows=high - low)
