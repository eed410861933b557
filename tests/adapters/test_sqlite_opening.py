"""Files of SQLite that are new to several who open them in the same moment."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anew.adapters._lake_mark import LakeMark
from anew.adapters.review_db import ReviewDB
from anew.domain.errors import UnavailableError


def mark(path: Path) -> LakeMark:
    return LakeMark(path, model="m", schema="s")


@pytest.mark.parametrize("opened", [ReviewDB, mark])
def test_who_opens_a_new_file_while_others_do_waits_for_them(
    tmp_path: Path, opened: Callable[[Path], ReviewDB | LakeMark]
) -> None:
    together = threading.Barrier(4)

    def begin(path: Path) -> None:
        together.wait(20)
        opened(path).close()

    with ThreadPoolExecutor(4) as people:
        for number in range(60):
            for each in [people.submit(begin, tmp_path / f"{number}.db") for _ in range(4)]:
                each.result()


def test_a_file_that_somebody_keeps_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.adapters._review_file._PATIENCE_S", 0.05)
    other = sqlite3.connect(tmp_path / "review.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UnavailableError, match="another process has kept it locked"):
        ReviewDB(tmp_path / "review.db")
    other.close()
