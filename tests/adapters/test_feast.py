"""What Feast's two sides do when something is wrong; with a real Feast they are tested in `tests/feast_store`."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from anew.adapters.feast_history import FeastHistory
from anew.adapters.feast_online import FeastOnline
from anew.domain.column import Value
from anew.domain.errors import SchemaError, UnavailableError

ENTITY = {"customer_id": "customer"}
FEATURES = {"usual": "spending:usual", "name": "people:name"}
ROWS: list[Mapping[str, Value]] = [{"customer": "c1", "amount": 3.0}, {"customer": "c2"}]
GOOD: dict[str, Any] = {
    "metadata": {"feature_names": ["customer_id", "people__name", "spending__usual"]},
    "results": [
        {"values": ["c1", "c2"], "statuses": ["PRESENT", "PRESENT"]},
        {"values": ["Ann", "old"], "statuses": ["PRESENT", "OUTSIDE_MAX_AGE"]},
        {"values": [3, None], "statuses": ["PRESENT", "NOT_FOUND"]},
    ],
}


@contextmanager
def answering(status: int, body: bytes, heard: list[bytes]) -> Iterator[str]:
    """Serve one answer to every request, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer."""
            heard.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(address: str) -> Sequence[Mapping[str, Value]]:
    async def ask() -> Sequence[Mapping[str, Value]]:
        store = FeastOnline(address, ENTITY, FEATURES, timeout_ms=5000.0)
        try:
            return await store.read(ROWS)
        finally:
            await store.close()

    return asyncio.run(ask())


def test_what_is_missing_or_too_old_is_null() -> None:
    heard: list[bytes] = []
    with answering(200, json.dumps(GOOD).encode(), heard) as address:
        assert read(address) == [{"usual": 3.0, "name": "Ann"}, {"usual": None, "name": None}]
    assert json.loads(heard[0]) == {
        "features": ["spending:usual", "people:name"],
        "entities": {"customer_id": ["c1", "c2"]},
        "full_feature_names": True,
    }


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (200, b"no json"),
        (200, b"[]"),
        (200, json.dumps(GOOD | {"results": GOOD["results"][:2]}).encode()),
        (
            200,
            json.dumps({"metadata": {"feature_names": ["x"]}, "results": [{"values": [1], "statuses": []}]}).encode(),
        ),
        (200, json.dumps({"metadata": {"feature_names": []}, "results": []}).encode()),
        (302, b""),
    ],
    ids=["error", "no json", "a list", "too few", "too short", "none", "redirect"],
)
def test_an_answer_that_is_none_is_no_feature(status: int, body: bytes) -> None:
    with answering(status, body, []) as address, pytest.raises(UnavailableError, match="feature server"):
        read(address)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        read("http://127.0.0.1:9")


def history(python: Path) -> FeastHistory:
    return FeastHistory(python=python, repository=Path("nowhere"), entity=ENTITY, features=FEATURES, timeout_s=30.0)


def frame(**columns: Sequence[Any]) -> pl.DataFrame:
    return pl.DataFrame({"_at": [datetime(2026, 1, 1, tzinfo=UTC)], **columns})


def test_rows_without_the_entity_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"lack \['customer'\]"):
        history(Path(sys.executable)).join(frame(amount=[1.0]))


def test_no_rows_need_no_feast() -> None:
    joined = history(Path("/nowhere/python")).join(frame(customer=["c"]).clear())
    assert joined.columns == ["_at", "customer", "usual", "name"]


def test_an_interpreter_that_is_not_there_or_has_no_feast_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="make feast"):
        history(tmp_path / "python").join(frame(customer=["c"]))
    with pytest.raises(UnavailableError, match="Feast ended with 1: ModuleNotFoundError"):
        history(Path(sys.executable)).join(frame(customer=["c"]))


def fake_python(folder: Path, program: str) -> Path:
    """Return an interpreter that runs `program` instead of what it is given, as a Feast gone wrong would."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport json, sys\norder = json.load(open(sys.argv[2]))\n{program}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [
        ("print('x', file=sys.stderr); sys.exit(3)", SchemaError, "refuses the join: x"),
        ("sys.exit(0)", UnavailableError, "without an answer"),
        ("sys.exit(9)", UnavailableError, "said nothing"),
        ("import polars as pl; pl.DataFrame({'_row': [5]}).write_parquet(order['answer'])", UnavailableError, "others"),
        ("import polars as pl; pl.DataFrame({'_row': [0, 0]}).write_parquet(order['answer'])", UnavailableError, "oth"),
    ],
)
def test_a_child_that_goes_wrong_joins_nothing(tmp_path: Path, program: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        history(fake_python(tmp_path, program)).join(frame(customer=["c"]))
