"""`anew gateway`: worker processes that serve several projects, whose loops run elsewhere."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Verifier
from anew.app.accepted import accepted
from anew.app.settings import Settings
from anew.app.workers import GatewayProcesses, free_port
from anew.domain.errors import SettingsError, UnavailableError

__all__ = ["serve_projects"]

_LOG = logging.getLogger("anew.gateway")
_TURN_S = 0.2


def serve_projects(
    projects: Sequence[Path],
    stop: Event,
    *,
    port: int | None = None,
    workers: int = 1,
    ready: Callable[[str, int], None] = lambda _host, _port: None,
) -> None:
    """Serve `projects` until `stop` is set; host and port are those of the first one, unless `port` is given.

    Raises
    ------
    NotFoundError, SettingsError
        There is no such project, two have a model of the same name, or one has workers of its own.
    """
    settings = [accepted(project) for project in projects]
    _check(settings)
    first = settings[0]
    traffic = FileTraffic(first.state, verifier=Verifier.load(first.state / "keys"))
    serving = first.policy.serving
    processes = GatewayProcesses(
        projects=[each.root for each in settings],
        log=first.state / "logs",
        host=serving.host,
        port=(serving.port if port is None else port) or free_port(serving.host),
        count=workers,
        living=lambda: [each for each in traffic.workers(first.model) if not each.host],
    )
    processes.start()
    try:
        ready(serving.host, processes.port)
        while not stop.wait(_TURN_S):
            try:
                for sentence in processes.keep():
                    _LOG.warning("%s", sentence)
            except UnavailableError as exc:
                _LOG.error("%s", exc)
    finally:
        processes.stop()


def _check(settings: Sequence[Settings]) -> None:
    models = [each.model for each in settings]
    if len(set(models)) < len(models):
        raise SettingsError(f"the projects' models are called {', '.join(models)}; one gateway needs a name for each")
    own = [str(each.root) for each in settings if each.policy.serving.workers]
    if own:
        raise SettingsError(
            f"{', '.join(own)}: `anew up` starts workers of its own there; write `serving: {{workers: 0}}` into "
            "anew.yaml for a project that shares a gateway"
        )
