"""Call the command line in this process, as its entry point does."""

import sys
from dataclasses import dataclass

import pytest

from anew.cli import main
from tests.cli.schema import complaints

__all__ = ["Called", "call"]


@dataclass(frozen=True)
class Called:
    """How a call ended."""

    code: int
    out: str
    err: str


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Called:
    """Run ``anew`` with `arguments`; every end but an exit fails the test, and so does JSON of another schema."""
    monkeypatch.setattr(sys, "argv", ["anew", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    for line in out.splitlines():
        if line.startswith('{"schema": "anew.'):
            assert complaints(line) == [], f"what {' '.join(map(str, arguments))} prints is not what its schema says"
    code = ended.value.code
    return Called(code if isinstance(code, int) else 0 if code is None else 1, out, err)
