"""Completion: what the shell itself makes of the script."""

import shutil
import subprocess
from functools import cache

import pytest

from anew.cli._help import commands
from anew.cli.completion import _bash, _fish, _words
from tests.cli.call import call


@cache
def script(shell: str) -> str:
    return _fish(_words()) if shell == "fish" else _bash(_words(), zsh=shell == "zsh")


def completed(*words: str) -> set[str]:
    """Return what bash offers for the last of `words`."""
    line = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _anew; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{script('bash')}\n{asked}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_bash_offers_verbs_commands_and_options() -> None:
    assert completed("anew", "rol") == {"rollback", "rollout"}
    assert {"hold", "resume", "abort"} <= completed("anew", "rollout", "")
    assert completed("anew", "rollout", "hold", "--re") == {"--reason"}
    assert "--dry-run" in completed("anew", "restore", "somewhere", "--")
    assert completed("anew", "nonsense", "--") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_takes_its_script(shell: str) -> None:
    text = script(shell)
    assert all(command[0] in text for command in commands())
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    done = subprocess.run([program, "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_verb_prints_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.cli.completion._words", lambda: {("status",): ["--json"]})
    assert call(capsys, monkeypatch, "completion", "bash").out.endswith("complete -o filenames -F _anew anew\n")
    assert call(capsys, monkeypatch, "completion", "csh").code == 2
