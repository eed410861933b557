"""A command waits for what the loop decides on it, and is kept when there is no loop."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app import command as under_test
from anew.app.command import command, latest_time
from anew.app.settings import Settings, load
from anew.app.wiring import stages
from anew.domain.errors import ConflictError, NotFoundError
from anew.domain.facts import AccessGranted, ApprovalSigned, RetrainCommanded, SubjectPurgeAsked, SubjectPurged
from anew.loop.engine import Engine
from tests.adapters.fact_samples import sample
from tests.app.small_project import write_project
from tests.cli.recorded import AT, record, write_record


def retrain(id: str, by: str, at: datetime) -> RetrainCommanded:
    return RetrainCommanded(model="small", at=at, command=id, by=by, reason="test")


def erased(asked: SubjectPurgeAsked) -> SubjectPurged:
    rows = (("labels", 0), ("predictions", 0))
    return SubjectPurged(
        model="small", at=asked.at, cause=asked.id, command=asked.command, rows=rows, snapshots=()
    )  # fmt: skip


@contextmanager
def looping(settings: Settings, *, takes: bool = True) -> Iterator[None]:
    """Hold the lease in another thread and take what comes into the inbox, or not."""
    stop, ready = threading.Event(), threading.Event()

    def turn() -> None:
        clock = SystemClock()
        with closing(Database(settings.state / "anew.db")) as database:
            lease, inbox = SQLLease(database, clock=clock), SQLInbox(database, clock=clock)
            grant = lease.acquire("loop", 60)
            assert grant is not None
            engine = Engine(stages(settings), SQLEventLog(database, clock=clock), grant)
            engine.recover()
            ready.set()
            while not stop.wait(0.02):
                for asked in list(engine.pending.values()):
                    if isinstance(asked, SubjectPurgeAsked):
                        engine.submit(erased(asked))
                for fact in inbox.pending() if takes else ():
                    engine.submit(fact)
                    inbox.take([fact.id])
            lease.release(grant)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join()


def test_it_returns_what_the_loop_decided(tmp_path: Path) -> None:
    settings = load(write_record(tmp_path / "p"))
    with looping(settings):
        taken, facts = command(settings, retrain)
    assert taken
    assert [fact.kind for fact in facts] == ["RetrainRequested", "RetrainApproved", "TrainingPlanned"]


def test_what_a_command_asks_for_is_waited_for(tmp_path: Path) -> None:
    settings = load(write_record(tmp_path / "p"))
    with looping(settings):
        taken, facts = command(
            settings,
            lambda id, by, at: SubjectPurgeAsked(model="small", at=at, command=id, by=by, reason="their wish"),
        )
    assert taken
    assert [fact.kind for fact in facts] == ["SubjectPurged"]


@pytest.mark.parametrize("between", ["before", "meanwhile"])
def test_a_signature_that_counts_as_one_on_record_is_said_to_be_dropped(
    tmp_path: Path, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(write_record(tmp_path / "p"))

    def signed(reason: str, at: datetime) -> ApprovalSigned:
        return ApprovalSigned(
            model="small", at=at, version="v1", digest="d", gate="promotion", by="ann", reason=reason, signature=""
        )

    def second(_: str, __: str, at: datetime) -> ApprovalSigned:
        return signed("the second", at)

    with looping(settings):
        if between == "before":
            assert command(settings, lambda _, __, at: signed("the first", at))[0]
        else:  # as both were posted at once: that one came first
            post = SQLInbox.post

            def both(inbox: SQLInbox, fact: ApprovalSigned) -> None:
                post(inbox, signed("the first", fact.at).caused_by(""))
                post(inbox, fact)

            monkeypatch.setattr(SQLInbox, "post", both)
        with pytest.raises(ConflictError, match=r"dropped: .*the first"):
            command(settings, second)


def test_a_loop_that_does_not_come_to_it_leaves_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(write_record(tmp_path / "p"))
    monkeypatch.setattr(under_test, "_PATIENCE_S", 0.2)
    with looping(settings, takes=False):
        assert command(settings, retrain) == (False, ())
    with closing(Database(settings.state / "anew.db")) as database:
        assert len(SQLInbox(database, clock=SystemClock()).pending()) == 1


def test_each_command_is_one_of_its_own(tmp_path: Path) -> None:
    settings = load(write_record(tmp_path / "p"))
    for _ in range(2):
        assert command(settings, retrain) == (False, ())
    with closing(Database(settings.state / "anew.db")) as database:
        ids = [fact.id for fact in SQLInbox(database, clock=SystemClock()).pending()]
    assert len(set(ids)) == 2


def test_a_user_without_a_name_is_known_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 123_456_789)
    monkeypatch.setenv("USER", "ada")  # anybody may call himself so
    monkeypatch.setenv("LOGNAME", "ada")
    settings = load(write_record(tmp_path / "p"))
    command(settings, retrain)
    with closing(Database(settings.state / "anew.db")) as database:
        (fact,) = SQLInbox(database, clock=SystemClock()).pending()
    assert isinstance(fact, RetrainCommanded)
    assert fact.by == "account:uid 123456789"


def test_a_project_without_a_record_takes_none_and_gets_none(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path / "p"))
    with pytest.raises(NotFoundError):
        command(settings, retrain)
    assert not (settings.state / "anew.db").exists()


@pytest.mark.parametrize("people", [1, 5])
def test_a_command_after_a_change_of_access_is_dated_by_event_time(tmp_path: Path, people: int) -> None:
    """With `monitor.clock: data` the wall clock may be a year ahead, and nothing would be watched for that long."""
    project = write_record(tmp_path / "p")
    granted = replace(sample(AccessGranted), model="small", at=datetime.now(UTC))
    record(project, *[granted] * people)
    settings = load(project)
    command(settings, retrain)
    with closing(Database(settings.state / "anew.db")) as database:
        log, (fact,) = SQLEventLog(database, clock=SystemClock()), SQLInbox(database, clock=SystemClock()).pending()
        assert isinstance([each.fact for each in log.read()][-1], AccessGranted)
        assert fact.at == latest_time(log) == AT + timedelta(days=2)


def test_a_record_of_nothing_but_access_has_no_event_time(tmp_path: Path) -> None:
    clock = SystemClock()
    with closing(Database(tmp_path / "anew.db")) as database:
        log, grant = SQLEventLog(database, clock=clock), SQLLease(database, clock=clock).acquire("test", 60)
        assert grant is not None
        assert latest_time(log) is None
        granted = replace(sample(AccessGranted), model="small", at=AT)
        log.append([granted.caused_by("")], grant=grant)
        assert latest_time(log) is None
