"""The demo: real traffic against real processes, a model that goes stale, and all that the loop does about it."""

import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
import polars as pl

from anew.adapters.fact_codec import decode
from anew.adapters.model_loader import ModelLoader
from anew.app.command import command
from anew.app.demo_story import CHAPTERS, Story, broken, poisoned
from anew.app.demo_traffic import DemoTraffic
from anew.app.kept import kept_artifacts
from anew.app.settings import load
from anew.app.status import project_status, stored_rows
from anew.app.workers import free_port
from anew.domain.errors import ConflictError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import (
    FACTS,
    CandidateRefused,
    CandidateTrained,
    ProjectChanged,
    RetrainCommanded,
    RetrainRequested,
    RolledBack,
    TrafficShifted,
    TrainingEnded,
    VersionPromoted,
)
from anew.ports.predictor import Predictor

__all__ = ["Demo", "DemoReport", "Teller"]

_HISTORY_WEEKS = 8
_FREE_LEAD, _STAGED_LEAD, _CAREFUL_LEAD = 10, 4, 1
"""Days that traffic may be ahead of what the loop has taken in, so that the story keeps its event time on a slow
machine too: nothing to wait for; an act of the story is near; the demo changes the code."""
_DAYS_PER_EFFECT, _CAREFUL_DAYS = 10, 3
"""Days that come while one effect runs, whatever it takes; then event time stands still until it has ended."""
_DAYS_A_SECOND = 10
"""Days while the first challenger is on probation, which is looked at once a second: on a quick machine, too, it is
promoted before it is as stale as the one before it."""
_MONTH_ENDS = 25
_MARK = ".anew-demo"
_HERE: Mapping[str, str] = MappingProxyType({})
_DONE = ("poisoned candidate refused by the gate", "rolled back")
_PASSED = "broken candidate passed the gates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """Who hears the story: each fact with the chapters that it completes, remarks, and the progress in days."""

    fact: Callable[[Fact, list[str]], None]
    remark: Callable[[str], None]
    progress: Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo showed; errors are mean absolute errors in rentals per hour over the same rows."""

    told: list[str]
    missing: list[str]
    rows: int
    error: float
    error_never_retrained: float
    retrains: int
    refusals: int
    rollbacks: int
    promotions: int
    compute_s: float
    seconds: float
    acknowledged: Mapping[str, int]
    stored: Mapping[str, int]
    failures: list[str]

    @property
    def whole(self) -> bool:
        """Did every part of the story happen, and is everything acknowledged stored?"""
        return not self.missing and not self.failures and dict(self.acknowledged) == dict(self.stored)


@dataclass(slots=True)
class _Seen:
    """What the director knows of the loop from its facts; `probation` is the epoch of a challenger's present stage."""

    facts: list[Fact] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    running: bool = False
    ended: int = 0
    code: str = ""
    probation: int = 0

    def take(self, fact: Fact) -> None:
        self.facts.append(fact)
        if fact.ends and fact.cause in self.pending:
            self.pending.remove(fact.cause)
        if fact.asks:
            self.pending.append(fact.id)
        if isinstance(fact, RetrainRequested):
            self.running = True
        elif isinstance(fact, VersionPromoted | RolledBack) or (
            isinstance(fact, TrainingEnded) and fact.outcome != "accepted"
        ):
            self.running = False
            self.ended += 1
        elif isinstance(fact, ProjectChanged):
            self.code = fact.code
        elif isinstance(fact, TrafficShifted):
            self.probation = fact.epoch if fact.challenger[0] else 0


