"""The path of somebody who is new, from the built wheel in an empty environment with the newest allowed packages.

``python tests/docs/newcomer.py FOLDER [LOCK] [--beside]`` builds the wheel and installs it into a fresh environment,
with the packages of a lock instead where one is named. Then it runs the demo and every block of the tutorial there,
fails when a step does, and prints what each took: three minutes are promised for all but the installation, on a machine
that does nothing else; with ``--beside`` others run beside it, and no more is said.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-project.md"
MOST_S = 180.0
BLOCK = re.compile(r'^```(?P<kind>py|sh)(?: title="(?P<file>[\w.]+)")?\n(?P<text>.*?)^```$', re.S | re.M)


def tutorial_script(folder: Path) -> str:
    """Write the tutorial's files into `folder` and return its commands, in order, as one script of bash."""
    commands = ["set -euo pipefail", "set -m", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for block in BLOCK.finditer(TUTORIAL.read_text("utf-8")):
        text = block["text"].replace("8080", port)
        if block["file"]:
            (folder / block["file"]).write_text(text, "utf-8")
        else:
            commands += [f"echo '$' {line!r}" for line in text.splitlines()[:1]]
            commands.append(text)
    return "\n".join(commands)


def with_look(script: str) -> str:
    """Have a script of the tutorial look at the dashboard before its backup, by a line of its own."""
    before = "\nanew backup backups "
    if script.count(before) != 1:
        raise SystemExit("the tutorial's script has no single line that makes the backup, before which to look")
    return script.replace(before, f"\npython look.py{before}")


def run(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command, which has to succeed, and return its seconds."""
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return time.monotonic() - began


def _check(folder: Path, environment: dict[str, str]) -> None:
    """See that the tutorial ended with a challenger promoted, and that all was stored."""
    asked = ["anew", "status", "rentals", "--json"]
    said = subprocess.run(asked, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout
    status = json.loads(said)["data"]
    if (status["champion"] or {}).get("version", "v1") == "v1":
        raise SystemExit("the tutorial ended without a challenger that was promoted")
    if status["stored"]["predictions"] != status["stored"]["labels"]:
        raise SystemExit(f"the tutorial's rows are not all stored: {status['stored']}")


def main(folder: Path, lock: Path | None = None, *, beside: bool = False) -> None:
    """Take the path."""
    folder.mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    build = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
    ]
    spent = run([*build, "--wheel-dir", str(folder), str(ROOT)], folder, environment)
    run([sys.executable, "-m", "venv", "env"], folder, environment)
    environment["PATH"] = f"{folder / 'env' / 'bin'}:{environment['PATH']}"
    (wheel,) = folder.glob("anew-*.whl")
    pip = [str(folder / "env" / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    locked = [] if lock is None else ["--no-deps"]  # a lock is whole, and its releases agree
    installing = 0.0 if lock is None else run([*pip, *locked, "--require-hashes", "-r", str(lock)], folder, environment)
    installing += run([*pip, *locked, str(wheel)], folder, environment)
    seen = {"help": run(["anew", "--help"], folder, environment)}
    seen["demo"] = run(["anew", "demo", "--folder", "demo"], folder, environment)
    script = tutorial_script(folder)
    looked = with_look(script)
    (folder / "look.py").write_text(Path(__file__).with_name("look_at_dashboard.py").read_text("utf-8"), "utf-8")
    seen["own CSV and dashboard"] = run(["bash", "-c", looked], folder, environment)
    _check(folder, environment)
    total = sum(seen.values())
    print(f"wheel {spent:.0f} s, installation {installing:.0f} s, then {total:.0f} s:")
    print(", ".join(f"{name} {seconds:.0f} s" for name, seconds in seen.items()))
    if not beside:
        print(f"{'met   ' if total <= MOST_S else 'MISSED'} at most {MOST_S:.0f} s")


if __name__ == "__main__":
    given = [each for each in sys.argv[1:] if each != "--beside"]
    main(*(Path(each).absolute() for each in given), beside="--beside" in sys.argv)
