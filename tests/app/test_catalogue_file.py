"""The file of what a dashboard keeps is one process's own, and stands where that may write."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from anew.app.catalogue_file import CatalogueFile
from anew.app.dashboard_source import ProjectSource
from anew.app.migrate import move_record
from anew.app.settings import load
from anew.dashboard.asking import Asking
from anew.dashboard.place import PLACES
from anew.dashboard.record import Record
from anew.dashboard.records import Records
from anew.dashboard.view import plain_json
from anew.domain.errors import AnewError
from tests.app.small_project import write_project
from tests.cli.recorded import write_record
from tests.dashboard.story import TOKENS, ToldSource
from tests.postgres_server import PostgresServer

_HELD = """
import sys
from pathlib import Path
from anew.app.catalogue_file import CatalogueFile
file = CatalogueFile(Path(sys.argv[1]), Path(sys.argv[1]).parent)
print(file.path(), flush=True)
sys.stdin.read()
"""


def test_it_is_one_process_s_own_until_that_ends(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _HELD, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == str(state / "dashboard" / "own.db")
        file = CatalogueFile(state, tmp_path)
        assert file.path() is None
        other.kill()
        other.wait()
        assert file.path() == state / "dashboard" / "own.db"
        assert file.path() == state / "dashboard" / "own.db"


def test_whoever_comes_after_one_that_is_gone_has_it(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    first, second = CatalogueFile(state, tmp_path), CatalogueFile(state, tmp_path)
    assert first.path() is not None
    assert second.path() is None
    del first
    assert second.path() is not None


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    file = CatalogueFile(state, tmp_path).path()
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_nobody_else_may_read_one_that_is_made_anew(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    made = CatalogueFile(state, tmp_path)
    file = made.path()
    assert file is not None
    file.unlink()
    assert made.path() == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("planted", ["a link", "everybody's"])
def test_a_folder_that_is_not_ours_alone_is_not_written_to(tmp_path: Path, planted: str) -> None:
    state = tmp_path / ".anew"
    state.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if planted == "a link":
        (state / "dashboard").symlink_to(tmp_path / "elsewhere")
    else:
        (state / "dashboard").mkdir()
        (state / "dashboard").chmod(0o777)
    assert CatalogueFile(state, tmp_path).path() is None
    assert not list((state / "dashboard").iterdir())


def test_where_no_file_can_be_there_is_none(tmp_path: Path) -> None:
    state = tmp_path / ".anew"
    assert CatalogueFile(state, tmp_path).path() is None
    state.mkdir()
    (state / "dashboard").touch()
    assert CatalogueFile(state, tmp_path).path() is None


def test_what_is_found_in_another_s_record_is_kept_beside_one_s_own(tmp_path: Path) -> None:
    own, other = write_record(tmp_path / "own"), write_record(tmp_path / "other")
    records = Records()
    for source in (ProjectSource(own), ProjectSource(other, own)):
        assert records.read(str(source.catalogue()), source, lambda record: record.runs) == 1
    records.close()
    assert len(list((own / ".anew" / "dashboard").glob("*.db"))) == 2
    assert not (other / ".anew" / "dashboard").exists()


def pages(project: Path) -> dict[str, str]:
    """Return what a dashboard that begins now says."""
    source, records = ProjectSource(project), Records()

    def made(record: Record) -> dict[str, str]:
        asking = Asking(
            record=record,
            records=records,
            source=ToldSource(()),
            who=TOKENS["admin"],
            policy=ToldSource(()).in_force(),
            params={"version": "v1"},
            query={"text": "v1"},
        )
        return {each.name: plain_json(each.name, each.build(asking)).decode() for each in PLACES}

    try:
        return records.read("", source, made)
    finally:
        records.close()


@pytest.mark.system
def test_a_record_on_a_server_gives_the_same_pages_and_what_was_kept_of_it_stays_good(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "project")
    before = pages(project)
    assert '"version":"v1"' in before["runs"]
    monkeypatch.setenv("ANEW_TEST_DATABASE", postgres.url)
    moved = move_record(load(project), "env:ANEW_TEST_DATABASE")
    assert moved.target.startswith("postgresql://")
    with monkeypatch.context() as patched:
        patched.setattr("anew.dashboard.records.hear", None)  # nothing is heard again
        assert pages(project) == before
    (project / ".anew" / "dashboard" / "own.db").write_bytes(b"damaged" * 1_000)
    assert pages(project) == before


def test_a_project_without_a_record_keeps_nothing(tmp_path: Path) -> None:
    source = ProjectSource(write_project(tmp_path / "p"))
    assert source.catalogue() is None
    assert Records().read("", source, lambda record: record.head) == 0
    assert not (tmp_path / "p" / ".anew").exists()


def test_a_damaged_lake_is_not_said_to_be_a_damaged_record(tmp_path: Path) -> None:
    project = write_record(tmp_path / "p")
    (project / ".anew" / "lake.db").write_bytes(b"no database, but long enough to be looked at " * 9)
    source = ProjectSource(project)
    with pytest.raises(AnewError, match=r"lake\.db") as caught:
        Records().read("", source, lambda _: source.surroundings([]))
    assert "anew.db" not in str(caught.value)
