"""The report of a version: whole in one file, escaped, and true to the record."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from anew.adapters.fact_reader import reading_facts
from anew.app.lineage import find_lineage
from anew.app.narration import narrate
from anew.app.report import write_report
from anew.dashboard.records import heard
from anew.dashboard.report import report_html, report_of
from anew.domain.errors import NotFoundError
from tests.cli.call import call
from tests.cli.recorded import write_record

EVIL = "</style><script>alert(1)</script><img src=x onerror=alert(1)>"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.leads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.append(tag)
        self.leads += [value or "" for name, value in attrs if name in ("href", "src", "data", "action")]


def parsed(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    return page


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_record(tmp_path / "small")


def test_it_is_one_file_that_leads_nowhere(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = call(capsys, monkeypatch, "report", "v1", "--project", project, "--json")
    data = json.loads(called.out)["data"]
    html = Path(data["file"]).read_text("utf-8")
    assert len(html.encode()) == data["bytes"]
    page = parsed(html)
    assert page.leads == []
    assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)
    for said in ("the first champion", "slos", "retrain asked for by ann", "error", "prefers-color-scheme: dark"):
        assert said in html
    assert "svg" in page.tags


def test_what_the_record_says_is_escaped(project: Path) -> None:
    with reading_facts(project / ".anew" / "anew.db") as reader:
        report = report_of(
            heard(reader),
            find_lineage(project, "v1"),
            lambda fact: narrate(fact) + EVIL,
            made_of={EVIL: EVIL},
            at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    html = report_html(report)
    assert EVIL not in html
    assert not {"script", "img"} & set(parsed(html).tags)


def test_a_version_that_is_not_there_is_refused_and_nothing_is_written(project: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        write_report(project, "v9", tmp_path / "report.html")
    assert not list(tmp_path.glob("*report*"))
