"""The process that serves a project's pages; started as ``-m anew.app.dashboard_worker PROJECT PID``.

It reads what `anew status` reads, and gives the commands that the command line gives: when it is slow, broken or gone,
the loop and the gateways go on as if it had never been.
"""

import json
import logging
import os
import secrets
import socket
import sys
from hashlib import sha256
from pathlib import Path

from anew.adapters.ended_sessions import EndedSessions
from anew.adapters.job_worker import die_with
from anew.adapters.page_server import page_server
from anew.adapters.process_table import process_started
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.dashboard_source import ProjectSource
from anew.app.dashboard_status import STATUS
from anew.app.door import rules
from anew.app.entrance import ProjectEntrance
from anew.app.log_line import log_to_stderr
from anew.dashboard.web import Dashboard, dashboard_app
from anew.domain.errors import AnewError, IntegrityError

__all__ = ["dashboard_of", "main"]

_HOST = "127.0.0.1"
_LOG = logging.getLogger("anew.dashboard")


def main(project: Path, parent: int) -> int:
    """Serve until the parent is gone."""
    die_with(parent)
    log_to_stderr(logging.WARNING)
    try:
        made, port = dashboard_of(project), accepted(project).policy.dashboard.port
        with _listener(port) as listener:
            _say(project / ".anew", listener.getsockname()[1])
            page_server(dashboard_app(made, reads_ahead=True)).run(sockets=[listener])
    except (AnewError, OSError) as exc:
        _LOG.error("dashboard_ended problem=%s", exc)
        return 1
    return 0


def dashboard_of(project: Path) -> Dashboard:
    """Return what the pages of a project are made from."""
    settings = accepted(project)
    name = sha256(str(settings.root).encode()).hexdigest()[:8]  # cookies of one host are shared by all of its ports
    return Dashboard(
        source=ProjectSource(settings.root),
        entrance=ProjectEntrance(settings.root),
        ended=EndedSessions(settings.state / "access" / "ended.json", SystemClock().now),
        key=_key(settings.state / "access" / "session.key"),
        cookie=f"anew_session_{name}",
        hosts=rules(settings).hosts,
        origin=settings.policy.dashboard.origin,
    )


def _listener(port: int) -> socket.socket:
    """Listen on the port, or on a free one when that is taken."""
    for each in (port, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_HOST, each))
            listener.listen(128)
        except OSError as exc:
            listener.close()
            _LOG.warning("port %s cannot be had (%s); a free one is taken", each, exc.strerror)
        else:
            return listener
    raise OSError("no port of 127.0.0.1 can be had")


def _key(path: Path) -> bytes:
    """Return the secret that sessions are signed with, made when there is none."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    if path.stat().st_mode & 0o077:
        raise IntegrityError(f"others than its owner may read {path}; delete it, which ends all sessions")
    key = path.read_bytes()
    if len(key) != 32:
        raise IntegrityError(f"{path} is no key; delete it, which ends all sessions")
    return key


def _say(state: Path, port: int) -> None:
    pid, file = os.getpid(), state / STATUS
    said = {"pid": pid, "started": process_started(pid), "url": f"http://{_HOST}:{port}"}
    draft = file.with_suffix(".part")
    draft.write_text(json.dumps(said), "utf-8")
    draft.replace(file)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
