"""Programs that the system tests of the record start, kill and start again: ``eventlog_programs.py NAME FOLDER …``."""

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import op

from anew.adapters.dbos_effects import DBOSEffects, EffectSettings
from anew.adapters.killpoint import install
from anew.adapters.migrations import downgrade
from anew.adapters.sql_database import open_database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.record_place import record_place
from anew.domain.errors import FencedError
from anew.ports.effects import Steps, Work
from anew.testing.contract_eventlog import command


def say(text: str) -> None:
    """Tell the test; at once, as the next moment may be the last."""
    print(text, flush=True)  # noqa: T201 - the test reads it


def opener(folder: Path) -> None:
    """Open the database, which migrates it."""
    open_database(record_place(folder)).close()
    say("opened")


def halver(folder: Path) -> None:
    """Open the database by a migration that commits after each of its tables."""
    create = op.create_table

    def create_and_commit(*told: Any, **more: Any) -> Any:
        made = create(*told, **more)
        op.execute("COMMIT")
        op.execute("BEGIN")
        return made

    op.create_table = create_and_commit
    opener(folder)


def backer(folder: Path) -> None:
    """Bring the tables back to the first revision."""
    database = open_database(record_place(folder))
    with database.write() as connection:
        downgrade(connection, "0001")
    say("back")


def appender(folder: Path) -> None:
    """Append facts two by two, and say so after each acknowledgement."""
    clock = SystemClock()
    database = open_database(record_place(folder))
    grant = SQLLease(database, clock=database.lease_clock(clock)).acquire(f"pid-{os.getpid()}", 0.2)
    while grant is None:
        time.sleep(0.02)
        grant = SQLLease(database, clock=database.lease_clock(clock)).acquire(f"pid-{os.getpid()}", 0.2)
    log = SQLEventLog(database, clock=clock)
    number = log.head()
    while True:
        head = log.append([command(number), command(number + 1)], grant=grant)
        say(f"acknowledged {head}")
        number += 2


def filler(folder: Path) -> None:
    """Append large facts until the disk is full, then wait for a line on stdin and go on for one more."""
    clock = SystemClock()
    database = open_database(record_place(folder))
    grant = SQLLease(database, clock=database.lease_clock(clock)).acquire("filler", 3600.0)
    if grant is None:
        raise SystemExit("no lease")
    log, number = SQLEventLog(database, clock=clock), 0
    while True:
        try:
            head = log.append([command(number, model="m" * 5000)], grant=grant)
        except ConnectionError as exc:
            say(f"unavailable {exc}")
            sys.stdin.readline()
        else:
            say(f"acknowledged {head}")
            number += 1


def racer(folder: Path, name: str) -> None:
    """Try for the lease once, at the instant when the file ``go`` appears."""
    database = open_database(record_place(folder))
    lease = SQLLease(database, clock=database.lease_clock(SystemClock()))
    say("ready")
    while not (folder / "go").exists():
        time.sleep(0.001)
    say("won" if lease.acquire(name, 3600.0) else "lost")


def holder(folder: Path, name: str) -> None:
    """Take the lease as soon as it can be had, append every 10 ms while renewing it, and say how that ended."""
    clock = SystemClock()
    database = open_database(record_place(folder))
    lease, log = SQLLease(database, clock=database.lease_clock(clock)), SQLEventLog(database, clock=clock)
    grant = lease.acquire(name, 0.5)
    while grant is None:
        time.sleep(0.02)
        grant = lease.acquire(name, 0.5)
    say(f"holds {grant.epoch}")
    number = 1_000_000 * grant.epoch
    try:
        while True:
            log.append([command(number)], grant=grant)
            say(f"wrote {number}")
            number += 1
            time.sleep(0.01)
            if number % 10 == 0:
                lease.renew(grant, 0.5)
    except FencedError:
        say("fenced")


def effect(folder: Path, how: str) -> None:
    """Run the effects whose files lie in ``asked``, each of three steps that write a line; end when all have ended.

    `how` is ``careful`` (steps read before they write), ``careless`` (they do not) or ``deadly`` (kills the process).
    """
    logging.basicConfig(level=logging.ERROR)
    install()
    asked, ended, lines = folder / "asked", folder / "ended", folder / "lines"

    def write(fact_id: str, name: str) -> str:
        path = lines / f"{fact_id}.{name}"
        if how == "careless" or not path.exists():
            with path.open("a") as file:
                file.write("done\n")
        return name

    def run(fact_id: str, steps: Steps) -> None:
        if (ended / fact_id).exists():
            return
        if how == "deadly":
            write(fact_id, f"try-{time.time_ns()}")
            os.kill(os.getpid(), 9)
        for name in ("submit", "collect", "publish"):
            steps.run(name, lambda name=name: write(fact_id, name))  # type: ignore[misc]  # bound now, not later
        (ended / fact_id).touch()

    def pending() -> list[str]:
        return sorted(path.name for path in asked.iterdir() if not (ended / path.name).exists())

    def exhausted(fact_id: str) -> None:
        say(f"exhausted {fact_id}")
        (ended / fact_id).touch()

    effects = DBOSEffects(
        folder / "dbos.db",
        work=Work(run=run, pending=pending, exhausted=exhausted),
        executor=f"pid-{os.getpid()}-{time.time_ns()}",
        settings=EffectSettings(backoff_s=0.05, poll_s=0.02, reap_s=0.02, recoveries=3),
    )
    effects.start()
    while pending() or effects.active():
        time.sleep(0.01)
    effects.close()
    say("finished")


def launcher(folder: Path) -> None:
    """Run ``effect`` in a forked child for each line ``FOLDER HOW KILL`` read, and say how it ended.

    DBOS is imported once, here, where no thread has begun; each child is a process of its own, killed like any other.
    """
    importlib.import_module("anew.adapters.dbos_runtime")
    say(f"ready {folder}")
    for text in sys.stdin:
        where, how, kill = text.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            os.environ["ANEW_KILL"] = kill
            effect(Path(where), how)
            os._exit(0)
        say(f"code {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")


PROGRAMS: dict[str, Callable[..., None]] = {
    "opener": opener,
    "halver": halver,
    "backer": backer,
    "appender": appender,
    "filler": filler,
    "racer": racer,
    "holder": holder,
    "launcher": launcher,
}

if __name__ == "__main__":
    install()
    PROGRAMS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
