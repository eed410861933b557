"""The loop with its stores elsewhere: the record on a server that crashes, moved there and back; rows in a bucket."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anew.adapters.s3_bucket import S3Bucket
from anew.app.record_place import record_place
from anew.app.workers import free_port
from anew.domain.facts import CandidateTrained, RolledBack, TrafficApplied, TrainingEnded, VersionPromoted
from anew.loop.lease_keeper import LEASE_S
from tests.postgres_server import PostgresServer
from tests.s3_server import S3Server
from tests.system.loop_project import HISTORY, QUIET, LoopProject, loop_project, wait, write

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SERVED = QUIET | {"policy": "{cooldown: 3h}\nstores: {database: 'file:database.url'}"}


@contextmanager
def replica(ours: LoopProject, folder: Path, url: str) -> Iterator[None]:
    """Let a gateway that knows a bucket and a key answer in place of the project's own."""
    own, ours.port = ours.port, free_port("127.0.0.1")
    key = f"file:{ours.state / 'keys' / 'signing.pub'}"
    command = [sys.executable, "-m", "anew.cli", "gateway", str(folder), "--from", url, "--key", key]
    with (ours.root / "err").open("ab") as log:
        process = subprocess.Popen([*command, "--port", str(ours.port)], stdout=log, stderr=log)
    try:
        assert ours.serves() == "v1"
        known = wait(lambda: [each for each in ours.status()["workers"] if "." in each["worker"]], ours.log)
        assert [each["port"] for each in known] == [ours.port]
        yield
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        ours.port = own


