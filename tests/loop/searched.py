"""A search in a small space of one value, for tests: what it asks is counted, and its answer is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anew.adapters.optuna_search import OptunaStudy
from anew.loop.progress import Progress
from anew.loop.search import Found, SearchPlan, search
from anew.ports.search import Attempt

__all__ = ["Bowl", "bowl_space"]


def bowl_space(trial: Any) -> Mapping[str, Any]:
    """Ask for a depth and a rate."""
    return {"depth": trial.suggest_int("depth", 1, 8), "rate": trial.suggest_float("rate", 0.01, 1.0, log=True)}


@dataclass
class Bowl:
    """Scores attempts by their distance from depth 5 and rate 0.1; each fold is a little off."""

    seen: list[tuple[int, int]] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    fails: Callable[[Attempt], bool] = lambda _: False

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float | str]:
        """Score, and note which trial and fold was asked for."""
        self.seen += [(each.number, each.fold) for each in attempts]
        return [self._score(each) for each in attempts]

    def _score(self, attempt: Attempt) -> float | str:
        if self.fails(attempt):
            return "no luck"
        off = (attempt.params["depth"] - 5) ** 2 + 10 * abs(attempt.params["rate"] - 0.1)
        return float(off + 0.01 * attempt.fold)

    def search(self, plan: SearchPlan, journal: Path | None = None, seed: int = 7) -> Found:
        """Search by Optuna."""
        study = OptunaStudy(journal, seed=seed, trials=plan.trials, warm=plan.warm)
        return search(plan, study, bowl_space, self.scores, self.told.append)
