"""A project's trial of a candidate: its gates, its suites and the stored artifact, put together from an order."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from anew.adapters.fairlearn_disparity import fairlearn_disparity
from anew.adapters.model_loader import ModelLoader
from anew.app.gates import ChosenGates
from anew.app.model_card import card_problems
from anew.app.settings import Settings
from anew.app.suites import suite_sources
from anew.domain.errors import NotFoundError
from anew.loop.package import measure_package
from anew.loop.trial import Rows, Suite, SuiteSource, Trial, some_of
from anew.ports.predictor import Predictor
from anew.validate import HeldOut

__all__ = ["rows_on_trial"]


def rows_on_trial(settings: Settings, chosen: ChosenGates, order: Mapping[str, Any]) -> HeldOut:
    """Return the held-out rows of the candidate that `order` names, with all that its gates may ask for.

    Raises
    ------
    AnewError
        A version cannot be loaded, or cannot answer the held-out rows.
    """
    rows = pl.read_parquet(order["snapshot"])
    held = rows.slice(order["trained_rows"])
    version, digest, place = order["candidate"]
    load = partial(ModelLoader().load, Path(place), version=version, digest=digest)
    trial = Trial(
        candidate=load(),
        champion=_loaded(order["champion"]),
        anchor=_loaded(order.get("anchor", ("", "", ""))),
        training=rows.head(order["trained_rows"]),
        beside=partial(pl.read_parquet, order["beside"]) if order.get("beside") else None,
        suites={name: _reader(source, order) for name, source in suite_sources(settings).items()},
        package=cache(
            lambda: measure_package(Path(place), load, held, card_problems(settings.root, chosen.sections or ()))
        ),
        disparity=fairlearn_disparity,
    )
    return trial.held_out(held)


def _loaded(version: tuple[str, str, str]) -> Predictor | None:
    name, digest, place = version
    return ModelLoader().load(Path(place), version=name, digest=digest) if digest else None


def _reader(source: SuiteSource, order: Mapping[str, Any]) -> Suite:
    if source.file is not None:
        return partial(_sealed, source.file)
    kind = "recorded" if source.recorded else "past"
    return partial(_stored, str(order.get(kind, "")), kind, source.recorded or source.past)


def _sealed(read: Callable[[], pl.DataFrame]) -> Rows:
    return Rows(frame=read())


def _stored(place: str, kind: str, count: int) -> Rows:
    if not place:
        said = {"recorded": "no labelled answer of the champion to rows that were held out is on record"}
        raise NotFoundError(said.get(kind, "no labelled row is older than the training span"))
    rows = pl.read_parquet(place)
    return Rows(frame=rows.tail(count), recorded=True) if kind == "recorded" else Rows(frame=some_of(rows, count))
