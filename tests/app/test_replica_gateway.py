"""What a replica takes over from the bucket, without a worker: the routing whatever becomes of the settings."""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.adapters.file_traffic import FileTraffic, routing_file
from anew.adapters.replica_bucket import ProjectWord, ReplicaBucket
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.signing import Signer
from anew.app.replica_gateway import ReplicaOptions, _Replica, serve_replica
from anew.domain.facts.rollout import Stage, TrafficShifted
from tests.s3_server import S3Server

MODEL = "fraud"


@pytest.mark.parametrize("name", ["run/accepted/anew.yaml", "elsewhere/anew.yaml"])
def test_a_routing_is_taken_over_whatever_becomes_of_the_settings(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    url, host = f"{s3.bucket()}/fraud", tmp_path / "host"
    signer = Signer.load_or_create(tmp_path / "keys")
    place = ReplicaBucket(S3Bucket(url), signer.verifier, signer)
    place.put_project(ProjectWord(serial=9, model=MODEL, artifacts="s3://b/kept", files={name: b"model: fraud"}))
    project = FileTraffic(tmp_path / "project", verifier=signer.verifier, signer=signer)
    project.publish(
        TrafficShifted(
            model=MODEL,
            at=datetime(2026, 1, 1, tzinfo=UTC),
            epoch=7,
            stage=Stage.STEADY,
            share=0.0,
            champion=("v1", "0" * 64),
            challenger=("", ""),
            fallback=("", ""),
        )
    )
    place.put_routing(routing_file(tmp_path / "project", MODEL).read_bytes())
    monkeypatch.setenv("ANEW_KEY", (tmp_path / "keys" / "signing.pub").read_text())
    (host / ".anew").mkdir(parents=True)
    (host / ".anew" / "replica.json").write_text(
        json.dumps({"name": "b", "folder": "its folder", "serial": 1, "model": MODEL, "host": "127.0.0.1"})
    )
    stop = threading.Event()
    monkeypatch.setattr("anew.app.replica_gateway._Replica._begun", lambda _replica, ended: not ended.wait())
    replica = threading.Thread(
        target=serve_replica, args=(ReplicaOptions(folder=host, url=url, key="env:ANEW_KEY"), stop)
    )
    replica.start()
    try:
        taken, deadline = FileTraffic(host / ".anew", verifier=signer.verifier), time.monotonic() + 30
        while taken.published(MODEL) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        found = taken.published(MODEL)
    finally:
        stop.set()
        replica.join(60)
    assert found is not None
    assert found.epoch == 7


def test_who_is_let_in_no_longer_has_no_token_left_on_the_host(s3: S3Server, tmp_path: Path) -> None:
    url, state = f"{s3.bucket()}/fraud", tmp_path / "host" / ".anew"
    signer = Signer.load_or_create(tmp_path / "keys")
    place = ReplicaBucket(S3Bucket(url), signer.verifier, signer)
    replica = _Replica(ReplicaOptions(folder=state.parent, url=url, key="env:ANEW_KEY"), state, signer.verifier)
    who = {"access/tokens.json": b"[]", "access/users.json": b"{}"}
    for serial, files in enumerate((who, {}), start=1):
        word = {"run/accepted/anew.yaml": b"model: fraud", **files}
        place.put_project(ProjectWord(serial=serial, model=MODEL, artifacts="s3://b/kept", files=word))
        replica._take_project()
        assert {name for name in who if (state / name).is_file()} == set(files)
