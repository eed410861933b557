"""Versions that answer: a model, the code it was trained with, and the row contract of both."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from anew.adapters.model_format import DataFormats
from anew.adapters.onnx_export import OnnxExporter
from anew.adapters.pipeline_module import load_pipeline
from anew.domain.column import GREATEST, ColumnKind, Columns, Value
from anew.domain.errors import IntegrityError, MissingExtraError, SchemaError, SettingsError
from anew.domain.manifest import Manifest
from anew.domain.observation import Answer
from anew.ports.candidate import Candidate
from anew.ports.model_format import Exporter, Formats, ModelFormat, Scores
from anew.ports.pipeline import Pipeline
from anew.ports.predictor import Predictions
from anew.ports.rows import column_type, declared_rows, model_inputs

__all__ = ["LoadedPredictor", "ModelLoader"]

_ZEROS = {ColumnKind.NUMBER: 0.0, ColumnKind.CATEGORY: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPredictor:
    """See `anew.ports.predictor.Predictor`.

    `served` answers in place of the model where its manifest says so: the export's reader, and the decoded export.
    """

    version: str
    digest: str
    manifest: Manifest
    pipeline: Pipeline
    format: ModelFormat
    model: object
    served: tuple[Exporter, object] | None = None
    positions: tuple[int, ...] = field(init=False)
    pick: Callable[[Mapping[str, Value]], Sequence[Value]] | None = field(init=False)
    widths: tuple[int, ...] = field(init=False)
    packed: struct.Struct = field(init=False)

    def __post_init__(self) -> None:
        known = self.manifest.columns.classes
        object.__setattr__(self, "positions", tuple(known.index(label) for label in self.manifest.classes))
        object.__setattr__(self, "pick", self._pick())
        widths = tuple(c.width for c in self.columns.features if c.kind is not ColumnKind.CATEGORY)
        object.__setattr__(self, "widths", widths if any(widths) else ())
        object.__setattr__(self, "packed", struct.Struct(f"{len(widths)}d"))

    def _pick(self) -> Callable[[Mapping[str, Value]], Sequence[Value]] | None:
        """Return what takes from a row the cells that go to the model as they are; None when `features` is asked."""
        if not self.pipeline.inputs_are_numbers:
            return None
        names = [c.name for c in self.columns.features if c.kind is not ColumnKind.CATEGORY]
        return itemgetter(*names) if len(names) > 1 else lambda row: [row[name] for name in names]

    @property
    def columns(self) -> Columns:
        """The row contract it was trained under."""
        return self.manifest.columns

    def inputs(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what `features` makes of `frame`."""
        return model_inputs(self.pipeline, declared_rows(frame, self.columns))

    def predict(self, frame: pl.DataFrame) -> Predictions:
        """Answer all rows of `frame`."""
        if not frame.height:
            return self._predictions(Scores(values=np.empty(0, np.intp), proba=np.empty((0, len(self.positions)))))
        inputs = self.inputs(frame)
        if tuple(inputs.columns) != self.manifest.inputs:
            raise SchemaError(
                f"features() returned {inputs.columns}; the model was trained on {list(self.manifest.inputs)}"
            )
        return self._predictions(self._checked(inputs, frame.height))

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:
        """Answer each of `rows`; without `features` no frame is built."""
        if not rows:
            return ()
        if self.pick is None:
            predictions = self.predict(self._frame(rows))
        else:
            return self._answers(self._checked(self._matrix(list(map(self.pick, rows))), len(rows)))
        outputs = predictions.output.to_list()
        if predictions.proba is None:
            return [Answer(output=output) for output in outputs]
        pairs = zip(outputs, predictions.proba.tolist(), strict=True)
        return [Answer(output=output, proba=tuple(proba)) for output, proba in pairs]

    def _matrix(self, cells: Sequence[Sequence[Any]]) -> npt.NDArray[np.float64]:
        """Return the numbers that go to the model, shape `(n, d)`; None is NaN there."""
        if self.widths:
            return np.array([self._flat(row) for row in cells], dtype=np.float64)
        pack, width = self.packed.pack, len(cells[0])
        try:  # half the time of numpy, which looks at each cell for what it is
            return np.frombuffer(bytearray().join([pack(*row) for row in cells])).reshape(len(cells), width)
        except struct.error:
            return np.array(cells, dtype=np.float64)

    def _flat(self, cells: Sequence[Any]) -> list[Any]:
        """Return the cells of the columns that go to the model as they are, vectors number by number."""
        flat: list[Any] = []
        for cell, width in zip(cells, self.widths, strict=True):
            if isinstance(cell, tuple | list):
                flat += cell
            else:  # a number, or a vector that is missing
                flat += [cell] * (width or 1)
        return flat

    def _frame(self, rows: Sequence[Mapping[str, Value]]) -> pl.DataFrame:
        return pl.DataFrame(
            [
                pl.Series(column.name, [row[column.name] for row in rows], dtype=column_type(column))
                for column in self.columns.features
            ]
        )

    def _checked(self, inputs: Any, height: int) -> Scores:
        """Ask the model and refuse nonsense: what no mean can be taken of, or not of the right shape, is no answer."""
        classify = self.columns.task.classifies
        scorer, model = (self.format, self.model) if self.served is None else self.served
        scores = scorer.score(model, inputs, classify=classify)
        found = scores.proba if classify else scores.values
        shape = (height, len(self.positions)) if classify else (height,)
        if found is None or found.shape != shape:
            raise SchemaError(
                f"the model answered with shape {None if found is None else found.shape}, expected {shape}"
            )
        # both are NaN where anything is
        low, high = np.minimum.reduce(found, axis=None), np.maximum.reduce(found, axis=None)
        if not -GREATEST <= low <= high <= GREATEST:
            bad = height - int((np.abs(found) <= GREATEST).reshape(height, -1).all(axis=1).sum())
            reach = f"from {-GREATEST:g} to {GREATEST:g}"
            raise SchemaError(f"the model's answer to {bad} of {height} rows is no number {reach}")
        if classify and (low < 0 or high > 1 + 1e-9):
            raise SchemaError(f"the model's probabilities run from {low} to {high}, not within [0, 1]")
        return scores

    def _answers(self, scores: Scores) -> Sequence[Answer]:
        """Return what `_predictions` does, row by row, without a frame's price: it is paid at every request."""
        values = scores.values.tolist()
        if not self.columns.task.classifies or scores.proba is None:
            return [Answer(output=value) for value in values]
        classes, width = self.manifest.classes, len(self.columns.classes)
        proba = scores.proba
        if self.positions != tuple(range(width)):
            proba = np.zeros((len(values), width))
            proba[:, list(self.positions)] = scores.proba
        pairs = zip(values, proba.tolist(), strict=True)
        return [Answer(output=classes[value], proba=tuple(shares)) for value, shares in pairs]

    def _predictions(self, scores: Scores) -> Predictions:
        if not self.columns.task.classifies or scores.proba is None:
            return Predictions(output=pl.Series("output", scores.values, dtype=pl.Float64))
        classes = self.manifest.classes
        kind = pl.Int64 if all(isinstance(label, int) for label in self.columns.classes) else pl.String
        labels = pl.Series("output", [label if kind is pl.Int64 else str(label) for label in classes], dtype=kind)
        proba = np.zeros((len(scores.values), len(self.columns.classes)))
        proba[:, list(self.positions)] = scores.proba
        return Predictions(output=labels.gather(scores.values), proba=proba)


