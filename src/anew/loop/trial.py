"""Puts a candidate on trial: rows, suites and whom to ask, as the gates read them; the same live and in a replay."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import AnewError, InvariantError
from anew.loop.measure import as_values, losses
from anew.ports.predictor import Predictor
from anew.validate import Answers, Disparity, Examinee, HeldOut, Package

__all__ = ["Ask", "Rows", "Suite", "SuiteSource", "Trial", "ask", "ask_online", "identities", "some_of"]

Ask = Callable[[Predictor, pl.DataFrame], Answers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Labelled rows to be asked about: declared features, ``_at`` and ``_label``, in time order.

    `recorded` are the champion's answers as they were served, where it is not to be asked again: ``_output`` and the
    probabilities as ``_p0 … _pk`` in the rows themselves.
    """

    frame: pl.DataFrame
    recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSource:
    """Where a suite's rows come from; one of three.

    A reader of a sealed file; so many of the champion's newest recorded answers to rows that nobody was trained on; or
    so many rows from before the training span, evenly taken.
    """

    file: Callable[[], pl.DataFrame] | None = None
    recorded: int = 0
    past: int = 0


Suite = Callable[[], Rows]
"""Reads a suite's rows; raises an AnewError that says why it cannot be used."""


def identities(rows: pl.DataFrame, columns: Columns) -> npt.NDArray[np.uint64]:
    """Return what tells rows apart, shape (n,): a hash of instant and features, the same within one process.

    The label is no part of it: a row whose label was turned over is still the same row.
    """
    names = [name for name in ("_at", *columns.names) if name in rows.columns]
    return rows.select(names).hash_rows(seed=0).to_numpy()


def some_of(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return `count` of the rows at the most, evenly taken, in their order."""
    return rows.gather_every(max(1, -(-rows.height // count)))


def ask(predictor: Predictor, rows: pl.DataFrame) -> Answers:
    """Ask a version about rows, all at once."""
    said = predictor.predict(rows)
    return Answers(as_values(said.output, predictor.columns.task), said.proba)


def ask_online(predictor: Predictor, rows: pl.DataFrame) -> Answers:
    """Ask a version about rows as requests do, one by one."""
    names = predictor.columns.names
    said = [predictor.answer([row])[0] for row in rows.select(names).iter_rows(named=True)]
    kind = None if predictor.columns.task.classifies else pl.Float64
    output = as_values(pl.Series([each.output for each in said], dtype=kind), predictor.columns.task)
    proba = [each.proba for each in said if each.proba is not None]
    return Answers(output, np.array(proba) if len(proba) == len(said) and proba else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Who is on trial, against whom, and how each is asked.

    Attributes
    ----------
    champion, anchor
        The version in service and the pinned one; None where there is none.
    training
        The rows that the candidate was trained on, on its own span.
    beside
        Reads those of the second model that it answers by; None of one.
    suites
        Readers of the benchmark suites, by name.
    ask
        Asks a version; a replay answers from what it knows already.
    package
        Looks at the stored artifact; None where nothing is stored.
    """

    candidate: Predictor
    champion: Predictor | None
    training: pl.DataFrame
    beside: Callable[[], pl.DataFrame] | None = None
    anchor: Predictor | None = None
    suites: Mapping[str, Suite] = field(default_factory=dict)
    ask: Ask = ask
    package: Callable[[], Package] | None = None
    disparity: Disparity | None = None

    def held_out(self, rows: pl.DataFrame, *, answers: Ask | None = None) -> HeldOut:
        """Return the held-out rows with all that gates may ask for; what is dear is made when it is asked for.

        `answers` asks about these rows, where that is not how others are asked about.
        """
        columns = self.candidate.columns
        known = cache(lambda: np.unique(np.concatenate([identities(each, columns) for each in self._learned()])))
        asked = self._asked(Rows(frame=rows), answers or self.ask, None)
        suites = {name: cache(partial(self._suite, read, known)) for name, read in self.suites.items()}
        return replace(
            asked,
            training=self.training,
            trained=lambda n: self._asked(Rows(frame=self.training.tail(n)), self.ask, None),
            suites=suites,
            candidate=self._examinee(),
            disparity=self.disparity,
        )

    def _learned(self) -> Iterator[pl.DataFrame]:
        yield self.training
        if self.beside is not None:
            yield self.beside()

    def _suite(self, read: Suite, known: Callable[[], npt.NDArray[np.uint64]]) -> HeldOut:
        try:
            return self._asked(read(), self.ask, known)
        except InvariantError:
            raise
        except AnewError as exc:
            raise InvariantError(str(exc)) from exc

    def _asked(self, rows: Rows, ask: Ask, known: Callable[[], npt.NDArray[np.uint64]] | None) -> HeldOut:
        frame, columns = rows.frame, self.candidate.columns
        task, scale = columns.task, self.candidate.manifest.loss_scale or 1.0
        label = as_values(frame.get_column("_label"), task)
        ours = ask(self.candidate, frame)
        theirs = (
            None
            if self.champion is None
            else ask(self.champion, frame)
            if not rows.recorded
            else _recorded(rows, columns)
        )
        pinned = None if self.anchor is None else ask(self.anchor, frame)
        return HeldOut(
            task=task,
            label=label,
            challenger=ours.output,
            challenger_loss=losses(task, label, ours.output, scale),
            champion=theirs.output if theirs else None,
            champion_loss=losses(task, label, theirs.output, scale) if theirs else None,
            positive=str(columns.classes[-1]) if columns.classes else "",
            classes=tuple(map(str, columns.classes)),
            numbered=columns.numbered,
            challenger_chance=ours.chance,
            champion_chance=theirs.chance if theirs else None,
            anchor_loss=losses(task, label, pinned.output, scale) if pinned else None,
            loss_scale=scale,
            table=frame,
            trained_on=int(np.isin(identities(frame, columns), known()).sum()) if known else 0,
        )

    def _examinee(self) -> Examinee:
        return Examinee(
            manifest=self.candidate.manifest,
            answer=partial(self.ask, self.candidate),
            online=partial(ask_online, self.candidate),
            inputs=self._inputs,
            package=self.package,
        )

    def _inputs(self, frame: pl.DataFrame) -> pl.DataFrame:
        return self.candidate.inputs(frame)


def _recorded(rows: Rows, columns: Columns) -> Answers:
    names = [f"_p{k}" for k in range(len(columns.classes))]
    known = bool(names) and set(names) <= set(rows.frame.columns)
    chance = rows.frame.select(names).to_numpy() if known else None
    return Answers(as_values(rows.frame.get_column("_output"), columns.task), chance)
