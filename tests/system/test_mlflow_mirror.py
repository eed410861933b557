"""Versions are shown in a real MLflow, where an ordinary client loads them; it may be away or changed by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anew.adapters.model_loader import ModelLoader
from anew.app.mirror_status import mirror_status
from anew.app.reproduce import version_store
from anew.app.settings import Settings
from anew.domain.facts import TrainingEnded, VersionPromoted
from tests.app.small_project import YAML
from tests.system.trained_project import LIGHTGBM, project, record, trained

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

CLIENT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import mlflow, mlflow.lightgbm
uri, act = sys.argv[1], sys.argv[2]
mlflow.set_tracking_uri(uri); mlflow.set_registry_uri(uri)
client = mlflow.MlflowClient()
if act == "move":
    client.delete_registered_model_alias("small", "champion")
if act == "delete":
    client.delete_model_version("small", "1")
rows = np.array([[0.5, -0.5], [-2.0, 1.0]])
said = {"runs": [], "versions": [[v.version, dict(v.tags)] for v in client.search_model_versions("name = 'small'")]}
said["aliases"] = {k: str(v) for k, v in client.get_registered_model("small").aliases.items()}
for run in client.search_runs([client.get_experiment_by_name("small").experiment_id]):
    files = [f.path for f in client.list_artifacts(run.info.run_id)]
    said["runs"].append([run.info.status, run.data.params, run.data.metrics, dict(run.data.tags), files])
if act == "look":
    said["booster"] = mlflow.lightgbm.load_model("models:/small@champion").predict(rows).tolist()
    model = mlflow.pyfunc.load_model("models:/small@champion")
    said["pyfunc"] = np.asarray(model.predict(rows)).tolist()
    said["inputs"] = model.metadata.signature.inputs.to_dict()
print(json.dumps(said))
"""


def mirrored(settings: Settings) -> int:
    """Run the mirror until it has all that there is."""
    command = [sys.executable, "-m", "anew.app.mirror_worker", str(settings.root), "0", "--once"]
    return subprocess.run(command, check=False, capture_output=True).returncode


def client(settings: Settings, act: str) -> Any:
    command = [sys.executable, "-c", CLIENT, f"sqlite:///{settings.state.resolve() / 'mlflow.db'}", act]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def promoted(folder: Path, registry: str) -> tuple[Settings, str]:
    """Return a project whose v1 was trained and promoted, and the digest of v1."""
    settings, rows = project(folder, LIGHTGBM, f"{YAML}stores: {{registry: {registry}}}\n")
    fact = trained(settings, rows)
    ended = TrainingEnded(
        model=fact.model, at=fact.at, version="v1", outcome="accepted", detail="every gate passed", compute_s=1.0
    ).caused_by(fact.id)
    first = VersionPromoted(
        model=fact.model, at=fact.at, version="v1", digest=fact.digest, previous="", evidence=(), reason="first"
    ).caused_by(ended.id)
    record(settings, [ended, first])
    return settings, fact.digest


@pytest.mark.fault("R4")
@pytest.mark.fault("R5")
@pytest.mark.fault("R6")
def test_a_version_is_shown_once_and_an_ordinary_client_loads_it(tmp_path: Path) -> None:
    settings, digest = promoted(tmp_path / "p", "mlflow")
    assert mirrored(settings) == 0
    (settings.state / "mirror" / "shown.json").unlink()
    assert mirrored(settings) == 0, "with its memory lost it asks before it shows"
    said = client(settings, "look")
    ((status, params, metrics, tags, files),) = said["runs"]
    assert status == "FINISHED"
    assert params["seed"] == "5"
    assert "training_error" in metrics
    assert (tags["anew.digest"], tags["anew.version"], tags["anew.outcome"]) == (digest, "v1", "accepted")
    assert {len(tags[f"anew.{name}"]) for name in ("snapshot", "code", "environment")} == {64}
    assert {"manifest.json", "environment.txt", "pipeline.py", "model"} <= set(files)
    ((number, marks),) = said["versions"]
    assert marks == {"anew.version": "v1", "anew.digest": digest}
    assert said["aliases"] == {"champion": str(number)}
    predictor = ModelLoader().load(version_store(settings).get(digest), version="v1", digest=digest)
    answers = predictor.answer([{"x": 0.5, "z": -0.5}, {"x": -2.0, "z": 1.0}])
    ours = [each.proba[1] for each in answers if each.proba is not None]
    assert np.allclose(said["booster"], ours)
    assert np.allclose(said["pyfunc"], ours)
    assert said["inputs"][0]["tensor-spec"]["shape"] == [-1, 2]
    status_now = mirror_status(settings.state)
    assert status_now is not None
    assert status_now["state"] == "in_sync"

    client(settings, "move")
    assert mirrored(settings) == 0
    altered = mirror_status(settings.state)
    assert altered is not None
    assert (altered["state"], "who moved it cannot be known" in altered["detail"]) == ("registry_out_of_sync", True)
    assert client(settings, "delete")["versions"] == []
    assert mirrored(settings) == 0
    altered = mirror_status(settings.state)
    assert altered is not None
    assert "the model of v1 was deleted there" in altered["detail"]


@pytest.mark.fault("R1")
def test_a_server_that_is_down_costs_the_mirror_alone(tmp_path: Path) -> None:
    settings, _ = promoted(tmp_path / "p", "http://127.0.0.1:9")
    assert mirrored(settings) == 1
    status = mirror_status(settings.state)
    assert status is not None
    assert (status["state"], "http://127.0.0.1:9" in status["detail"]) == ("unavailable", True)
