"""Runs, models and aliases in MLflow: in a local database, or on a tracking server by its URL."""

import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anew.adapters.model_format import DataFormats
from anew.adapters.model_format_skops import ALLOWED
from anew.domain.errors import SchemaError, UnavailableError
from anew.domain.manifest import Manifest
from anew.ports.mirror import MirroredRun
from anew.registry import ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

__all__ = ["MLflowMirror"]

_KEY, _VERSION, _DIGEST = "anew.key", "anew.version", "anew.digest"
_MODEL = "model"
_DESCRIPTION = "Kept by anew, which serves by its own record: what is changed here is not followed."
_TEXT_FILES = ("manifest.json", "environment.txt", "pipeline.py", "search.json")
_LIBRARIES = {"lightgbm": ("lightgbm",), "xgboost": ("xgboost", "xgboost-cpu"), "skops": ("scikit-learn", "skops")}
_LIBRARIES |= {"onnx": ("onnx", "onnxruntime")}


@dataclass(slots=True)
class MLflowMirror:
    """See `anew.ports.mirror.ModelMirror`. For a process of its own: importing MLflow takes seconds.

    Models are logged in MLflow's own flavours, in formats without pickle, with a signature of their float matrix, so
    that ``mlflow.lightgbm``, ``mlflow.sklearn``, ``mlflow.xgboost``, ``mlflow.onnx`` and ``mlflow.pyfunc`` load them.

    Parameters
    ----------
    uri
        Of the tracking store: ``sqlite:///…`` or ``http://…``.
    model
        Name of the experiment and of the registered model.
    artifacts
        Folder of what a local store keeps beside its database; None for a server, which knows where.
    """

    uri: str
    model: str
    artifacts: Path | None = None
    _client: "MlflowClient | None" = field(default=None, init=False)
    _experiment: str = field(default="", init=False)

    def show(self, run: MirroredRun) -> str:
        """Log a run, and register its model."""
        with _translated(self.uri):
            client = self._connected()
            key = f"{self.model}/{run.version}/{run.digest or 'failed'}"
            id = self._run(key, run)
            if client.get_run(id).info.status == "RUNNING":
                self._log(id, run)
                client.set_terminated(id, "FINISHED" if run.digest else "FAILED")
            return self._registered(id, run) if run.digest else ""

    def point(self, alias: str, version: str) -> None:
        """Set or delete an alias of the registered model."""
        with _translated(self.uri):
            client = self._connected()
            if version:
                number = next(each.version for each in self._models() if each.tags.get(_VERSION) == version)
                client.set_registered_model_alias(self.model, alias, number)
            elif alias in client.get_registered_model(self.model).aliases:
                client.delete_registered_model_alias(self.model, alias)

    def aliases(self) -> Mapping[str, str]:
        """Return what the aliases name."""
        with _translated(self.uri):
            models = self._models()
            if not models:
                return {}
            named = {str(each.version): each.tags.get(_VERSION, "?") for each in models}
            found = self._connected().get_registered_model(self.model).aliases
            return {alias: named.get(str(number), "?") for alias, number in found.items() if alias in ALIASES}

    def versions(self) -> frozenset[str]:
        """Return the versions that are registered."""
        with _translated(self.uri):
            return frozenset(each.tags[_VERSION] for each in self._models() if _VERSION in each.tags)

    def _connected(self) -> "MlflowClient":
        if self._client is None:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            import mlflow  # noqa: PLC0415 - takes seconds; only who mirrors needs it

            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            found = client.get_experiment_by_name(self.model)
            place = None if self.artifacts is None else self.artifacts.resolve().as_uri()
            self._experiment = found.experiment_id if found else client.create_experiment(self.model, place)
            self._client = client
        return self._client

    def _run(self, key: str, run: MirroredRun) -> str:
        client = self._connected()
        found = client.search_runs([self._experiment], f"tags.`{_KEY}` = '{key}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        tags = {_KEY: key, _VERSION: run.version, _DIGEST: run.digest, "mlflow.runName": run.version}
        began = int(run.at.timestamp() * 1000)
        return str(client.create_run(self._experiment, start_time=began, tags=tags).info.run_id)

    def _log(self, id: str, run: MirroredRun) -> None:
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - as above

        client, at = self._connected(), int(run.at.timestamp() * 1000)
        tags = {f"anew.{name}": value for name, value in run.facts.items()} | _described(run.manifest)
        params = {} if run.manifest is None else {"seed": run.manifest.seed, **run.manifest.params}
        client.log_batch(
            id,
            # The same instant and step each time: what was logged before a crash is not logged twice.
            metrics=[Metric(_plain(name), value, at, 0) for name, value in run.metrics.items() if np.isfinite(value)],
            params=[Param(_plain(name), str(value)[:5000]) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        if run.folder is None or run.manifest is None:
            return
        for name in _TEXT_FILES:
            if (run.folder / name).is_file():
                client.log_artifact(id, str(run.folder / name))
        with TemporaryDirectory() as aside:
            _save(run.folder, run.manifest, Path(aside) / _MODEL)
            client.log_artifacts(id, str(Path(aside) / _MODEL), _MODEL)

    def _registered(self, id: str, run: MirroredRun) -> str:
        client = self._connected()
        for each in self._models():
            if each.tags.get(_DIGEST) == run.digest and each.tags.get(_VERSION) == run.version:
                return str(each.version)
        if not client.search_registered_models(f"name = '{self.model}'"):
            client.create_registered_model(self.model, description=_DESCRIPTION)
        source = f"{client.get_run(id).info.artifact_uri}/{_MODEL}"
        tags = {_VERSION: run.version, _DIGEST: run.digest}
        return str(client.create_model_version(self.model, source, run_id=id, tags=tags).version)

    def _models(self) -> list[Any]:
        return list(self._connected().search_model_versions(f"name = '{self.model}'"))


def _described(manifest: Manifest | None) -> dict[str, str]:
    if manifest is None:
        return {}
    told = {name: str(getattr(manifest, name)) for name in ("format", "rows", "holdout_rows", "seed")}
    told |= {"snapshot": manifest.snapshot, "code": manifest.code, "environment": manifest.environment}
    return {f"anew.{name}": value for name, value in told.items()}


def _plain(name: str) -> str:
    """Return the name with the characters that MLflow takes."""
    return "".join(each if each.isalnum() or each in "_-. /" else "_" for each in name)[:250]


def _save(folder: Path, manifest: Manifest, place: Path) -> None:
    """Write the model in MLflow's flavour of its format."""
    from mlflow.models import ModelSignature  # noqa: PLC0415 - as above
    from mlflow.types import Schema, TensorSpec  # noqa: PLC0415 - as above

    kept_as = DataFormats().named(manifest.format)
    model = kept_as.decode((folder / kept_as.file).read_bytes())
    width, classify = _width(model) or len(manifest.inputs), manifest.columns.task.classifies
    scores = kept_as.score(model, np.zeros((1, width)), classify=classify)
    answers = scores.values if scores.proba is None or manifest.format == "skops" else scores.proba
    shape = (-1, *answers.shape[1:]) if manifest.format != "lightgbm" or answers.shape[1:] != (2,) else (-1,)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.float64), (-1, width))]),
        outputs=Schema([TensorSpec(np.dtype(np.float64), shape)]),
    )
    told: dict[str, Any] = {"signature": signature, "pip_requirements": _requirements(folder, manifest.format)}
    if manifest.format == "lightgbm":
        import mlflow.lightgbm as flavour  # noqa: PLC0415 - as above

        flavour.save_model(model, str(place), **told)
    elif manifest.format == "xgboost":
        import mlflow.xgboost as boosted  # noqa: PLC0415 - as above

        boosted.save_model(model, str(place), model_format="json", **told)
    elif manifest.format == "skops":
        import mlflow.sklearn as learned  # noqa: PLC0415 - as above

        learned.save_model(model, str(place), serialization_format="skops", skops_trusted_types=list(ALLOWED), **told)
    elif manifest.format == "onnx":
        import mlflow.onnx as graphs  # noqa: PLC0415 - as above
        import onnx  # noqa: PLC0415 - an extra

        graphs.save_model(onnx.load_model_from_string((folder / kept_as.file).read_bytes()), str(place), **told)
    else:
        raise SchemaError(f"MLflow has no flavour for the format {manifest.format!r}")


def _width(model: object) -> int:
    """Return how many numbers a decoded model takes; 0 when it does not say."""
    said = cast("Any", model)
    if hasattr(said, "get_inputs"):
        return int(said.get_inputs()[0].shape[1] or 0)
    for name in ("num_feature", "num_features", "n_features_in_"):
        found = getattr(said, name, 0)
        if found:
            return int(found() if callable(found) else found)
    return 0


def _requirements(folder: Path, kind: str) -> list[str]:
    wanted = {"numpy", *_LIBRARIES.get(kind, ())}
    lines = (folder / "environment.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line.partition("==")[0] in wanted]


@contextmanager
def _translated(uri: str) -> "Iterator[None]":
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - as above
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - MLflow's own store lets its errors through

    place = uri.partition("@")[2] or uri
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as exc:
        said = str(exc).strip().partition("\n")[0][:300]
        raise UnavailableError(f"MLflow at {place} does not do what it is asked: {said}") from exc