@pytest.mark.fault("O6")
def test_a_project_keeps_its_rows_in_a_bucket(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{s3.bucket()}/demand"
    stores = f"{{lake: '{url}', artifacts: '{url}/kept', replicas: '{url}/serving'}}"
    with loop_project(tmp_path / "project", QUIET | {"policy": f"{{cooldown: 3h}}\nstores: {stores}"}) as ours:
        ours.up()
        assert ours.serves() == "v1"
        ours.hour()
        with replica(ours, tmp_path / "elsewhere", f"{url}/serving"):
            ours.hour()  # answered there
            ours.settle()
        assert ours.stored() == ours.expected()
        findings = {each["name"]: each for each in ours.anew("doctor", code=0)["findings"]}
        assert "second put of a commit is refused" in findings["bucket"]["found"]
        assert findings["lake"]["health"] == "good"
        assert f"{url}/kept answers" in findings["artifact bucket"]["found"]
        assert f"{url}/serving answers" in findings["replica bucket"]["found"]
        assert "its versions" in ours.anew("backup", str(tmp_path / "backups"), code=3)
        assert ours.down() == 0
        (ours.state / "models").rename(ours.state / "lost")  # another machine has no copies
        ours.up()
        assert ours.serves() == "v1"
        assert ours.down() == 0
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody is there
        ours.up()
        assert ours.serves() == "v1"
        assert "serving without the loop version=v1" in (ours.root / "err").read_text()
        ours.hour()  # acknowledged, and kept in the journal
        assert ours.down() == 0
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert not (tmp_path / "project" / ".anew" / "lake").exists()
    assert any(name.endswith(".parquet") for name in S3Bucket(f"{url}/predictions").names())


@pytest.mark.fault("D15")
def test_a_loop_that_waits_for_a_bucket_is_known_to_run_for_longer_than_its_lease(s3: S3Server, tmp_path: Path) -> None:
    stores = f"{{lake: '{s3.bucket()}/demand'}}"
    with loop_project(tmp_path / "project", QUIET | {"policy": f"{{cooldown: 3h}}\nstores: {stores}"}) as ours:
        ours.up()
        assert ours.serves() == "v1"
        ours.hour()
        ours.settle()
        holder = ours.status()["holder"]
        with s3.silent():
            ours.hour()
            until = time.monotonic() + 1.5 * LEASE_S
            while time.monotonic() < until:
                assert ours.status()["holder"] == holder
                assert "not heard" not in str(ours.ready())
                time.sleep(0.5)
            assert ours.stored() != ours.expected()
        ours.settle()
        assert ours.stored() == ours.expected()
        assert ours.status()["holder"] == holder


def test_artifacts_move_into_a_bucket_and_back_and_a_backup_has_them(
    stale: LoopProject, s3: S3Server, tmp_path: Path
) -> None:
    url = f"{s3.bucket()}/kept"
    moved = QUIET | {"policy": f"{{cooldown: 3h}}\nstores: {{artifacts: '{url}'}}"}
    with loop_project(tmp_path / "project", moved, like=stale) as ours:
        assert "move them with `anew migrate`" in ours.anew("up", code=5)
        (digest,) = [path.stem for path in (ours.state / "models").glob("*.json")]
        done = ours.anew("migrate")
        assert (done["artifacts"]["from"], done["artifacts"]["to"]) == ("local", url)
        assert done["artifacts"]["count"] == 2
        assert done["from"] == done["to"]
        assert "already" in ours.anew("migrate", code=5)
        models = S3Bucket(f"{url}/models")
        signed = models.read(f"{digest}.json")
        assert signed is not None
        (whole,) = (each for each in ours.anew("doctor", code=0)["findings"] if each["name"] == "artifacts")
        assert whole["health"] == "good"
        models.remove(f"{digest}.json")
        (lost,) = (each for each in ours.anew("doctor", code=1)["findings"] if each["name"] == "artifacts")
        assert lost["found"] == "1 are copies here alone, and not in the bucket, v1 among them"
        assert lost["health"] == "bad"
        models.put(f"{digest}.json", signed)
        for name in ("models", "snapshots"):
            (ours.state / name).rename(ours.state / f"{name}.lost")  # copies alone
        made = ours.anew("backup", str(tmp_path / "backups"))
        names = {path.name for path in Path(made["folder"]).rglob("*")}
        assert {digest, f"{digest}.json"} <= names
        assert any(name.endswith(".parquet") for name in names)
        write(ours.root, QUIET)
        home = ours.anew("migrate")
        assert (home["artifacts"]["to"], home["artifacts"]["count"]) == ("local", 2)
        S3Bucket(f"{url}/models").remove(f"{digest}.json")
        ours.up()
        assert ours.serves() == "v1"
        assert ours.down() == 0
        seen = ours.anew("profile", str(ours.root), "--over", str(ours.root / "history.parquet"))
        assert (seen["version"], seen["rows"]) == ("v1", HISTORY)
        assert sum(each["rows"] for each in seen["windows"]) == HISTORY
        assert all(each["columns"]["x"]["psi"] < 0.5 for each in seen["windows"])


@pytest.mark.fault("K11")
@pytest.mark.fault("O6")
def test_a_project_goes_to_a_server_and_back_and_survives_its_crash(stale: LoopProject, tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        with loop_project(tmp_path / "project", SERVED, like=stale) as ours:
            (ours.root / "database.url").write_text(server.url)
            refused = ours.anew("up", code=5)
            assert "move it with `anew migrate`" in refused
            before = ours.status()["facts"]
            moved = ours.anew("migrate")
            assert moved["facts"] == before == ours.status()["facts"]
            assert "postgresql://127.0.0.1" in moved["to"]
            assert not (ours.state / "anew.db").exists()

            (ours.root / "hold").touch()
            ours.up()
            ours.serves()
            assert ours.anew("retrain")["taken"] is True
            wait(lambda: len((ours.root / "begun").read_text().split()) == 2, ours.log)
            ours.down(signal.SIGKILL)
            program = ours.up()  # does not wait for the dead one's lease
            server.stop(signal.SIGQUIT)
            ours.hour()  # serving goes on
            (ours.root / "hold").unlink()
            time.sleep(2.0)  # a while in which everything that asks is refused
            assert program.poll() is None
            server.start()
            ours.wait_for(TrafficApplied, epoch=2)
            assert len(ours.facts(CandidateTrained, version="v2")) == 1
            assert [fact.outcome for fact in ours.facts(TrainingEnded, version="v2")] == ["accepted"]
            ours.settle()
            assert ours.stored() == ours.expected()
            assert ours.status()["challenger"]["version"] == "v2"
            assert ours.down() == 0

            server.stop()
            program = ours.up()  # begins to serve by what is on this disk
            assert "serving without the loop version=v1 epoch=2" in (ours.root / "err").read_text()
            ours.hour()
            back = ours.anew("rollback", "--reason", "enough")  # reaches them nevertheless
            assert back["recorded"] is False
            ours.applied(back["epoch"])
            assert program.poll() is None
            server.start()
            ours.wait_for(RolledBack, version="v2")
            ours.settle()
            assert ours.stored() == ours.expected()
            assert ours.down() == 0
            ours.verify_chain()
            head = ours.anew("audit", "head")
            assert ours.anew("backup", str(tmp_path / "backups"))["head"] == head["hash"]

            home = ours.anew("migrate", "--to", "sqlite")
            assert (home["facts"], home["hash"]) == (head["seq"], head["hash"])
            assert record_place(ours.state) == ours.state / "anew.db"
            assert [fact.version for fact in ours.facts(VersionPromoted)] == ["v1"]
    finally:
        server.close()
