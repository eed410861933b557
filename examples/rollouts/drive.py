"""Rolls out a new version on real HTTP traffic and shows who answered: python drive.py canary [FOLDER]

Starts `anew up` on a project made of one of the policies here, asks for predictions, sends what came of them, asks for
a retrain once the world has changed, and prints each step with the arms that its users met. Ends with a rollback.
"""

import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).parent
ANEW = Path(sys.executable).with_name("anew")
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=20)


class World:
    """Users who come twice each; `changed` turns what their numbers mean."""

    def __init__(self) -> None:
        self.chance, self.count, self.changed = random.Random(1), 0, False  # noqa: S311  rows are drawn, not kept secret

    def rows(self, count: int) -> list[dict[str, Any]]:
        """Return the next rows, each with its truth ``y``."""
        found = []
        for _ in range(count):
            x, z, noise = (self.chance.gauss(0, 1) for _ in range(3))
            y = (-2 if self.changed else 2) * x + z + 0.1 * noise
            found.append({"x": x, "z": z, "user": f"user-{self.count // 2}", "at": START + self.count * STEP, "y": y})
            self.count += 1
        return found


class Project:
    """A running project: its folder, its process, its address."""

    def __init__(self, folder: Path, policy: str, world: World) -> None:
        self.folder, self.world = folder, world
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / f"{policy}.yaml", folder / "anew.yaml")
        shutil.copy(HERE / "pipeline.py", folder)
        pl.DataFrame(world.rows(600)).write_parquet(folder / "history.parquet")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self.log = (folder / "log").open("ab")
        port = self.url.rpartition(":")[2]
        self.process = subprocess.Popen([ANEW, "up", folder, "--port", port], stdout=self.log, stderr=self.log)

    def call(self, path: str, body: Any = None) -> Any:
        """Return the JSON that the gateway answers."""
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        for pause in (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, None):
            try:
                with urllib.request.urlopen(asked, timeout=30) as reply:
                    return json.loads(reply.read())
            except urllib.error.HTTPError as exc:
                if exc.code != 503 or pause is None:  # 503: not yet, or too much to do; ask again later
                    raise
                time.sleep(pause)
        return None

    def anew(self, *words: str) -> Any:
        """Run a command with ``--json`` and return its data."""
        done = subprocess.run([ANEW, *words, "--json"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"anew {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)["data"]

    def serves(self) -> None:
        """Wait until a first champion answers and its promotion is on record: until then its retrain is under way."""
        deadline = time.monotonic() + 240
        while True:
            try:
                if self.call("/ready").get("version") and 1 in steps(self):
                    return
            except OSError:
                pass  # nobody listens yet, or no model is there
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing is served; see {self.log.name}")
            time.sleep(0.2)

    def traffic(self, count: int) -> list[dict[str, Any]]:
        """Ask for some rows, tell what came of them, and return the answers with their rows and epochs."""
        rows = self.world.rows(count)
        asked = [{name: row[name] for name in ("x", "z", "user")} | {"at": row["at"].isoformat()} for row in rows]
        reply = self.call("/predict", {"rows": asked})
        said, epoch = reply["predictions"], reply["epoch"]
        labels = [
            {"prediction": one["id"], "value": row["y"], "at": row["at"].isoformat()}
            for one, row in zip(said, rows, strict=True)
        ]
        self.call("/labels", {"labels": labels})
        return [row | one | {"epoch": epoch} for row, one in zip(rows, said, strict=True)]

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(60)
        self.log.close()


def steps(project: Project) -> dict[int, str]:
    """Return the step of each epoch that an answer may name: of those on record, and of 0, which is on none."""
    found = project.anew("audit", "show", str(project.folder), "--kind", "TrafficShifted")["facts"]
    told = {entry["fact"]["epoch"]: step_of(entry["fact"]) for entry in found}
    return {0: "a worker began", **told}  # the challenger is not loaded yet: the champion answers everybody


def promoted(project: Project) -> str:
    """Return who was promoted last, and why."""
    fact = project.anew("audit", "show", str(project.folder), "--kind", "VersionPromoted")["facts"][-1]["fact"]
    return f"{fact['version']} was promoted: {fact['reason']}"


def say(text: str) -> None:
    """Print at once: a rollout takes a minute or two."""
    print(text, flush=True)


def step_of(fact: dict[str, Any]) -> str:
    """Return what a routing is called: its stage with the share of the challenger, or with the arms of a trial."""
    if fact["stage"] == "ab":
        return " ".join(["ab", *(arm["version"] for arm in fact["arms"])])
    return fact["stage"] + (f" {fact['share']:.0%}" if fact["share"] else "")


def drive(policy: str, folder: Path) -> list[tuple[str, Counter[str]]]:
    """Roll out and back again; return each step with how often each arm answered in it."""
    world = World()
    project = Project(folder, policy, world)
    arms: dict[int, Counter[str]] = {}
    try:
        say("anew up trains a first champion on its history")
        project.serves()
        say("v1 serves; the world turns, and a retrain is asked for")
        world.changed = True
        for _ in range(6):
            project.traffic(100)
        project.anew("retrain", str(folder))
        deadline = time.monotonic() + 240
        alone = waits = policy == "ab"
        while time.monotonic() < deadline:
            rows = project.traffic(6 if waits and not alone else 60)  # few, until the second arm is there
            said = [(one["epoch"], f"{one['version']} as {one['arm']}") for one in rows]
            for epoch, arm in said:
                arms.setdefault(epoch, Counter())[arm] += 1
            met = {arm for _, arm in said}
            if alone and "v2 as challenger" in met:
                alone = False
                say("v2 is on trial; another retrain is asked for")
                project.anew("retrain", str(folder))  # another candidate, to join it
            waits = waits and "v3 as challenger" not in met
            if met in ({"v2 as champion"}, {"v3 as champion"}):
                break
            time.sleep(0.5)
        else:
            raise SystemExit(f"nothing was promoted; see {folder}")
        named = steps(project)
        seen = [(named[epoch], arms[epoch]) for epoch in sorted(arms)]
        say(f"{promoted(project)}\nWho answered, in each step:")
        for step, arms in seen:
            say(f"  {step:<14}" + ", ".join(f"{arm}: {count}" for arm, count in sorted(arms.items())))
        began = time.perf_counter()
        project.anew("rollback", str(folder), "--reason", "to show it")
        while {one["version"] for one in project.traffic(20)} != {"v1"}:
            time.sleep(0.01)
        say(f"rolled back: v1 answers again, {time.perf_counter() - began:.2f} s after the command began")
        seen.append(("back", Counter(one["version"] for one in project.traffic(60))))
    finally:
        project.end()
    return seen


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "canary"
    if len(sys.argv) > 2:
        drive(chosen, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as made:
            drive(chosen, Path(made) / chosen)