@dataclass(frozen=True, slots=True)
class ModelLoader:
    """See `anew.ports.predictor.Loader`. Verifies no bytes: `ArtifactStore.get` did before it gave the folder."""

    formats: Formats = field(default_factory=DataFormats)
    exporter: Exporter = field(default_factory=OnnxExporter)

    def load(self, folder: Path, *, version: str, digest: str) -> LoadedPredictor:
        """Load the artifact in `folder` and have it answer a row."""
        try:
            manifest = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
            pipeline = load_pipeline(folder / "pipeline.py")
            kept_as = self.formats.named(manifest.format)
            data = (folder / kept_as.file).read_bytes()
            served = self._served(folder, manifest)
        except OSError as exc:
            raise IntegrityError(f"{version}: {exc.filename} of the artifact cannot be read ({exc.strerror})") from exc
        except SettingsError as exc:
            raise SchemaError(f"{version} cannot answer on this machine: {exc}") from exc
        return self._warm(
            LoadedPredictor(
                version=version,
                digest=digest,
                manifest=manifest,
                pipeline=pipeline,
                format=kept_as,
                model=kept_as.decode(data),
                served=served,
            )
        )

    def _served(self, folder: Path, manifest: Manifest) -> tuple[Exporter, object] | None:
        """Return the export that is to serve; without the extra that reads it the model itself does, only slower."""
        if manifest.scorer != "export":
            return None
        try:
            return self.exporter, self.exporter.decode((folder / self.exporter.file).read_bytes())
        except MissingExtraError:
            return None

    def assemble(self, candidate: Candidate, *, pipeline: Pipeline, version: str) -> LoadedPredictor:
        """Make the predictor of a candidate that is in memory."""
        return LoadedPredictor(
            version=version,
            digest=candidate.digest,
            manifest=candidate.manifest,
            pipeline=pipeline,
            format=self.formats.named(candidate.manifest.format),
            model=candidate.model,
        )

    @staticmethod
    def _warm(predictor: LoadedPredictor) -> LoadedPredictor:
        """Answer one row of zeros and empty categories, or else of nulls; a model may be unable to take either."""
        zeros = {c.name: _ZEROS[c.kind] if not c.width else (0.0,) * c.width for c in predictor.columns.features}
        problems: list[BaseException] = []
        for row in (zeros, dict.fromkeys(zeros)):
            try:
                predictor.answer([cast("Mapping[str, Value]", row)])
            except (Exception, SystemExit) as exc:  # noqa: BLE001 - the user's code may raise anything
                problems.append(exc)
            else:
                return predictor
        zeros_said, nulls_said = (f"{type(exc).__name__}: {exc}" for exc in problems)
        raise SchemaError(
            f"{predictor.version} cannot answer a row of zeros ({zeros_said}) nor of nulls ({nulls_said})"
        ) from problems[0]
