"""Notices reach a real address, once a day for the same, and no secret reaches a log."""

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
