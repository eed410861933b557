"""Embeddings through the real programs: the perception example, served over HTTP, is retrained when they change."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from anew.domain.facts import AlertRaised, CandidateTrained
from tests.system.loop_project import LoopProject, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "perception"
A_DAY, NEW_CAMERA = 400, 24


@pytest.fixture
def pictures() -> pl.DataFrame:
    found: pl.DataFrame = runpy.run_path(str(EXAMPLE / "data.py"))["rows"]()
    return found


@pytest.fixture
def ours(tmp_path: Path, pictures: pl.DataFrame) -> Iterator[LoopProject]:
    root = tmp_path / "perception"
    root.mkdir()
    policy = (EXAMPLE / "anew.yaml").read_text()
    policy = policy.replace("data: {", "data: {history: history.parquet, ")
    policy = policy.replace("monitor: {", "monitor: {clock: data, lateness: 0s, ")
    policy = policy.replace("cooldown: 14d", "cooldown: 1d")  # the first champion's training begins one too
    (root / "anew.yaml").write_text(policy + "serving: {deadline_ms: 10000, workers: 1}\n")
    (root / "pipeline.py").write_text((EXAMPLE / "pipeline.py").read_text())
    pictures.slice((NEW_CAMERA - 5) * A_DAY, 5 * A_DAY).write_parquet(root / "history.parquet")
    made = LoopProject(root)
    try:
        yield made
    finally:
        made.close()


def show(ours: LoopProject, pictures: pl.DataFrame) -> list[dict[str, object]]:
    """Ask what is on a day's pictures; returns what was answered, all of it acknowledged."""
    asked = [
        {"embedding": row["embedding"], "at": row["at"].isoformat()}
        for row in pictures.select("embedding", "at").iter_rows(named=True)
    ]
    reply = httpx.post(f"http://127.0.0.1:{ours.port}/predict", json={"rows": asked}, timeout=60)
    assert reply.status_code == 200, (reply.text, ours.log())
    answered: list[dict[str, object]] = reply.json()["predictions"]
    ours.acknowledged.predictions += [str(entry["id"]) for entry in answered]
    return answered


def refused(ours: LoopProject, embedding: object) -> str:
    """Send one picture that has to be refused; returns the field that is named."""
    row = {"embedding": embedding, "at": "2026-01-25T00:00:00Z"}
    reply = httpx.post(f"http://127.0.0.1:{ours.port}/predict", json={"rows": [row]}, timeout=60)
    assert reply.status_code == 422, (reply.text, ours.log())
    return reply.text


def test_new_embeddings_are_served_recorded_and_trained_on(ours: LoopProject, pictures: pl.DataFrame) -> None:
    ours.up()
    ours.serves()
    for wrong in ([0.0] * 15, [0.0] * 17, "0", [0.0] * 15 + ["x"], 0.0):
        assert "embedding" in refused(ours, wrong)
    right = 0
    for day in range(NEW_CAMERA, NEW_CAMERA + 4):
        seen = pictures.slice(day * A_DAY, A_DAY)
        answered = show(ours, seen)
        truth = seen.get_column("kind").to_list()
        right += sum(entry["output"] == kind for entry, kind in zip(answered, truth, strict=True))
        instants = seen.get_column("at").to_list()
        ours.label([{"id": a["id"], "y": y, "at": at} for a, y, at in zip(answered, truth, instants, strict=True)])
        wait(lambda: ours.stored()["predictions"] == len(ours.acknowledged.predictions), ours.log)
    assert right > 0.6 * 4 * A_DAY  # what it was trained on, three quarters of the pictures, it knows

    wait(lambda: len(ours.facts(CandidateTrained)) == 2, ours.log, 120)
    alerts = ours.facts(AlertRaised)
    assert all("embedding" in each.message or "embedding" in str(each.evidence) for each in alerts)
    assert len({each.window for each in alerts}) >= 3  # `for: 3 windows`
    first, second = ours.facts(CandidateTrained)
    assert second.champion == first.version
    assert second.snapshot != first.snapshot  # with the new camera's pictures
