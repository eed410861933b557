"""The policy lab: what each policy would have cost and lost on the project's history, beside hindsight."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anew.dashboard.asking import Asking

__all__ = ["LabPage", "Tried", "lab_page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A policy: its mean loss, its fits and probes, and its regret against hindsight (0 is hindsight, 1 never)."""

    policy: str
    loss: float
    fits: int
    probes: float
    regret: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPage:
    """The last backtest of the project, `at` its end; None before the first."""

    at: datetime | None
    report: Mapping[str, Any] | None
    best: str
    tried: tuple[Tried, ...]


def lab_page(asking: Asking) -> LabPage:
    """Make the page."""
    at, report = asking.source.backtested()
    if report is None:
        return LabPage(at=None, report=None, best="", tried=())
    best = report["recommended"]["policy"] if report["recommended"] else "never"
    tried = [
        Tried(
            policy=each["policy"],
            loss=each["loss"],
            fits=len(each["fits"]),
            probes=each["probes"],
            regret=sum(each["normalised_regret"].values()) / len(each["normalised_regret"]),
        )
        for each in report["policies"]
    ]
    return LabPage(at=at, report=report, best=best, tried=tuple(sorted(tried, key=lambda each: each.regret)))
