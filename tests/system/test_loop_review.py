"""People review answers of a running loop, over HTTP and at a terminal; their labels are in the next snapshot."""

from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from anew.domain.facts import ReviewQueued, ReviewSettled, SnapshotTaken
from tests.adapters.receiver import Receiver, receiver
from tests.system.loop_project import QUIET, LoopProject, loop_project, wait

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

FEEDBACK = "feedback: {trust: [review, api], review: {per_day: 240, double: 0}}"
TRACES = 'events: {traces: {url: "URL", headers: {x-key: "file:key"}, requests: 5}}'


def ask(ours: LoopProject, token: str, path: str, body: Any = None) -> Any:
    url, headers = f"http://127.0.0.1:{ours.port}/review/{path}", {"authorization": f"Bearer {token}"}
    reply = httpx.post(url, json=body or {}, headers=headers, timeout=20)
    assert reply.status_code == 200, (reply.status_code, reply.text, ours.log())
    return reply.json()


def traced(collector: Receiver) -> dict[str, list[str]]:
    """Return the traces that came, by version or by kind of span, each with the ids of its traces."""
    found: dict[str, list[str]] = {}
    for _, body in collector.got:
        (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
        for span in resource.scope_spans[0].spans:
            told = {each.key: each.value.string_value for each in span.attributes}
            name = "request" if span.name == "request" else told.get("anew.version", span.name)
            found.setdefault(name, []).append(span.trace_id.hex())
    return found


@pytest.mark.fault("L10")
def test_what_people_say_is_learned_from(stale: LoopProject, tmp_path: Path) -> None:
    with (
        receiver() as collector,
        loop_project(
            tmp_path / "project",
            QUIET | {"policy": f"{{cooldown: 0s}}\n{FEEDBACK}\n{TRACES.replace('URL', collector.url)}"},
            like=stale,
        ) as ours,
    ):
        (ours.root / "key").write_text("of the collector")
        ours.up()
        ours.serves()
        ours.hour(labels=False)
        ours.drive(lambda: ours.facts(ReviewQueued), labels=False)
        queued = ours.facts(ReviewQueued)[0]
        assert {reason for _, reason, _ in queued.items} == {"random"}

        ann = ours.anew("access", "create", "ann", "--role", "labeller")["token"]
        told = {}
        for _ in range(3):
            item = ask(ours, ann, "next")["item"]
            ask(ours, ann, "answer", {"item": item["id"], "value": 777.0})
            told[item["id"]] = item
        item = ours.anew("label", "next")["item"]
        assert item["id"] not in told
        ours.anew("label", "answer", item["id"], "777.0")
        wait(lambda: len(ours.facts(ReviewSettled)) == 4, ours.log)
        assert [fact.by for fact in ours.facts(ReviewSettled)].count(("ann",)) == 3
        assert ours.anew("label", "status")["settled"] == 4

        ours.label(ours.unlabelled)  # what the program says comes later, and is believed less
        ours.unlabelled = []
        ours.predict()
        everything = {**ours.expected(), "labels": len(ours.acknowledged.labels) + 4}
        wait(lambda: ours.stored() == everything, ours.log)
        ours.anew("retrain")
        taken = ours.wait_for(SnapshotTaken, version="v2")
        rows = pl.read_parquet(next((ours.state / "snapshots").rglob(f"*{taken.digest}*")))
        corrected = rows.filter(pl.col("_source") == "review")
        assert corrected.height == 4
        assert set(corrected.get_column("_label")) == {777.0}
        wait(lambda: "v2" in traced(collector), ours.log)
        requests = traced(collector)["request"]
        assert set(requests) <= set(ours.acknowledged.predictions), "a request's trace is its prediction's id"
        assert {headers["x-key"] for headers, _ in collector.got} == {"of the collector"}
        assert ours.down() == 0
