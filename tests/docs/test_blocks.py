"""What the documentation tells to write works: every YAML block is put into a project and read."""

import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from anew.app.component import find_component, make_component
from anew.app.installation import load_installation
from anew.app.settings import load
from anew.app.standing import INSTALLATION
from anew.app.wiring import stages
from anew.domain.column import Column, ColumnKind, Columns, Task
from anew.domain.interval import Interval
from anew.domain.verdict import Verdict
from anew.loop.measure import measure_gates, measure_seen, seen_rows
from anew.monitor import Finding, Yardstick
from anew.stats.profile import Reference
from anew.validate import HeldOut

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.S | re.M), 1)
]


def named_modules() -> dict[str, str]:
    """Return the Python blocks of the documentation that say what file they are, by its name."""
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs").rglob("*.md"))
    return dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.S | re.M))


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the modules of the pages be found, as PYTHONPATH does."""
    folder = tmp_path / "modules"
    folder.mkdir()
    found = named_modules()
    for name, text in found.items():
        (folder / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(folder)
    yield
    for name in found:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_there_are_blocks() -> None:
    assert BLOCKS
    assert set(named_modules()) == {"fraud_detectors.py", "fraud_gates.py"}


@pytest.mark.usefixtures("modules")
def test_the_gate_of_a_page_judges_and_fails_closed() -> None:
    gate = make_component(find_component("validate", "fraud_gates:FewAlarms"), {"at_most": 0.3})
    answers = np.array(["1"] * 20 + ["0"] * 60)
    for low, verdict in ((0, Verdict.PASS), (50, Verdict.INCONCLUSIVE)):
        part = answers[low:]
        rows = HeldOut(task=Task.BINARY, label=part, challenger=part, challenger_loss=np.zeros(len(part)), positive="1")
        assert gate.judge(measure_gates({gate.key: (gate, True)}, rows)).verdict is verdict
    many = HeldOut(
        task=Task.BINARY, label=answers, challenger=answers[::-1], challenger_loss=answers == "1", positive="0"
    )
    assert gate.judge(measure_gates({gate.key: (gate, True)}, many)).verdict is Verdict.FAIL


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize(("alarms", "rows", "found"), [(60, 200, False), (61, 200, True), (50, 50, False)])
def test_the_detector_of_a_page_finds_what_it_says(alarms: int, rows: int, found: bool) -> None:
    detector = make_component(find_component("monitor", "fraud_detectors:ManyAlarms"), {"above": 0.3})
    columns = Columns(
        time="at", target="y", features=(Column(name="x", kind=ColumnKind.NUMBER),), task=Task.BINARY, classes=(0, 1)
    )
    frame = pl.DataFrame({"x": [0.0] * rows, "_output": ["1"] * alarms + ["0"] * (rows - alarms)})
    window = Interval(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC))
    seen = seen_rows(frame, columns, Yardstick(features=Reference.fit({"x": frame.get_column("x").to_arrow()})), window)
    said = detector.judge(measure_seen({detector.key: detector}, seen))
    assert isinstance(said, Finding) is found


@pytest.mark.usefixtures("modules")
@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_of_the_documentation_is_a_policy_that_anew_takes(block: str, tmp_path: Path) -> None:
    if "models" in yaml.safe_load(block):
        (tmp_path / INSTALLATION).write_text(block, "utf-8")
        load_installation(tmp_path)
        return
    project = tmp_path / "fraud"
    shutil.copytree(ROOT / "examples" / "fraud", project)
    with (project / "pipeline.py").open("a") as pipeline:
        pipeline.write("\n\ndef search_space(trial):\n    return {}\n")
    (project / "golden.parquet").write_bytes(b"foo")  # what the digest on the page of gates is of
    policy = yaml.safe_load((project / "anew.yaml").read_text("utf-8"))
    (project / "anew.yaml").write_text(yaml.safe_dump(policy | yaml.safe_load(block), sort_keys=False), "utf-8")
    stages(load(project))
