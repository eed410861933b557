"""Counted work says how far it is: over one line at a terminal, else now and then, and with the time that is left."""

from io import StringIO

import pytest

from anew.cli._progress import Counted, at_a_terminal


class Terminal(StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def counted(to: StringIO, at: list[tuple[float, int]], of: int = 10) -> str:
    clock = [0.0]
    told = Counted(what="models trained", to=to, clock=lambda: clock[0])
    for seconds, done in at:
        clock[0] = seconds
        told(done, of)
    return to.getvalue()


def test_a_log_hears_it_every_half_minute_with_the_time_that_is_left() -> None:
    said = counted(StringIO(), [(0, 2), (10, 3), (40, 4), (50, 5), (300, 10)])
    assert said == "4 of 10 models trained, about 2 min left\n10 of 10 models trained\n"


def test_what_is_over_at_once_is_said_once() -> None:
    assert counted(StringIO(), [(0, 10)]) == "10 of 10 models trained\n"


def test_a_terminal_has_one_line_that_is_written_over() -> None:
    said = counted(Terminal(), [(0, 0), (1, 2), (1.01, 3), (20, 10)])
    lines = said.split("\r\x1b[K")[1:]
    assert lines == ["0 of 10 models trained", "2 of 10 models trained, about 4 s left", "10 of 10 models trained\n"]


def test_what_is_counted_at_a_terminal_alone_is_not_said_to_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for heard, said in ((StringIO(), ""), (Terminal(), "\r\x1b[K3 of 3 files checked\n")):
        monkeypatch.setattr("sys.stderr", heard)
        at_a_terminal("files checked")(3, 3)
        assert heard.getvalue() == said
