"""Which rows of the fault matrix the tests try, and how they ended: a plugin of pytest, and a page of what it wrote.

`--reliability FILE` adds what a run found to FILE, with `--collect-only` which tests there are; ``python -m
tests.reliability FILE`` prints it as a Markdown table, and fails where a row failed; ``python -m tests.reliability FILE
README.md`` writes rows, counts and figures into that page. A row is what a test is marked with:
``@pytest.mark.fault("D1")``; ``--rows D1,D2`` runs the tests of these. A test whose name says that it is a control,
or that plants something, is one: it passes when the planted fault is found. What a test puts on record with
``record_property("figure", …)`` stands with its rows.
"""

import fcntl
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fault_rows import GROUPS, ROWS

__all__ = [
    "Collector",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_itemcollected",
    "section",
    "table",
    "written",
]

_OPTION = "--reliability"
_ROWS = "--rows"
_OUTCOMES = ("passed", "failed", "skipped")
_BEGIN, _END = "<!-- reliability: begin -->", "<!-- reliability: end -->"
_CONTROL = ("control", "planted", "negative")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(_OPTION, default="", metavar="FILE", help="add the tried rows of the fault matrix to FILE")
    parser.addoption(_ROWS, default="", metavar="K9,D3", help="run the tests of these rows alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other rows than those that are asked for."""
    wanted = set(filter(None, config.getoption(_ROWS).split(",")))
    if unknown := wanted - ROWS.keys():
        raise pytest.UsageError(f"{_ROWS}: there is no row {', '.join(sorted(unknown))} in the fault matrix")
    if wanted:
        kept = [item for item in items if wanted & {mark.args[0] for mark in item.iter_markers("fault")}]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have the report bear the rows, also from a worker of xdist."""
    item.user_properties += [("fault", mark.args[0]) for mark in item.iter_markers("fault")]


def pytest_configure(config: pytest.Config) -> None:
    """Collect, unless this is a worker of xdist: its reports come to the controller."""
    if config.getoption(_OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(Path(config.getoption(_OPTION))))


class Collector:
    """Hears every report."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tests: dict[str, dict[str, Any]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take note of tests that are not run."""
        if session.config.option.collectonly:
            for item in session.items:
                rows = sorted({mark.args[0] for mark in item.iter_markers("fault")})
                if rows:
                    self._tests[item.nodeid] = {"rows": rows, "outcome": "collected"}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a test of any row; what fails before or after it fails the test."""
        rows = sorted({str(value) for name, value in report.user_properties if name == "fault"})
        if not rows or (report.when != "call" and report.outcome == "passed"):
            return
        found = {"rows": rows, "outcome": report.outcome}
        figures = [str(value) for name, value in report.user_properties if name == "figure"]
        if self._tests.get(report.nodeid, {}).get("outcome") != "failed":
            self._tests[report.nodeid] = found | ({"figures": figures} if figures else {})

    def pytest_sessionfinish(self) -> None:
        """Put this run's tests in the place of what the file said of them; another run may be doing so, too."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            said = file.read()
            known = json.loads(said)["tests"] if said else {}
            seen = {id: test for id, test in self._tests.items() if test["outcome"] != "collected" or id not in known}
            tests = dict(sorted((known | seen).items()))
            file.truncate(0)
            file.write(json.dumps({"schema": 1, "rows": _rows(tests), "tests": tests}, indent=1) + "\n")


def _rows(tests: Mapping[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for id, test in tests.items():
        for name in test["rows"]:
            row = rows.setdefault(name, {**dict.fromkeys(_OUTCOMES, 0), "controls": 0, "figures": []})
            row[test["outcome"]] = row.get(test["outcome"], 0) + 1
            row["controls"] += any(word in id.split("::")[-1] for word in _CONTROL)
            row["figures"] += test.get("figures", ())
    return dict(sorted(rows.items(), key=lambda each: (each[0][0], int(each[0][1:]))))


def table(found: Mapping[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| row | tests passed | failed | skipped | figures |", "|---|---|---|---|---|"]
    for name, row in found["rows"].items():
        lines.append(f"| {name} | {row['passed']} | {row['failed']} | {row['skipped']} | {'; '.join(row['figures'])} |")
    return "\n".join(lines)


def section(found: Mapping[str, Any]) -> str:
    """Return the rows with their counts and figures, for a page that people read, between its two marks."""
    rows: Mapping[str, Any] = found["rows"]
    tests, figures = len(found["tests"]), sum(bool(row["figures"]) for row in rows.values())
    lines = [
        _BEGIN,
        "<details>",
        f"<summary>{len(rows)} of {len(ROWS)} rows, tried by {tests} tests; {figures} rows with figures</summary>",
        "",
        "| row | what is done to anew | tests | of them controls | figures |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        count = sum(row.get(outcome, 0) for outcome in (*_OUTCOMES, "collected"))
        told = "; ".join(dict.fromkeys(row["figures"]))
        lines.append(f"| {name} | {ROWS[name]} | {count} | {row['controls'] or ''} | {told} |")
    untried = [name for name in ROWS if name not in rows]
    lines += ["", f"No test bears yet: {', '.join(f'{name} ({ROWS[name]})' for name in untried) or 'none'}."]
    groups = ", ".join(f"{letter} {name.lower()}" for letter, name in GROUPS.items())
    return "\n".join([*lines, f"Groups: {groups}.", "", "</details>", _END])


def written(page: str, found: Mapping[str, Any]) -> str:
    """Return the page with what was found between its marks; raises ValueError where it has none."""
    before, _, rest = page.partition(_BEGIN)
    _, mark, after = rest.partition(_END)
    if not mark:
        raise ValueError(f"the page has no {_BEGIN} and {_END} to write between")
    return before + section(found) + after


def main() -> int:
    """Print the table; 1 where a row failed, or none was tried. What was left out on this machine is named."""
    found = json.loads(Path(sys.argv[1]).read_text())
    if len(sys.argv) > 2:
        page = Path(sys.argv[2])
        page.write_text(written(page.read_text("utf-8"), found), "utf-8")
        return 0
    sys.stdout.write(table(found) + "\n")
    rows, tests = found["rows"], len(found["tests"])
    bad = [name for name, row in rows.items() if row["failed"] or not row["passed"]]
    sys.stdout.write(f"\n{len(rows)} rows tried by {tests} tests; not passed: {', '.join(bad) or 'none'}\n")
    return 1 if any(row["failed"] for row in rows.values()) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
