"""A project whose version is shown in an MLflow, and an ordinary client of that."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from anew.app.settings import Settings
from anew.domain.facts import TrainingEnded, VersionPromoted
from tests.app.small_project import YAML
from tests.system.trained_project import LIGHTGBM, project, record, trained

__all__ = ["client", "mirrored", "promoted"]

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


def client(settings: Settings, act: str, uri: str = "") -> Any:
    """Look as an ordinary client does, or `move` an alias or `delete` a version first."""
    place = uri or f"sqlite:///{settings.state.resolve() / 'mlflow.db'}"
    command = [sys.executable, "-c", CLIENT, place, act]
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
