"""`anew gateway`: one port for the models of two projects, each by its own routing and into its own journal."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.pipeline_module import load_pipeline
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.signing import Signer
from anew.app.settings import load
from anew.app.training_job import training_kit
from anew.domain.facts.rollout import Stage, TrafficShifted
from anew.loop.training import Recipe, fit
from tests.app.small_project import YAML, write_project
from tests.system.gateway_bed import wait

pytestmark = pytest.mark.system


def served_project(folder: Path, model: str, workers: int = 0) -> Path:
    """Make a project with a champion that is routed to."""
    serving = f"serving: {{workers: {workers}, port: 0}}\n"
    write_project(folder, YAML.replace("model: small", f"model: {model}") + serving)
    settings = load(folder)
    rng = np.random.default_rng(1)
    x, begin = rng.normal(size=(400, 2)), datetime(2026, 1, 1, tzinfo=UTC)
    at = [begin + timedelta(minutes=i) for i in range(len(x))]
    rows = pl.DataFrame({"x": x[:, 0], "z": x[:, 1], "_at": at, "_label": (x[:, 0] > 0).astype(np.int64)})
    fitted = fit(rows, Recipe(columns=settings.columns, seed=1), load_pipeline(settings.pipeline), training_kit())
    draft = folder / "draft"
    draft.mkdir()
    for name, data in fitted.candidate.files.items():
        (draft / name).write_bytes(data)
    signer = Signer.load_or_create(settings.state / "keys")
    store = LocalArtifactStore(root=settings.state / "models", verifier=signer.verifier, signer=signer)
    order = TrafficShifted(
        model=model,
        at=datetime.now(UTC),
        epoch=1,
        stage=Stage.STEADY,
        share=0.0,
        champion=(f"{model}-v1", store.put(draft)),
        challenger=("", ""),
        fallback=("", ""),
    )
    FileTraffic(settings.state, verifier=signer.verifier, signer=signer).publish(order)
    return folder


def post(url: str, body: Any) -> Any:
    return httpx.post(url, json=body, timeout=20).raise_for_status().json()


def anew(*words: str, **more: Any) -> Any:
    return subprocess.Popen([sys.executable, "-m", "anew.cli", *words], stderr=subprocess.PIPE, text=True, **more)


def test_two_projects_on_one_port(tmp_path: Path) -> None:
    one, two = (served_project(tmp_path / name, name) for name in ("fraud", "churn"))
    process = anew("gateway", str(one), str(two), "--workers", "2", "--port", "0")
    try:
        line = process.stderr.readline()
        assert line.startswith("serving on http://"), line + process.stderr.read()
        base = line.removeprefix("serving on ").strip()

        def up() -> bool:
            try:
                return httpx.get(f"{base}/ready", timeout=20).status_code == 200
            except httpx.TransportError:
                return False

        wait(up)
        row = {"x": 1.5, "z": 0.1}
        for model in ("fraud", "churn"):
            said = post(f"{base}/models/{model}/predict", {"row": row})
            assert said["predictions"][0]["version"] == f"{model}-v1"
        tensor = {"name": "m", "shape": [3, 2], "datatype": "FP64", "data": [1.5, 0, -1.5, 0, 1.5, 1]}
        said = post(f"{base}/v2/models/churn/infer", {"inputs": [tensor]})
        assert said["outputs"][0]["data"] == [1, 0, 1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stderr.close()
    assert process.returncode == 0
    for project, count in ((one, 1), (two, 4)):
        reader = SegmentReader(project / ".anew" / "journal")
        assert sum(len(reader.read(name, after=0, most=100).observations) for name in reader.journals()) == count


@pytest.mark.parametrize(
    ("models", "workers", "said"),
    [(("a", "a"), 0, "one gateway needs a name for each"), (("a", "b"), 1, "serving: {workers: 0}")],
)
def test_projects_that_cannot_share_are_refused(
    tmp_path: Path, models: tuple[str, str], workers: int, said: str
) -> None:
    folders = [tmp_path / str(i) for i in range(2)]
    for folder, model in zip(folders, models, strict=True):
        text = YAML.replace("model: small", f"model: {model}") + f"serving: {{workers: {workers}}}\n"
        write_project(folder, text)
    with anew("gateway", *map(str, folders)) as process:
        assert said in process.communicate(timeout=60)[1]
    assert process.returncode == 2
