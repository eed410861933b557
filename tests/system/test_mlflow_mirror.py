"""Versions are shown in a real MLflow, where an ordinary client loads them; it may be away or changed by hand."""

from pathlib import Path

import numpy as np
import pytest

from anew.adapters.model_loader import ModelLoader
from anew.app.mirror_status import mirror_status
from anew.app.reproduce import version_store
from tests.system.mirrored_project import client, mirrored, promoted

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


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
