"""The loop's numbers for Prometheus: counted from the record, and every query of ours asks for one that is there."""

import json
import os
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from anew.adapters.cursor_file import CursorFile
from anew.adapters.review_db import ReviewDB
from anew.app.dashboard_source import ProjectSource
from anew.app.loop_meter import FAMILIES as OF_THE_RECORD
from anew.app.loop_meter import LoopMeter
from anew.app.metering import FAMILIES, Metering, read_loop
from anew.app.queue_meter import QUEUES, queue_samples
from anew.app.settings import Settings, load
from anew.app.stores import review_file
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    FACTS,
    AlertRaised,
    ApprovalAsked,
    ApprovalCounted,
    CandidateAccepted,
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    FreezeBegan,
    GateJudged,
    IncidentRaised,
    RetrainRequested,
    RetrainWithheld,
    SnapshotTaken,
    SpansCompared,
    Stage,
    TrafficShifted,
    WindowScored,
)
from anew.domain.interval import Interval
from anew.domain.severity import Severity
from anew.domain.verdict import Verdict
from anew.gateway.metrics import Sample, render
from anew.ports.eventlog import Recorded
from anew.ports.review import ReviewItem
from tests.adapters.fact_samples import sample
from tests.app.small_project import YAML, write_project
from tests.cli.recorded import write_record

T0 = datetime(2026, 1, 31, 12, tzinfo=UTC)
MONEY = {"anew_training_cost_total", "anew_month_cost"}
MONITORING = Path(__file__).parents[2] / "examples" / "monitoring"


def metered(*facts: Fact, step: timedelta = timedelta(minutes=1)) -> LoopMeter:
    meter = LoopMeter("m", hour=0.5)
    for i, fact in enumerate(facts):
        meter.hear(Recorded(seq=i + 1, recorded_at=T0 + i * step, fact=fact))
    return meter


def values(meter: LoopMeter, now: datetime = T0) -> dict[tuple[str, ...], float]:
    page = render((), [(OF_THE_RECORD, tuple(meter.samples(now)))]).decode()
    return {
        (each.name, *(value for name, value in sorted(each.labels.items()) if name != "model")): each.value
        for family in text_string_to_metric_families(page)
        for each in family.samples
    }


def planned() -> Fact:
    return sample(FACTS["TrainingPlanned"]).caused_by("")


def trained(compute_s: float = 7200.0) -> CandidateTrained:
    return CandidateTrained(
        model="m", at=T0, version="v2", champion="v1", digest="d2", snapshot="", rows=1, compute_s=compute_s
    )


def test_what_happened_is_counted() -> None:
    alert = AlertRaised(
        model="m", at=T0, detector="psi", version="v1", window=Interval(start=T0, end=T0), severity=Severity.HIGH,
        evidence=(), message="",
    )  # fmt: skip
    found = values(
        metered(
            alert,
            alert,
            RetrainRequested(model="m", at=T0, reason="", triggers=("psi", "cron"), severity=Severity.HIGH),
            RetrainWithheld(model="m", at=T0, reason="budget", detail="", triggers=()),
            GateJudged(model="m", at=T0, version="v2", gate="slos", verdict=Verdict.FAIL, required=True, reason=""),
        )
    )
    assert found["anew_alerts_total", "psi", "high"] == 2
    assert found["anew_trigger_requests_total", "cron"] == 1
    assert found["anew_trigger_withheld_total", "budget"] == 1
    assert found["anew_gate_verdicts_total", "slos", "fail"] == 1
    assert found["anew_loop_facts_total", "AlertRaised"] == 2


def test_what_rules_ask_the_increase_of_begins_at_0() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"increase\((anew_[a-z_]+)", rule["expr"])}
    found = values(LoopMeter("m", hour=0.5, detectors=("psi", "quality")))
    assert asked
    assert asked <= {name for name, *_ in found}, "Prometheus sees no rise to a first value"
    assert found["anew_alerts_total", "psi", "critical"] == 0
    assert found["anew_incidents_total", "quality"] == 0
    assert found["anew_loop_effects_total", "train", "failed"] == 0
    assert found["anew_trigger_withheld_total", "budget"] == 0


