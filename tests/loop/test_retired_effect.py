"""What a champion lost is read off its own answers where they are all there are; else one process is asked for all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.errors import TrainingError
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import EffectFailed, RetiredScored, RetiredScoringAsked
from anew.domain.interval import Interval
from anew.domain.manifest import Manifest
from anew.domain.observation import Answer, Label, Observation, Prediction
from anew.gateway.identity import prediction_id
from anew.loop import retired_effect
from anew.loop.retired import evidence_file
from anew.loop.retired_effect import RetiredEffect
from anew.loop.training_order import write_order
from anew.ports.compute import JobState, JobStatus
from anew.testing.fake_predictor import FakeStore
from tests.loop.observed import COLUMNS, hour

EVIDENCE = (Evidence.of("loss", 0.5, 4, subject="v1"),)
WINDOW = Interval(start=hour(0), end=hour(10))
CRASH = KeyboardInterrupt


@dataclass
class Bed:
    """The effect over a lake in memory and jobs that only count."""

    root: Path
    ran: list[dict[str, Any]] = field(default_factory=list)
    rows: list[pl.DataFrame] = field(default_factory=list)
    problem: BaseException | None = None

    def __post_init__(self) -> None:
        self.lake = MemoryLake(COLUMNS)
        self.store = FakeStore(self.root / "models")
        self.digest = self.store.make(value=1)
        manifest = Manifest(
            format="fake",
            model_file="model",
            columns=COLUMNS,
            inputs=("x",),
            classes=(0, 1),
            rows=1,
            holdout_rows=0,
            seed=1,
            code="",
            environment="",
        )
        (self.store.get(self.digest) / "manifest.json").write_text(manifest.to_json())
        self.effect = RetiredEffect(
            lake=self.lake,
            artifacts=self.store,
            folder=self.root / "orders",
            entry="anew.score:run",
            read_evidence=lambda data: EVIDENCE if data == b"evidence" else (),
            job=self.job,
        )

    def job(self, fact: Fact, _entry: str, order: str, _reads: Sequence[str]) -> JobStatus:
        """Leave what a scoring job leaves; one that is known is not run again."""
        folder = self.root / "jobs" / fact.id
        if not folder.exists():
            write_order(self.root / "orders", fact.id, order)
            self.ran.append(json.loads(order))
            self.rows.append(pl.read_parquet(self.ran[-1]["rows"]))
            folder.mkdir(parents=True)
            for window in self.ran[-1]["windows"]:
                (folder / evidence_file(window["id"])).write_bytes(b"evidence")
        if self.problem is not None:
            raise self.problem
        return JobStatus(state=JobState.DONE, folder=folder)

    def serve(self, *versions: str) -> None:
        """Serve and label a row an hour: the answer is always 1, the truth 0 and 1 by turns."""
        rows: list[Observation] = []
        for i, version in enumerate(versions):
            prediction = Prediction(
                id=prediction_id(hour(i)), model="m", at=hour(i), received_at=hour(i), row={"x": float(i)}, key="",
                version=version, arm="champion", answer=Answer(output=1), epoch=1, latency_us=1,
            )  # fmt: skip
            label = Label(
                id=f"l{i}",
                model="m",
                prediction=prediction.id,
                value=i % 2,
                at=hour(i),
                received_at=hour(i),
                source="api",
            )
            rows += [prediction, label]
        self.lake.append("j", len(rows), rows)

    def asked(self, *versions: tuple[str, str]) -> RetiredScoringAsked:
        """Ask for the losses of the champion and of others."""
        return self.asked_of(WINDOW, *versions)

    def asked_of(self, window: Interval, *versions: tuple[str, str]) -> RetiredScoringAsked:
        """Ask for them in a window."""
        return RetiredScoringAsked(
            model="m", at=hour(10), version="v1", versions=(("v1", self.digest), *versions), window=window
        ).caused_by("scored")

    def hours(self, count: int) -> list[RetiredScoringAsked]:
        """Ask for the losses of two versions in as many windows of an hour."""
        retired = ("v0", self.store.make(value=2))
        return [self.asked_of(Interval(start=hour(i), end=hour(i + 1)), retired) for i in range(count)]

    def ended(self, *asked: RetiredScoringAsked) -> list[RetiredScored]:
        """Return the scores that end what was asked."""
        return [each for each in self.effect.run(asked) if isinstance(each, RetiredScored)]


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def test_a_champion_alone_is_scored_by_the_answers_it_gave(bed: Bed) -> None:
    bed.serve("v1", "v1", "v1", "v1")
    (scored,) = bed.ended(bed.asked())
    (found,) = scored.evidence
    assert (found.subject, found.value, found.n, found.reference) == ("v1", 0.5, 4, 0.5)
    assert bed.ran == []


def test_rows_that_another_version_answered_are_asked_again(bed: Bed) -> None:
    bed.serve("v1", "v2", "v1", "v1")
    assert bed.ended(bed.asked())[0].evidence == EVIDENCE
    assert len(bed.ran) == 1


def test_retired_versions_have_to_be_asked(bed: Bed) -> None:
    bed.serve("v1", "v1")
    assert bed.ended(bed.asked(("v0", bed.store.make(value=2))))[0].evidence == EVIDENCE
    assert len(bed.ran) == 1
    assert not list((bed.root / "orders").glob("*.parquet"))  # the rows are the lake's


def test_no_labelled_row_is_no_evidence(bed: Bed) -> None:
    assert bed.ended(bed.asked())[0].evidence == ()
    assert bed.ran == []


def test_many_windows_are_scored_by_one_process(bed: Bed) -> None:
    bed.serve(*["v1"] * 40)
    asked = bed.hours(40)
    scored = bed.ended(*asked)
    assert [each.cause for each in scored] == [each.id for each in asked]
    assert {each.evidence for each in scored} == {EVIDENCE}
    (order,), (rows,) = bed.ran, bed.rows
    assert [each["id"] for each in order["windows"]] == [each.id for each in asked]
    assert [each["rows"] for each in order["windows"]] == [1] * 40
    assert rows.get_column("_at").to_list() == [hour(i) for i in range(40)]
    assert set(order["models"]) == {"v0", "v1"}


def test_a_process_is_given_no_more_rows_than_fit(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retired_effect, "_ROWS", 3)
    bed.serve(*["v1"] * 8)
    asked = bed.hours(8)
    sizes = []
    while asked:
        scored = bed.ended(*asked)
        sizes.append(len(scored))
        asked = asked[len(scored) :]
    assert sizes == [3, 3, 2]


def test_after_a_crash_the_process_is_not_told_of_windows_that_came_since(bed: Bed) -> None:
    bed.serve(*["v1"] * 6)
    asked = bed.hours(6)
    bed.problem = CRASH()
    with pytest.raises(CRASH):
        bed.ended(*asked[:4])
    bed.problem = None
    assert len(bed.ended(*asked)) == 4
    assert [each.cause for each in bed.ended(*asked[4:])] == [each.id for each in asked[4:]]
    assert [len(each["windows"]) for each in bed.ran] == [4, 2]


def test_what_a_process_was_to_score_fails_together(bed: Bed) -> None:
    bed.serve(*["v1"] * 6)
    bed.problem = TrainingError("oom", "no memory")
    asked = bed.hours(6)
    ended = bed.effect.run(asked)
    assert [(each.cause, each.reason) for each in ended if isinstance(each, EffectFailed)] == [
        (each.id, "oom") for each in asked
    ]
    assert not list((bed.root / "orders").glob("*.parquet"))


def test_windows_on_record_come_before_those_that_have_to_be_asked(bed: Bed) -> None:
    bed.serve("v1", "v1", "v2", "v1")
    asked = [bed.asked_of(Interval(start=hour(i), end=hour(i + 1))) for i in range(4)]
    assert [each.cause for each in bed.ended(*asked)] == [asked[0].id, asked[1].id]
    assert bed.ran == []
    assert [each.cause for each in bed.ended(*asked[2:])] == [asked[2].id, asked[3].id]
    assert len(bed.ran) == 1
