"""A tiny project with its real programs, for the system tests of the loop: its files, its traffic, its record."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import httpx
import numpy as np
import polars as pl

from anew.adapters.fact_reader import read_facts
from anew.adapters.process_table import process_started
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.status import project_status
from anew.app.workers import free_port
from anew.domain.errors import NotFoundError
from anew.domain.fact import Fact
from anew.domain.facts import Ticked
from tests.cli.schema import complaints

F = TypeVar("F", bound=Fact)

ANEW = Path(sys.executable).with_name("anew")
BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
STEP = timedelta(seconds=30)
HISTORY = 720
WINDOW = 120
"""Rows in a window of one hour."""
PATIENCE_S = 60.0
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
QUIET = {"- {psi": "{above: 0.5}, for: 500 windows}"}
"""Nothing triggers."""

POLICY = """\
model: demand
task: regression
columns:
  time: at
  target: y
  features: {x: number, z: number}
data: {history: history.parquet, holdout: 0.1}
monitor: {window: 1h, label_delay: 1h, clock: data}
slos:
  - {metric: mae, at_most: 2.0, for: 50 windows}
triggers:
  - {psi: {above: 0.5}, for: 2 windows}
validate:
  - slos: {or_closer: true}
  - beats_champion: {margin: 0.05, at_least_rows: 60}
rollout:
  shadow: {margin: 0.1, at_least_rows: 60}
  canary: [0.5]
  judge: {harm: 0.1, at_least_rows: 30}
  expire: 6h
  guardrails: {error_rate: 0.02}
