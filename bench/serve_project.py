"""A project with one champion that a gateway worker can serve: 30 numbers, LightGBM of 200 trees."""

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

__all__ = ["FEATURES", "MODEL", "make_project", "rows_of"]

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


def make_project(folder: Path, serving: str = "") -> Path:
    """Write the project, train its champion, store it signed and route all traffic to it."""
    folder.mkdir(parents=True)
    features = ", ".join(f"{name}: number" for name in FEATURES)
    (folder / "anew.yaml").write_text(
        f"model: {MODEL}\ntask: binary\ncolumns:\n  time: at\n  target: y\n  classes: [0, 1]\n"
        f"  features: {{{features}}}\nserving: {{journal_mb: 4096{serving}}}\n"
    )
    (folder / "pipeline.py").write_text(_PIPELINE)
    settings = load(folder)
    accept(settings)
    x = rows_of(5000)
    y = (x[:, :3].sum(axis=1) + np.random.default_rng(1).normal(size=len(x)) > 0).astype(np.int64)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    rows = pl.DataFrame({name: x[:, i] for i, name in enumerate(FEATURES)}).with_columns(
        _at=pl.Series([begin + timedelta(minutes=i) for i in range(len(x))]), _label=pl.Series(y)
    )
    fitted = fit(rows, Recipe(columns=settings.columns, seed=1), load_pipeline(settings.pipeline), training_kit())
    draft = folder / "draft"
    draft.mkdir()
    for name, data in fitted.candidate.files.items():
        (draft / name).write_bytes(data)
    signer = Signer.load_or_create(settings.state / "keys")
    store = LocalArtifactStore(root=settings.state / "models", verifier=signer.verifier, signer=signer)
    digest = store.put(draft)
    FileTraffic(settings.state, verifier=signer.verifier, signer=signer).publish(
        TrafficShifted(
            model=MODEL,
            at=datetime.now(UTC),
            epoch=1,
            stage=Stage.STEADY,
            share=0.0,
            champion=("v1", digest),
            challenger=("", ""),
            fallback=("", ""),
        )
    )
    return folder
