"""The training itself: rows in, a candidate out, the same in a child process and inside a replay."""

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from anew.domain.column import Columns
from anew.domain.errors import SchemaError, TrainingError
from anew.domain.manifest import Manifest
from anew.domain.raised import place_of, text_of
from anew.loop.columns import profile_columns
from anew.loop.export import export
from anew.loop.held_loss import LOSSES, held_losses, loss_scale
from anew.loop.scorer import Choice, serving_form
from anew.loop.trait import measure_traits
from anew.monitor import Traits, Yardstick
from anew.ports.candidate import Candidate
from anew.ports.model_format import Exporter, Formats
from anew.ports.pipeline import Pipeline, TrainingData
from anew.ports.predictor import Loader, Predictions, Predictor
from anew.ports.rows import declared_rows, model_inputs
from anew.stats.profile import Reference

__all__ = [
    "SAMPLE_ROWS",
    "SEARCH",
    "Draft",
    "Fitted",
    "Kit",
    "Recipe",
    "assemble",
    "draft",
    "finish",
    "fit",
    "installed_packages",
    "known_classes",
    "label_series",
    "training_rows",
    "user_code",
]

SANITY_ROWS = 256
"""Rows that a new model must answer before it is a candidate; enough for the distribution of its answers."""

SAMPLE_ROWS = 2_000
"""Rows that are stored with a version where a detector needs some: so many trained on, and so many held out."""

SEARCH = "search.json"
"""The record of the search, among the files of a version whose parameters were searched."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The adapters that a training needs; `exporter` where models are exported."""

    formats: Formats
    loader: Loader
    exporter: Exporter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a run needs to know besides its rows and code.

    `holdout_rows` newest rows are kept from training; `snapshot` and `previous` are digests, for the record;
    up to `sample_rows` of those trained on, and of those held out, and the `traits` of the columns are stored with the
    version, where a detector needs them, with `losses` where it errs on the rows held out; with `export` the model is
    stored a second time, as the kit's exporter writes it. `blend` has the digests of the artifacts whose models the
    draft is made of, with the weight of each.
    """

    columns: Columns
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)
    holdout_rows: int = 0
    snapshot: str = ""
    previous: str = ""
    sample_rows: int = 0
    traits: bool = False
    losses: bool = False
    export: bool = False
    blend: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model that was fitted, before anything was held against it.

    Attributes
    ----------
    format, model
        Name of the model's format, and its bytes.
    inputs, classes
        Names of the model's inputs in order, and the declared classes that it knows in the order of its probabilities.
    params
        What `train` was given; `search` is the record of the search that found it, or empty.
    """

    format: str
    model: bytes
    inputs: tuple[str, ...]
    classes: tuple[int | str, ...]
    params: Mapping[str, Any]
    search: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A candidate, the yardstick that its files hold too, and how long its answers took, which they do not hold."""

    candidate: Candidate
    yardstick: Yardstick
    timings: Mapping[str, float] = field(default_factory=dict)


def fit(
    rows: pl.DataFrame,
    recipe: Recipe,
    pipeline: Pipeline,
    kit: Kit,
    *,
    previous: object | None = None,
) -> Fitted:
    """Train on all but the held-out rows of a snapshot: `draft` and `finish` in one.

    Parameters
    ----------
    rows
        In time order: ``_at`` (instants), ``_label`` and the declared features; ``_weight`` when rows are weighted.
    previous
        The champion's model (`Predictor.model`), or None.

    Raises
    ------
    TrainingError
        The rows do not suffice, the user's code raised or returned nonsense, or no format keeps the model.
    """
    made = draft(training_rows(rows, recipe.holdout_rows), recipe, pipeline, kit, previous=previous)
    return finish(made, rows, recipe, pipeline, kit)


def training_rows(rows: pl.DataFrame, holdout_rows: int) -> pl.DataFrame:
    """Return the rows that are not held out.

    Raises
    ------
    TrainingError
        There are fewer than two.
    """
    kept = rows.height - holdout_rows
    if kept < 2:
        raise TrainingError("error", f"{rows.height} rows less {holdout_rows} held out leave {kept} to train on")
    return rows.head(kept)


def draft(
    train: pl.DataFrame, recipe: Recipe, pipeline: Pipeline, kit: Kit, *, previous: object | None = None
) -> Draft:
    """Fit a model on `train`; nothing of the held-out rows is needed. Raises as `fit` does."""
    declared = _translated(lambda: declared_rows(train, recipe.columns))
    data = _training_data(train, declared, recipe, pipeline, previous)
    trained = user_code("train()", lambda: pipeline.train(data, dict(recipe.params)))
    kept_as = kit.formats.accepting(trained)
    return Draft(
        format=kept_as.name,
        model=kept_as.encode(trained),
        inputs=tuple(data.x.columns),
        classes=known_classes(kept_as.classes(trained), recipe.columns),
        params=dict(recipe.params),
    )


def assemble(made: Draft, recipe: Recipe, rows: int, pipeline: Pipeline, kit: Kit) -> tuple[Candidate, Predictor]:
    """Make the draft's candidate, with only the model in it, and the predictor that answers from its bytes."""
    kept_as = kit.formats.named(made.format)
    manifest = Manifest(
        format=made.format,
        model_file=kept_as.file,
        columns=recipe.columns,
        inputs=made.inputs,
        classes=made.classes,
        rows=rows,
        holdout_rows=recipe.holdout_rows,
        seed=recipe.seed,
        params=made.params,
        code=pipeline.digest,
        environment=hashlib.sha256(installed_packages().encode()).hexdigest(),
        snapshot=recipe.snapshot,
        previous=recipe.previous,
        blend=recipe.blend,
    )
    model = kept_as.decode(made.model)
    candidate = Candidate(manifest=manifest, files={kept_as.file: made.model}, model=model)
    return candidate, kit.loader.assemble(candidate, pipeline=pipeline, version="draft")


