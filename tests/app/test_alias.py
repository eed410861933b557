"""Names that stand for a version, where a command asks for one."""

import json
from pathlib import Path

import pytest

from anew.app.alias import version_of
from anew.domain.errors import NotFoundError
from tests.cli.call import call
from tests.cli.recorded import write_record


def test_who_serves_may_be_asked_for_by_that_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "small")
    champion = version_of(project, "champion")
    assert version_of(project, "v99") == "v99", "any other name is as it is"
    for verb, *words in (("explain",), ("lineage",), ("report", "--to", tmp_path / "report.html")):
        told = [
            call(capsys, monkeypatch, verb, name, "--project", project, *words, "--json")
            for name in ("champion", champion)
        ]
        assert [each.code for each in told] == [0, 0], told
        assert json.loads(told[0].out) == json.loads(told[1].out)


def test_nobody_is_told_where_there_is_none(tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    with pytest.raises(NotFoundError, match=r"there is no challenger now; `anew model list`"):
        version_of(project, "challenger")
