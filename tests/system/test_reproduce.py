"""A version is trained again from what is on record: the same bytes, or exactly what differs."""

from pathlib import Path

import pytest

from anew.app.reproduce import reproduce
from anew.domain.errors import NotFoundError
from anew.domain.facts import SubjectPurged
from tests.app.small_project import YAML
from tests.system.trained_project import LIGHTGBM, project, record, trained

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

SKLEARN = """from sklearn.ensemble import RandomForestClassifier

def train(data, params):
    return RandomForestClassifier(8, max_depth=4, random_state=data.seed).fit(data.x.to_numpy(), data.y.to_numpy())
"""
XGBOOST = """import xgboost

def train(data, params):
    model = xgboost.XGBClassifier(n_estimators=10, max_depth=4, subsample=0.5, random_state=data.seed, n_jobs=1)
    return model.fit(data.x.to_numpy(), data.y.to_numpy())
"""
CARELESS = """import os
import lightgbm

def train(data, params):
    seed = int.from_bytes(os.urandom(3), "big")
    return lightgbm.LGBMClassifier(n_estimators=10, random_state=seed, n_jobs=1, verbose=-1, subsample=0.3,
        subsample_freq=1).fit(data.x.to_numpy(), data.y.to_numpy())
"""


@pytest.mark.parametrize(
    ("pipeline", "more"),
    [
        (LIGHTGBM, "search: {trials: 3, folds: 2}\n"),
        (LIGHTGBM, "train: {export: onnx}\n"),
        (SKLEARN, ""),
        (XGBOOST, ""),
    ],
    ids=["lightgbm_searched", "lightgbm_exported", "scikit_learn", "xgboost"],
)
def test_a_version_is_trained_again_to_the_same_bytes(tmp_path: Path, pipeline: str, more: str) -> None:
    settings, rows = project(tmp_path / "p", pipeline, YAML + more)
    fact = trained(settings, rows)
    settings.pipeline.write_text("def train(data, params):\n    raise ValueError('changed since')\n")
    found = reproduce(settings.root, "v1")
    assert (found.verdict, found.again, found.differences) == ("identical_digest", fact.digest, ())
    assert sorted(path.name for path in settings.state.glob("reproduce-*")) == []


def test_what_differs_is_named(tmp_path: Path) -> None:
    settings, rows = project(tmp_path / "p", LIGHTGBM)
    trained(settings, rows, older=True)
    found = reproduce(settings.root, "v1")
    assert found.verdict == "identical_model"
    assert [(each.what, each.then) for each in found.differences] == [("package lightgbm", "0.0.1")]
    with pytest.raises(NotFoundError, match="no version 'v9' was ever trained; the newest are v1"):
        reproduce(settings.root, "v9")


def test_what_was_erased_on_order_cannot_be_made_again(tmp_path: Path) -> None:
    settings, rows = project(tmp_path / "p", LIGHTGBM)
    fact = trained(settings, rows)
    (settings.state / "snapshots" / f"{fact.snapshot}.parquet").unlink()
    with pytest.raises(NotFoundError, match=r"no erasure on record took it; copy it back from a backup"):
        reproduce(settings.root, "v1")
    erased = SubjectPurged(model="small", at=fact.at, command="c1", rows=(("history", 1),), snapshots=(fact.snapshot,))
    record(settings, [erased.caused_by("c1")])
    with pytest.raises(NotFoundError, match=r"erased on order \(command c1, 2024-01-25\); the version cannot be made"):
        reproduce(settings.root, "v1")


def test_code_that_is_not_deterministic_is_found(tmp_path: Path) -> None:
    settings, rows = project(tmp_path / "p", CARELESS)
    trained(settings, rows)
    found = reproduce(settings.root, "v1")
    assert found.verdict in ("differs", "identical_metrics"), "control: its seed is drawn anew each time"
    assert "file model.txt" in [each.what for each in found.differences]
