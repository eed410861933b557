"""Every block of the tutorial is one that `make newcomer` runs."""

from pathlib import Path

from tests.docs.newcomer import BLOCK, TUTORIAL, tutorial_script, with_look


def test_every_block_of_the_tutorial_is_run() -> None:
    text = TUTORIAL.read_text("utf-8")
    assert text.count("\n```") == 2 * len(BLOCK.findall(text))


def test_the_dashboard_is_looked_at_by_a_command_not_in_words(tmp_path: Path) -> None:
    lines = with_look(tutorial_script(tmp_path)).splitlines()
    assert lines[lines.index("python look.py") + 1].startswith("anew backup backups ")
