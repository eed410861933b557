"""A move that is looked at before says what the move would: also what is in its way, and to whom it belongs."""

from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.sql_copy import Held, copy_record, held_by
from anew.adapters.sql_database import open_database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.migrate import _refuse_held, move_record
from anew.app.record import open_record
from anew.app.settings import load
from anew.domain.errors import ConflictError, UnavailableError
from anew.domain.facts import RetrainCommanded, Ticked
from tests.app.counting import Noted
from tests.cli.call import call
from tests.cli.recorded import AT, record, write_record
from tests.postgres_server import PostgresServer


def test_an_earlier_copy_of_a_record_is_told_from_another_record(tmp_path: Path) -> None:
    project, other = write_record(tmp_path / "p"), write_record(tmp_path / "other")
    with closing(open_database(tmp_path / "target.db")) as target:
        with closing(open_record(project / ".anew")) as source:
            assert held_by(target, source) is Held.NOTHING
            noted = Noted()
            facts = copy_record(source, target, noted("facts"))
            assert noted.heard["facts"] == [(facts, facts)]
            assert held_by(target, source) is Held.SAME
        record(project, Ticked(model="small", at=AT, wall=AT))
        for folder, held in ((project, Held.BEFORE), (other, Held.OTHER)):
            with closing(open_record(folder / ".anew")) as source:
                assert held_by(target, source) is held


def test_commands_that_wait_there_alone_are_not_said_to_be_nothing(tmp_path: Path) -> None:
    project, clock = write_record(tmp_path / "p"), SystemClock()
    told = [RetrainCommanded(model="small", at=AT, id=id, command=id, by="ada", reason="now") for id in ("a", "b")]
    with closing(open_record(project / ".anew")) as source, closing(open_database(tmp_path / "target.db")) as target:
        SQLInbox(source, clock=clock).post(told[0])
        copy_record(source, target)
        record(project, Ticked(model="small", at=AT, wall=AT))
        assert held_by(target, source) is Held.BEFORE
        there = SQLInbox(target, clock=clock)
        there.post(told[1])
        assert held_by(target, source) is Held.WAITING
        there.take(["b"])
        assert held_by(target, source) is Held.BEFORE


def test_what_has_no_facts_is_not_called_a_record(tmp_path: Path) -> None:
    project, clock = write_record(tmp_path / "p"), SystemClock()
    with closing(open_record(project / ".anew")) as source, closing(open_database(tmp_path / "target.db")) as target:
        assert SQLLease(target, clock=clock).acquire("somebody", 1.0) is not None
        assert held_by(target, source) is Held.BEGUN


@pytest.mark.parametrize(
    ("held", "said", "unsaid"),
    [
        (Held.BEFORE, "Nothing is lost with it", "commands"),
        (Held.WAITING, "commands that no loop has taken. These are lost with it", "Nothing is lost"),
        (Held.BEGUN, "no facts, of a project that was begun there", "record"),
        (Held.OTHER, "a record that is not this one", "lost"),
    ],
)
def test_what_is_in_the_way_is_called_what_it_is(held: Held, said: str, unsaid: str) -> None:
    with pytest.raises(ConflictError) as caught:
        _refuse_held(Path("target.db"), held)
    assert said in str(caught.value)
    assert unsaid not in str(caught.value)


@pytest.mark.system
def test_a_dry_run_is_refused_what_the_move_is_refused(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "p")
    monkeypatch.setenv("PLACE", postgres.url)
    postgres.sql('DROP SCHEMA IF EXISTS "anew_small" CASCADE')
    assert move_record(load(project), "env:PLACE", dry_run=True).holder == ""
    schemas = "SELECT 1 FROM pg_namespace WHERE nspname = 'anew_small'"
    assert not postgres.sql(schemas)  # it was looked for, and not made
    move_record(load(project), "env:PLACE")
    move_record(load(project), "sqlite", dry_run=True)
    move_record(load(project), "sqlite")
    record(project, Ticked(model="small", at=AT, wall=AT))
    said = r'holds this project.s record of before.*DROP SCHEMA "anew_small", "dbos_small" CASCADE there'
    for dry_run in (True, False):
        with pytest.raises(ConflictError, match=said):
            move_record(load(project), "env:PLACE", dry_run=dry_run)
    postgres.sql('DROP SCHEMA "anew_small" CASCADE')
    move_record(load(project), "env:PLACE")
    postgres.sql('DROP SCHEMA "anew_small" CASCADE')
    monkeypatch.setenv("NOWHERE", "postgresql://ada@127.0.0.1:1/prod")
    with pytest.raises(UnavailableError):
        move_record(load(write_record(tmp_path / "q")), "env:NOWHERE", dry_run=True)


@pytest.mark.system
def test_it_may_be_looked_at_while_the_project_runs(
    tmp_path: Path, postgres: PostgresServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "p")
    monkeypatch.setenv("PLACE", postgres.url)
    postgres.sql('DROP SCHEMA IF EXISTS "anew_small" CASCADE')
    with closing(open_record(project / ".anew")) as database:
        assert SQLLease(database, clock=SystemClock()).acquire("a loop", 60)
        looked = call(capsys, monkeypatch, "migrate", project, "--to", "env:PLACE", "--dry-run")
        assert looked.code == 0
        assert "would move" in looked.out
        assert "a loop runs the loop, and has to be stopped before" in " ".join(looked.out.split())
        refused = call(capsys, monkeypatch, "migrate", project, "--to", "env:PLACE", "--yes")
        assert (refused.code, "stop it first" in refused.err) == (5, True)
