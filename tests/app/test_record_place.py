"""Where a project's record is: said once, kept to, and never said with a secret."""

from contextlib import closing
from pathlib import Path

import pytest

from anew.adapters.postgres_link import PostgresPlace
from anew.adapters.sql_database import open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.policy_stores import StoresPolicy
from anew.app.record import open_record, settle
from anew.app.record_place import effects_place, has_record, place_of, put_down, record_place
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError, SettingsError
from anew.domain.facts import Ticked
from tests.cli.recorded import AT
from tests.postgres_server import PostgresServer


def test_without_a_word_it_is_the_file_in_the_folder(tmp_path: Path) -> None:
    assert record_place(tmp_path) == tmp_path / "anew.db"
    assert effects_place(tmp_path) == tmp_path / "dbos.db"
    assert not has_record(tmp_path)
    with closing(settle(tmp_path, "sqlite", "fraud")):
        assert has_record(tmp_path)
    with closing(open_record(tmp_path)):
        pass


def test_a_server_is_found_again_by_its_reference(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    (tmp_path / "url").write_text("postgresql://ada:hunter2@db:5432/prod\n")
    put_down(state, "file:url", "fraud-eu")
    place = record_place(state)
    assert place == PostgresPlace(url="postgresql://ada:hunter2@db:5432/prod", schema="anew_fraud-eu")
    assert str(place) == "postgresql://db:5432/prod (schema anew_fraud-eu)"
    assert "hunter2" not in f"{place!r} {(state / 'record.json').read_text()}"
    several = PostgresPlace(url="postgresql://ada:hunter2@one:5432,two:5433/prod", schema="s")
    assert str(several) == "postgresql://one:5432,two:5433/prod (schema s)"
    beside = effects_place(state)
    assert isinstance(beside, PostgresPlace)
    assert beside.schema == "dbos_fraud-eu"


def test_a_record_that_is_elsewhere_is_never_begun_anew(tmp_path: Path) -> None:
    settle(tmp_path, "sqlite", "fraud").close()
    with pytest.raises(ConflictError, match=r"record is in sqlite, and stores\.database says env:URL: move it"):
        settle(tmp_path, "env:URL", "fraud")
    put_down(tmp_path, "env:URL", "fraud")
    with pytest.raises(ConflictError, match="record is in env:URL"):
        settle(tmp_path, "sqlite", "fraud")


def test_a_url_that_is_none_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "mysql://ada:hunter2@db/prod")
    with pytest.raises(SettingsError, match=r"stores.database: what env:PLACE names is no postgresql:// URL") as caught:
        place_of(tmp_path, "env:PLACE", "fraud")
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("PLACE", "postgresql://db/prod")
    with pytest.raises(SettingsError, match="at most 58 signs"):
        place_of(tmp_path, "env:PLACE", "f" * 59)
    with pytest.raises(SettingsError, match="no environment variable NOWHERE"):
        place_of(tmp_path, "env:NOWHERE", "fraud")


@pytest.mark.parametrize("text", ["{", '{"schema": "anew.record/9"}', '{"schema": "anew.record/1"}'])
def test_a_note_that_cannot_be_read_is_no_new_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"record\.json"):
        record_place(tmp_path)


def test_nothing_is_opened_where_nothing_was_begun(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="never brought up"):
        open_record(tmp_path)


@pytest.mark.parametrize("left", ["project.id", "lake.db", "routing/fraud.json", "keys/signing.key"])
def test_a_record_that_is_lost_is_not_taken_for_one_that_never_was(tmp_path: Path, left: str) -> None:
    (tmp_path / left).parent.mkdir(exist_ok=True)
    (tmp_path / left).touch()
    with pytest.raises(NotFoundError, match="restore it from a backup"):
        open_record(tmp_path)


@pytest.mark.parametrize("text", ["postgresql://ada:hunter2@db/prod", "postgresql://db/prod?password=hunter2", "mysql"])
def test_the_policy_takes_no_password_and_no_other_database(text: str) -> None:
    with pytest.raises(ValueError, match=r"holds a password|write sqlite") as caught:
        StoresPolicy(database=text)
    assert caught.value.errors()[0]["type"] == "reference"  # type: ignore[attr-defined]  # pydantic's own error


@pytest.mark.parametrize("text", ["sqlite", "env:URL", "file:url", "postgresql://ada@db:5432/prod"])
def test_the_policy_takes_these(text: str) -> None:
    assert StoresPolicy(database=text).database == text


def test_two_projects_of_one_model_s_name_share_no_record(postgres: PostgresServer, tmp_path: Path) -> None:
    place = postgres.place()
    model = place.schema.removeprefix("anew_")
    one, other = tmp_path / "one", tmp_path / "other"
    for state in (one, other):
        state.mkdir()
    settle(one, place.url, model).close()
    settle(one, place.url, model).close()
    for _ in range(2):
        with pytest.raises(ConflictError, match="another project whose model has the same name"):
            settle(other, place.url, model)
    assert not (other / "record.json").exists()
    settle(other, place.url, f"{model}2").close()


def test_a_record_from_before_owners_were_said_is_kept_by_who_knows_it_and_by_nobody_else(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    place = postgres.place()
    model = place.schema.removeprefix("anew_")
    one, other = tmp_path / "one", tmp_path / "other"
    for state in (one, other):
        state.mkdir()
    with closing(open_database(place)) as database:
        clock = SystemClock()
        grant = SQLLease(database, clock=clock).acquire("test", 60)
        assert grant is not None
        fact = Ticked(model=model, at=AT, wall=AT).caused_by("")
        SQLEventLog(database, clock=clock).append([fact], grant=grant)
    with pytest.raises(ConflictError, match="another project"):
        settle(other, place.url, model)
    put_down(one, place.url, model)
    settle(one, place.url, model).close()
    put_down(other, place.url, model)
    with pytest.raises(ConflictError, match="another project"):
        settle(other, place.url, model)
