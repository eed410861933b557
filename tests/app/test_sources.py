"""One source floods the loop with flipped labels: what the cap does about it, and what a purge puts right."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from anew.app.replay import ReplayOptions, replay
from anew.app.settings import load
from anew.domain.facts import CandidateHeld, CandidateRefused, SnapshotTaken, SourceCapped, VersionPromoted
from anew.loop.replay import ReplayReport
from tests.app.small_project import YAML, write_project

N, FLOOD = 6000, 3000
START = datetime(2024, 1, 1)  # noqa: DTZ001  a file without a zone

CAPPED = YAML.replace("data: {span: 10d, holdout: 0.2}", "data: {span: 20d, holdout: 0.2, max_source_share: 0.3}")
CAPPED = CAPPED.replace("- {psi: {above: 0.5}, for: 2 windows}", "- {every: 10d}")
CAPPED += "rollout: {patience: 30d}\n"  # a canary of a tenth of so few rows takes its time
OPEN = CAPPED.replace(", max_source_share: 0.3", "")
PEOPLE = ", ".join(f"person {i}" for i in range(5))
AUDITED = CAPPED.replace("max_source_share: 0.3", f"holdout_sources: [{PEOPLE}]")


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows labelled by five honest people; from the middle on, nine of ten by mallory, who says the opposite."""
    chance = np.random.default_rng(1)
    x, z = chance.normal(size=(2, N))
    true = (x + chance.normal(scale=0.2, size=N) > 0).astype(int)
    source = np.array([f"person {i}" for i in chance.integers(0, 5, N)], dtype=object)
    flooded = (np.arange(N) >= FLOOD) & (chance.random(N) < 0.9)
    source[flooded] = "mallory"
    path = tmp_path_factory.mktemp("flood") / "stream.parquet"
    frame = pl.DataFrame(
        {
            "at": [START + timedelta(minutes=15 * i) for i in range(N)],
            "x": x,
            "z": z,
            "y": np.where(flooded, 1 - true, true),
            "_source": pl.Series(source.tolist(), dtype=pl.String),
        }
    )
    frame.write_parquet(path)
    return path


def replayed(tmp_path: Path, stream: Path, yaml: str) -> ReplayReport:
    return replay(load(write_project(tmp_path / "p", yaml)), ReplayOptions(data=stream))


def after_the_flood(report: ReplayReport, kind: type[VersionPromoted | CandidateHeld | CandidateRefused]) -> list[str]:
    taken = {
        fact.version: {name: came for name, came, _ in fact.sources}
        for fact in report.facts
        if isinstance(fact, SnapshotTaken)
    }
    found = [fact.version for fact in report.facts if isinstance(fact, kind)]
    return [version for version in found if taken[version].get("mallory", 0) > 0.5 * sum(taken[version].values())]


@pytest.mark.fault("A1")
def test_a_flood_is_capped_named_and_promotes_nobody(tmp_path: Path, stream: Path) -> None:
    report = replayed(tmp_path, stream, CAPPED)
    alarms = [fact for fact in report.facts if isinstance(fact, SourceCapped)]
    assert alarms
    assert {fact.source for fact in alarms} == {"mallory"}
    assert after_the_flood(report, VersionPromoted) == []
    assert after_the_flood(report, CandidateHeld)  # it waits for a person, and says for what
    held = next(fact for fact in report.facts if isinstance(fact, CandidateHeld))
    assert held.gates == ("sources",)
    assert "mallory" in held.reason


@pytest.mark.fault("A1")
def test_a_flood_below_no_cap_is_judged_by_those_named_alone_and_refused(tmp_path: Path, stream: Path) -> None:
    report = replayed(tmp_path, stream, AUDITED)
    assert after_the_flood(report, VersionPromoted) == []
    assert after_the_flood(report, CandidateRefused)
    again = replayed(tmp_path / "again", stream, AUDITED)
    digests = [[f.digest for f in each.facts if isinstance(f, SnapshotTaken)] for each in (report, again)]
    assert digests[0] == digests[1]


@pytest.mark.fault("A1")
def test_control_without_the_cap_the_flood_is_promoted(tmp_path: Path, stream: Path) -> None:
    """The control: the same stream, and mallory takes the model over."""
    report = replayed(tmp_path, stream, OPEN)
    assert after_the_flood(report, VersionPromoted)
    assert not [fact for fact in report.facts if isinstance(fact, SourceCapped)]
