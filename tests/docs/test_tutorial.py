"""Every block of the tutorial is one that `make newcomer` runs."""

from tests.docs.newcomer import BLOCK, TUTORIAL


def test_every_block_of_the_tutorial_is_run() -> None:
    text = TUTORIAL.read_text("utf-8")
    assert text.count("\n```") == 2 * len(BLOCK.findall(text))
