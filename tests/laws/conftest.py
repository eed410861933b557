"""How far the stories came is printed at the end."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often stories reached what the laws are about."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "reach":
                terminalreporter.write_line(f"laws, {report.nodeid.split('::')[-1]}: {value}")
