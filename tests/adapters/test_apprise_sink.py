"""Notices reach a real address, once a day for the same, and no secret reaches a log."""

import json
import logging
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from anew.adapters.apprise_sink import AppriseSink
from anew.domain.errors import SettingsError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import FACTS
from anew.ports.eventlog import Recorded
from anew.ports.notice import Notice
from tests.adapters.fact_samples import sample
from tests.adapters.receiver import Receiver, receiver

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def recorded(name: str = "IncidentRaised", at: datetime = NOW) -> Recorded:
    return Recorded(seq=1, recorded_at=at, fact=replace(sample(FACTS[name]), id="x"))


def write(fact: Fact) -> Notice | None:
    if fact.kind == "Ticked":
        return None
    return Notice(key=fact.kind, title="broken data", body=f"see {fact.kind}", urgent=True)


def sink(there: Receiver, folder: Path, now: datetime = NOW) -> AppriseSink:
    url = there.url.replace("http://", "json://")
    return AppriseSink("notify-0", url, write=write, memory=folder / "told.json", now=lambda: now)


def told(there: Receiver) -> list[str]:
    return [json.loads(body)["message"] for _, body in there.got]


def test_a_notice_arrives_with_its_title_and_what_is_everyday_does_not(there: Receiver, tmp_path: Path) -> None:
    here = sink(there, tmp_path)
    here.take(recorded("Ticked"))
    here.take(recorded())
    ((_, body),) = there.got
    said = json.loads(body)
    assert (said["title"], said["message"], said["type"]) == ("broken data", "see IncidentRaised", "warning")


def test_the_same_is_told_once_a_day_over_restarts_too(there: Receiver, tmp_path: Path) -> None:
    sink(there, tmp_path).take(recorded())
    for hours in (1, 23):
        sink(there, tmp_path).take(recorded(at=NOW + timedelta(hours=hours)))
    sink(there, tmp_path).take(recorded("RolledBack"))
    assert told(there) == ["see IncidentRaised", "see RolledBack"]
    sink(there, tmp_path).take(recorded(at=NOW + timedelta(hours=25)))
    assert told(there) == ["see IncidentRaised", "see RolledBack", "see IncidentRaised"]


def test_nobody_is_told_of_history(there: Receiver, tmp_path: Path) -> None:
    sink(there, tmp_path).take(recorded(at=NOW - timedelta(days=2)))
    assert told(there) == []


def test_what_was_not_taken_is_offered_again(there: Receiver, tmp_path: Path) -> None:
    here, there.status = sink(there, tmp_path), 500
    with pytest.raises(UnavailableError, match="notify-0"):
        here.take(recorded())
    there.status = 200
    here.take(recorded())
    assert told(there) == ["see IncidentRaised"]


def test_a_damaged_memory_tells_once_more(there: Receiver, tmp_path: Path) -> None:
    (tmp_path / "told.json").write_text("[1")
    sink(there, tmp_path).take(recorded())
    assert len(told(there)) == 1


@pytest.mark.fault("H10")
def test_no_secret_of_a_url_reaches_a_message_or_a_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    here = AppriseSink(
        "notify-0", "json://user:s3cret@127.0.0.1:9/", write=write, memory=tmp_path / "m.json", now=lambda: NOW
    )
    with pytest.raises(UnavailableError) as down:
        here.take(recorded())
    with pytest.raises(SettingsError) as wrong:
        AppriseSink("notify-0", "s3cret", write=write, memory=tmp_path / "m.json", now=lambda: NOW)
    assert "s3cret" not in f"{down.value} {wrong.value} {caplog.text}"


HANGS_S = 60.0
"""Longer than anything here takes that does not hang."""


@dataclass
class Dripper:
    """Answers byte by byte until it is to come to an end; `asked` counts who came."""

    url: str = ""
    asked: int = 0
    ending: Event = field(default_factory=Event)


@contextmanager
def dripping() -> Iterator[Dripper]:
    """Run one."""
    kept = Dripper()

    def answer(peer: socket.socket) -> None:
        with peer, suppress(OSError), peer.makefile("rb") as asked:
            length = next(int(line[15:]) for line in asked if line.lower().startswith(b"content-length:"))
            while asked.readline().strip():
                pass
            asked.read(length)  # whole: who closes with something unread resets the connection
            peer.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
            while not kept.ending.wait(0.05):
                peer.sendall(b".")

    def listen(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                peer, _ = server.accept()
                kept.asked += 1
                Thread(target=answer, args=(peer,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=listen, args=(server,), daemon=True).start()
        kept.url = f"json://127.0.0.1:{server.getsockname()[1]}/hook"
        try:
            yield kept
        finally:
            kept.ending.set()


def at(dripper: Dripper, folder: Path, timeout_s: float) -> AppriseSink:
    memory = folder / "drips.json"
    return AppriseSink("notify-1", dripper.url, write=write, memory=memory, now=lambda: NOW, timeout_s=timeout_s)


def test_an_address_that_drips_its_answer_silences_no_other(there: Receiver, tmp_path: Path) -> None:
    with dripping() as dripper:
        slow = at(dripper, tmp_path, 0.01)
        for kind in ("IncidentRaised", "RolledBack") * 20:
            with pytest.raises(UnavailableError, match="notify-1: no answer"):
                slow.take(recorded(kind))
        sink(there, tmp_path).take(recorded())
    assert told(there) == ["see IncidentRaised"]
    assert dripper.asked <= 1, "it is asked nothing while it answers"


@pytest.mark.parametrize("offered_again", [True, False], ids=["told once", "given up"])
def test_what_a_slow_address_took_late_counts_as_told(*, offered_again: bool, tmp_path: Path) -> None:
    with dripping() as dripper:
        slow = at(dripper, tmp_path, 0.01)
        with pytest.raises(UnavailableError):
            slow.take(recorded())
        dripper.ending.set()
        slow._timeout_s = HANGS_S
        if offered_again:  # else it is a day old meanwhile
            slow.take(recorded())
        slow.take(recorded("RolledBack"))
    assert dripper.asked == 2
    assert json.loads((tmp_path / "drips.json").read_text()).keys() == {"IncidentRaised", "RolledBack"}


ENDS = """
import sys
from pathlib import Path
from tests.adapters import test_apprise_sink as here

dripper = here.Dripper(url=sys.argv[1])
try:
    here.at(dripper, Path(sys.argv[2]), 1.0).take(here.recorded())
except here.UnavailableError as exc:
    print(exc)
"""


def test_an_address_that_drips_keeps_no_program_from_its_end(tmp_path: Path) -> None:
    with dripping() as dripper:
        words = [sys.executable, "-c", ENDS, dripper.url, str(tmp_path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=HANGS_S)
    assert done.stdout == "notify-1: no answer to a notification within 1 s\n", done.stderr
    assert done.returncode == 0
