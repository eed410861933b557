"""A small project to read, to break and to replay."""

from pathlib import Path

__all__ = ["PIPELINE", "YAML", "write_project"]

PIPELINE = """import lightgbm


def train(data, params):
    settings = {"n_estimators": 20, "num_leaves": 7, "min_child_samples": 5} | dict(params)
    kind = lightgbm.LGBMRegressor if data.y.dtype.is_float() else lightgbm.LGBMClassifier
    model = kind(**settings, random_state=data.seed, deterministic=True, force_col_wise=True, n_jobs=1, verbose=-1)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
"""

YAML = """model: small
task: binary
columns:
  time: at
  target: y
  classes: [0, 1]
  features: {x: number, z: number}
data: {span: 10d, holdout: 0.2}
monitor: {window: 1d}
slos:
  - {metric: error, at_most: 0.3}
triggers:
  - {psi: {above: 0.5}, for: 2 windows}
"""


def write_project(folder: Path, yaml: str = YAML, pipeline: str = PIPELINE) -> Path:
    """Write both files into `folder`, made if need be, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "anew.yaml").write_text(yaml, encoding="utf-8")
    (folder / "pipeline.py").write_text(pipeline, encoding="utf-8")
    return folder