def test_each_step_of_the_clock_counts_as_one_more_of_its_kind() -> None:
    def stepped(second: int) -> IncidentRaised:
        at = T0 + timedelta(seconds=second)
        return IncidentRaised(
            model="m", at=at, detector=f"clock at {at.isoformat()}", version="v1", window=Interval(start=at, end=at),
            evidence=(), message="",
        )  # fmt: skip

    assert values(metered(stepped(1), stepped(2)))["anew_incidents_total", "clock"] == 2


def test_effects_have_a_duration_an_outcome_and_an_age() -> None:
    asked = planned()
    taken = sample(FACTS["SnapshotTaken"]).caused_by(asked.id)
    assert isinstance(taken, SnapshotTaken)
    failed = EffectFailed(model="m", at=T0, cause=taken.id, effect="train", version="v2", reason="oom", detail="")
    found = values(metered(asked, taken), T0 + timedelta(hours=1))
    assert found["anew_loop_effects_total", "snapshot", "done"] == 1
    assert found["anew_loop_effect_duration_seconds_sum", "snapshot"] == 60
    assert found["anew_loop_effects_pending",] == 1
    assert found["anew_loop_effect_oldest_age_seconds",] == 3540
    found = values(metered(asked, taken, failed), T0 + timedelta(hours=1))
    assert found["anew_loop_effects_total", "train", "failed"] == 1
    assert (found["anew_loop_effects_pending",], found["anew_loop_effect_oldest_age_seconds",]) == (0, 0)


def test_each_stage_says_what_it_took_of_the_processors() -> None:
    plan = planned()
    took: Any = {"compute_s": 1.5}
    taken = replace(sample(SnapshotTaken).caused_by(plan.id), **took)
    made = trained(100.0).caused_by(taken.id)
    failed = EffectFailed(
        model="m", at=T0, effect="measure", version="v2", reason="oom", detail="", compute_s=7.0
    ).caused_by(made.id)  # fmt: skip
    found = values(metered(plan, taken, made, failed))
    spent = {key[1]: value for key, value in found.items() if key[0] == "anew_loop_effect_compute_seconds_total"}
    assert spent == {"snapshot": 1.5, "train": 100.0, "measure": 7.0}
    assert found["anew_training_compute_seconds_total",] == sum(spent.values())


def test_what_a_failed_run_took_counts() -> None:
    failed = EffectFailed(
        model="m", at=T0, effect="train", version="v2", reason="killed", detail="", compute_s=1800.0
    )  # fmt: skip
    found = values(metered(trained(), failed))
    assert found["anew_run_compute_seconds", "v2"] == 9000


def test_what_gates_a_comparison_and_mended_history_took_counts() -> None:
    gates = CandidateMeasured(
        model="m", at=T0, version="v2", champion="v1", digest="d2", evidence=(), compute_s=60.0
    )  # fmt: skip
    compared = SpansCompared(model="m", at=T0, version="v1", evidence=(), compute_s=30.0)
    mended = sample(FACTS["SnapshotTaken"])
    assert isinstance(mended, SnapshotTaken)
    found = values(metered(trained(), gates, compared, mended))
    assert found["anew_run_compute_seconds", "v2"] == 7260
    assert found["anew_run_compute_seconds", "v1"] == 30
    assert found["anew_training_compute_seconds_total",] == 7290 + mended.compute_s


def test_compute_costs_by_run_and_month() -> None:
    found = values(metered(trained(), trained(3600.0), step=timedelta(days=2)))
    assert found["anew_run_compute_seconds", "v2"] == 10_800
    assert found["anew_month_cost", "2026-01"] == 1.0
    assert found["anew_month_cost", "2026-02"] == 0.5
    assert found["anew_training_cost_total",] == 1.5


