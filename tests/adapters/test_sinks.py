"""What leaves for others: signed CloudEvents and OpenLineage runs, to real receivers."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.openlineage_sink import FileEvents, HttpEvents, OpenLineageSink, run_id
from anew.adapters.outbound import Outbound
from anew.adapters.standard_webhook import verified_id, webhook_key
from anew.adapters.webhook_sink import WebhookSink
from anew.domain.errors import UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import FACTS, CandidateTrained, RetrainWithheld, SnapshotTaken, TrainingPlanned
from anew.ports.eventlog import Recorded
from tests.adapters.fact_samples import sample
from tests.adapters.receiver import Receiver, receiver

NOW = datetime(2026, 3, 1, tzinfo=UTC)
KEY = webhook_key("whsec_" + "A" * 32)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def recorded(fact: Fact) -> Recorded:
    return Recorded(seq=1, recorded_at=NOW, fact=fact)


def made(kind: str) -> Fact:
    """Return a sample as it would be recorded: with an id that follows from its cause."""
    return replace(sample(FACTS[kind]), model="text").caused_by("cause")


def test_a_fact_arrives_as_a_signed_cloudevent(there: Receiver) -> None:
    sink = WebhookSink("hook", Outbound(there.url), key=KEY, kinds=["RetrainWithheld"], now=lambda: NOW)
    fact = made("RetrainWithheld")
    sink.take(recorded(made("TrainingEnded")))  # of no kind that is sent
    sink.take(recorded(fact))
    ((headers, body),) = there.got
    assert verified_id(KEY, headers, body, now=NOW.timestamp()) == fact.id
    event = json.loads(body)
    assert {
        "specversion": "1.0",
        "id": fact.id,
        "type": f"anew.RetrainWithheld.v{fact.schema}",
    }.items() <= event.items()
    assert isinstance(fact, RetrainWithheld)
    assert event["data"]["detail"] == fact.detail
    assert headers["content-type"].startswith("application/cloudevents+json")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_what_nobody_took_is_kept_and_no_redirect_is_followed(there: Receiver, status: int) -> None:
    there.status = status
    outbound = Outbound(there.url + "?token=s3cret")
    with pytest.raises(UnavailableError) as refused:
        outbound.post(b"{}", {})
    assert str(status) in str(refused.value)
    assert "s3cret" not in str(refused.value)
    assert there.got == []


def test_nobody_listening_is_said_without_the_url() -> None:
    with pytest.raises(UnavailableError, match="does not answer") as refused:
        Outbound("http://127.0.0.1:9/s3cret").post(b"{}", {})
    assert "s3cret" not in str(refused.value)


def test_a_run_is_told_from_its_plan_to_its_end(there: Receiver) -> None:
    sink = OpenLineageSink(HttpEvents(Outbound(there.url)))
    for name in FACTS:
        sink.take(recorded(made(name)))
    events = [json.loads(body) for _, body in there.got]
    told = [(event["job"]["name"], event["eventType"]) for event in events]
    assert sorted(told) == sorted(
        [
            ("text.train", "START"),
            ("text.train", "RUNNING"),
            ("text.train", "COMPLETE"),
            ("text.validate", "START"),
            ("text.validate", "COMPLETE"),
            ("text.validate", "FAIL"),
            ("text.rollout", "START"),
            ("text.rollout", "COMPLETE"),
            ("text.rollback", "START"),
            ("text.rollback", "COMPLETE"),
        ]
    )
    runs = {event["run"]["runId"] for event in events if event["job"]["name"] == "text.train"}
    plan = made("TrainingPlanned")
    assert isinstance(plan, TrainingPlanned)
    assert runs == {run_id("text", plan.version, "train")}


def test_a_run_names_its_data_its_code_and_what_it_made(tmp_path: Path) -> None:
    sink = OpenLineageSink(FileEvents(tmp_path / "runs.jsonl"))
    for kind in ("TrainingPlanned", "SnapshotTaken", "CandidateTrained"):
        sink.take(recorded(made(kind)))
    start, running, complete, _ = map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())
    parameters = {each["key"]: each["value"] for each in start["run"]["facets"]["executionParameters"]["parameters"]}
    plan = made("TrainingPlanned")
    assert isinstance(plan, TrainingPlanned)
    assert (parameters["seed"], parameters["code"]) == (str(plan.seed), plan.code)
    snapshot = made("SnapshotTaken")
    assert isinstance(snapshot, SnapshotTaken)
    assert snapshot.tables
    assert [(each["name"], each["facets"]["version"]["datasetVersion"]) for each in running["inputs"]] == [
        (f"text/lake/{table}", str(number)) for table, number in snapshot.tables
    ]
    trained = made("CandidateTrained")
    assert isinstance(trained, CandidateTrained)
    assert complete["outputs"][0]["facets"]["version"]["datasetVersion"] == trained.digest
    assert all(each["schemaURL"].startswith("https://openlineage.io/spec/") for each in (start, running, complete))


def test_a_file_that_cannot_be_written_is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        FileEvents(tmp_path / "no" / "folder").send("{}")