class Demo:
    """Runs the story in `folder`, which is left behind to explore.

    Parameters
    ----------
    folder
        Made anew; one that is there already is replaced only when a demo made it.
    stores
        What the policy says under ``stores``: where record, lake and compute are, when it is not this machine.
    limit_s
        Seconds after which the demo gives up.
    """

    def __init__(
        self, folder: Path, teller: Teller, *, stores: Mapping[str, str] = _HERE, limit_s: float = 400.0
    ) -> None:
        self._folder = folder
        self._stores = stores
        self._teller = teller
        self._limit_s = limit_s
        self._story = Story()
        self._seen = _Seen()
        self._heard: queue.Queue[Fact | None] = queue.Queue()
        self._careful = self._changed = False
        self._effect = ("", 0)
        self._stage = (0, 0, 0.0)

    def run(self) -> DemoReport:
        """Run the demo.

        Raises
        ------
        ConflictError
            The folder is there and is no demo's.
        UnavailableError
            The loop could not be started or ended by itself.
        """
        started = time.monotonic()
        stream = self._prepare()
        port = free_port("127.0.0.1")
        loop = self._start(port)
        traffic = DemoTraffic(f"http://127.0.0.1:{port}", stream, load(self._folder).columns.names)
        try:
            self._direct(traffic, started + self._limit_s, loop)
            stored = self._settle(traffic)
        finally:
            traffic.stop()
            self._stop(loop)
        return self._report(traffic, stream, stored, time.monotonic() - started)

    def _prepare(self) -> pl.DataFrame:
        """Write the project and its history; return the rows that come as traffic."""
        if self._folder.exists():
            if not (self._folder / _MARK).exists():
                raise ConflictError(
                    f"{self._folder} is there already and no demo made it; choose another with --folder"
                )
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True)
        (self._folder / _MARK).touch()
        shipped = files("anew.app") / "demo_project"
        for name in ("pipeline.py", "anew.yaml", "SOURCE.md"):
            (self._folder / name).write_bytes((shipped / name).read_bytes())
        if self._stores:
            with (self._folder / "anew.yaml").open("a", encoding="utf-8") as policy:
                policy.write(f"\nstores: {json.dumps(dict(self._stores))}\n")
        data = self._folder / "bike_demand.parquet"
        data.write_bytes((shipped / data.name).read_bytes())
        rows = pl.read_parquet(data).with_columns(pl.col("weather").cast(pl.String))
        first = rows.get_column("ts")[0] + timedelta(weeks=_HISTORY_WEEKS)
        rows.filter(pl.col("ts") < first).write_parquet(self._folder / "history.parquet")
        return rows.filter(pl.col("ts") >= first)

    def _start(self, port: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "anew.cli", "up", str(self._folder), "--port", str(port), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=(self._folder / "up.log").open("w"),
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            said = json.loads(line)
            kind = FACTS[said["kind"]]
            self._heard.put(decode(said["kind"], kind.schema, json.dumps(said["fact"]).encode()))
        self._heard.put(None)

    @staticmethod
    def _stop(loop: subprocess.Popen[str]) -> None:
        if loop.poll() is None:
            loop.send_signal(signal.SIGTERM)
            try:
                loop.wait(20)
            except subprocess.TimeoutExpired:
                loop.kill()
                loop.wait()

    def _direct(self, traffic: DemoTraffic, deadline: float, loop: subprocess.Popen[str]) -> None:
        """Hear the facts, set the pace, and stage the two faults, until the stream has ended."""
        pipeline = (self._folder / "pipeline.py").read_text("utf-8")
        staged = iter(self._acts(pipeline, traffic))
        waiting = next(staged)
        while not traffic.ended and time.monotonic() < deadline:
            if loop.poll() is not None:
                raise UnavailableError(f"the loop ended by itself; see {self._folder / 'up.log'}")
            self._hear(0.05)
            if traffic.ident is None and self._story.has("first champion") and traffic.ready():
                traffic.start()
            traffic.granted = self._granted(traffic)
            if waiting():
                waiting = next(staged)
            self._teller.progress(traffic.sent_days, traffic.days, f"{traffic.day:%Y-%m-%d}" if traffic.day else "")

    def _granted(self, traffic: DemoTraffic) -> int:
        """Return how many days may be sent in all: so far ahead of the loop, and so many while an effect runs.

        None while the loop has not taken over the code that the demo wrote: no retrain of its own may come between.
        """
        if self._changed and not self._is_taken_over():
            return traffic.sent_days
        self._changed = False
        if self._careful:
            lead = _CAREFUL_LEAD
        elif self._story.has(_DONE[1]) or not self._story.has("promotion"):
            lead = _FREE_LEAD
        else:
            lead = _STAGED_LEAD
        stored = stored_rows(self._folder / ".anew") or {}
        granted = min(traffic.days_within(stored.get("predictions", 0)) + lead, self._watched(traffic))
        if not self._seen.pending:
            return granted
        if self._effect[0] != self._seen.pending[-1]:
            self._effect = (self._seen.pending[-1], traffic.sent_days)
        late = self._careful and traffic.day is not None and traffic.day.day > _MONTH_ENDS
        days = _CAREFUL_DAYS if self._careful else _DAYS_PER_EFFECT
        return min(granted, self._effect[1] + (0 if late else days))

    def _watched(self, traffic: DemoTraffic) -> int:
        """Return how many days there may be by now, for the sake of those who watch a challenger."""
        if not self._seen.probation or self._story.has(_DONE[0]):
            return traffic.days
        if self._stage[0] != self._seen.probation:
            self._stage = (self._seen.probation, traffic.sent_days, time.monotonic())
        _, days, since = self._stage
        return days + int(_DAYS_A_SECOND * (time.monotonic() - since))

    def _acts(self, pipeline: str, traffic: DemoTraffic) -> Iterator[Callable[[], bool]]:
        """Yield, one after another, the conditions to wait for; between them, do what the story needs."""
        yield lambda: self._story.has("promotion") and not self._seen.running
        while not self._story.has(_DONE[0]):
            yield lambda: not self._seen.running
            yield from self._poison(pipeline)
        while not self._story.has(_PASSED):
            yield lambda: not self._seen.running and traffic.day is not None and 4 <= traffic.day.day <= 12
            yield from self._break(pipeline, traffic)
        yield lambda: False

    def _poison(self, pipeline: str) -> Iterator[Callable[[], bool]]:
        """Stage the poisoned candidate once; where another retrain came first, the next one tries again."""
        self._teller.remark("on purpose: pipeline.py now permutes half of the training labels; a retrain is asked for")
        self._change(poisoned(pipeline))
        yield lambda: self._is_taken_over() and not self._seen.running
        self._story.open(11)
        ended = self._seen.ended
        self._retrain("the demo poisons this candidate")
        yield lambda: self._story.has(_DONE[0]) or self._seen.ended > ended
        self._change(pipeline)
        yield self._is_taken_over

    def _break(self, pipeline: str, traffic: DemoTraffic) -> Iterator[Callable[[], bool]]:
        """Stage the broken candidate once; a gate may refuse it for another reason, then the next month tries again."""
        month = traffic.day.month if traffic.day else 1
        self._teller.remark(
            f"on purpose: the new code's table of months ends with month {month}; its held-out rows cannot show it"
        )
        self._careful = True
        self._change(broken(pipeline, month))
        yield lambda: self._is_taken_over() and not self._seen.running
        self._story.open(len(CHAPTERS))
        ended = self._seen.ended
        self._retrain("the demo breaks this candidate")
        yield lambda: self._story.has(_PASSED) or self._seen.ended > ended
        self._careful = False
        self._change(pipeline)
        yield self._is_taken_over

    def _is_taken_over(self) -> bool:
        """Does the loop work with the code that lies in the folder now?"""
        return self._seen.code == load(self._folder).code

    def _change(self, text: str) -> None:
        draft = self._folder / "pipeline.part"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self._folder / "pipeline.py")
        self._changed = True

    def _retrain(self, reason: str) -> None:
        settings = load(self._folder)
        command(
            settings,
            lambda id, _, at: RetrainCommanded(model=settings.model, at=at, command=id, by="demo", reason=reason),
        )

    def _hear(self, patience: float) -> None:
        """Take in what the loop has said, waiting at most `patience` seconds for the first word."""
        try:
            fact = self._heard.get(timeout=patience)
            while fact is not None:
                self._seen.take(fact)
                self._teller.fact(fact, self._story.hear(fact))
                fact = self._heard.get_nowait()
        except queue.Empty:
            pass

    def _settle(self, traffic: DemoTraffic) -> Mapping[str, int]:
        """Wait until the lake has what was acknowledged and no effect runs on, and return what the lake has."""
        if traffic.ident is not None:
            traffic.join(30)
        deadline = time.monotonic() + 20
        while True:
            counts = project_status(self._folder)["stored"] or {}
            stored = {table: counts.get(table, 0) for table in traffic.acknowledged}
            settled = stored == traffic.acknowledged and not self._seen.pending
            if settled or time.monotonic() > deadline:
                return stored
            self._hear(0.1)

    def _report(
        self, traffic: DemoTraffic, stream: pl.DataFrame, stored: Mapping[str, int], seconds: float
    ) -> DemoReport:
        facts = self._seen.facts
        rows = sorted(traffic.outputs)
        target = stream.get_column("target").to_numpy()[rows]
        served = np.array([traffic.outputs[i] for i in rows])
        never = self._first_champion().predict(stream[rows]).output.to_numpy()
        return DemoReport(
            told=list(self._story.told),
            missing=list(self._story.missing),
            rows=len(rows),
            error=float(np.abs(served - target).mean()),
            error_never_retrained=float(np.abs(never - target).mean()),
            retrains=sum(isinstance(fact, RetrainRequested) for fact in facts) - 1,
            refusals=sum(isinstance(fact, CandidateRefused) for fact in facts),
            rollbacks=sum(isinstance(fact, RolledBack) for fact in facts),
            promotions=sum(isinstance(fact, VersionPromoted) for fact in facts),
            compute_s=sum(fact.compute_s for fact in facts if isinstance(fact, CandidateTrained)),
            seconds=seconds,
            acknowledged=traffic.acknowledged,
            stored=stored,
            failures=traffic.failures,
        )

    def _first_champion(self) -> Predictor:
        first = next(fact for fact in self._seen.facts if isinstance(fact, VersionPromoted))
        state = self._folder / ".anew"
        store = kept_artifacts(state)
        return ModelLoader().load(store.get(first.digest), version=first.version, digest=first.digest)
