"""A record of the log is one line, whoever wrote what is in it."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from anew.app.log_line import OneLine
from tests.cli.test_audit import HOSTILE

FORM = "%(asctime)s %(levelname)s %(message)s"
ROOT = Path(__file__).parents[2]


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "refused id=%s model=%s", "args": (text, "m"), "levelname": "WARNING"})


@pytest.mark.fault("H9")
@pytest.mark.parametrize("text", [*HOSTILE, "\ud800"])
def test_whatever_is_logged_is_one_line_and_steers_nothing(text: str) -> None:
    line = OneLine(FORM).format(record(text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert line.endswith(" model=m")


@pytest.mark.fault("H9")
def test_control_the_usual_formatter_writes_forged_lines() -> None:
    forged = [text for text in HOSTILE if len(logging.Formatter(FORM).format(record(text)).splitlines()) > 1]
    assert len(forged) >= 4


@pytest.mark.fault("H9")
def test_a_traceback_is_one_line_too_and_letters_stay_as_they_are() -> None:
    program = (
        "import logging\n"
        "from anew.app.log_line import log_to_stderr\n"
        "log_to_stderr(logging.INFO)\n"
        "try:\n    raise ValueError('über\\nERROR forged')\n"
        "except ValueError:\n    logging.getLogger('anew').error('failed id=%s', 'ä', exc_info=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert re.search(r" ERROR failed id=ä\\nTraceback .*ValueError: über\\nERROR forged$", line)


def test_every_process_logs_so() -> None:
    texts = {path: path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert [path.name for path, text in texts.items() if "basicConfig(" in text] == ["log_line.py"]
    users = {path.name for path, text in texts.items() if "log_to_stderr(logging." in text}
    assert users == {"gateway_worker.py", "dashboard_worker.py", "up.py", "gateway.py"}
