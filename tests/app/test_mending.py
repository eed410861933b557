"""`anew up` on a lake whose newest file is damaged: mended before it is read, and no hindrance where it cannot be."""

import shutil
from pathlib import Path
from threading import Event
from unittest.mock import MagicMock

import pytest

from anew.app.served_gateway import ServedGateway
from anew.app.settings import load
from anew.app.stores import open_lake
from anew.app.up import UpOptions, up
from tests.app.backup_tree import write_kept
from tests.app.small_project import YAML


def begun(project: Path) -> None:
    """Run its loop until it has begun; raise what ends it before."""
    (project / "anew.yaml").write_text(YAML + "serving: {workers: 0}\ndashboard: {serve: false}\n")
    stop, said = Event(), list[str]()

    def ready(sentence: str) -> None:
        said.append(sentence)
        stop.set()

    up(project, UpOptions(progress=ready, effects=lambda _: MagicMock()), stop)
    assert said


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """It has rows in its lake and in its journal."""
    return write_kept(tmp_path)


@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_the_newest_file_is_mended_before_it_is_read_and_the_gateway_does_not_wait(
    project: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = (project / ".anew" / "lake" / "predictions").glob("*.parquet")
    whole = file.read_bytes()
    began = list[bool]()
    monkeypatch.setattr(
        ServedGateway, "stand_in", lambda _: began.append(file.is_file() and file.read_bytes() == whole)
    )
    if damage == "flipped":
        file.write_bytes(whole[:300] + bytes([whole[300] ^ 1]) + whole[301:])
    else:
        file.unlink()
    begun(project)
    assert not began[0], "it serves before the mending is through"
    assert file.read_bytes() == whole
    with open_lake(load(project)) as lake:
        assert lake.verify() == []


def test_what_cannot_be_mended_keeps_nobody_from_beginning(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (file,) = (project / ".anew" / "lake" / "predictions").glob("*.parquet")
    file.unlink()
    shutil.rmtree(project / ".anew" / "journal")
    begun(project)
    assert "a person has to look" in caplog.text
    assert "event time goes on where the record ends" in caplog.text