@pytest.mark.parametrize(("written", "money"), [("", set()), ("policy: {cost: {compute_hour: 0.05}}\n", MONEY)])
def test_money_is_told_where_a_price_is_written_on_pages_and_in_metrics(
    tmp_path: Path, written: str, money: set[str]
) -> None:
    project = write_record(tmp_path / "p", f"{YAML}{written}")
    told = {name for name, *_ in followed(load(project))}
    assert told & {*MONEY, "anew_month_compute_seconds"} == {*money, "anew_month_compute_seconds"}
    assert bool(ProjectSource(project).in_force().compute_hour) == bool(money)


def test_how_it_stands_is_told() -> None:
    shifted = TrafficShifted(
        model="m", at=T0, epoch=3, stage=Stage.CANARY, share=0.25, champion=("v1", "d"), challenger=("v2", "e")
    )
    scored = WindowScored(
        model="m", at=T0, version="v1", window=Interval(start=T0, end=T0), n=80, labelled=60, revision=0,
        evidence=(Evidence.of("f1", 0.75, 60), Evidence.of("mae", None, 0, problem="too few")),
    )  # fmt: skip
    accepted = CandidateAccepted(model="m", at=T0, version="v2", champion="v1", digest="d2")
    asked = ApprovalAsked(
        model="m", at=T0, version="v2", champion="v1", digest="d2", needed=2, why=("promotion",), requester="",
        barred=(), expires=T0,
    )  # fmt: skip
    counted = ApprovalCounted(model="m", at=T0, version="v2", digest="d2", by="ada", given=1, needed=2)
    freeze = FreezeBegan(model="m", at=T0, window="x", until=T0)
    found = values(metered(shifted, scored, accepted, asked, counted, freeze), T0 + timedelta(hours=1))
    assert (found["anew_rollout_stage", "canary"], found["anew_rollout_stage", "steady"]) == (1, 0)
    assert found["anew_rollout_challenger_ratio",] == 0.25
    assert found["anew_performance", "f1", ""] == 0.75
    assert not [name for name in found if "mae" in name], "what was not measured is no number"
    assert found["anew_label_coverage_ratio",] == 0.75
    assert (found["anew_approvals_missing",], found["anew_frozen",]) == (1, 1)
    assert found["anew_approval_age_seconds",] == 3480


def test_a_window_that_is_scored_again_after_newer_ones_changes_no_gauge() -> None:
    def scored(day: int, revision: int, value: float) -> WindowScored:
        start = T0 + timedelta(days=day)
        return WindowScored(
            model="m", at=T0, version="v1", window=Interval(start=start, end=start + timedelta(days=1)), n=80,
            labelled=40 + day, revision=revision, evidence=(Evidence.of("f1", value, 60),),
        )  # fmt: skip

    found = values(metered(scored(0, 0, 0.9), scored(1, 0, 0.8), scored(1, 1, 0.75), scored(0, 1, 0.1)))
    assert (found["anew_performance", "f1", ""], found["anew_label_coverage_ratio",]) == (0.75, 41 / 80)


def test_every_kind_of_fact_can_be_heard() -> None:
    meter = metered(*(sample(kind).caused_by("") for kind in FACTS.values()))
    assert values(meter)


def test_the_numbers_are_kept_in_a_file_and_go_on_after_a_restart(tmp_path: Path) -> None:
    settings = load(write_record(tmp_path / "p"))
    counts: list[float] = []
    for _ in range(2):
        followed(settings)
        counts.append(_promotions(read_loop(settings.state)()[1]))
        (settings.state / "run" / "loop.json").unlink()
    assert counts == [1, 1], "counters are those of the record, and do not begin anew"
    (settings.state / "run" / "loop.json").write_text("{")
    assert read_loop(settings.state)() == (FAMILIES, ())


def followed(settings: Settings) -> Sequence[Sample]:
    """Follow the record until its promotion is counted; return what was kept."""
    with Metering(settings):
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        while not _promotions(read_loop(settings.state)()[1]):
            assert datetime.now(UTC) < deadline
    return read_loop(settings.state)()[1]


def _promotions(samples: Sequence[object]) -> float:
    return next((each[3] for each in samples if each[0] == "anew_promotions_total"), 0.0)  # type: ignore[index]  # a sample


