"""What a champion lost is read off its own answers where they are all there are; else a process is asked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from anew.adapters.memory_lake import MemoryLake
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.facts import RetiredScoringAsked
from anew.domain.interval import Interval
from anew.domain.manifest import Manifest
from anew.domain.observation import Answer, Label, Observation, Prediction
from anew.gateway.identity import prediction_id
from anew.loop.retired_effect import RetiredEffect
from anew.ports.compute import JobState, JobStatus
from anew.testing.fake_predictor import FakeStore
from tests.loop.observed import COLUMNS, hour

EVIDENCE = (Evidence.of("loss", 0.5, 4, subject="v1"),)
WINDOW = Interval(start=hour(0), end=hour(10))


@dataclass
class Bed:
    """The effect over a lake in memory and jobs that only count."""

    root: Path
    ran: list[dict[str, object]] = field(default_factory=list)

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

    def job(self, _fact: Fact, _entry: str, order: str, _reads: Sequence[str]) -> JobStatus:
        """Leave what a scoring job leaves."""
        self.ran.append(json.loads(order))
        (self.root / "evidence.json").write_bytes(b"evidence")
        return JobStatus(state=JobState.DONE, folder=self.root)

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
        return RetiredScoringAsked(
            model="m", at=hour(10), version="v1", versions=(("v1", self.digest), *versions), window=WINDOW
        )


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path)


def test_a_champion_alone_is_scored_by_the_answers_it_gave(bed: Bed) -> None:
    bed.serve("v1", "v1", "v1", "v1")
    (found,) = bed.effect.run(bed.asked()).evidence
    assert (found.subject, found.value, found.n, found.reference) == ("v1", 0.5, 4, 0.5)
    assert bed.ran == []


def test_rows_that_another_version_answered_are_asked_again(bed: Bed) -> None:
    bed.serve("v1", "v2", "v1", "v1")
    assert bed.effect.run(bed.asked()).evidence == EVIDENCE
    assert len(bed.ran) == 1


def test_retired_versions_have_to_be_asked(bed: Bed) -> None:
    bed.serve("v1", "v1")
    assert bed.effect.run(bed.asked(("v0", bed.store.make(value=2)))).evidence == EVIDENCE
    assert len(bed.ran) == 1
    assert not list((bed.root / "orders").iterdir())  # the rows are the lake's


def test_no_labelled_row_is_no_evidence(bed: Bed) -> None:
    assert bed.effect.run(bed.asked()).evidence == ()
    assert bed.ran == []
