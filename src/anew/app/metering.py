"""Keeps the numbers of the loop in a file, from which each gateway of the project puts them on its page."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Self

from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.loop_meter import FAMILIES as OF_THE_RECORD
from anew.app.loop_meter import LoopMeter
from anew.app.queue_meter import QUEUES, queue_samples
from anew.app.record import open_record
from anew.app.settings import Settings
from anew.app.watch import watched_by
from anew.domain.errors import AnewError, NotFoundError
from anew.gateway.metrics import Loop, Sample

__all__ = ["FAMILIES", "Metering", "read_loop"]

_LOG = logging.getLogger("anew.metering")
FAMILIES = {**OF_THE_RECORD, **QUEUES}
_EVERY_S = 2.0
_PATIENCE_S = 5.0


def _file(state: Path) -> Path:
    return state / "run" / "loop.json"


def read_loop(state: Path) -> Callable[[], Loop]:
    """Return what reads the loop's numbers; nothing where there are none."""

    def read() -> Loop:
        try:
            found = json.loads(_file(state).read_text("utf-8"))
        except (OSError, ValueError):
            return FAMILIES, ()
        samples: Sequence[Sample] = [tuple(each) for each in found]
        return FAMILIES, samples

    return read


class Metering:
    """A thread that follows the record while it is entered; the loop neither waits for it nor ends with it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = settings.state
        self._meter = LoopMeter(
            settings.model, settings.policy.policy.cost.hour_written, detectors=watched_by(settings).detectors
        )
        self._read = 0
        self._stop = Event()
        self._thread = Thread(target=self._follow, name=f"metering-{settings.model}", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join(_PATIENCE_S)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(open_record(self._state)) as database:
                    log = SQLEventLog(database, clock=SystemClock())
                    while not self._stop.is_set():
                        self._step(log)
                        self._stop.wait(_EVERY_S)
            except NotFoundError:  # it was never up before, and will be in a moment
                self._stop.wait(_EVERY_S)
            except (AnewError, OSError) as exc:
                _LOG.warning("numbers of the loop are not kept problem=%s", exc)
                self._stop.wait(_PATIENCE_S)

    def _step(self, log: SQLEventLog) -> None:
        for recorded in log.read(after=self._read):
            self._meter.hear(recorded)
            self._read = recorded.seq
        now = SystemClock().now()
        file = _file(self._state)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(
            json.dumps([*self._meter.samples(now), *queue_samples(self._settings, self._read, now)]), "utf-8"
        )
        draft.replace(file)
