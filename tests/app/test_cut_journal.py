"""A project whose journal lost its end, behind what the lake has of it."""

import os
import sqlite3
from pathlib import Path

import pytest

from anew.adapters.journal_process import JournalProcess
from anew.adapters.segment_journal import SegmentJournal
from anew.app.accepted import accept
from anew.app.doctor.examined import Examined
from anew.app.doctor.store import STORE
from anew.app.gateway_wiring import gateway_parts
from anew.app.settings import load
from anew.app.stores import journal_folder
from anew.domain.errors import IntegrityError
from anew.domain.health import Health
from tests.app.backup_tree import STORED, write_kept


def stored(project: Path) -> int:
    """Return what the gateway tells its journal."""
    journal = gateway_parts(project, "0").journal
    assert isinstance(journal, JournalProcess)
    return journal.stored()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its gateway can begin."""
    made = write_kept(tmp_path)
    accept(load(made))
    return made


def test_its_gateway_goes_on_behind_what_the_lake_has_and_the_doctor_says_so(project: Path) -> None:
    folder = journal_folder(project / ".anew", "0")
    (segment,) = folder.glob("*.seg")
    os.truncate(segment, 1500)
    look = Examined(settings=load(project))
    with pytest.raises(IntegrityError, match=f"has its records up to {STORED}: its end was lost.*; put back a copy"):
        STORE["journal"](look)
    SegmentJournal(folder, stored=stored(project)).close()
    assert STORE["journal"](look).health is Health.GOOD
    assert len(list(folder.glob("*.seg"))) == 2


def test_a_mark_that_cannot_be_read_keeps_no_gateway_from_its_beginning(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert stored(project) == STORED
    with sqlite3.connect(project / ".anew" / "lake.db") as mark:
        mark.execute("DROP TABLE positions")
    assert stored(project) == 0
    assert "stored_not_known worker=0" in caplog.text
    (project / ".anew" / "lake.db").unlink()
    assert stored(project) == 0