def finish(made: Draft, rows: pl.DataFrame, recipe: Recipe, pipeline: Pipeline, kit: Kit) -> Fitted:
    """Have the draft answer, measure what it is to be compared with later, and pack it all. Raises as `fit` does."""
    train = training_rows(rows, recipe.holdout_rows)
    declared = _translated(lambda: declared_rows(train, recipe.columns))
    y = label_series(train.get_column("_label"), recipe.columns)
    candidate, predictor = assemble(made, recipe, train.height, pipeline, kit)
    files = dict(candidate.files) | {"pipeline.py": pipeline.source, "environment.txt": installed_packages().encode()}
    outputs, metrics = _proved(declared, y, predictor, recipe.columns)
    choice = Choice()
    if recipe.export and kit.exporter is not None:
        some = user_code("features()", lambda: model_inputs(pipeline, _some(declared)))
        kept_as = kit.formats.named(made.format)
        files[kit.exporter.file], apart = export(kit.exporter, candidate, kept_as, some)
        choice = serving_form(kit.exporter, files[kit.exporter.file], candidate, kept_as, some)
        metrics = dict(metrics) | apart
    if made.search:
        files[SEARCH] = made.search
    features = Reference.fit(profile_columns(declared, recipe.columns))
    yardstick = Yardstick(
        features=features,
        labels=_reference("label", y, recipe.columns),
        outputs=outputs,
        sample=_sample(rows, recipe, predictor),
        traits=_traits(rows, recipe, predictor, features),
    )
    scale = loss_scale(y, recipe.columns)
    if recipe.losses and recipe.holdout_rows:
        asked = partial(_ask, predictor)
        files[LOSSES] = held_losses(rows.tail(recipe.holdout_rows), recipe.columns, asked, features, scale)
    manifest = replace(candidate.manifest, metrics=metrics, loss_scale=scale, scorer=choice.scorer)
    whole = files | _packed(yardstick) | {"manifest.json": manifest.to_json().encode()}
    candidate = replace(candidate, manifest=manifest, files=whole)
    return Fitted(candidate=candidate, yardstick=yardstick, timings=choice.timings)


def _proved(
    declared: pl.DataFrame, y: pl.Series, predictor: Predictor, columns: Columns
) -> tuple[Reference, Mapping[str, float]]:
    """Have the model answer rows it was trained on, from the very bytes that will be stored.

    Returns the distribution of its answers, and how good they were.
    """
    sample, labels = _some(declared), y.gather_every(_step(y.len()))
    output = _ask(predictor, sample).output
    if columns.task.classifies:
        name, loss = "training_error", 1.0 - float((output == labels).sum()) / labels.len()
    else:
        name, loss = "training_mae", float(np.abs(output.to_numpy() - labels.to_numpy()).mean())
    return _reference("output", output, columns), {name: loss}


def _some(rows: pl.DataFrame) -> pl.DataFrame:
    step = _step(rows.height)
    return rows if step == 1 else rows[np.arange(0, rows.height, step)]  # `gather_every` makes a query plan


