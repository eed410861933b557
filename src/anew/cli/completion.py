"""Print the script that completes anew's commands and options in a shell; it starts no program at a TAB."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from anew.cli._help import commands, help_of
from anew.cli._main import VERBS
from anew.cli._output import emit_json, say

__all__ = ["Shell", "run"]

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
Words = Mapping[tuple[str, ...], Sequence[str]]
"""What may follow a verb, or a verb and its command."""


class Shell(StrEnum):
    """Shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def run(
    shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish")],
    json: Annotated[bool, typer.Option("--json", help="print anew.completion/1")] = False,
) -> None:
    """Print it, to be kept: `anew completion bash > ~/.local/share/bash-completion/completions/anew`."""
    words = _words()
    script = _fish(words) if shell is Shell.FISH else _bash(words, zsh=shell is Shell.ZSH)
    if json:
        emit_json("anew.completion/1", {"shell": shell.value, "script": script})
        return
    say(script)


def _words() -> Words:
    """Read from each command's own help what options it has."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for command in commands():
        found[command] = sorted(set(_OPTION.findall(help_of(command))) | {"--help"})
        if len(command) > 1:
            found[command[:1]].append(command[1])
    return found


def _bash(words: Words, *, zsh: bool) -> str:
    cases = "\n".join(f'    "{" ".join(key)}") words="{" ".join(each)}" ;;' for key, each in sorted(words.items()))
    loaded = "#compdef anew\nautoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{loaded}_anew() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" words="" key="${{COMP_WORDS[1]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(sorted(VERBS))} --help --version" -- "$cur"))
    return
  fi
  case "$key" in {"|".join(sorted({key[0] for key in words if len(key) > 1}))})
    [ "$COMP_CWORD" -gt 2 ] && key="$key ${{COMP_WORDS[2]}}" ;;
  esac
  case "$key" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
}}
complete -o filenames -F _anew anew"""


def _fish(words: Words) -> str:
    lines = [
        f"complete -c anew -n __fish_use_subcommand -f -a {verb} -d {_quoted(VERBS[verb])}" for verb in sorted(VERBS)
    ]
    for key, each in sorted(words.items()):
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in key)
        for word in each:
            given = f"-l {word[2:]}" if word.startswith("--") else f"-f -a {word}"
            lines.append(f"complete -c anew -n '{seen}' {given}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
