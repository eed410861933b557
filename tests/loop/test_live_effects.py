"""Effects end as facts, the same fact however often they are begun, and never by guessing."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.memory import InlineSteps
from anew.adapters.memory_lake import MemoryLake
from anew.adapters.signing import Signer
from anew.domain.errors import DiskFullError, IntegrityError, UnavailableError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import (
    CandidateMeasured,
    CandidateTrained,
    EffectFailed,
    SnapshotTaken,
    SpanComparisonAsked,
    SpanFitAsked,
    SpanFitted,
    SpansCompared,
    Stage,
    Ticked,
    TrafficApplied,
    TrafficShifted,
    TrainingPlanned,
)
from anew.domain.interval import Interval
from anew.domain.manifest import FileEntry, Manifest, digest_of
from anew.domain.observation import Answer, Label, Prediction
from anew.gateway.identity import prediction_id
from anew.loop.adopted import ADOPTED
from anew.loop.correction import Corrected
from anew.loop.correction_run import CorrectionRun, leave_correction
from anew.loop.live_effects import Jobs, LiveEffects, Stores
from anew.loop.past import Record
from anew.loop.training_order import Training
from anew.loop.training_run import TrainingRun
from anew.loop.trial_order import TrialNeeds
from anew.ports.compute import Job, JobState, JobStatus, Limits
from anew.testing.fake_compute import FakeCompute
from anew.testing.fake_traffic import FakeTraffic, worker_status
from tests.loop.observed import COLUMNS, START, hour

Work = Callable[[Job, Path], JobStatus | None]
EVIDENCE = (Evidence.of("slos", 0.1, 10),)


@dataclass
class Bed:
    """Live effects over fakes and stores in a folder."""

    root: Path
    label_delay: timedelta = timedelta(0)
    digests: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        signer = Signer.load_or_create(self.root / "keys")
        self.lake = MemoryLake(COLUMNS)
        self.artifacts = LocalArtifactStore(root=self.root / "models", verifier=signer.verifier, signer=signer)
        self.compute = FakeCompute(self.root / "jobs", trained)
        self.traffic = FakeTraffic()
        self.jobs = Jobs(
            training=Training(
                fit="anew.train:run",
                finish="anew.train:finish",
                pipeline=self.root / "project" / "pipeline.py",
                columns=COLUMNS,
                params={"depth": 3},
            ),
            measure="anew.measure:run",
            correct="anew.correct:run",
            compare="anew.compare:run",
            score="anew.score:run",
            orders=self.root / "orders",
            project=self.root / "project",
            limits=Limits(wall_s=9),
            read_evidence=lambda data: EVIDENCE if data == b"evidence" else (),
            blends=lambda kept_as: kept_as == "lightgbm",
        )
        stores = Stores(
            lake=self.lake,
            snapshots=LocalSnapshotStore(self.root / "snapshots"),
            artifacts=self.artifacts,
            compute=self.compute,
            traffic=self.traffic,
        )
        record = Record(digest_of=lambda version: self.digests.get(version, ""), find=self.facts.get)
        self.effects = LiveEffects(stores, self.jobs, record, label_delay=self.label_delay)

    def run(self, fact: Fact) -> Fact:
        """Run the effect that `fact` asks for, which is on record."""
        fact = fact if fact.id else fact.caused_by("test")
        self.facts[fact.id] = fact
        (ended,) = self.effects.run(fact, InlineSteps(sleep_s=self.slept.append))
        return ended.caused_by(fact.id)

    def history(self, rows: int = 40) -> None:
        """Import labelled rows, one an hour from the start."""
        at = [hour(i) for i in range(rows)]
        frame = pl.DataFrame({"_at": at, "_label": [i % 2 for i in range(rows)], "x": [float(i) for i in range(rows)]})
        self.lake.import_history(frame, source="test")

    def planned(self, champion: str = "") -> TrainingPlanned:
        """Return a plan over all that there is."""
        return TrainingPlanned(
            model="m",
            at=hour(40),
            version="v2",
            champion=champion,
            span=Interval(start=datetime(1970, 1, 1, tzinfo=UTC), end=hour(40)),
            holdout_share=0.2,
            seed=7,
            code="c" * 64,
            settings="s" * 64,
        ).caused_by("plan")

    def snapshot(self, champion: str = "") -> SnapshotTaken:
        """Return a snapshot that was taken of history."""
        self.history()
        taken = self.run(self.planned(champion))
        assert isinstance(taken, SnapshotTaken)
        return taken

    def candidate(self, champion: str = "") -> CandidateTrained:
        """Return a candidate that was trained on a snapshot."""
        made = self.run(self.snapshot(champion))
        assert isinstance(made, CandidateTrained)
        return made

    def stored(self, text: str) -> str:
        """Store an artifact of one file and return its digest."""
        folder = self.root / "made" / text
        folder.mkdir(parents=True)
        (folder / "model").write_text(text)
        (folder / "manifest.json").write_text(manifest().to_json())
        return self.artifacts.put(folder)

    def order(self, number: int = -1) -> dict[str, object]:
        """Return what a job was told to do."""
        told: dict[str, object] = json.loads(Path(self.compute.submitted[number].arguments["run"]).read_text())
        return told


def manifest(**fields: Any) -> Manifest:
    """Return what an artifact says of itself."""
    found = Manifest(
        format="lightgbm", model_file="model", columns=COLUMNS, inputs=("x",), classes=(0, 1), rows=32, holdout_rows=8,
        seed=7, code="c" * 64, environment="e" * 64,
    )  # fmt: skip
    return replace(found, **fields)


def trained(job: Job, folder: Path) -> None:
    """Leave what a training or a measuring job leaves."""
    if "measure" in job.entry:
        (folder / "evidence.json").write_bytes(b"evidence")
        return
    run = json.loads(Path(job.arguments["run"]).read_text())
    parts = tuple((digest, weight) for digest, _, weight in run["blend"])
    files = {
        "model": f"on {run['snapshot']} by {run['params']}".encode(),
        "manifest.json": manifest(params=run["params"], blend=parts).to_json().encode(),
    }
    (folder / "artifact").mkdir()
    for name, data in files.items():
        (folder / "artifact" / name).write_bytes(data)
    digest = digest_of([FileEntry.of(name, data) for name, data in files.items()])
    outcome = {"digest": digest, "rows": 32, "compute_s": 1.0, "metrics": {}}
    (folder / "outcome.json").write_text(json.dumps(outcome))


def failed(fact: Fact, effect: str, reason: str, said: str) -> None:
    assert isinstance(fact, EffectFailed), fact
    assert (fact.effect, fact.reason) == (effect, reason), fact
    assert said in fact.detail


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def shifted(epoch: int) -> TrafficShifted:
    return TrafficShifted(model="m", at=START, epoch=epoch, stage=Stage.STEADY, share=0.0, champion=("v1", "d1"))


def test_a_snapshot_fixes_rows_tables_and_what_is_held_out(bed: Bed) -> None:
    taken = bed.snapshot()
    assert (taken.rows, taken.holdout_rows, taken.seed) == (40, 8, 7)
    assert dict(taken.tables)["history"] == 1
    assert (taken.span.start, taken.span.end) == (hour(0), hour(40))
    assert bed.run(bed.planned()) == taken


def test_a_snapshot_beside_a_champion_leaves_out_what_is_not_mature(tmp_path: Path) -> None:
    bed = Bed(tmp_path, label_delay=timedelta(hours=10))
    bed.history()
    first, later = bed.run(bed.planned()), bed.run(bed.planned("v1"))
    assert isinstance(first, SnapshotTaken)
    assert isinstance(later, SnapshotTaken)
    assert (first.rows, later.rows) == (40, 30)


def test_too_few_rows_are_no_snapshot(bed: Bed) -> None:
    failed(bed.run(bed.planned()), "snapshot", "error", "0 labelled rows lie in the span")


def corrected(job: Job, folder: Path) -> None:
    """Correct as the job does: the rows below 3 are left out, that with 5 is mended."""
    order = CorrectionRun.from_json(Path(job.arguments["run"]).read_text())
    x = pl.col("x")
    mended = pl.read_parquet(order.rows).with_columns(x=pl.when(x == 5.0).then(50.0).otherwise(x))
    rows = mended.filter(x >= 3.0)
    leave_correction(order, Corrected(rows=rows, repaired=1, dropped=3), folder)


def test_a_corrected_snapshot_holds_what_the_job_made_of_history(bed: Bed) -> None:
    bed.compute.work = corrected
    bed.history()
    plain = bed.run(bed.planned())
    taken = bed.run(replace(bed.planned(), corrected=True).caused_by("rule"))
    assert isinstance(plain, SnapshotTaken)
    assert isinstance(taken, SnapshotTaken)
    assert (taken.rows, taken.repaired, taken.dropped) == (37, 1, 3)
    assert (taken.compute_s, plain.compute_s) == (1.0, 0.0)
    assert (taken.tables, taken.digest != plain.digest) == (plain.tables, True)
    rows = pl.read_parquet(LocalSnapshotStore(bed.root / "snapshots").get(taken.digest))
    assert sorted(rows.get_column("x"))[-1] == 50.0
    (job,) = bed.compute.submitted
    assert (job.entry, job.limits.wall_s, bed.order()["code"]) == ("anew.correct:run", 9, "c" * 64)


def test_a_correction_begun_before_a_crash_says_what_it_read(bed: Bed) -> None:
    bed.compute.work = corrected
    bed.history()
    fact = replace(bed.planned(), corrected=True).caused_by("rule")
    first = bed.run(fact)
    late = pl.DataFrame({"_at": [hour(1)], "_label": [1], "x": [9.0]})
    bed.lake.import_history(late, source="late")
    assert bed.run(fact) == first
    assert len(bed.compute.submitted) == 1


@pytest.mark.parametrize("reason", ["nothing_to_correct", "timeout", "oom"])
def test_a_correction_that_came_to_nothing_holds_the_retrain(bed: Bed, reason: str) -> None:
    bed.compute.work = lambda *_: JobStatus(state=JobState.FAILED, reason=reason, detail="no row breaks x >= 3")
    bed.history()
    fact = replace(bed.planned(), corrected=True).caused_by("rule")
    failed(bed.run(fact), "snapshot", reason, "no row breaks x >= 3")


def test_rows_of_incidents_are_kept_from_a_snapshot(bed: Bed) -> None:
    bed.history()
    taken = bed.run(replace(bed.planned(), left_out=(Interval(start=hour(4), end=hour(10)),)).caused_by("broken"))
    assert isinstance(taken, SnapshotTaken)
    assert taken.rows == 34


def test_a_store_that_does_not_answer_is_asked_again_later(bed: Bed) -> None:
    bed.history()
    (bed.root / "snapshots").write_text("in the way")
    with pytest.raises(UnavailableError):
        bed.run(bed.planned())


def test_training_stores_what_the_job_left(bed: Bed) -> None:
    snapshot = bed.snapshot()
    made = bed.run(snapshot)
    assert isinstance(made, CandidateTrained)
    assert bed.artifacts.has(made.digest)
    assert (made.rows, made.compute_s, made.snapshot) == (32, 1.0, snapshot.digest)
    run = TrainingRun.from_json(json.dumps(bed.order()))
    assert (run.seed, run.holdout_rows, run.params) == (7, 8, {"depth": 3})
    assert (run.code, run.snapshot, run.previous) == ("c" * 64, snapshot.digest, "")
    (job,) = bed.compute.submitted
    assert (job.id, job.entry, job.limits.wall_s) == (snapshot.id, "anew.train:run", 9)


def test_training_begins_from_the_champion(bed: Bed) -> None:
    bed.digests["v1"] = bed.stored("champion")
    bed.run(bed.snapshot("v1"))
    assert bed.order()["previous_digest"] == bed.digests["v1"]
    assert bed.order()["previous"] == str(bed.artifacts.get(bed.digests["v1"]))


def test_training_waits_ever_longer_but_not_too_long(bed: Bed) -> None:
    bed.compute.polls = 60
    assert isinstance(bed.run(bed.snapshot()), CandidateTrained)
    assert len(bed.slept) == 60
    assert bed.slept == sorted(bed.slept)
    assert max(bed.slept) < 5


def test_an_effect_that_is_begun_again_ends_in_the_same_fact_and_runs_its_job_once(bed: Bed) -> None:
    snapshot = bed.snapshot()
    one, other = bed.run(snapshot), bed.run(snapshot)
    assert one == other
    assert len(bed.compute.submitted) == 1


@pytest.mark.fault("K4")
@pytest.mark.parametrize("reason", ["error", "killed", "oom", "timeout", "disk_full", "cancelled"])
def test_a_job_that_failed_names_its_reason(bed: Bed, reason: str) -> None:
    bed.compute.work = lambda *_: JobStatus(state=JobState.FAILED, reason=reason, detail="it went wrong", cpu_s=3600.0)
    ended = bed.run(bed.snapshot())
    failed(ended, "train", reason, "it went wrong")
    assert isinstance(ended, EffectFailed)
    assert ended.compute_s == 3600.0


def test_a_job_whose_records_are_gone_runs_anew(bed: Bed) -> None:
    snapshot = bed.snapshot()
    bed.compute.polls = 2
    steps = InlineSteps(sleep_s=lambda _: bed.compute.forget(snapshot.id) if len(bed.compute.submitted) < 2 else None)
    assert isinstance(bed.effects.run(snapshot, steps)[0], CandidateTrained)
    assert len(bed.compute.submitted) == 2


def tampered(job: Job, folder: Path) -> None:
    trained(job, folder)
    (folder / "artifact" / "model").write_text("another model")


def empty(job: Job, folder: Path) -> None:
    (folder / "artifact").mkdir()


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (tampered, "what it left has the digest"),
        (empty, "the run left no outcome"),
        (lambda *_: JobStatus(state=JobState.DONE), "names no folder"),
    ],
)
def test_what_is_not_what_was_made_is_no_candidate(bed: Bed, work: Work, said: str) -> None:
    bed.compute.work = work
    failed(bed.run(bed.snapshot()), "train", "error", said)


@pytest.mark.parametrize("effect", ["train", "measure"])
def test_a_champion_whose_artifact_is_gone_or_damaged_fails_the_effect(bed: Bed, effect: str) -> None:
    asked = bed.snapshot("v1") if effect == "train" else bed.candidate("v1")
    bed.digests["v1"] = "0" * 64
    failed(bed.run(asked), effect, "error", "0" * 64)
    bed.digests["v1"] = bed.stored("champion")
    (bed.artifacts.get(bed.digests["v1"]) / "model").chmod(0o600)
    (bed.artifacts.get(bed.digests["v1"]) / "model").write_text("changed!")
    failed(bed.run(asked), effect, "error", "model")


def test_a_snapshot_that_was_damaged_trains_nothing(bed: Bed) -> None:
    snapshot = bed.snapshot()
    (bed.root / "snapshots" / f"{snapshot.digest}.parquet").write_bytes(b"")
    failed(bed.run(snapshot), "train", "error", "cannot be read")
    assert bed.compute.submitted == []


def test_measuring_gives_the_gates_evidence(bed: Bed) -> None:
    bed.digests["v1"] = bed.stored("champion")
    candidate = bed.candidate("v1")
    measured = bed.run(candidate)
    assert isinstance(measured, CandidateMeasured)
    assert (measured.evidence, measured.digest, measured.champion) == (EVIDENCE, candidate.digest, "v1")
    order = bed.order()
    assert order["trained_rows"] == 32
    assert order["candidate"] == ["v2", candidate.digest, str(bed.artifacts.get(candidate.digest))]
    assert order["champion"] == ["v1", bed.digests["v1"], str(bed.artifacts.get(bed.digests["v1"]))]
    assert bed.run(candidate) == measured
    assert len(bed.compute.submitted) == 2


def test_what_measures_is_confined_as_a_training_is_unless_the_project_says_otherwise(bed: Bed, tmp_path: Path) -> None:
    candidate = bed.candidate()
    bed.run(candidate)
    job = bed.compute.submitted[-1]
    order = bed.order()
    assert job.confined == "auto"
    (_, _, folder) = cast("list[str]", order["candidate"])
    assert set(job.reads or ()) == {job.arguments["run"], order["snapshot"], folder}
    free = Bed(tmp_path / "free")
    free.effects.reconfigure(
        replace(free.jobs, training=replace(free.jobs.training, confined="none")), label_delay=timedelta(0)
    )
    free.run(free.candidate())
    assert free.compute.submitted[-1].reads is None


def test_a_candidate_that_is_gone_is_not_measured(bed: Bed) -> None:
    candidate = replace(bed.candidate(), digest="1" * 64)
    failed(bed.run(candidate), "measure", "error", "1" * 64)


def test_new_settings_hold_for_what_begins_after_them(bed: Bed) -> None:
    snapshot = bed.snapshot()
    changed = replace(bed.jobs, training=replace(bed.jobs.training, params={"depth": 9}))
    bed.effects.reconfigure(changed, label_delay=timedelta(hours=39))
    bed.run(snapshot)
    assert bed.order()["params"] == {"depth": 9}
    failed(bed.run(bed.planned("v1")), "snapshot", "error", "1 labelled rows")


def test_traffic_is_applied_when_every_worker_answers_by_it(bed: Bed) -> None:
    for name in ("0", "1"):
        bed.traffic.report(worker_status(name))
    bed.traffic.obedient = False
    asked = shifted(3).caused_by("x")
    bed.facts[asked.id] = asked
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            bed.traffic.report(worker_status("0", epoch=3))
        if len(waits) == 6:
            bed.traffic.obey("m")

    (applied,) = bed.effects.run(asked, InlineSteps(sleep_s=sleep))
    assert isinstance(applied, TrafficApplied)
    assert (applied.epoch, applied.workers, len(waits)) == (3, 2, 6)


def test_traffic_without_workers_is_what_they_will_begin_with(bed: Bed) -> None:
    applied = bed.run(shifted(1))
    assert isinstance(applied, TrafficApplied)
    assert applied.workers == 0
    assert bed.traffic.published("m") is not None
    assert bed.run(shifted(1)) == applied


def test_a_worker_that_refuses_fails_the_shift(bed: Bed) -> None:
    bed.traffic.obedient = False
    bed.traffic.report(worker_status("0", epoch=2))
    bed.traffic.report(replace(worker_status("1", epoch=1), refused=2, problem="it does not load"))
    failed(bed.run(shifted(2)), "shift", "refused", "worker 1: it does not load")


def test_an_old_refusal_is_not_held_against_a_new_order(bed: Bed) -> None:
    bed.traffic.report(replace(worker_status("0", epoch=1), refused=2, problem="it did not load"))
    assert isinstance(bed.run(shifted(3)), TrafficApplied)


def test_an_order_that_came_too_late_moves_nothing(bed: Bed) -> None:
    bed.traffic.report(worker_status("0"))
    bed.run(shifted(5))
    failed(bed.run(shifted(4)), "shift", "superseded", "epoch 5 is in force, 4 came too late")
    published = bed.traffic.published("m")
    assert published is not None
    assert published.epoch == 5


def test_a_worker_that_never_answers_by_it_fails_the_shift(bed: Bed) -> None:
    bed.traffic.obedient = False
    bed.traffic.report(worker_status("0", epoch=1))
    failed(bed.run(shifted(2)), "shift", "timeout", "a worker still answers by epoch 1")
    assert 119 < sum(bed.slept) < 122


def test_what_asks_for_nothing_known_fails(bed: Bed) -> None:
    failed(bed.run(Ticked(model="m", at=START, wall=START)), "", "error", "nothing here knows how to")


def test_other_errors_pass_through_for_another_attempt(bed: Bed) -> None:
    def broken(job: Job, folder: Path) -> JobStatus | None:
        raise RuntimeError("unforeseen")

    bed.compute.work = broken
    with pytest.raises(RuntimeError):
        bed.run(bed.snapshot())


def test_jobs_of_ended_effects_are_deleted_but_the_last_and_those_under_way(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    bed.jobs.orders.mkdir()
    names = [f"{number:026d}" for number in range(30)]
    for age, name in enumerate(names):
        file = bed.jobs.orders / f"{name}.json"
        file.write_text("{}")
        file.with_suffix(".py").write_text("")
        os.utime(file, (age, age))
        bed.compute.submit(Job(id=name, entry="measure:run", arguments={}, limits=Limits(wall_s=1)))
    assert bed.effects.tidy({names[3]}) == 9
    kept = sorted(file.stem for file in bed.jobs.orders.glob("*.json"))
    assert kept == sorted(file.stem for file in bed.jobs.orders.glob("*.py"))
    assert kept == [names[3], *names[10:]]
    assert bed.compute.poll(names[0]).state is JobState.UNKNOWN
    assert bed.compute.poll(names[3]).state is not JobState.UNKNOWN
    assert bed.effects.tidy({names[3]}) == 0


def test_the_jobs_of_a_run_of_two_models_are_its_own(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    bed.jobs.orders.mkdir()
    run = "0" * 26
    for age, name in enumerate([run, f"{run}-beside", f"{run}-blend", *(f"{number:026d}" for number in range(1, 22))]):
        file = bed.jobs.orders / f"{name}.json"
        file.write_text("{}")
        os.utime(file, (age, age))
    assert bed.effects.tidy({run}) == 1  # twenty are kept besides
    assert {file.stem for file in bed.jobs.orders.iterdir()} >= {run, f"{run}-beside", f"{run}-blend"}


def spans_bed(root: Path) -> tuple[Bed, SnapshotTaken, SpanFitAsked]:
    """Return a bed whose candidate was trained on 32 of 40 hours, and the wish for a fit of ten hours beside it."""
    bed = Bed(root)
    plan = replace(bed.planned(), beside_s=36_000.0).caused_by("auto")
    bed.facts[plan.id] = plan
    bed.history()
    taken = bed.run(plan)
    assert isinstance(taken, SnapshotTaken)
    asked = SpanFitAsked(
        model="m", at=hour(40), version="v2", snapshot=taken.digest, trained_rows=32, length_s=36_000.0, plan=plan.id
    )
    return bed, taken, asked


def test_the_span_beside_ends_where_the_candidates_rows_end(tmp_path: Path) -> None:
    bed, _, asked = spans_bed(tmp_path)
    fitted = bed.run(asked)
    assert isinstance(fitted, SpanFitted)
    assert (fitted.version, fitted.rows) == ("v2", 10)
    run = TrainingRun.from_json(json.dumps(bed.order()))
    assert pl.read_parquet(run.rows).get_column("_at").to_list() == [hour(i) for i in range(22, 32)]
    assert (run.seed, run.holdout_rows, run.previous) == (7, 0, "")
    failed(bed.run(replace(asked, plan="unheard", id="")), "fit_span", "error", "not on record")


def test_sources_that_are_held_out_alone_bind_no_rows_that_are_all_trained_on(tmp_path: Path) -> None:
    bed = Bed(tmp_path)
    plan = replace(bed.planned(), beside_s=36_000.0, holdout_sources=("audit",)).caused_by("auto")
    bed.facts[plan.id] = plan
    at, source = [hour(i) for i in range(40)], ["web"] * 39 + ["audit"]
    label = [i % 2 for i in range(40)]
    frame = pl.DataFrame({"_at": at, "_label": label, "_source": source, "x": [float(i) for i in range(40)]})
    bed.lake.import_history(frame, source="test")
    taken = bed.run(plan)
    assert isinstance(taken, SnapshotTaken)
    assert (taken.rows, taken.holdout_rows) == (40, 1)
    asked = SpanFitAsked(
        model="m", at=hour(40), version="v2", snapshot=taken.digest, trained_rows=39, length_s=36_000.0, plan=plan.id
    )
    fitted = bed.run(asked)
    assert isinstance(fitted, SpanFitted)
    assert fitted.rows == 10


@pytest.mark.parametrize(("kept", "held", "gone"), [(32, 8, False), (38, 2, False), (40, 0, False), (38, 20, True)])
def test_rows_that_the_champion_was_trained_on_do_not_compare_it_with_others(
    tmp_path: Path, kept: int, held: int, gone: bool
) -> None:
    bed = Bed(tmp_path)
    bed.history()
    plan = bed.planned("v1")
    earlier = bed.run(replace(plan, champion=""))
    assert isinstance(earlier, SnapshotTaken)
    folder = tmp_path / "champion"
    folder.mkdir()
    (folder / "model").write_text("model")
    (folder / "manifest.json").write_text(manifest(snapshot="0" * 64 if gone else earlier.digest, rows=kept).to_json())
    bed.digests["v1"] = bed.artifacts.put(folder)
    taken = bed.run(replace(plan, holdout_sources=("history",), holdout_least=20))
    if not held:
        failed(taken, "snapshot", "holdout_sources", "v1 was trained on rows up to")
        return
    assert isinstance(taken, SnapshotTaken)
    assert taken.holdout_rows == held


def two_spans(bed: Bed, **plan: Any) -> SnapshotTaken:
    """Return a snapshot whose plan has ten hours beside it, a quarter of the answer theirs."""
    planned = replace(bed.planned(), beside_s=45_000.0, span_weight=0.75, **plan).caused_by("auto")
    bed.facts[planned.id] = planned
    bed.history()
    taken = bed.run(planned)
    assert isinstance(taken, SnapshotTaken)
    return taken


def test_a_candidate_of_two_spans_is_made_of_both_models(bed: Bed) -> None:
    taken = two_spans(bed)
    made = bed.run(taken)
    assert isinstance(made, CandidateTrained)
    jobs = bed.compute.submitted
    assert [job.id for job in jobs] == [taken.id, f"{taken.id}-beside", f"{taken.id}-blend"]
    assert made.blend is not None
    assert (made.blend.weight, made.blend.rows, made.compute_s, made.alone_because) == (0.75, 10, 3.0, "")
    assert len({made.digest, made.blend.alone, made.blend.beside}) == 3
    assert all(bed.artifacts.has(each) for each in (made.digest, made.blend.alone, made.blend.beside))
    beside = TrainingRun.from_json(json.dumps(bed.order(1)))
    rows = pl.read_parquet(beside.rows)
    assert rows.get_column("_at").to_list() == [hour(i) for i in range(22, 32)]  # none of those held out
    assert (beside.snapshot, beside.params, beside.holdout_rows) == (made.blend.snapshot, {"depth": 3}, 0)
    whole = TrainingRun.from_json(json.dumps(bed.order(2)))
    places = {digest: str(bed.artifacts.get(digest)) for digest in (made.blend.alone, made.blend.beside)}
    assert whole.blend == tuple((d, places[d], w) for d, w in ((made.blend.alone, 0.75), (made.blend.beside, 0.25)))
    assert (whole.snapshot, whole.holdout_rows) == (taken.digest, 8)
    reads = jobs[2].reads
    assert reads is not None
    assert {*places.values()} <= {*reads}
    assert str(whole.part) not in reads
    assert not whole.part.exists()  # it fits nothing, so nothing is written out to be fitted on
    assert bed.run(taken) == made
    assert len(bed.compute.submitted) == 3


def test_the_rows_beside_are_those_of_the_snapshots_time(bed: Bed) -> None:
    """What came to the tables since the snapshot was taken is in neither of the two models."""
    taken = two_spans(bed)
    late = pl.DataFrame({"_at": [hour(25)], "_label": [1], "x": [9.0]})
    bed.lake.import_history(late, source="late")
    made = bed.run(taken)
    assert isinstance(made, CandidateTrained)
    assert made.blend is not None
    assert made.blend.rows == 10


def one_fails(end: str, reason: str = "oom") -> Work:
    """Return what trains, but for the job with this end of its id."""

    def work(job: Job, folder: Path) -> JobStatus | None:
        if job.id.endswith(end):
            return JobStatus(state=JobState.FAILED, reason=reason, detail="it went wrong", cpu_s=5.0)
        trained(job, folder)
        return None

    return work


def test_without_the_model_beside_one_answers_alone_and_says_why(bed: Bed) -> None:
    bed.compute.work = one_fails("-beside")
    made = bed.run(two_spans(bed))
    assert isinstance(made, CandidateTrained)
    assert (made.blend, made.alone_because, made.compute_s) == (None, "oom: it went wrong", 6.0)
    assert bed.artifacts.has(made.digest)


def test_two_that_do_not_go_together_are_only_compared(bed: Bed) -> None:
    bed.compute.work = one_fails("-blend", "error")
    made = bed.run(two_spans(bed))
    assert isinstance(made, CandidateTrained)
    assert made.blend is not None
    assert (made.digest, made.blend.weight, made.alone_because) == (made.blend.alone, 1.0, "error: it went wrong")
    assert made.compute_s == 7.0


def test_what_ends_a_run_that_is_not_two_models_fault_ends_it(bed: Bed) -> None:
    bed.compute.work = one_fails("-beside", "cancelled")
    failed(bed.run(two_spans(bed)), "train", "cancelled", "it went wrong")


def test_a_disk_that_is_too_full_for_the_rows_beside_leaves_one_model(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(rows: Path, count: int, part: Path) -> None:
        if part.stem.endswith("-beside"):
            raise DiskFullError("the disk is full")

    monkeypatch.setattr("anew.loop.training_order._write_part", full)
    made = bed.run(two_spans(bed))
    assert isinstance(made, CandidateTrained)
    assert (made.blend, made.alone_because) == (None, "the disk is full")


@pytest.mark.parametrize("problem", [UnavailableError("away"), IntegrityError("another")])
def test_what_may_come_back_or_was_tampered_with_is_no_reason_to_go_on_with_one(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    taken = two_spans(bed)

    def broken(*_: object, **__: object) -> pl.DataFrame:
        raise problem

    monkeypatch.setattr(bed.lake, "labelled", broken)
    if isinstance(problem, UnavailableError):
        with pytest.raises(UnavailableError):
            bed.effects.run(taken, InlineSteps())
    else:
        failed(bed.run(taken), "train", "error", "another")


def test_steps_come_in_the_same_order_however_often_a_job_was_waited_for(bed: Bed) -> None:
    """After a restart the first job is done at once; what is a step then is what was one before."""
    taken = two_spans(bed)
    told: list[list[str]] = []
    for polls in (3, 0):
        steps: list[str] = []
        told.append(steps)

        class Told(InlineSteps):
            def run(self, name: str, function: Callable[[], str]) -> str:
                steps.append(name)  # noqa: B023  used before the next turn
                return function()

            def sleep(self, seconds: float) -> None:  # noqa: ARG002  not waited for
                steps.append("sleep")  # noqa: B023  as above

        bed.compute.polls = polls
        (made,) = bed.effects.run(taken, Told())
        assert isinstance(made, CandidateTrained)
    before, after = told
    assert before == ["submit"] + 9 * ["sleep"]
    assert after == before[: len(after)]


def test_a_model_that_was_brought_has_none_beside_it(bed: Bed) -> None:
    adopting = replace(bed.jobs.training, params={ADOPTED: "f" * 64})
    bed.effects.reconfigure(replace(bed.jobs, training=adopting), label_delay=bed.label_delay)
    made = bed.run(two_spans(bed))
    assert isinstance(made, CandidateTrained)
    assert (made.blend, len(bed.compute.submitted)) == (None, 1)


def test_a_format_that_cannot_blend_is_fitted_once(bed: Bed) -> None:
    bed.effects.reconfigure(replace(bed.jobs, blends=lambda _: False), label_delay=bed.label_delay)
    made = bed.run(two_spans(bed))
    assert isinstance(made, CandidateTrained)
    assert (made.blend, made.alone_because, len(bed.compute.submitted)) == (None, "", 1)


def test_a_plan_of_one_weight_is_of_one_model(tmp_path: Path) -> None:
    bed, taken, _ = spans_bed(tmp_path)
    made = bed.run(taken)
    assert isinstance(made, CandidateTrained)
    assert (made.blend, len(bed.compute.submitted)) == (None, 1)


def test_training_begins_from_the_champions_own_model_where_it_is_made_of_two(bed: Bed) -> None:
    alone = bed.stored("alone")
    folder = bed.root / "made" / "both"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest(blend=((alone, 0.6), ("b" * 64, 0.4))).to_json())
    bed.digests["v1"] = bed.artifacts.put(folder)
    bed.run(bed.snapshot("v1"))
    assert bed.order()["previous_digest"] == alone
    assert bed.order()["previous"] == str(bed.artifacts.get(alone))
    bed.artifacts.forget(alone, pinned=set())
    again = replace(bed.snapshot("v1"), id="").caused_by("another plan")
    assert isinstance(bed.run(again), CandidateTrained)  # from the champion as it is
    assert bed.order()["previous_digest"] == bed.digests["v1"]


def test_spans_are_compared_on_labelled_rows_that_came_since(tmp_path: Path) -> None:
    bed, taken, asked = spans_bed(tmp_path)
    fitted = bed.run(asked)
    assert isinstance(fitted, SpanFitted)
    candidate = bed.run(taken)
    assert isinstance(candidate, CandidateTrained)
    rows = Interval(start=hour(30), end=hour(50))
    compare = SpanComparisonAsked(
        model="m", at=hour(50), version="v2", candidate=candidate.digest, beside=fitted.digest, rows=rows,
        window_s=3600.0, corrected=False,
    )  # fmt: skip

    def compared(job: Job, folder: Path) -> JobStatus:
        (folder / "evidence.json").write_bytes(b"evidence")
        return JobStatus(state=JobState.DONE, folder=folder, cpu_s=3.5)

    bed.compute.work = compared
    found = bed.run(compare)
    assert isinstance(found, SpansCompared)
    assert (found.evidence, found.compute_s) == (EVIDENCE, 3.5)
    order = bed.order()
    assert pl.read_parquet(str(order["rows"])).height == 10
    assert order["window_s"] == 3600.0
    late = replace(compare, rows=Interval(start=hour(60), end=hour(70)), id="")
    nothing = bed.run(late)
    assert isinstance(nothing, SpansCompared)
    assert nothing.evidence == ()  # no rows, no evidence, and no job


def test_a_measuring_job_gets_the_rows_that_its_suites_need(bed: Bed) -> None:
    bed.effects.reconfigure(
        replace(bed.jobs, needs=TrialNeeds(recorded=3, past=5, anchor="")), label_delay=timedelta(0)
    )
    bed.digests["v1"] = bed.stored("the champion")
    bed.history()
    planned = replace(bed.planned("v1"), span=Interval(start=hour(20), end=hour(44)))
    for i in range(36, 44):
        prediction = Prediction(
            id=prediction_id(hour(i)), model="m", at=hour(i), received_at=hour(i), row={"x": float(i)}, key="",
            version="v1" if i != 40 else "v2", arm="champion", answer=Answer(output=1, proba=(0.25, 0.75)),
            epoch=1, latency_us=1,
        )  # fmt: skip
        label = Label(
            id=f"l{i}", model="m", prediction=prediction.id, value=i % 2, at=hour(i), received_at=hour(i), source="api"
        )
        bed.lake.append("w", i, [prediction, label])
    candidate = bed.run(bed.run(planned.caused_by("plan")))
    assert isinstance(candidate, CandidateTrained)
    bed.run(candidate)
    order = bed.order()
    past, recorded = (pl.read_parquet(str(order[name])) for name in ("past", "recorded"))
    assert past["x"].to_list() == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert recorded["x"].to_list() == [41.0, 42.0, 43.0]
    assert recorded.select("_output", "_p0", "_p1").row(0) == ("1", 0.25, 0.75)
    assert order["anchor"] == ["", "", ""], "nobody has served yet"


def test_rows_that_the_second_model_learned_from_are_no_suite_of_the_past(bed: Bed) -> None:
    bed.effects.reconfigure(replace(bed.jobs, needs=TrialNeeds(past=5)), label_delay=timedelta(0))
    taken = two_spans(bed, span=Interval(start=hour(25), end=hour(40)))
    made = bed.run(taken)
    assert isinstance(made, CandidateTrained)
    assert made.blend is not None
    bed.run(made)
    order = bed.order()
    beside = pl.read_parquet(str(order["beside"]))
    assert beside["x"].to_list() == [float(i) for i in range(27, 37)]
    assert pl.read_parquet(str(order["past"]))["x"].max() == 20.0
    assert str(order["beside"]) in (bed.compute.submitted[-1].reads or ())
    only_compared = replace(made, blend=replace(made.blend, weight=1.0), id="")
    bed.run(only_compared.caused_by(taken.id))
    assert bed.order()["beside"] == ""


@pytest.mark.fault("D3")
def test_a_full_disk_fails_the_candidate_by_name(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> str:
        raise DiskFullError(f"the artifact in {folder} cannot be stored: the disk is full")

    snapshot = bed.snapshot()
    monkeypatch.setattr(LocalArtifactStore, "put", lambda _, folder: full(folder))
    failed(bed.run(snapshot), "train", "disk_full", "the disk is full")