def _step(rows: int) -> int:
    return max(1, rows // SANITY_ROWS)


def _sample(rows: pl.DataFrame, recipe: Recipe, predictor: Predictor) -> pl.DataFrame:
    """Return rows of the snapshot with what the model says to them; see Yardstick."""
    if not recipe.sample_rows:
        return pl.DataFrame()
    parts = (rows.head(rows.height - recipe.holdout_rows), rows.tail(recipe.holdout_rows))
    chosen = pl.concat(
        part.gather_every(-(-part.height // recipe.sample_rows)).with_columns(_held=pl.lit(held))
        for part, held in zip(parts, (False, True), strict=True)
        if part.height
    )
    said = _ask(predictor, chosen)
    kind = pl.String if recipe.columns.task.classifies else pl.Float64
    answers = [said.output.cast(kind).alias("_output")]
    if said.proba is not None:
        answers += [pl.Series(f"_p{k}", said.proba[:, k]) for k in range(said.proba.shape[1])]
    features = declared_rows(chosen, recipe.columns)
    return features.with_columns(chosen.get_column("_label").cast(kind), *answers, chosen.get_column("_held"))


def _traits(rows: pl.DataFrame, recipe: Recipe, predictor: Predictor, features: Reference) -> Traits | None:
    if not recipe.traits:
        return None
    answer = partial(_ask, predictor)
    return measure_traits(rows, recipe.holdout_rows, recipe.columns, answer, recipe.seed, features.vectors)


def _ask(predictor: Predictor, rows: pl.DataFrame) -> Predictions:
    return user_code("the model", lambda: predictor.predict(rows))


def _packed(yardstick: Yardstick) -> dict[str, bytes]:
    """Return the yardstick as files of an artifact."""
    parts = {"reference.bin": yardstick.features, "labels.bin": yardstick.labels, "outputs.bin": yardstick.outputs}
    files = {name: part.to_bytes() for name, part in parts.items() if part is not None}
    if yardstick.sample.width:
        written = BytesIO()
        yardstick.sample.write_ipc(written)
        files["sample.arrow"] = written.getvalue()
    if yardstick.traits is not None:
        files["traits.json"] = yardstick.traits.to_json().encode()
    return files


def _reference(name: str, values: pl.Series, columns: Columns) -> Reference:
    """Count labels or answers, class labels as the text that the lake has of them."""
    return Reference.fit({name: (values.cast(pl.String) if columns.task.classifies else values).to_arrow()})


def _training_data(
    rows: pl.DataFrame, declared: pl.DataFrame, recipe: Recipe, pipeline: Pipeline, previous: object | None
) -> TrainingData:
    ones = pl.Series("weight", np.ones(rows.height))
    return TrainingData(
        x=user_code("features()", lambda: model_inputs(pipeline, declared)),
        y=label_series(rows.get_column("_label"), recipe.columns),
        at=rows.get_column("_at").rename("at"),
        weight=rows.get_column("_weight").cast(pl.Float64).rename("weight") if "_weight" in rows.columns else ones,
        previous=previous,
        seed=recipe.seed,
    )


def label_series(labels: pl.Series, columns: Columns) -> pl.Series:
    """Return labels as declared: Int64 or String for classes, Float64 for numbers.

    Raises
    ------
    TrainingError
        A label is missing, not finite, not a declared class, or all labels are the same.
    """
    if not columns.task.classifies:
        y = labels.cast(pl.Float64, strict=False).rename("y")
        bad = y.len() - int(y.is_finite().fill_null(value=False).sum())
        if bad:
            raise TrainingError("error", f"{bad} of {y.len()} labels are not finite numbers")
    else:
        numbers = all(isinstance(label, int) for label in columns.classes)
        y = labels.cast(pl.Int64 if numbers else pl.String, strict=False).rename("y")
        bad = y.len() - int(y.is_in(list(columns.classes)).fill_null(value=False).sum())
        if bad:
            raise TrainingError("error", f"{bad} of {y.len()} labels are none of the classes {list(columns.classes)}")
    if y.n_unique() < 2:
        raise TrainingError("error", f"all {y.len()} labels are {y[0]!r}: there is nothing to learn from them")
    return y


def known_classes(found: Sequence[object] | None, columns: Columns) -> tuple[int | str, ...]:
    """Return the declared classes that a model knows, in its order; all of them where it names none."""
    if not columns.task.classifies:
        return ()
    if found is None:
        return columns.classes
    unknown = [label for label in found if label not in columns.classes]
    if unknown:
        raise TrainingError(
            "error",
            f"the model's classes {list(found)} are not the declared {list(columns.classes)}; fit it on data.y",
        )
    return tuple(columns.classes[columns.classes.index(label)] for label in found)


@lru_cache(maxsize=1)
def installed_packages() -> str:
    """Return ``name==version`` of every installed package, one a line, sorted: the environment of a training run."""
    found = set()
    for folder in map(Path, sys.path):
        for entry in (
            folder.glob("*.dist-info") if folder.is_dir() else ()
        ):  # reading their metadata takes 50 times as long
            name, _, version = entry.name.removesuffix(".dist-info").partition("-")
            found.add(f"{name.lower().replace('_', '-')}=={version}")
    return "".join(f"{line}\n" for line in sorted(found))


def user_code(what: str, call: Callable[[], T]) -> T:
    """Run code of the user; what it raises becomes a TrainingError, with the line that it came from."""
    try:
        return call()
    except TrainingError:
        raise
    except MemoryError as exc:
        raise TrainingError("oom", f"{what} ran out of memory") from exc
    except (Exception, SystemExit) as exc:  # the user's code may raise anything; it ends this run, nothing else
        place = place_of(exc)
        said = "" if isinstance(exc, SchemaError) and not place else f"{what} raised {type(exc).__name__}{place}: "
        raise TrainingError("error", f"{said}{text_of(exc)}") from exc


def _translated(call: Callable[[], T]) -> T:
    try:
        return call()
    except SchemaError as exc:
        raise TrainingError("error", f"the snapshot does not have the declared columns: {exc}") from exc
