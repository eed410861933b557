"""Another server answers: anew adopts its model, reads its log by POST and from files, retrains, and hands over."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import polars as pl
import pytest

from anew.domain.facts import VersionPromoted
from tests.adapters.receiver import receiver
from tests.system.loop_project import ANEW, LoopProject, Stream, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(800)]

ROLES = ["--time", "at", "--target", "y", "--task", "regression"]


class OtherServer:
    """Serves whatever `champion.json` names, with LightGBM alone: it knows nothing of anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.version = ""

    def change_over(self) -> str:
        """Look for another champion, as such a server would now and then."""
        told = json.loads((self._folder / "champion.json").read_text())
        self.version = told["version"]
        self._inputs = told["inputs"]
        self._model = lightgbm.Booster(model_file=self._folder / told["file"])
        return self.version

    def answer(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """Answer rows."""
        x = np.array([[row[name] for name in self._inputs] for row in rows])
        return [float(each) for each in np.asarray(self._model.predict(x, num_threads=1))]


def adopted(root: Path) -> LoopProject:
    """Return a project around a model that was trained elsewhere."""
    root.mkdir()
    ours = LoopProject(root / "demand", stream=Stream())
    rows = ours.stream.take(720)
    frame = pl.DataFrame(rows)
    frame.write_parquet(root / "history.parquet")
    data = lightgbm.Dataset(frame.select("x", "z").to_numpy(), frame["y"].to_numpy(), feature_name=["x", "z"])
    lightgbm.train({"verbose": -1, "num_threads": 1, "seed": 1}, data, 40).save_model(root / "production.txt")
    made = [ANEW, "init", "--model", "production.txt", "--data", "history.parquet", *ROLES, "demand"]
    subprocess.run([str(each) for each in made], cwd=root, check=True, capture_output=True)
    policy = (ours.root / "anew.yaml").read_text()
    policy = policy.replace("monitor:\n", "monitor:\n  clock: data\n", 1)
    policy = "".join(f"{line}\n" if "canary:" not in line else "  canary: []\n" for line in policy.splitlines())
    policy += "serving: {log_only: true, handover: ../served}\nevents:\n  webhooks:\n    - {url: 'env:HOOK', "
    policy += "kinds: [VersionPromoted]}\nstores: {registry: mlflow}\n"
    (ours.root / "anew.yaml").write_text(policy)
    return ours


def log(ours: LoopProject, other: OtherServer, count: int, *, by_file: bool) -> list[dict[str, Any]]:
    """Have the other server answer rows, log them, and tell the truth of them."""
    first = ours.stream.count
    rows = ours.stream.take(count)
    said = other.answer(rows)
    ids = [f"req-{first + i}" for i in range(count)]
    if by_file:
        frame = pl.DataFrame(rows).with_columns(said=pl.Series(said), request=pl.Series(ids))
        frame = frame.with_columns(by=pl.lit(other.version))
        frame.write_parquet(ours.root / "log.parquet")
        named = ["--output", "said", "--id", "request", "--version-column", "by"]
        for _ in range(2):  # a log that is read again brings nothing twice
            sent = ours.anew("data", "log", "--data", "log.parquet", *named, "--url", f"http://127.0.0.1:{ours.port}")
            assert sent == {"predictions": count, "labels": count}
        return rows
    asked = [{"x": row["x"], "z": row["z"], "at": row["at"].isoformat()} for row in rows]
    answers = [{"output": each} for each in said]
    body = {"asked": {"rows": asked, "ids": ids}, "answers": answers, "version": other.version}
    reply = httpx.post(f"http://127.0.0.1:{ours.port}/log", json=body, timeout=20)
    assert reply.status_code == 200, reply.text
    kept = reply.json()["predictions"]
    assert [each["output"] for each in kept] == said
    assert {each["version"] for each in kept} == {other.version}
    labels = [
        {"prediction": each["id"], "value": row["y"], "at": row["at"].isoformat()}
        for each, row in zip(kept, rows, strict=True)
    ]
    assert httpx.post(f"http://127.0.0.1:{ours.port}/labels", json={"labels": labels}, timeout=20).status_code == 200
    return rows


def off(other: OtherServer, rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean absolute error of what the other server answers now."""
    return float(np.abs(np.array(other.answer(rows)) - np.array([row["y"] for row in rows])).mean())


def test_a_model_that_another_server_serves_is_kept_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = adopted(tmp_path / "work")
    served = tmp_path / "work" / "served"
    other = OtherServer(served)
    with receiver() as people:
        monkeypatch.setenv("HOOK", people.url)
        try:
            ours.up()
            assert ours.serves() == "v1"
            wait((served / "champion.json").exists, ours.log)
            assert other.change_over() == "v1"
            model = served / "v1" / "model.txt"
            assert model.read_bytes() == (tmp_path / "work" / "production.txt").read_bytes()
            url = f"http://127.0.0.1:{ours.port}/predict"
            assert httpx.post(url, json={"row": {"x": 1, "z": 1}}, timeout=20).status_code == 404

            log(ours, other, 120, by_file=False)
            ours.stream.slope = -3.0  # from here on the model is wrong
            for turn in range(40):
                rows = log(ours, other, 120, by_file=turn == 0)
                wait(lambda: not ours.status()["pending_effects"], ours.log)
                if other.change_over() != "v1" and off(other, rows) < 1.5:
                    break
            assert other.version != "v1", ours.log()
            assert off(other, ours.stream.take(60)) < 1.5, "it was handed a model that is no better"
            assert ours.facts(VersionPromoted)[-1].version == other.version

            stored = ours.status()["stored"]
            assert stored["labels"] == stored["predictions"] > 0
            wait(lambda: any("VersionPromoted" in f"{head}{body!r}" for head, body in people.got), ours.log)
            assert wait(lambda: alias(ours) == other.version, ours.log)
        finally:
            ours.close()


def alias(ours: LoopProject) -> str:
    """Return the version that the alias `champion` names in MLflow."""
    program = (
        "import sys, mlflow; client = mlflow.MlflowClient(sys.argv[1], sys.argv[1]); "
        "print(client.get_model_version_by_alias('demand', 'champion').tags)"
    )
    uri = f"sqlite:///{ours.state.resolve() / 'mlflow.db'}"
    done = subprocess.run([sys.executable, "-c", program, uri], capture_output=True, text=True, check=False)
    versions = [f"v{n}" for n in range(1, 40) if f"'v{n}'" in done.stdout]
    return versions[-1] if versions else ""
