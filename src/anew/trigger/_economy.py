"""The economic policy in the loop: which losses it asks for, and what it makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from anew.domain.fact import Fact
from anew.domain.facts import EffectFailed, RetiredScoringAsked, RetrainWithheld, WindowScored
from anew.domain.interval import Interval
from anew.trigger._books import HOPED, LEVEL, NAME, Books
from anew.trigger._question import Question
from anew.trigger._sharing import RATE
from anew.trigger.cost import Cost
from anew.trigger.economic import Choice, Economic, Ledger

__all__ = ["Economy"]


_MOST_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Economy:
    """Decides by `rule` at the price that `cost` says; nothing measured and no price withhold, with a reason.

    Each request since the last promotion doubles the price: what gates and rollout let come to nothing was not worth
    it, and a candidate on its way keeps the place from one that somebody else may ask for.
    """

    rule: Economic = Economic()
    cost: Cost = Cost()

    def ask(self, books: Books, fact: WindowScored) -> tuple[Fact, ...]:
        """Ask what champion and archive lost in a window; without labels there is nothing to ask, and that is said."""
        versions = books.scorable(self.rule.archive)
        if fact.revision or not versions:
            return ()
        if not fact.labelled:
            return (
                RetrainWithheld(
                    model=fact.model,
                    at=fact.at,
                    reason="labels",
                    detail=f"none of {fact.n} predictions of the window has a label: what it cost is not known",
                    triggers=(NAME,),
                    considered=(("labelled", "0"), ("predictions", str(fact.n))),
                ),
            )
        return (
            RetiredScoringAsked(
                model=fact.model, at=fact.at, version=versions[0][0], versions=versions, window=fact.window
            ),
        )

    def question(self, books: Books, window: Interval) -> Question:
        """Decide on all windows that were scored, of which `window` is the last."""
        if books.champion is None:
            return _no("nothing", "there is no champion", {})
        price = self.cost.price(books.level, tuple(books.runs_s.values()))
        if price.value is None:
            return _no("cost", f"what a retrain costs is not known: {price.why}", {})
        ledger = Ledger(
            champion=books.champion,
            archive=books.archive,
            windows=books.windows,
            now=books.closed,
            since=books.since,
            revived=books.revived,
            bought=books.bought,
            price=price.value * 2 ** min(books.vain, _MOST_DOUBLINGS),
        )
        choice = self.rule.choose(ledger)
        numbers = _numbers(choice, window) | {"price is": price.why, "doubled for requests in vain": str(books.vain)}
        if choice.kind == "keep":
            return _no("not_yet", choice.reason, numbers)
        return Question(
            triggers=(NAME,), reason=choice.reason, considered=tuple(numbers.items()), revive=choice.version
        )

    def blind(self, fact: EffectFailed) -> Question:
        """Say that a window's losses could not be measured."""
        return _no("evidence", f"what the versions lost could not be measured: {fact.reason}: {fact.detail}", {})


def _no(reason: str, detail: str, numbers: Mapping[str, str]) -> Question:
    return Question(triggers=(NAME,), reason=detail, considered=tuple(numbers.items()), withheld=(reason, detail))


def _numbers(choice: Choice, window: Interval) -> dict[str, str]:
    """Return the numbers of a choice as text that reads back to the same numbers."""
    found = {name: repr(value) for name, value in choice.numbers.items()}
    if "regret a window" in choice.numbers:
        found[RATE] = repr(choice.numbers["regret a window"] / (window.length / timedelta(hours=1)))
    if choice.bought is not None:
        found |= {HOPED: repr(choice.bought.rise), LEVEL: repr(choice.bought.level)}
    return found
