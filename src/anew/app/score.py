"""`anew data score`: a file of rows answered by a version that the gateway knows, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.model_loader import ModelLoader
from anew.adapters.signing import Verifier
from anew.adapters.table_writer import TableWriter
from anew.app.kept import kept_artifacts
from anew.app.new_file import require_new
from anew.app.settings import load
from anew.domain.column import ColumnKind
from anew.domain.errors import NotFoundError, SchemaError
from anew.loop.progress import uncounted
from anew.ports.predictor import Predictor

__all__ = ["Scored", "score_file"]

_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What was scored: how many rows, by which version, into which columns.

    `unlike` counts the rows that the gateway refuses, since a number of theirs is NaN, infinite or a boolean.
    """

    rows: int
    version: str
    columns: tuple[str, ...]
    unlike: int = 0


def score_file(
    project: Path,
    source: Path,
    target: Path,
    *,
    version: str = "",
    told: Callable[[int, int], None] = uncounted,
) -> Scored:
    """Write the rows of the Parquet file `source` with their answers into `target`; memory is bounded by a batch.

    Parameters
    ----------
    version
        A version that the gateway is told of: champion, challenger or fallback; empty for the champion.
    told
        Hears how many rows are answered, and of how many.

    Raises
    ------
    NotFoundError
        There is no such project, file or version, or no folder for `target`.
    ConflictError
        `target` is there already.
    SchemaError
        A declared column is missing or of another kind, or a column bears the name of an answer.
    """
    predictor = _loaded(project, version)
    if not source.is_file():
        raise NotFoundError(f"there is no file {source}")
    require_new(target)
    names = _names(predictor)
    rows = unlike = 0
    with TableWriter(target) as writer:
        for frame, of in _batches(source):
            taken = sorted(set(names) & set(frame.columns))
            if taken:
                raise SchemaError(f"{source.name} has a column {taken[0]!r} already: rename it", taken[0])
            writer.write(frame.with_columns(_answers(predictor, frame, names)))
            rows += frame.height
            unlike += _unlike(predictor, frame)
            told(rows, of)
    return Scored(rows=rows, version=predictor.version, columns=names, unlike=unlike)


def _loaded(project: Path, version: str) -> Predictor:
    settings = load(project)
    verifier = Verifier.load(settings.state / "keys")
    order = FileTraffic(settings.state, verifier=verifier).published(settings.model)
    if order is None:
        raise NotFoundError(f"{settings.model} has no champion yet; `anew up` trains and serves one")
    known = dict(order.named)
    wanted = version or order.champion[0]
    if wanted not in known:
        raise NotFoundError(f"{wanted} is not at the gateway; there are {', '.join(sorted(known))}")
    folder = kept_artifacts(settings.state).get(known[wanted])
    return ModelLoader().load(folder, version=wanted, digest=known[wanted])


def _names(predictor: Predictor) -> tuple[str, ...]:
    columns = predictor.columns
    return ("prediction", *(f"proba_{label}" for label in columns.classes if columns.task.classifies))


def _answers(predictor: Predictor, frame: pl.DataFrame, names: tuple[str, ...]) -> list[pl.Series]:
    said = predictor.predict(frame)
    answers = [said.output.alias(names[0])]
    if said.proba is not None:
        answers += [pl.Series(name, said.proba[:, i]) for i, name in enumerate(names[1:])]
    return answers


def _unlike(predictor: Predictor, frame: pl.DataFrame) -> int:
    """Count the rows with a number that JSON does not have, or does not hold to be one: true counts as 1 here."""
    numbers = [each.name for each in predictor.columns.features if each.kind is ColumnKind.NUMBER]
    odd = [~pl.col(name).is_finite() for name in numbers if frame.schema[name].is_float()]
    odd += [pl.col(name).is_not_null() for name in numbers if frame.schema[name] == pl.Boolean]
    return frame.filter(pl.any_horizontal(odd)).height if odd else 0


def _batches(source: Path) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield the rows, `_ROWS` at a time, and how many there are; of an empty file one empty frame, for its columns."""
    lazy, at = pl.scan_parquet(source), 0
    try:
        of = int(lazy.select(pl.len()).collect().item())
        while True:
            frame = lazy.slice(at, _ROWS).collect()
            if frame.height or not at:
                yield frame, of
            if frame.height < _ROWS:
                return
            at += _ROWS
    except pl.exceptions.PolarsError as exc:
        said = f"{source.name} cannot be read as Parquet; give a Parquet file, and a whole one: {exc}"
        raise SchemaError(said) from exc
