"""Versions are shown on a real MLflow server by its URL; it may be slow, of no use, or changed by hand."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anew.adapters.model_loader import ModelLoader
from anew.app.mirror import MirrorProcess
from anew.app.mirror_status import mirror_status
from anew.app.reproduce import version_store
from anew.app.settings import Settings
from tests.mlflow_server.mlflow_bed import MLflowBed, mlflow_bed
from tests.system.mirrored_project import client, mirrored, promoted

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowBed]:
    with mlflow_bed(tmp_path_factory.mktemp("mlflow") / "server") as bed:
        yield bed


def frozen(server: MLflowBed, settings: Settings) -> None:
    """Mirror to a server that takes connections and answers nothing: who keeps the mirror does not wait for it."""
    server.signal(signal.SIGSTOP)
    try:
        with MirrorProcess(settings) as mirror:
            deadline = time.monotonic() + 100
            while mirror_status(settings.state) is None:
                mirror.keep()
                assert time.monotonic() < deadline, "the mirror says nothing of a server that does not answer"
                time.sleep(0.05)
        assert standing(settings)[0] == "unavailable"
    finally:
        server.signal(signal.SIGCONT)


def standing(settings: Settings) -> tuple[str, str]:
    found = mirror_status(settings.state)
    assert found is not None
    return str(found["state"]), str(found["detail"])


@pytest.mark.fault("R1")
@pytest.mark.fault("R4")
@pytest.mark.fault("R5")
@pytest.mark.fault("R6")
def test_a_version_is_shown_once_on_a_server_that_was_slow_and_is_changed_by_hand(
    server: MLflowBed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, digest = promoted(tmp_path / "p", server.url)
    with monkeypatch.context() as hurried:
        hurried.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
        hurried.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        frozen(server, settings)
    assert mirrored(settings) == 0, "what could not be shown is shown once the server answers"
    (settings.state / "mirror" / "shown.json").unlink()
    assert mirrored(settings) == 0, "with its memory lost it asks before it shows"

    said = client(settings, "look", server.url)
    ((status, params, metrics, tags, files),) = said["runs"]
    assert (status, params["seed"], "training_error" in metrics) == ("FINISHED", "5", True)
    assert (tags["anew.digest"], tags["anew.version"]) == (digest, "v1")
    assert {"manifest.json", "environment.txt", "pipeline.py", "model"} <= set(files)
    ((number, marks),) = said["versions"]
    assert marks == {"anew.version": "v1", "anew.digest": digest}
    assert said["aliases"] == {"champion": str(number)}
    predictor = ModelLoader().load(version_store(settings).get(digest), version="v1", digest=digest)
    answers = predictor.answer([{"x": 0.5, "z": -0.5}, {"x": -2.0, "z": 1.0}])
    ours = [each.proba[1] for each in answers if each.proba is not None]
    assert np.allclose(said["booster"], ours)
    assert np.allclose(said["pyfunc"], ours)
    assert standing(settings)[0] == "in_sync"

    client(settings, "move", server.url)
    assert mirrored(settings) == 0
    state, detail = standing(settings)
    assert (state, "who moved it cannot be known" in detail) == ("registry_out_of_sync", True)
    assert client(settings, "delete", server.url)["versions"] == []
    assert mirrored(settings) == 0
    assert "the model of v1 was deleted there" in standing(settings)[1]


@pytest.mark.fault("R1")
def test_a_server_without_tls_costs_the_mirror_alone(server: MLflowBed, tmp_path: Path) -> None:
    settings, _ = promoted(tmp_path / "p", server.url.replace("http:", "https:"))
    assert mirrored(settings) == 1
    assert mirror_status(settings.state) is not None
