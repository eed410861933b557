"""Which rows of the fault matrix the tests try, and how they ended: a plugin of pytest, and a page of what it wrote.

`--reliability FILE` adds what a run found to FILE; ``python -m tests.reliability FILE`` prints it as a Markdown table,
and fails where a row failed. A row is what a test is marked with: ``@pytest.mark.fault("D1")``. A test whose name says
that it is a control, or that plants something, is one: it passes when the planted fault is found. What a test puts on
record with ``record_property("figure", …)`` stands with its rows.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

__all__ = ["pytest_addoption", "pytest_configure", "pytest_itemcollected", "table"]

_OPTION = "--reliability"
_OUTCOMES = ("passed", "failed", "skipped")
_CONTROL = ("control", "planted", "negative")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(_OPTION, default="", metavar="FILE", help="add the tried rows of the fault matrix to FILE")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have the report bear the rows, also from a worker of xdist."""
    item.user_properties += [("fault", mark.args[0]) for mark in item.iter_markers("fault")]


def pytest_configure(config: pytest.Config) -> None:
    """Collect, unless this is a worker of xdist: its reports come to the controller."""
    if config.getoption(_OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(Path(config.getoption(_OPTION))))


class _Collector:
    """Hears every report."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tests: dict[str, dict[str, Any]] = {}

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
        """Put this run's tests in the place of what the file said of them."""
        known = json.loads(self._file.read_text())["tests"] if self._file.exists() else {}
        tests = dict(sorted((known | self._tests).items()))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps({"schema": 1, "rows": _rows(tests), "tests": tests}, indent=1) + "\n")


def _rows(tests: Mapping[str, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for id, test in tests.items():
        for name in test["rows"]:
            row = rows.setdefault(name, {**dict.fromkeys(_OUTCOMES, 0), "controls": 0, "figures": []})
            row[test["outcome"]] += 1
            row["controls"] += any(word in id.split("::")[-1] for word in _CONTROL)
            row["figures"] += test.get("figures", ())
    return dict(sorted(rows.items(), key=lambda each: (each[0][0], int(each[0][1:]))))


def table(found: Mapping[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| row | tests passed | failed | skipped | figures |", "|---|---|---|---|---|"]
    for name, row in found["rows"].items():
        lines.append(f"| {name} | {row['passed']} | {row['failed']} | {row['skipped']} | {'; '.join(row['figures'])} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table; 1 where a row failed, or none was tried. What was left out on this machine is named."""
    found = json.loads(Path(sys.argv[1]).read_text())
    sys.stdout.write(table(found) + "\n")
    rows, tests = found["rows"], len(found["tests"])
    bad = [name for name, row in rows.items() if row["failed"] or not row["passed"]]
    sys.stdout.write(f"\n{len(rows)} rows tried by {tests} tests; not passed: {', '.join(bad) or 'none'}\n")
    return 1 if any(row["failed"] for row in rows.values()) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
