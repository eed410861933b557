"""Sinks of a policy: made from references, refused with their place, and told while the loop runs."""

import json
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.followers import Followers, sinks
from anew.app.record import open_record
from anew.app.settings import load
from anew.domain.errors import SettingsError
from anew.domain.facts import VersionPromoted
from tests.adapters.receiver import receiver
from tests.cli.recorded import write_record


def told(project: Path, events: str) -> Path:
    policy = project / "anew.yaml"
    policy.write_text(f"{policy.read_text()}\nevents: {events}\n")
    return project


def test_every_fact_on_record_reaches_webhook_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as there:
        monkeypatch.setenv("HOOK", there.url)
        project = told(
            write_record(tmp_path / "small"),
            "{webhooks: [{url: 'env:HOOK', kinds: [VersionPromoted]}], openlineage: 'file:runs.jsonl'}",
        )
        with Followers(load(project)):
            deadline = time.monotonic() + 20
            runs = project / "runs.jsonl"
            while not (there.got and runs.exists() and '"COMPLETE"' in runs.read_text()):
                assert time.monotonic() < deadline, (there.got, runs.exists())
        assert [json.loads(body)["type"] for _, body in there.got] == [
            f"anew.VersionPromoted.v{VersionPromoted.schema}"
        ]


@pytest.mark.fault("H10")
def test_a_secret_in_the_policy_is_refused_and_not_repeated(tmp_path: Path) -> None:
    project = told(write_record(tmp_path / "small"), "{webhooks: [{url: 'http://host/s3cret'}]}")
    with pytest.raises(SettingsError, match=r"anew.yaml:\d+:\d+: events.webhooks.0.url: .*env:NAME") as refused:
        load(project)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("{webhooks: [{url: 'env:NOWHERE_AT_ALL'}]}", "events.webhooks.0: env:NOWHERE_AT_ALL"),
        ("{webhooks: [{url: 'file:hook', secret: 'file:hook'}]}", "no http or https URL"),
        ("{openlineage: 'ftp://host'}", "events.openlineage"),
    ],
)
def test_what_cannot_be_told_is_said_with_its_place(tmp_path: Path, events: str, said: str) -> None:
    project = told(write_record(tmp_path / "small"), events)
    (project / "hook").write_text("no url\n")
    with pytest.raises(SettingsError, match=said) as refused:
        sinks(load(project))
    assert "anew.yaml:" in str(refused.value)


def test_a_kind_of_fact_that_there_is_not_is_refused(tmp_path: Path) -> None:
    project = told(write_record(tmp_path / "small"), "{webhooks: [{url: 'env:HOOK', kinds: [Promoted]}]}")
    with pytest.raises(SettingsError, match="no fact called Promoted"):
        load(project)


def test_a_collector_that_never_answers_delays_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as there, socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HOOK", there.url)
        collector = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        project = told(
            write_record(tmp_path / "small"),
            f"{{webhooks: [{{url: 'env:HOOK'}}], traces: {{url: '{collector}', requests: 0}}}}",
        )
        with closing(open_record(project / ".anew")) as database:
            facts = sum(1 for _ in SQLEventLog(database, clock=SystemClock()).read())
        with Followers(load(project)):
            deadline = time.monotonic() + 20
            while len(there.got) < facts:
                assert time.monotonic() < deadline, (len(there.got), facts)
        assert not (project / ".anew" / "told" / "traces").exists(), "its own place did not move"


def test_traces_are_off_unless_the_policy_names_a_collector(tmp_path: Path) -> None:
    assert sinks(load(write_record(tmp_path / "small"))) == ()


@pytest.mark.fault("H10")
def test_where_traces_go_and_their_headers_are_secrets_by_reference(tmp_path: Path) -> None:
    project = told(write_record(tmp_path / "small"), "{traces: {url: 'http://host', headers: {x-key: s3cret}}}")
    with pytest.raises(SettingsError, match=r"events.traces.headers.x-key: .*env:NAME") as refused:
        load(project)
    assert "s3cret" not in str(refused.value)
    project = told(write_record(tmp_path / "other"), "{traces: {url: 'file:place'}}")
    (project / "place").write_text("s3cret")
    with pytest.raises(SettingsError, match=r"events.traces: it is no http") as wrong:
        sinks(load(project))
    assert "s3cret" not in str(wrong.value)
