"""Everything that touches DBOS: one workflow, one queue, one database. Takes 1.5 s to import.

DBOS keeps one instance per process, hence one `Runtime` at a time.
"""

import json
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID
from sqlalchemy import URL, Engine, column, create_engine, event, table, update
from sqlalchemy.exc import DBAPIError

from anew.adapters import postgres_link
from anew.adapters.postgres_link import Place, PostgresPlace
from anew.adapters.sql_postgres import postgres_engine
from anew.adapters.sqlite_errors import DELETE_CHECKPOINTS, translate
from anew.domain.errors import AnewError, ConflictError, UnavailableError

__all__ = ["Attempt", "Runtime", "RuntimeSettings"]

_QUEUE = "effects"
_WAITING = ["ENQUEUED", "DELAYED", "PENDING"]
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_VERSION = "anew.effects/1"
"""Fixed: DBOS would derive it from the code and strand the runs of the version before. Raise it only when the order
of steps changes; what runs under the former one is then deleted at the start and begun afresh from what is pending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """How DBOS runs effects: `workers` at once, looked for every `poll_s`, each recovered `recoveries` times."""

    workers: int = 4
    poll_s: float = 0.2
    recoveries: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of an effect: `number` from 1, `updated_s` the wall time of its last change, `begun` how often it was."""

    fact_id: str
    number: int
    status: str
    executor: str
    updated_s: float
    begun: int = 0

    @property
    def workflow(self) -> str:
        """What DBOS calls it."""
        return f"{self.fact_id}-{self.number}"

    @property
    def waits_or_runs(self) -> bool:
        """Has it not ended?"""
        return self.status in _WAITING

    @property
    def postponed(self) -> bool:
        """Does it wait to be resumed?"""
        return self.status == "CANCELLED"

    @property
    def given_up(self) -> bool:
        """Did it take the process down with it too often?"""
        return self.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


class _JSON:
    """Serialises to JSON, never to pickle; an error becomes its text."""

    def name(self) -> str:
        return "anew_json"

    def serialize(self, data: Any) -> str:
        return json.dumps({"raised": f"{type(data).__name__}: {data}"} if isinstance(data, BaseException) else data)

    def deserialize(self, text: str) -> Any:
        data = json.loads(text)
        return AnewError(data["raised"]) if isinstance(data, dict) and set(data) == {"raised"} else data


