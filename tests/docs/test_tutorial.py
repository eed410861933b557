"""Every block of the tutorial runs, in order, and ends with a promoted challenger."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anew.app.status import project_status
from tests.docs.newcomer import BLOCK, TUTORIAL, tutorial_script


def test_every_block_of_the_tutorial_is_run() -> None:
    text = TUTORIAL.read_text("utf-8")
    assert text.count("\n```") == 2 * len(BLOCK.findall(text))


@pytest.mark.system
@pytest.mark.timeout(400)
def test_the_tutorial_ends_with_a_promoted_challenger(tmp_path: Path) -> None:
    script = tutorial_script(tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=380, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:] + (tmp_path / "up.log").read_text()[-3000:]
    status = project_status(tmp_path / "rentals")
    assert status["champion"]["version"] != "v1"
    assert status["stored"]["predictions"] == status["stored"]["labels"]
