"""What a run took is told whole, part by part, as the metrics count it, and in money where an hour has a price."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from anew.app.loop_meter import LoopMeter
from anew.dashboard.source import InForce
from anew.dashboard.spent import spent_on
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    SnapshotTaken,
    SpanFitted,
    SpansCompared,
    TrainingEnded,
)
from anew.ports.eventlog import Recorded
from tests.adapters.fact_samples import sample
from tests.dashboard.story import ToldSource, story
from tests.dashboard.test_web import HTML, signed_in

T0 = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOOK = {SnapshotTaken: 1.0, CandidateTrained: 100.0, SpanFitted: 30.0, CandidateMeasured: 7.0, SpansCompared: 2.0}


def part(kind: type[Fact], version: str = "v1", **changed: Any) -> Fact:
    """Return a fact of this kind about a version."""
    named: Any = {"version": version, **changed}
    return replace(sample(kind), model="m", **named)


def run() -> list[Fact]:
    """Return the parts of a run, one of which failed twice, and its end, which says again what all took."""
    parts = [part(kind, compute_s=seconds) for kind, seconds in TOOK.items()]
    lost = part(EffectFailed, effect="train", compute_s=5.0)
    ended = part(TrainingEnded, compute_s=150.0)
    return [*parts, lost, lost, ended]


def test_a_run_is_told_part_by_part_and_as_the_metrics_count_it() -> None:
    found = spent_on(run(), 0.0)
    assert dict(found.parts) == {
        "mending rows": 1.0, "fit": 100.0, "fit beside": 30.0, "comparing spans": 2.0, "gates": 7.0,
        "what failed": 10.0,
    }  # fmt: skip
    meter = LoopMeter("m", hour=0.5)
    for seq, fact in enumerate(run(), 1):
        meter.hear(Recorded(seq=seq, recorded_at=T0, fact=fact))
    metric = {name: value for name, _, labels, value in meter.samples(T0) if labels.get("version") == "v1"}
    assert found.compute_s == metric["anew_run_compute_seconds"] == 150.0
    assert found.cost is None


def test_money_is_told_where_an_hour_has_a_price() -> None:
    assert spent_on(run(), 24.0).cost == pytest.approx(1.0)
    nothing = spent_on((), 24.0)
    assert (nothing.compute_s, nothing.parts, nothing.cost) == (None, (), None)


class Priced(ToldSource):
    """A project whose policy says what an hour of CPU costs."""

    def in_force(self) -> InForce:
        """The defaults with a price."""
        return replace(super().in_force(), compute_hour=3600.0)


def test_the_pages_of_runs_say_what_all_of_a_run_took() -> None:
    told = story("x")
    trained = next(each for each in told if isinstance(each, CandidateTrained))
    version = trained.version
    measured = part(CandidateMeasured, version, compute_s=4.0).caused_by(trained.id)
    made = signed_in(Priced([*told, measured], "x"))
    page = made.get(f"/runs/{quote(version)}", headers=HTML).text
    assert "CPU time: fit 2.5 s, gates 4 s; money 6.5" in " ".join(page.split())
    data = made.get("/runs.json").json()["data"]
    assert next(each["spent"]["compute_s"] for each in data["runs"] if each["version"] == version) == 6.5
    assert data["compute_s"] == sum(each["spent"]["compute_s"] or 0.0 for each in data["runs"]) == data["cost"]
    assert "money 6.5" in made.get("/runs", headers=HTML).text
    assert "money" not in signed_in(ToldSource(told, "x")).get("/runs", headers=HTML).text
