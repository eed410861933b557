"""Economic: retrain when staying has cost what a retrain costs; bring an archived champion back when its world does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log, sqrt
from statistics import fmean, median
from types import MappingProxyType
from typing import Literal

from anew.domain.errors import InvariantError
from anew.stats.regret import Slope, ski_rental, waiting_cost

__all__ = ["Bought", "Choice", "Economic", "Ledger", "Standing", "WindowLosses"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version that could serve.

    Attributes
    ----------
    end
        Number of the first window that it was not trained on.
    rows
        That it was trained on; 0 where that is not known.
    """

    name: str
    end: int
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLosses:
    """What versions lost in one window whose labels are mature, by inference on the same rows.

    Attributes
    ----------
    index
        Number of the window.
    champion
        The version that `error` compares with.
    loss
        Sum of the losses of all rows, by version.
    error
        Standard error of the paired difference of that sum to the champion's, by version.
    """

    index: int
    champion: str
    loss: Mapping[str, float]
    error: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bought:
    """A retrain that was bought because the loss had risen by `rise` a window over `level`: what of it came true?"""

    old: str
    new: str
    rise: float
    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All that the decision rests on; losses and price are in one unit, that of the sum of the losses of rows.

    Attributes
    ----------
    archive
        Retired champions that are still scored, the longest retired first.
    windows
        Those with mature labels, ascending.
    now
        Number of the window that comes next.
    since
        Number of the first window that was served after the last change of champion.
    revived
        Is the champion one that came back from the archive?
    bought
        Retrains that a risen loss led to.
    price
        What a retrain costs.
    """

    champion: Standing
    archive: tuple[Standing, ...] = ()
    windows: tuple[WindowLosses, ...] = ()
    now: int = 0
    since: int = 0
    revived: bool = False
    bought: tuple[Bought, ...] = ()
    price: float

    def losses(self, version: str, start: int = 0) -> list[float]:
        """Return the version's losses in windows from `start` on, where it was scored, in their order."""
        return [each.loss[version] for each in self.windows if each.index >= start and version in each.loss]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to do, and every number that it rests on.

    Attributes
    ----------
    version
        Whom to revive; empty otherwise.
    numbers
        By name: regrets, price, slope, how many versions it was asked of, level, noise, trust.
    bought
        For a retrain that a risen loss leads to: what is hoped for (`new` is not known yet).
    """

    kind: Literal["keep", "retrain", "revive"]
    reason: str
    version: str = ""
    numbers: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    bought: Bought | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Economic:
    """Retrain when regret over the present champion reaches the price of a retrain.

    Two regrets are kept, and the larger counts. *Waiting*: after each promotion the retired champions go on scoring
    the same rows; how much more an older one loses for each window that it is older tells what the champion loses by
    growing old. One that was trained on much fewer rows loses more for that, too, and on many more less: where some
    saw about as many as the champion, only those are asked. *Rise*: the loss in each window over what it was when the
    champion was new, less its noise, accumulated as in ski rental. A rise need not be the model's fault; what earlier
    retrains took off the loss, of what they were bought for, is how far the next rise is trusted.

    An archived champion that loses clearly less on the newest rows is brought back at once: nothing is fitted.

    Parameters
    ----------
    doubling
        What is believed of a doubling of the history before anything was seen: the share of the loss that it takes off.
    doubling_weight
        How many windows of paired evidence that belief is worth.
    forget
        Weight of each archived champion relative to the one retired after it.
    alike
        Of two models the one was trained on at least this share of the rows of the other: as many, for what age costs.
    paired_windows
        Windows after its training in which a champion is compared with those that it replaced.
    noise
        Standard deviations of the loss of a window that are no rise.
    trust_weight
        Windows of kept promises that rises are believed to begin with.
    archive
        Retired champions that are scored.
    revive_z
        Standard errors by which an archived champion has to be better.
    revive_windows
        Newest windows that it may be judged on.

    Notes
    -----
    Decide only on windows whose labels are mature; those served since without labels count as waiting. Windows should
    hold 50 labelled rows or more: in smaller ones noise hides every rise. Worst case: against a loss that rises by
    chance alone it spends as much on retrains as it believed to lose by waiting.

    The parameters are orders of magnitude, the same for all streams.

    References
    ----------
    Karlin et al., Competitive snoopy caching, 1988; Mahadevan and Mathioudakis, Cost-aware retraining for machine
    learning, 2024, sections 3 and 4, who estimate staleness from similar queries instead of from retired models.

    Examples
    --------
    >>> old, new = Standing(name="v1", end=5), Standing(name="v2", end=10)
    >>> def window(index, v1, v2):
    ...     return WindowLosses(index=index, champion="v2", loss={"v1": v1, "v2": v2}, error={"v1": 2.0})
    >>> seen = (window(10, 60.0, 20.0), window(11, 64.0, 22.0), window(12, 60.0, 20.0))
    >>> ledger = Ledger(champion=new, archive=(old,), windows=seen, now=13, since=10, price=15.0)
    >>> Economic().choose(ledger).kind
    'retrain'
    """

    doubling: float = 0.2
    doubling_weight: float = 3.0
    forget: float = 0.9
    alike: float = 0.75
    paired_windows: int = 5
    noise: float = 1.0
    trust_weight: float = 2.0
    archive: int = 8
    revive_z: float = 3.5
    revive_windows: int = 5

    def __post_init__(self) -> None:
        positive = ("doubling_weight", "trust_weight", "paired_windows", "revive_z", "revive_windows")
        for name in positive:
            if not getattr(self, name) > 0:
                raise InvariantError(f"economic: {name} is {getattr(self, name)}; it has to be positive")
        if not (0 <= self.doubling < 1 and 0 < self.forget <= 1 and 0 <= self.alike <= 1):
            raise InvariantError(
                f"economic: doubling {self.doubling} lies in [0, 1), forget {self.forget} in (0, 1], "
                f"alike {self.alike} in [0, 1]"
            )
        if not (self.noise >= 0 and self.archive >= 0):
            raise InvariantError(f"economic: noise {self.noise} and archive {self.archive} are 0 or more")

    def choose(self, ledger: Ledger) -> Choice:
        """Decide before window `ledger.now`."""
        back = self._revival(ledger)
        if back is not None:
            return back
        champion = ledger.champion
        seen = ledger.losses(champion.name, champion.end)
        newest = ledger.windows[-1].index if ledger.windows else -1
        if not seen or newest < champion.end:
            return Choice(kind="keep", reason="the champion has been scored in no window that it was not trained on")
        level, noise = self._level(ledger, seen)
        slope, asked = self._slope(ledger, level)
        trust = self._trust(ledger)
        rises = [loss - level for loss in self._since(ledger, seen)]
        waiting = waiting_cost(slope, ledger.now - ledger.since)
        risen = ski_rental(trust * each - self.noise * noise for each in rises)
        coming = max(0.0, trust * fmean(rises[-2:]) - self.noise * noise) if rises else 0.0
        numbers = {
            "price": ledger.price,
            "regret a window": max(coming, slope * (ledger.now - ledger.since)),
            "regret of waiting": waiting,
            "regret of a rise": risen,
            "slope": slope,
            "asked about age": float(asked),
            "level": level,
            "noise": noise,
            "trust": trust,
            "loss": seen[-1],
        }
        if max(waiting, risen) < ledger.price or max(waiting, risen) <= 0:  # nothing regretted is worth no price at all
            return Choice(kind="keep", reason="staying has cost less than a retrain does", numbers=numbers)
        rise = fmean(rises[-2:]) if rises else 0.0
        because_risen = rise > 2 * noise and rise > 1.5 * slope * (newest + 1 - champion.end)
        bought = Bought(old=champion.name, new="", rise=rise, level=max(level, 1e-9)) if because_risen else None
        why = "the loss has risen" if risen >= waiting else "the model has grown old"
        return Choice(
            kind="retrain", reason=f"{why}: staying has cost what a retrain does", numbers=numbers, bought=bought
        )

    def _revival(self, ledger: Ledger) -> Choice | None:
        """Return the archived champion that gains most a window, of those that are clearly better; None of none."""
        best, found = 0.0, None
        for each in ledger.archive[-self.archive :] if self.archive else ():
            lead, variance = 0.0, 0.0
            for k, window in enumerate(self._comparable(ledger, each), 1):
                lead += window.loss[ledger.champion.name] - window.loss[each.name]
                variance += window.error[each.name] ** 2
                clear = lead > self.revive_z * sqrt(variance) + 1e-9
                if clear and lead / k > best:
                    best, found = lead / k, (each, lead, sqrt(variance), k)
        if found is None:
            return None
        who, lead, error, k = found
        return Choice(
            kind="revive",
            version=who.name,
            reason=f"{who.name} loses less than {ledger.champion.name} in the newest {k} windows",
            numbers={"lead": lead, "standard error": error, "windows": float(k)},
        )

    def _comparable(self, ledger: Ledger, other: Standing) -> list[WindowLosses]:
        """Return the newest windows, the last first, in which both were scored and neither was trained on."""
        start = max(other.end, ledger.champion.end)
        if not ledger.windows:
            return []
        start = max(start, ledger.windows[-1].index - self.revive_windows + 1)
        found = []
        for window in reversed(ledger.windows):
            known = window.champion == ledger.champion.name and other.name in window.loss
            if window.index < start or not known:
                break
            found.append(window)
        return found

    def _since(self, ledger: Ledger, seen: list[float]) -> list[float]:
        """Return the champion's losses since it serves, or since its training when it is new."""
        return ledger.losses(ledger.champion.name, ledger.since) if ledger.revived else seen

    def _level(self, ledger: Ledger, seen: list[float]) -> tuple[float, float]:
        """Return the loss of a window that could be had, and the noise of one window.

        That is what the champion lost when it was new; after a retrain that a rise led to, no more than before the
        rise: a first model of a new world, trained on little of it, is not all that can be had there.
        """
        own = level = fmean(self._since(ledger, seen)[:3] or seen[-1:])
        if not ledger.revived:
            level = min([own, *(each.level for each in ledger.bought if each.new == ledger.champion.name)])
        steps = [abs(b - a) for a, b in pairwise(seen[-30:])]
        usual = 1.05 * median(steps) if len(steps) >= 3 else 0.0  # 1.4826 / sqrt(2): of steps to that of one window
        return level, max(usual, sqrt(max(own, 0.0)))  # the sum of losses between 0 and 1 varies by no more by chance

    def _slope(self, ledger: Ledger, level: float) -> tuple[float, int]:
        """Return what a champion loses by each window of age, and how many archived ones were asked about it."""
        champion = ledger.champion
        believed = self.doubling * level / (max(champion.end, 1) * log(2))
        slope, weight = Slope.prior(believed, weight=self.doubling_weight), 1.0
        first = [each for each in ledger.windows if each.index >= champion.end and champion.name in each.loss]
        asked = self._asked(ledger, first[: self.paired_windows])
        for each in reversed(asked):
            for window in first[: self.paired_windows]:
                if each.name in window.loss:
                    gap = window.loss[each.name] - window.loss[champion.name]
                    slope = slope.seen(gap=gap, older=champion.end - each.end, weight=weight)
            weight *= self.forget
        return slope.value, len(asked)

    def _asked(self, ledger: Ledger, windows: Sequence[WindowLosses]) -> Sequence[Standing]:
        """Return the older ones scored in `windows`; where some saw about as many rows as the champion, only those."""
        champion = ledger.champion
        kept = ledger.archive[-self.archive :] if self.archive else ()
        older = [each for each in kept if each.end < champion.end and any(each.name in w.loss for w in windows)]
        sizes = [sorted((each.rows, champion.rows)) for each in older]
        like = [each for each, (less, more) in zip(older, sizes, strict=True) if less >= self.alike * more]
        return like or older

    def _trust(self, ledger: Ledger) -> float:
        """Return how much of a rise a retrain is believed to take off, from what earlier ones did; in [0, 1]."""
        hoped, came = 0.0, 0.0
        for each in ledger.bought:
            seen = _both(ledger.windows, each)[:3]
            hoped += len(seen)
            came += sum(window.loss[each.old] - window.loss[each.new] for window in seen) / max(each.rise, 1e-9)
        return min(1.0, (self.trust_weight + max(came, 0.0)) / (self.trust_weight + hoped))


def _both(windows: Sequence[WindowLosses], bought: Bought) -> list[WindowLosses]:
    """Return the windows that both the old champion and its successor were scored in."""
    return [each for each in windows if bought.old in each.loss and bought.new in each.loss]