def queries() -> list[str]:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    panels = json.loads((MONITORING / "grafana.json").read_text())["panels"]
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]] + [
        target["expr"] for panel in panels for target in panel["targets"]
    ]


@pytest.mark.parametrize("query", queries())
def test_every_query_asks_for_what_there_is(query: str) -> None:
    named = set(re.findall(r"\banew_[a-z_]+", query))
    suffixes = ("", "_bucket", "_sum", "_count")
    gateway = {"anew_gateway_request_duration_seconds", "anew_gateway_degraded", "anew_version_tripped"}
    if query.startswith("up{"):
        return  # it is Prometheus's own
    known = {family + suffix for family in {*FAMILIES, *gateway} for suffix in suffixes}
    assert named
    assert named <= known


def test_a_project_that_was_never_up_has_no_numbers(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path))
    assert read_loop(settings.state)() == (FAMILIES, ())


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "grafana.json").read_text())
    return found


def faults(of: dict[str, Any]) -> list[str]:
    """Return what Grafana would not show, or show on top of something else."""
    found, taken = [], dict[tuple[int, int], str]()
    declared = {each["name"] for each in of["templating"]["list"]} | {"__rate_interval", "__range"}
    ids = [panel["id"] for panel in of["panels"]]
    found += [f"panel {id} is there twice" for id in set(ids) if ids.count(id) > 1]
    for panel in of["panels"]:
        place, name = panel["gridPos"], panel["title"]
        for cell in product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])):
            if taken.setdefault(cell, name) != name or cell[0] >= 24:
                found.append(f"{name} lies on {taken[cell]}")
        asked = json.dumps(panel)
        found += [
            f"{name}: ${used} is not declared" for used in re.findall(r"\$\{?(\w+)", asked) if used not in declared
        ]
        found += [f"{name}: no data source" for each in panel["targets"] if "uid" not in each.get("datasource", {})]
        found += [f"{name}: no refId" for each in panel["targets"] if not each.get("refId")]
    return found


def test_the_dashboard_shows_every_panel_and_asks_for_what_is_declared() -> None:
    assert faults(board()) == []
    assert board()["schemaVersion"] >= 36


@pytest.mark.parametrize("plant", ["twice", "overlap", "variable"])
def test_a_planted_fault_of_the_dashboard_is_found(plant: str) -> None:
    spoilt = board()
    if plant == "twice":
        spoilt["panels"][1]["id"] = spoilt["panels"][0]["id"]
    elif plant == "overlap":
        spoilt["panels"][1]["gridPos"] = spoilt["panels"][0]["gridPos"]
    else:
        spoilt["panels"][1]["targets"][0]["expr"] += "$nothing"
    assert faults(spoilt)


def test_queues_say_how_long_they_are(tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    policy = project / "anew.yaml"
    policy.write_text(
        f"{policy.read_text()}\nevents: {{webhooks: [{{url: 'env:HOOK'}}]}}\nfeedback: {{review: {{per_day: 10}}}}\n"
    )
    settings = load(project)
    item = ReviewItem(prediction="p", at=T0, key="k", row={}, reason="random", propensity=0.5, window=T0)
    with closing(ReviewDB(review_file(settings.state))) as store:
        store.add([item], reached=T0)
    cursor = settings.state / "told" / "webhook-0"
    CursorFile(cursor).move(3)
    os.utime(cursor, (1000, 1000))
    found = {name: (labels, value) for name, _, labels, value in queue_samples(settings, 10, T0 + timedelta(hours=1))}
    assert found == {
        "anew_review_items_open": ({"model": settings.model}, 1),
        "anew_review_oldest_age_seconds": ({"model": settings.model}, 3600.0),
        "anew_told_behind_facts": ({"model": settings.model, "receiver": "webhook-0"}, 7),
        "anew_told_timestamp_seconds": ({"model": settings.model, "receiver": "webhook-0"}, 1000),
    }
    assert found.keys() == QUEUES.keys()
    page = render((), [(FAMILIES, tuple(queue_samples(settings, 10, T0)))]).decode()
    assert 'anew_told_behind_facts{model="small",receiver="webhook-0"} 7' in page.replace("7.0", "7")
