"""A project's feature store: its two sides, chosen by the settings."""

import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from anew.adapters.feast_history import FeastHistory
from anew.adapters.feast_online import FeastOnline
from anew.adapters.table_file import labelled_rows
from anew.app.settings import Settings
from anew.domain.column import Column, ColumnKind
from anew.domain.errors import SettingsError
from anew.ports.feature_store import OfflineFeatures, OnlineFeatures

__all__ = ["known_rows", "offline_features", "online_features", "own_rows"]

_TYPES = {ColumnKind.NUMBER: pl.Float64(), ColumnKind.CATEGORY: pl.String(), ColumnKind.VECTOR: pl.List(pl.Float64)}


def online_features(settings: Settings) -> OnlineFeatures | None:
    """Return what the gateway asks; None for a project without a feature store."""
    store = settings.policy.feature_store
    return (
        None if store is None else FeastOnline(store.server, store.entity, store.features, timeout_ms=store.timeout_ms)
    )


def offline_features(settings: Settings) -> OfflineFeatures | None:
    """Return what history is joined with; None for a project without a feature store.

    Raises
    ------
    SettingsError
        The environment variable that is to name Feast's interpreter is not set.
    """
    store = settings.policy.feature_store
    if store is None:
        return None
    return FeastHistory(
        python=_interpreter(settings, store.python),
        repository=settings.root / store.repository,
        entity=store.entity,
        features=store.features,
    )


def known_rows(
    frame: pl.DataFrame, settings: Settings, name: str, outcomes: Sequence[str] = (), *, label_time: str = ""
) -> pl.DataFrame:
    """Return the labelled rows of a file, as `labelled_rows` does; what it lacks as the feature store knew it then.

    Raises
    ------
    SchemaError
        A declared column is missing, and the store does not know it either.
    UnavailableError
        The store does not answer.
    """
    store, lacking = offline_features(settings), _lacking(frame, settings)
    rows = own_rows(frame, settings, name, outcomes, label_time=label_time)
    if store is None or not lacking:
        return rows
    joined = store.join(rows)
    return rows.with_columns(joined.get_column(c.name).cast(_TYPES[c.kind]) for c in lacking)


def own_rows(
    frame: pl.DataFrame, settings: Settings, name: str, outcomes: Sequence[str] = (), *, label_time: str = ""
) -> pl.DataFrame:
    """Return the labelled rows of a file, as `labelled_rows` does; null is what the feature store would be asked for.

    Raises
    ------
    SchemaError
        A declared column is missing that no feature store knows, or one is not of its kind.
    """
    empty = [pl.lit(None, dtype=_TYPES[each.kind]).alias(each.name) for each in _lacking(frame, settings)]
    return labelled_rows(frame.with_columns(empty), settings.columns, name, outcomes, label_time=label_time)


def _lacking(frame: pl.DataFrame, settings: Settings) -> Sequence[Column]:
    """Return the features that a file lacks and the feature store knows."""
    store = settings.policy.feature_store
    known = {} if store is None else store.features
    return [each for each in settings.columns.features if each.name in known and each.name not in frame]


def _interpreter(settings: Settings, text: str) -> Path:
    """Return the path of an interpreter, which a variable may name: environments lie elsewhere on each machine."""
    scheme, _, variable = text.partition(":")
    if scheme != "env":
        return settings.root / text
    found = os.environ.get(variable, "")
    if not found:
        where = settings.document.where(("feature_store", "python"))
        raise SettingsError(f"{where}: feature_store.python: the environment variable {variable!r} is not set")
    return Path(found)
