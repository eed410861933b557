"""A real PostgreSQL server for tests, on loopback, as an unprivileged user, in a folder of its own.

Its programs are Debian's package `postgresql`, or whichever `initdb` is on the path.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from anew.adapters.postgres_link import PostgresPlace
from anew.app.workers import free_port

__all__ = ["PostgresServer", "postgres"]

_NUMBERS = itertools.count(1)


class PostgresServer:
    """Started when it is made; `stop` and `start` are what an operator, or a power cut, does to it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anew-postgres-"))
        self.port = free_port("127.0.0.1")
        self.url = f"postgresql://anew@127.0.0.1:{self.port}/postgres"
        # The server refuses to run as root; whoever runs the tests otherwise runs it too.
        self._user: Mapping[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        made = [_program("initdb"), "--pgdata", str(self.folder / "data"), "--username=anew", "--auth=trust"]
        self._run([*made, "--no-sync", "--encoding=UTF8", "--no-locale"])
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"),
                    *("-c", "shared_buffers=16MB", "-c", "max_connections=60"),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._user,
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks its connections off and writes everything, SIGQUIT is as good as a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def place(self) -> PostgresPlace:
        """Return a schema that nobody has used."""
        return PostgresPlace(url=self.url, schema=f"anew_test{next(_NUMBERS)}")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Do something behind the program's back."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, **self._user)
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        """Stop it and delete what it wrote."""
        self.stop()
        shutil.rmtree(self.folder)


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    assert path, f"there is no {name}: install Debian's package postgresql"
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a server for all tests of this process that ask for one."""
    server = PostgresServer()
    yield server
    server.close()
