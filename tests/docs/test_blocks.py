"""What the documentation tells to write works: every YAML block is put into a project and read."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from anew.app.installation import load_installation
from anew.app.settings import load
from anew.app.standing import INSTALLATION
from anew.app.wiring import stages

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.S | re.M), 1)
]


def test_there_are_blocks() -> None:
    assert BLOCKS


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
