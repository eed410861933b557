"""What the gateway acknowledged is on disk exactly once, whatever happens to it: real processes."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from anew.adapters.segment_journal import SegmentReader
from anew.domain.observation import Label, Prediction
from tests.system.gateway_bed import Load, bed, children, wait

pytestmark = pytest.mark.system


@pytest.mark.fault("D9")
@pytest.mark.fault("S9")
def test_kill_9_under_load_loses_nothing_acknowledged(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    acknowledged: list[tuple[str, float, str]] = []
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"), ours.version("v2", behaviour="amount"), share=0.5)
        for life in range(4):
            port = ours.begin()
            ours.applied(1)
            load = Load(port).start(clients=6)
            wait(partial(_has, load, 150 * (1 + life)), ours.log)
            ours.processes["0"].kill()
            ours.processes["0"].wait()
            load.stop()
            for status, body in load.replies:
                assert status == 200
                (entry,) = body["predictions"]
                acknowledged.append((entry["id"], entry["output"], entry["version"]))
        kept = ours.kept()
    assert len(acknowledged) > 1000
    found = Counter(one.id for one in kept)
    assert set(found.values()) == {1}
    by_id = {one.id: one for one in kept if isinstance(one, Prediction)}
    for id, output, version in acknowledged:
        assert (by_id[id].answer.output, by_id[id].version) == (output, version)
    assert len(kept) - len(acknowledged) <= 4 * 6  # at most what was in flight at each kill
    record_property("figure", f"{len(acknowledged)} of {len(acknowledged)} acknowledged answers stored, over 4 kills")


@pytest.mark.fault("S5")
@pytest.mark.fault("D9")
def test_a_journal_whose_process_is_killed_under_load_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        port = ours.begin()
        ours.applied(1)
        worker, load = ours.processes["0"], Load(port).start(clients=6)
        for killed in range(1, 5):
            wait(partial(_has, load, 150 * killed), ours.log)
            (journal,) = children(worker.pid)
            os.kill(journal, signal.SIGKILL)
            wait(partial(_replaced, worker.pid, journal), ours.log)
        wait(partial(_has, load, 750), ours.log)
        load.stop()
        assert worker.poll() is None
        served = [body["predictions"][0]["id"] for status, body in load.replies if status == 200]
        refused = [body["error"]["code"] for status, body in load.replies if status != 200]
        kept = [one.id for one in ours.kept()]
        assert set(refused) <= {"journal_unavailable"}
        assert len(refused) <= 4 * 6  # at most what was in flight at each kill
    assert set(served) <= set(kept)
    assert len(set(kept)) == len(kept) <= len(served) + len(refused)


@pytest.mark.fault("S5")
@pytest.mark.fault("D5")
def test_a_full_journal_refuses_and_resumes_when_drained(tmp_path: Path) -> None:
    with bed(tmp_path, most_bytes=20_000, segment_bytes=4_000) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        replies = [client.predict() for _ in range(100)]
        served = [body["predictions"][0]["id"] for status, body in replies if status == 200]
        refused = [body["error"]["code"] for status, body in replies if status == 503]
        assert len(served) + len(refused) == 100
        assert set(refused) == {"journal_unavailable"}
        assert [one.id for one in ours.kept()] == served
        counts = client.call("GET", "/stats")[1]["counts"]
        assert (counts["predictions"], counts["refused_by_journal"]) == (len(served), len(refused))
        assert "journal takes nothing" in str(client.call("GET", "/ready")[1])
        reader = SegmentReader(tmp_path / ".anew" / "journal")
        reader.trim("0", upto=reader.read("0", after=0, most=1000).position)
        assert client.predict()[0] == 200


@pytest.mark.fault("S5")
def test_with_drop_counted_service_goes_on_and_the_number_is_exact(tmp_path: Path) -> None:
    with bed(tmp_path, most_bytes=20_000, on_full="drop-counted") as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        assert {client.predict()[0] for _ in range(100)} == {200}
        counts = client.call("GET", "/stats")[1]["counts"]
        assert counts["predictions"] == len(ours.kept())
        assert counts["predictions"] + counts["dropped"] == 100
        assert counts["dropped"] > 0


@pytest.mark.fault("S5")
@pytest.mark.parametrize("on_full", ["fail", "drop-counted"])
def test_control_a_journal_with_room_refuses_and_drops_nothing(tmp_path: Path, on_full: str) -> None:
    with bed(tmp_path, most_bytes=200_000, segment_bytes=4_000, on_full=on_full) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        served = [client.predict()[1]["predictions"][0]["id"] for _ in range(100)]
        assert [one.id for one in ours.kept()] == served
        counts = client.call("GET", "/stats")[1]["counts"]
        assert (counts["predictions"], counts.get("refused_by_journal", 0), counts.get("dropped", 0)) == (100, 0, 0)
        assert "journal takes nothing" not in str(client.call("GET", "/ready")[1])


@pytest.mark.fault("V8")
def test_a_repeated_client_id_replays_its_answer_and_is_kept_once(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1", behaviour="amount"))
        client = ours.client(ours.begin())
        ours.applied(1)
        row = {"amount": 5, "shop": "x", "count": 1, "customer": "c"}
        body = {"rows": [row, row | {"amount": 6}, row], "ids": ["a", "b", "a"]}
        status, first = client.call("POST", "/predict", body)
        assert status == 200
        assert [entry["output"] for entry in first["predictions"]] == [5.0, 6.0, 5.0]
        assert first["predictions"][0] == first["predictions"][2]
        ours.shift(ours.version("v2"))
        ours.applied(2)
        assert client.call("POST", "/predict", body)[1]["predictions"] == first["predictions"]
        status, refused = client.call("POST", "/predict", {"rows": [row | {"amount": 7}], "ids": ["a"]})
        assert (status, refused["error"]["code"], refused["error"]["path"]) == (409, "id_reused", "ids[0]")
        assert len(ours.kept()) == 2


def test_labels_are_kept_before_they_are_acknowledged(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        id = client.predict()[1]["predictions"][0]["id"]
        status, body = client.call("POST", "/labels", {"labels": [{"prediction": id, "value": 3, "id": "d1"}]})
        assert (status, body) == (200, {"accepted": 1, "ids": ["d1"]})
        label = ours.kept()[-1]
        assert isinstance(label, Label)
        assert (label.prediction, label.value) == (id, 3.0)


@pytest.mark.fault("V1")
@pytest.mark.fault("V3")
def test_what_is_refused_over_http_is_a_4xx_with_its_path_and_the_connection_lives(tmp_path: Path) -> None:
    with bed(tmp_path) as ours:
        ours.shift(ours.version("v1"))
        client = ours.client(ours.begin())
        ours.applied(1)
        row = b'{"amount":%s,"shop":"x","count":1,"customer":"c"}'
        cases = [
            (b'{"row":' + row % b"NaN" + b"}", 422, "row.amount"),
            (b'{"row":' + row % b'"\\ud800"' + b"}", 400, "row.amount"),
            (b'{"row":' + row % b"1" + b',"at":"2026-01-01T00:00:00"}', 422, "at"),
            (b"[" * 100_000, 422, ""),
            (b"\xff", 400, ""),
        ]
        for body, expected, path in cases:
            status, found = client.call("POST", "/predict", body)
            assert (status, found["error"]["path"]) == (expected, path)
        assert client.call("GET", "/predict")[0] == 405
        assert client.call("GET", "/predict/../stats")[0] == 404
        assert client.predict()[0] == 200
        assert ours.client(client.port).call("POST", "/predict", b" " * (1 << 20) + b"x")[0] == 413
        assert "failures" not in client.call("GET", "/stats")[1]["counts"]


def _replaced(worker: int, journal: int) -> bool:
    now = children(worker)
    return len(now) == 1 and now != [journal]


def _has(load: Load, replies: int) -> bool:
    return len(load.replies) > replies
