"""What has to happen in the demo, in its order, as facts; and what is changed on purpose to make it happen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anew.domain.fact import Fact
from anew.domain.facts import (
    AlertRaised,
    CandidateRefused,
    CandidateTrained,
    GateJudged,
    GuardrailTripped,
    RetrainRequested,
    RolledBack,
    SnapshotTaken,
    Stage,
    TrafficShifted,
    VersionPromoted,
)

__all__ = ["CHAPTERS", "Chapter", "Story", "broken", "poisoned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One thing that must be seen, after the ones before it."""

    name: str
    seen: Callable[[Fact], bool]


def _alert(prefix: str) -> Callable[[Fact], bool]:
    return lambda fact: isinstance(fact, AlertRaised) and fact.detector.startswith(prefix)


def _shifted(stage: Stage) -> Callable[[Fact], bool]:
    return lambda fact: isinstance(fact, TrafficShifted) and fact.stage is stage


CHAPTERS: Sequence[Chapter] = (
    Chapter(name="first champion", seen=lambda fact: isinstance(fact, VersionPromoted) and not fact.previous),
    Chapter(name="drift", seen=_alert("psi")),
    Chapter(name="SLO breach", seen=_alert("slo")),
    Chapter(
        name="decision with its reasons",
        seen=lambda fact: isinstance(fact, RetrainRequested) and fact.triggers != ("command",),
    ),
    Chapter(name="snapshot", seen=lambda fact: isinstance(fact, SnapshotTaken)),
    Chapter(name="training", seen=lambda fact: isinstance(fact, CandidateTrained)),
    Chapter(name="gates", seen=lambda fact: isinstance(fact, GateJudged)),
    Chapter(name="shadow", seen=_shifted(Stage.SHADOW)),
    Chapter(name="canary", seen=_shifted(Stage.CANARY)),
    Chapter(name="promotion", seen=lambda fact: isinstance(fact, VersionPromoted) and bool(fact.previous)),
    Chapter(name="poisoned candidate refused by the gate", seen=lambda fact: isinstance(fact, CandidateRefused)),
    Chapter(
        name="broken candidate passed the gates",
        seen=lambda fact: isinstance(fact, TrafficShifted) and fact.stage is Stage.SHADOW,
    ),
    Chapter(
        name="caught on live traffic",
        seen=lambda fact: isinstance(fact, GuardrailTripped) or (isinstance(fact, RolledBack) and _harmed(fact)),
    ),
    Chapter(name="rolled back", seen=lambda fact: isinstance(fact, RolledBack)),
)


def _harmed(fact: RolledBack) -> bool:
    return fact.reason.startswith(("guardrail", "canary", "shadow"))


class Story:
    """Ticks off the chapters; a chapter counts only when its act has begun.

    The last four are staged: the director opens the poisoned act and the broken act, and no fact from before counts.
    """

    def __init__(self) -> None:
        self._next = 0
        self._open = 10

    @property
    def told(self) -> Sequence[str]:
        """Names of the chapters seen."""
        return [chapter.name for chapter in CHAPTERS[: self._next]]

    @property
    def missing(self) -> Sequence[str]:
        """Names of the chapters not seen yet."""
        return [chapter.name for chapter in CHAPTERS[self._next :]]

    def has(self, name: str) -> bool:
        """Was this chapter seen?"""
        return name in self.told

    def open(self, chapters: int) -> None:
        """Let the first `chapters` chapters count from now on."""
        self._open = chapters

    def hear(self, fact: Fact) -> list[str]:
        """Take in a fact and return the names of the chapters that it completes; drift and breach come in any order."""
        done = []
        while self._next < min(self._open, len(CHAPTERS)) and CHAPTERS[self._next].seen(fact):
            done.append(CHAPTERS[self._next].name)
            self._next += 1
        return done


def poisoned(pipeline: str) -> str:
    """Return the pipeline with a fault in `train`: half of the labels are permuted."""
    fault = (
        "    y = data.y.to_numpy().copy()\n"
        "    chance = np.random.default_rng(data.seed)\n"
        "    half = chance.permutation(len(y))[: len(y) // 2]\n"
        "    y[half] = y[chance.permutation(half)]\n"
        "    return model.fit(data.x.to_numpy(), y)\n"
    )
    changed = pipeline.replace("    return model.fit(data.x.to_numpy(), data.y.to_numpy())\n", fault)
    return _changed(pipeline, changed.replace("import polars as pl\n", "import numpy as np\nimport polars as pl\n"))


def broken(pipeline: str, month: int) -> str:
    """Return the pipeline with a fault in `features`: its table of months ends with `month`, the one that runs."""
    table = ", ".join(f"{float(m)}: {float(m)}" for m in [0, *range(1, 13)] if m == 0 or m != month % 12 + 1)
    changed = pipeline.replace(
        "    return rows.with_columns(pl.col",
        f"    seasons = {{{table}}}\n"
        '    rows = rows.with_columns(pl.col("month").replace_strict(seasons))\n'
        "    return rows.with_columns(pl.col",
    )
    return _changed(pipeline, changed)


def _changed(before: str, after: str) -> str:
    assert before != after, "the demo's pipeline has changed and its fault with it"  # noqa: S101  an invariant of ours
    return after