policy: {cooldown: 3h}
train: {sandbox: none}  # its pipeline writes into the project, to say when it trains
serving: {deadline_ms: 10000, workers: 1}
dashboard: {serve: false}  # its process takes seconds of a processor to begin
"""

PIPELINE = r'''\
"""Trains a few trees. What a version does in a process of its own can be spoilt by the file `spoilt`."""

import os
import sys
import time
from pathlib import Path

import lightgbm
import polars as pl

PROJECT = next(folder for folder in Path(__file__).parents if (folder / ".anew").exists())
SPOILT = PROJECT / "spoilt"


def features(rows):
    """Take the columns as they are, unless this version is to be spoilt as a challenger."""
    if "anew.app.scorer_worker" in sys.orig_argv and SPOILT.exists():
        how = SPOILT.read_text()
        if how == "crash":
            os._exit(1)
        if how == "hang":
            time.sleep(3600)
        if how == "garbage":
            return rows.head(0)
        if how == "wrong":
            return rows.select(x=-10 * pl.col("x"), z=pl.col("z"))
    return rows


def train(data, params):
    """Say in `begun` which job this is, and fit at once or when `hold` has gone."""
    with (PROJECT / "begun").open("a") as begun:
        begun.write(Path.cwd().parent.name + "\n")  # a job works in its folder for results
    while (PROJECT / "hold").exists():
        time.sleep(0.02)
    rows = lightgbm.Dataset(data.x.to_numpy(), data.y.to_numpy())
    told = {"objective": "regression", "num_leaves": 15, "min_data_in_leaf": 5, "learning_rate": 0.3,
            "seed": data.seed, "num_threads": 1, "verbose": -1, "deterministic": True}
    return lightgbm.train(told, rows, num_boost_round=20)
'''


@dataclass
class Stream:
    """Rows in event time, one each half minute.

    `shift` moves them to where no tree has been; `slope` is what the truth makes of ``x``.
    """

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    count: int = 0
    shift: float = 0.0
    slope: float = 3.0

    def take(self, count: int) -> list[dict[str, Any]]:
        """Return the next rows, each with its truth ``y``."""
        rows = []
        for x, z, noise in self.rng.normal(size=(count, 3)):
            moved = float(x) + self.shift
            truth = self.slope * moved + float(z) + 0.1 * float(noise)
            at = BEGIN + self.count * STEP
            rows.append({"x": moved, "z": float(z), "at": at, "y": truth})
            self.count += 1
        return rows


@dataclass
class Acknowledged:
    """What the gateways said is on disk: an append-only list, by prediction and by label."""

    predictions: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    answers: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass
class LoopProject:
    """A project's folder, the client that uses it, and every process that runs for it."""

    root: Path
    stream: Stream = field(default_factory=Stream)
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    programs: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    unlabelled: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    launcher: "subprocess.Popen[bytes] | None" = None

    @property
    def state(self) -> Path:
        """The ``.anew`` folder."""
        return self.root / ".anew"

    # programs

    def up(self) -> "subprocess.Popen[bytes]":
        """Start ``anew up`` and return when it serves."""
        program = self.start()
        wait(lambda: program.poll() is not None or self.ready() is not None, self.log)
        assert program.poll() is None, self.log()
        return program

    def start(self) -> "subprocess.Popen[bytes]":
        """Start ``anew up``."""
        self.port = self.port or free_port("127.0.0.1")
        with (self.root / "out").open("ab") as out, (self.root / "err").open("ab") as err:
            program = subprocess.Popen(
                [ANEW, "up", str(self.root), "--port", str(self.port), "--json"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.programs.append(program)
        return program

    def die(self, kill: str) -> None:
        """Bring it up to be killed at the boundary `kill`, ``name:nth``, which it has to reach."""
        self.port = self.port or free_port("127.0.0.1")
        if self.launcher is None:
            program = Path(__file__).with_name("loop_launcher.py")
            self.launcher = subprocess.Popen(
                [sys.executable, program, self.root, str(self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        assert self.launcher.stdin is not None
        assert self.launcher.stdout is not None
        self.launcher.stdin.write(f"{kill}\n".encode())
        self.launcher.stdin.flush()
        code = self.launcher.stdout.readline().decode().strip()
        assert code == str(-signal.SIGKILL), f"{kill} was not reached, it ended with {code}\n{self.log()}"

    def down(self, number: int = signal.SIGTERM) -> int:
        """End the last program that was started and return its exit code."""
        program = self.programs[-1]
        program.send_signal(number)
        return program.wait(PATIENCE_S)

    def anew(self, *arguments: str, code: int = 0) -> Any:
        """Run a verb with ``--json`` and return its data."""
        done = subprocess.run(
            [ANEW, *arguments, "--json"],
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr, self.log())
        if not done.stdout:
            return done.stderr
        assert complaints(done.stdout) == []
        return json.loads(done.stdout)["data"]

    def processes(self) -> list[int]:
        """Return the ids of all living processes that were started for this folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.root).encode() in command and int(folder.name) != os.getpid():
                found.append(int(folder.name))
        return [pid for pid in found if process_started(pid) is not None]

    def close(self) -> None:
        """Leave no process behind."""
        if self.launcher is not None:
            os.killpg(self.launcher.pid, signal.SIGKILL)
            self.launcher.communicate()
        for program in self.programs:
            program.kill()
            program.wait()
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)

    # traffic

    def ready(self) -> Mapping[str, Any] | None:
        """Return the body of ``/ready``, None when nobody listens or no model is served."""
        try:
            reply = httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=5)
        except httpx.TransportError:
            return None
        body: Mapping[str, Any] = reply.json()
        return body if reply.status_code == 200 or body.get("status") == "no_model" else None

    def serves(self) -> str:
        """Wait for a champion and return its version."""
        return str(wait(lambda: (self.ready() or {}).get("version"), self.log))

    def applied(self, epoch: int) -> None:
        """Wait until a gateway answers by this routing."""
        wait(lambda: (self.ready() or {}).get("epoch") == epoch, self.log)

    def predict(self, count: int = WINDOW) -> list[dict[str, Any]]:
        """Ask for the next `count` rows at once; returns the rows with what was answered."""
        rows = self.stream.take(count)
        asked = [{"x": row["x"], "z": row["z"], "at": row["at"].isoformat()} for row in rows]
        body = self._post("/predict", {"rows": asked})
        answered = [row | entry for row, entry in zip(rows, body["predictions"], strict=True)]
        self.acknowledged.predictions += [entry["id"] for entry in body["predictions"]]
        self.acknowledged.answers += body["predictions"]
        self.unlabelled += answered
        return answered

    def label(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Send the truth of answered rows."""
        labels = [{"prediction": row["id"], "value": row["y"], "at": row["at"].isoformat()} for row in rows]
        body = self._post("/labels", {"labels": labels})
        self.acknowledged.labels += body["ids"]

    def hour(self, *, labels: bool = True) -> None:
        """Ask for one window's rows, and send the labels of those before: labels come an hour late."""
        if labels and self.unlabelled:
            self.label(self.unlabelled)
            self.unlabelled = []
        self.predict()

    def drive(self, until: Callable[[], Any], *, hours: int = 20, labels: bool = True) -> None:
        """Let hours pass until something is so; at each, let the loop see it."""
        for _ in range(hours):
            self.hour(labels=labels)
            self.settle(until)
            if until():
                return
        raise AssertionError(f"{hours} hours have passed in vain\n{self.log()}")

    def settle(self, until: Callable[[], Any] = lambda: False) -> None:
        """Wait until what was acknowledged is stored, its last whole window is closed, and no effect is under way.

        Where windows are long nothing says that the rows were looked at: then wait a little for `until`.
        """
        wait(lambda: self.stored() == self.expected(), self.log)
        long = "window: 1d" in (self.root / "anew.yaml").read_text()
        give_up = time.monotonic() + (1.5 if long else math.inf)
        wait(lambda: until() or self._seen() or time.monotonic() > give_up, self.log)

    def _seen(self) -> bool:
        status = self.status()
        due = BEGIN + timedelta(hours=(self.stream.count - 1) // WINDOW)
        ticked = self.facts(Ticked)
        scored = not status["last_score"] or status["last_score"]["end"] == status["last_window"]["start"]
        return not status["pending_effects"] and bool(ticked) and ticked[-1].at >= due and scored

    def _post(self, path: str, body: Any) -> Any:
        reply = httpx.post(f"http://127.0.0.1:{self.port}{path}", json=body, timeout=20)
        assert reply.status_code == 200, (reply.status_code, reply.text, self.log())
        return reply.json()

    # the record

    def status(self) -> Any:
        """Return what ``anew status --json`` shows, without starting it."""
        return project_status(self.root)

    def facts(self, kind: type[F], **values: Any) -> list[F]:
        """Return the facts of one kind on record, those with these values."""
        try:
            found = [each.fact for each in read_facts(record_place(self.state), kinds={kind.__name__})]
        except NotFoundError:
            return []
        return [
            fact
            for fact in found
            if isinstance(fact, kind) and all(getattr(fact, name) == value for name, value in values.items())
        ]

    def wait_for(self, kind: type[F], seconds: float = PATIENCE_S, **values: Any) -> F:
        """Wait for a fact and return the first."""
        wait(lambda: self.facts(kind, **values), self.log, seconds)
        return self.facts(kind, **values)[0]

    def stored(self) -> Mapping[str, int]:
        """Return how many observations the lake's mark has."""
        rows = self.status()["stored"] or {}
        return {"predictions": rows.get("predictions", 0), "labels": rows.get("labels", 0)}

    def expected(self) -> Mapping[str, int]:
        """Return how many observations were acknowledged."""
        return {"predictions": len(self.acknowledged.predictions), "labels": len(self.acknowledged.labels)}

    def verify_chain(self) -> None:
        """Recompute the hash chain of the facts."""
        database = open_record(self.state)
        try:
            SQLEventLog(database, clock=SystemClock()).verify_chain()
        finally:
            database.close()

    def log(self) -> str:
        """Return the end of what the programs said."""
        files = [self.root / "err", *sorted((self.state / "logs").glob("*")), self.root / "out"]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in files if path.is_file())


@contextmanager
def loop_project(
    root: Path, changes: Mapping[str, str] = NO_CHANGES, *, like: LoopProject | None = None
) -> Iterator[LoopProject]:
    """Make a project with a history, or a copy of one that is down; `changes` are lines of its policy.

    Its processes end with it.
    """
    if like is None:
        made = LoopProject(root)
        write(root, changes)
        pl.DataFrame(made.stream.take(HISTORY)).write_parquet(root / "history.parquet")
    else:
        shutil.copytree(like.root, root)
        made = LoopProject(root, deepcopy(like.stream), deepcopy(like.acknowledged))
        made.unlabelled = list(like.unlabelled)
        write(root, changes)
    try:
        yield made
    finally:
        made.close()


def write(root: Path, changes: Mapping[str, str] = NO_CHANGES) -> None:
    """Write the project's files; `changes` replace what stands behind a key of one line."""
    root.mkdir(parents=True, exist_ok=True)
    lines = POLICY.splitlines()
    for section, text in changes.items():
        (place,) = [i for i, line in enumerate(lines) if line.strip().startswith(f"{section}:")]
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        lines[place] = f"{indent}{section}: {text}"
    (root / "anew.yaml").write_text("\n".join(lines) + "\n")
    (root / "pipeline.py").write_text(PIPELINE)


T = TypeVar("T")


def wait(condition: Callable[[], T], log: Callable[[], str] = str, seconds: float = PATIENCE_S) -> T:
    """Poll until `condition` holds and return what it gave; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain\n{log()}"
        time.sleep(0.1)
    return found
