"""A project whose versions a gateway worker can serve: 30 numbers, LightGBM of 200 trees."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.signing import Signer
from anew.app.accepted import accept
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.loop.training import Recipe, fit

__all__ = ["FEATURES", "MODEL", "Project", "make_project", "rows_of"]

MODEL = "bench"
FEATURES = tuple(f"x{i}" for i in range(30))
_SEED = 20261128
_PIPELINE = '''"""What the bench serves."""

import lightgbm


def train(data, params):
    """Fit 200 trees."""
    model = lightgbm.LGBMClassifier(n_estimators=200, random_state=data.seed, n_jobs=1, verbose=-1)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
'''


def rows_of(count: int, seed: int = _SEED) -> np.ndarray:
    """Return feature rows, shape `(count, 30)`."""
    return np.random.default_rng(seed).normal(size=(count, len(FEATURES))).round(4)


@dataclass
class Project:
    """A project's folder, its versions as pairs of name and digest, and the hand that routes to them."""

    folder: Path
    versions: list[tuple[str, str]]
    traffic: FileTraffic
    epoch: int = 0

    def shift(self, champion: int, fallback: int | None = None) -> int:
        """Route all traffic to a version by its place, and return the epoch."""
        self.epoch += 1
        self.traffic.publish(
            TrafficShifted(
                model=MODEL,
                at=datetime.now(UTC),
                epoch=self.epoch,
                stage=Stage.STEADY,
                share=0.0,
                champion=self.versions[champion],
                challenger=("", ""),
                fallback=("", "") if fallback is None else self.versions[fallback],
            )
        )
        return self.epoch


def make_project(folder: Path, versions: int = 1) -> Project:
    """Write the project, train its versions, store them signed and route all traffic to the first."""
    folder.mkdir(parents=True)
    features = ", ".join(f"{name}: number" for name in FEATURES)
    (folder / "anew.yaml").write_text(
        f"model: {MODEL}\ntask: binary\ncolumns:\n  time: at\n  target: y\n  classes: [0, 1]\n"
        f"  features: {{{features}}}\nserving: {{journal_mb: 4096}}\n"
    )
    (folder / "pipeline.py").write_text(_PIPELINE)
    settings = load(folder)
    accept(settings)
    signer = Signer.load_or_create(settings.state / "keys")
    store = LocalArtifactStore(root=settings.state / "models", verifier=signer.verifier, signer=signer)
    pipeline, made = load_pipeline(settings.pipeline), []
    for seed in range(1, versions + 1):
        fitted = fit(_labelled(seed), Recipe(columns=settings.columns, seed=seed), pipeline, training_kit())
        draft = folder / f"draft-{seed}"
        draft.mkdir()
        for name, data in fitted.candidate.files.items():
            (draft / name).write_bytes(data)
        made.append((f"v{seed}", store.put(draft)))
    project = Project(folder, made, FileTraffic(settings.state, verifier=signer.verifier, signer=signer))
    project.shift(0)
    return project


def _labelled(seed: int) -> pl.DataFrame:
    x = rows_of(5000)
    y = (x[:, :3].sum(axis=1) + np.random.default_rng(seed).normal(size=len(x)) > 0).astype(np.int64)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    return pl.DataFrame({name: x[:, i] for i, name in enumerate(FEATURES)}).with_columns(
        _at=pl.Series([begin + timedelta(minutes=i) for i in range(len(x))]), _label=pl.Series(y)
    )