class Runtime:
    """DBOS, launched with one workflow whose body is `body(fact_id)`.

    Parameters
    ----------
    database
        SQLite file or PostgreSQL schema of DBOS; only checkpoints are in it, so it may be deleted while nobody uses it.
    executor
        Name of this process, different from that of every other that ever used the database.

    Raises
    ------
    ConflictError
        DBOS runs in this process already.
    UnavailableError, IntegrityError
        The database cannot be used.
    """

    def __init__(
        self, database: Place, *, executor: str, body: Callable[[str], None], settings: RuntimeSettings
    ) -> None:
        self._database = database
        self._executor = executor
        _take_over_logging()
        self._engine = _engine(database)
        if not _PROCESS.acquire():
            self._engine.dispose()
            raise ConflictError("effects are running in this process already; close them before others are started")
        try:
            self._workflow = self._launch(body, settings)
        except (DBAPIError, sqlite3.Error) as exc:
            self.close()
            raise _translated(exc, database) from exc
        except BaseException:
            self.close()
            raise

    def _launch(self, body: Callable[[str], None], settings: RuntimeSettings) -> Callable[[str], None]:
        DBOS(
            config={
                "name": "anew-effects",
                "system_database_engine": self._engine,
                "dbos_system_schema": self._database.schema if isinstance(self._database, PostgresPlace) else "dbos",
                "executor_id": self._executor,
                "application_version": _VERSION,
                "serializer": _JSON(),  # type: ignore[typeddict-item]  # has the methods; theirs has no other use
                "enable_otlp": False,
                "log_level": "ERROR",
                "use_listen_notify": False,
                # We wait for no notification; this one only sets how long a shutdown takes.
                "notification_listener_polling_interval_sec": 0.1,
                "scheduler_polling_interval_sec": 3600.0,
            }
        )

        @DBOS.workflow(name="run_effect", max_recovery_attempts=settings.recoveries)
        def workflow(fact_id: str) -> None:  # a function of its own: DBOS sets attributes on it
            body(fact_id)

        DBOS.launch()
        DBOS.register_queue(
            _QUEUE,
            worker_concurrency=settings.workers,
            polling_interval_sec=settings.poll_s,
            on_conflict="always_update",
        )
        self._drop_other_versions()
        return workflow

    def _drop_other_versions(self) -> None:
        rows = DBOS.list_workflows(name="run_effect", load_input=False, load_output=False)
        ids = [row.workflow_id for row in rows if row.app_version != _VERSION]
        if ids:
            DBOS.delete_workflows(ids)

    def enqueue(self, fact_id: str, number: int) -> None:
        """Put an attempt into the queue; without effect when it is known."""
        with _answering(self._database), SetWorkflowID(f"{fact_id}-{number}"):
            DBOS.enqueue_workflow(_QUEUE, self._workflow, fact_id)

    def attempts(self, fact_id: str) -> list[Attempt]:
        """Return the attempts at the effect of a fact, oldest first."""
        with _answering(self._database):
            rows = DBOS.list_workflows(workflow_id_prefix=f"{fact_id}-", load_input=False, load_output=False)
        return sorted(map(_attempt, rows), key=lambda attempt: attempt.number)

    def waiting(self) -> list[Attempt]:
        """Return every attempt that waits or runs."""
        with _answering(self._database):
            rows = DBOS.list_workflows(name="run_effect", status=_WAITING, load_input=False, load_output=False)
        return [_attempt(row) for row in rows]

    def recover(self) -> int:
        """Put what other executors left running back into the queue and return how many they were.

        Only the holder of the lease may do so: it knows that the others are dead, or fenced off.
        """
        others = {attempt.executor for attempt in self.waiting() if attempt.status == "PENDING"} - {self._executor}
        if not others:
            return 0
        with _answering(self._database):
            # Theirs is private, yet the only one that is idempotent per executor and counts recoveries.
            return len(DBOS._recover_pending_workflows(sorted(others)))

    def postpone(self, attempt: Attempt) -> None:
        """Take an attempt out of the queue, with its checkpoints; not to be called from within a workflow."""
        with _answering(self._database):
            DBOS.cancel_workflow(attempt.workflow)

    def resume(self, attempt: Attempt) -> None:
        """Put a postponed attempt back into the queue; what was postponed counts as not begun."""
        schema = self._database.schema if isinstance(self._database, PostgresPlace) else None
        rows = table("workflow_status", column("workflow_uuid"), column("recovery_attempts"), schema=schema)
        count = rows.c.recovery_attempts
        with _answering(self._database):
            DBOS.resume_workflow(attempt.workflow, queue_name=_QUEUE)
            # That begins the count anew, and what takes each process down with it would never be given up.
            with self._engine.begin() as connection:
                counted = update(rows).values({count: count + max(0, attempt.begun - 1)})
                connection.execute(counted.where(rows.c.workflow_uuid == attempt.workflow))

    def forget(self, keep: frozenset[str], settled: Callable[[str], bool]) -> int:
        """Delete ended attempts at the effects of `settled` facts but `keep`, and return how many they were."""
        with _answering(self._database):
            rows = DBOS.list_workflows(name="run_effect", status=_ENDED, load_input=False, load_output=False)
            facts = {row.workflow_id: _attempt(row).fact_id for row in rows}
            ids = [id for id, fact_id in facts.items() if fact_id not in keep and settled(fact_id)]
            if ids:
                DBOS.delete_workflows(ids)
        return len(ids)

    def step(self, name: str, function: Callable[[], str]) -> str:
        """Run `function` as the next step of the workflow that this thread is in, or return its checkpoint."""
        return DBOS.run_step({"name": name}, function)

    def close(self) -> None:
        """Shut DBOS down."""
        try:
            DBOS.destroy(destroy_registry=True)
        finally:
            self._engine.dispose()
            _PROCESS.release()


class _Process:
    """Whether this process has a runtime."""

    def __init__(self) -> None:
        self._taken = False

    def acquire(self) -> bool:
        if self._taken:
            return False
        self._taken = True
        return True

    def release(self) -> None:
        self._taken = False


_PROCESS = _Process()


class _answering:  # noqa: N801 - reads as a statement
    """Translates what the database of DBOS raises."""

    def __init__(self, database: Place) -> None:
        self._database = database

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, DBAPIError | sqlite3.Error):
            raise _translated(exc, self._database) from exc
        if exc is not None and type(exc).__module__.startswith("dbos"):
            raise UnavailableError(f"DBOS on {self._database} refused: {exc}") from exc


def _attempt(row: Any) -> Attempt:
    fact_id, _, number = row.workflow_id.rpartition("-")
    return Attempt(
        fact_id=fact_id,
        number=int(number),
        status=row.status,
        executor=row.executor_id or "",
        updated_s=(row.updated_at or 0) / 1000,
        begun=row.recovery_attempts or 0,
    )


def _translated(exc: DBAPIError | sqlite3.Error, database: Place) -> AnewError:
    found = getattr(exc, "orig", None) or exc
    if isinstance(database, Path):
        return translate(found, database, mend=DELETE_CHECKPOINTS)
    return postgres_link.translate(found, database)


def _engine(database: Place) -> Engine:
    if isinstance(database, PostgresPlace):
        return postgres_engine(database, connections=20)
    database.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        URL.create("sqlite", database=str(database.absolute())), connect_args={"timeout": 10.0}, pool_size=20
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _: Any) -> None:
        # The driver begins transactions here, not we: DBOS writes its own BEGIN while it migrates.
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=10000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _take_over_logging() -> None:
    """Let DBOS's log go where ours goes: it would add a handler of its own that writes to the terminal."""
    log = logging.getLogger("dbos")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
