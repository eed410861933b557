"""Every command that the documentation tells to type exists, with the options that it is given."""

import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from anew.cli._help import commands, help_of
from anew.cli._light import LIGHT
from anew.cli._main import _command

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
_LINE = re.compile(r"^(?:\$ |\s*(?:-\s*(?:run:)?|run:|command:)?\s*)?(?:\.venv/bin/)?(anew [a-z].*)$")
_INLINE = re.compile(r"`(?:\.venv/bin/)?(anew [a-z][^`\n]*)`")
_ENDS = {"|", "&", "&&", ";", ">", "<", "||"}


def typed(text: str) -> Iterator[str]:
    """Yield the command lines of the blocks of a page; what goes on behind a backslash is one line."""
    blocks = [found[2] for found in _FENCED.finditer(text) if found[1] in ("", "sh", "console")]
    blocks += re.findall(r"(?:^(?: {4}|\t).*\n?)+", _FENCED.sub("", text), re.M)
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            if found := _LINE.match(line.strip()):
                yield found[1]


def mentioned(text: str) -> Iterator[str]:
    """Yield the commands that stand within sentences."""
    yield from (found[1] for found in _INLINE.finditer(_FENCED.sub("", text)))


def words_of(line: str) -> list[str]:
    """Return the words of a command up to where another one begins."""
    words = shlex.split(line.replace("&", " & "), comments=True)
    return words[1 : next((i for i, each in enumerate(words) if each in _ENDS), len(words))]


@cache
def options(command: tuple[str, ...]) -> frozenset[str]:
    """Return the options that the help of a command names."""
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of(command))) | {"--help", "-h"}


def wrong(words: list[str]) -> str:
    """Say what is wrong with a command, empty for nothing."""
    known = set(commands())
    verb: tuple[str, ...] = (words[0],)
    groups = {each[0] for each in known if len(each) > 1}
    if verb[0] in groups and len(words) > 1:
        verb = (words[0], words[1])
    elif verb[0] in groups:
        return ""
    if verb not in known:
        return f"there is no anew {' '.join(verb)}"
    given = {each.partition("=")[0] for each in words if re.match(r"--?[a-z]", each)}
    unknown = given - options(verb)
    return f"anew {' '.join(verb)} has no {', '.join(sorted(unknown))}" if unknown else ""


TYPED = [(page, line) for page in PAGES for line in typed(page.read_text("utf-8"))]
MENTIONED = [(page, line) for page in PAGES for line in mentioned(page.read_text("utf-8"))]


def test_there_are_many() -> None:
    assert len(TYPED) > 40
    assert len(MENTIONED) > 60


@pytest.mark.parametrize(("page", "line"), TYPED, ids=[f"{page.stem}: {line[:60]}" for page, line in TYPED])
def test_what_is_to_be_typed_is_understood(page: Path, line: str) -> None:
    words = words_of(line)
    assert wrong(words) == "", page
    verb, *rest = words
    if verb in LIGHT or any("…" in each for each in words):
        return
    command = _command(verb, importlib.import_module(f"anew.cli.{verb}"))
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    if not {"--help", "-h"} & set(rest):
        command.make_context(verb, list(rest), resilient_parsing=False).close()


def test_what_sentences_mention_is_there() -> None:
    found = {}
    for page, line in MENTIONED:
        plain = re.sub(r"\s\|.*", "", line)  # the others of a list are found where they stand alone
        if problem := wrong(words_of(plain.replace("…", "X"))):
            found[f"{page.name}: {line}"] = problem
    assert found == {}


@pytest.mark.parametrize("line", ["anew retrian", "anew model shwo v1", "anew retrain --now", "anew data drift --x"])
def test_what_is_not_there_would_be_seen(line: str) -> None:
    assert wrong(words_of(line))
