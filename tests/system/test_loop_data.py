"""What a live loop learns from: spans that it chooses itself, and rows that a person takes away from it."""

from pathlib import Path

import polars as pl
import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.job_record import JobRecord
from anew.app.reproduce import reproduce
from anew.app.settings import load
from anew.domain.facts import (
    CandidateTrained,
    SnapshotTaken,
    SourcePurged,
    SpanFitted,
    SpansCompared,
    SubjectPurged,
    TrainingPlanned,
)
from anew.loop.job_name import job_ids
from anew.testing.contract_lake import EVER
from tests.system.loop_project import LoopProject, loop_project

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

DATA = {
    "data": "{history: history.parquet, holdout: 0.1, span: auto}",
    "- {psi": "{above: 0.5}, for: 500 windows}",
    "- beats_champion": "{margin: 0.5, at_least_rows: 2000}",  # nobody is promoted: only the data is looked at here
    "policy": "{cooldown: 0s}",
}


def retrained(ours: LoopProject, version: str) -> SnapshotTaken:
    """Ask for a retrain, let its effects end, and return its snapshot."""
    ours.anew("retrain", "--reason", "to see its rows")
    ours.wait_for(CandidateTrained, version=version)
    ours.settle()
    (taken,) = ours.facts(SnapshotTaken, version=version)
    return taken


@pytest.mark.fault("K1")
def test_two_spans_answer_as_one_model_and_are_compared_before_the_next_is_chosen(tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", DATA) as ours:
        ours.up()
        assert ours.serves() == "v1"
        for _ in range(3):
            ours.hour()
        ours.settle()
        assert ours.down() == 0
        ours.anew("retrain", "--reason", "to see its rows")
        for kill in ("train.beside:1", "train.blended:1"):
            ours.die(kill)
            ours.verify_chain()
        ours.up()
        made = ours.wait_for(CandidateTrained, version="v2")
        pair = made.blend
        assert pair is not None, made.alone_because
        assert pair.weight == 0.5  # nothing is known of either
        assert pair.rows > 100
        begun = [JobRecord(ours.state / "jobs" / each).begun() for each in job_ids(made.cause)]
        assert begun == [1, 1, 1]  # what was done before a kill was not done again
        said = [file.read_text() for file in (ours.root / "err", *(ours.state / "logs").glob("*")) if file.is_file()]
        assert not [text for text in said if "effect_failed" in text]
        assert len({made.digest, pair.alone, pair.beside}) == 3
        (taken,) = ours.facts(SnapshotTaken, version="v2")
        for _ in range(3):
            ours.hour()
        ours.settle()
        assert not ours.facts(SpanFitted)
        retrained(ours, "v3")
        (compared,) = ours.facts(SpansCompared, version="v2")
        assert compared.evidence
        (plan,) = ours.facts(TrainingPlanned, version="v3")
        assert f"from {sum(each.measured for each in compared.evidence)} comparisons" in plan.why_span
        ours.verify_chain()
        assert ours.down() == 0
        found = reproduce(ours.root, "v2")
        assert (found.verdict, found.again) == ("identical_digest", made.digest)
        places = [ours.state / "snapshots" / f"{each}.parquet" for each in (pair.snapshot, taken.digest)]
        beside, own = (pl.read_parquet(each).get_column("_at") for each in places)
        assert beside[-1] < own[made.rows]  # what judges it was seen by neither
        told = ours.anew("lineage", "v2")
        assert f"{pair.weight:.3g} of the artifact {pair.alone}" in str(told)
        assert pair.snapshot in str(told)


@pytest.mark.fault("A4")
def test_a_purged_source_is_learned_from_no_more_and_an_erased_subject_is_nowhere(tmp_path: Path) -> None:
    with loop_project(tmp_path / "project", {"- {psi": DATA["- {psi"], "policy": DATA["policy"]}) as ours:
        history = ours.root / "history.parquet"
        rows = pl.read_parquet(history)
        source = pl.Series("_source", ["mallory" if i % 4 == 0 else "crm" for i in range(rows.height)])
        rows.with_columns(source).write_parquet(history)
        ours.up()
        assert ours.serves() == "v1"
        (first,) = ours.facts(SnapshotTaken)
        assert [name for name, *_ in first.sources] == ["crm", "mallory"]
        ours.hour()
        ours.settle()
        told = ours.anew("data", "purge", "--source", "mallory", "--reason", "wrong labels")
        assert told["taken"]
        ours.wait_for(SourcePurged, source="mallory")
        second = retrained(ours, "v2")
        assert [name for name, *_ in second.sources] in (["crm"], ["crm", "api"])
        told = ours.anew("explain", "v2")
        assert "without mallory" in str(told)

        ours.anew("data", "purge", "--subject", "nobody of this name")
        erased = ours.wait_for(SubjectPurged)
        assert {n for _, n in erased.rows} == {0}
        assert not list((ours.state / "purge").iterdir())
        ours.verify_chain()
        assert ours.down() == 0
        settings = load(ours.root)
        lake = DeltaLake(ours.state / "lake", settings.columns, settings.model, ours.state / "lake.db")
        try:
            # The first snapshot can be read again as it was; the rows are on record.
            again = lake.labelled(EVER, versions=dict(first.tables))
            assert again.height == first.rows
            came = {name: rows for name, rows, _ in first.sources}
            assert (again.get_column("_source") == "mallory").sum() == came["mallory"]
        finally:
            lake.close()
