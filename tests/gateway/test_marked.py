"""A version whose calls are marked: the mark is there while it answers, and after it only where the process is not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from anew.adapters.version_mark_file import VersionMarkFile
from anew.domain.column import Value
from anew.domain.observation import Answer
from anew.gateway.marked import Marked
from anew.testing.fake_predictor import FakePredictor

ROWS: Sequence[Mapping[str, Value]] = ({"amount": 100.0},)


class Leaving(FakePredictor):
    """Ends the process by what no caller is to catch."""

    def answer(self, rows: Sequence[Mapping[str, Value]]) -> Sequence[Answer]:  # noqa: ARG002 - the contract
        """End it."""
        raise SystemExit


def found_after(folder: Path) -> int:
    """Return what the process after the present one finds, when that ended by itself."""
    after = VersionMarkFile(folder, "0")
    after.blame()
    ends = after.ends("v1")
    after.close()
    return ends


@pytest.mark.parametrize("behaviour", ["constant", "raise"])
def test_a_version_that_has_answered_or_failed_is_not_in_its_code_any_more(tmp_path: Path, behaviour: str) -> None:
    mark = VersionMarkFile(tmp_path, "0")
    version = Marked(FakePredictor(version="v1", digest="d", value=3.0, behaviour=behaviour), mark)
    if behaviour == "raise":
        with pytest.raises(RuntimeError):
            version.answer(ROWS)
    else:
        assert [each.output for each in version.answer(ROWS)] == [3.0]
    mark.close()
    assert found_after(tmp_path) == 0


def test_what_ends_the_process_leaves_the_mark(tmp_path: Path) -> None:
    mark = VersionMarkFile(tmp_path, "0")
    with pytest.raises(SystemExit):
        Marked(Leaving(version="v1", digest="d"), mark).answer(ROWS)
    mark.close()
    assert found_after(tmp_path) == 1
