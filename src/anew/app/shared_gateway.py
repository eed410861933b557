"""`anew gateway`: worker processes that serve several projects, whose loops run elsewhere."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Verifier
from anew.app.accepted import accepted
from anew.app.hook import check_secrets
from anew.app.installation import load_installation
from anew.app.record_place import has_record
from anew.app.settings import Settings
from anew.app.standing import is_installation
from anew.app.workers import GatewayProcesses, free_port
from anew.domain.errors import AnewError, NotFoundError, SettingsError, UnavailableError

__all__ = ["serve_projects"]

_LOG = logging.getLogger("anew.gateway")
_TURN_S = 0.2
_BEGIN_S = 60.0


def serve_projects(
    projects: Sequence[Path],
    stop: Event,
    *,
    port: int | None = None,
    workers: int = 1,
    ready: Callable[[str, int], None] = lambda _host, _port: None,
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve `projects` until `stop` is set; host and port are those of the first one, unless `port` is given.

    An installation stands for all its projects that can be served; of the others it is logged why not. A project whose
    `anew up` is only beginning is waited for, which `told` hears.

    Raises
    ------
    NotFoundError, SettingsError
        There is no such project, two have a model of the same name, one has workers of its own, or one was not brought
        up within a minute.
    """
    settings = [each for project in projects for each in _of(project)]
    _check(settings)
    if not all(_has_key(each, stop, told) for each in settings):
        return
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


def _has_key(settings: Settings, stop: Event, told: Callable[[str], None]) -> bool:
    """Wait for the key that `anew up` makes for a new project; False when `stop` came before it."""
    until, waits = time.monotonic() + _BEGIN_S, False
    while not stop.is_set():
        try:
            Verifier.load(settings.state / "keys")
        except NotFoundError:
            if time.monotonic() >= until:
                raise
        else:
            return True
        if not waits:
            waits = True
            told(f"waiting for: anew up {settings.root} (there is no signing key yet)")
        stop.wait(_TURN_S)
    return False


def _of(project: Path) -> Sequence[Settings]:
    """Return the settings of a project, or of all in an installation that can be served."""
    if not is_installation(project):
        return [accepted(project)]
    found = []
    for name, root in load_installation(project).projects().items():
        try:
            settings = accepted(root)
            if not has_record(settings.state):
                raise NotFoundError("it was never brought up: anew up")
            if settings.policy.serving.workers:
                raise SettingsError("it has a gateway of its own: serving.workers")
            check_secrets(settings)
        except (AnewError, OSError) as exc:
            _LOG.error("%s is not served problem=%s", name, exc)
        else:
            found.append(settings)
    if not found:
        raise NotFoundError(
            f"no model of {project} can be served yet; bring them up with: anew up {project}, and wait until it says "
            "how many models run"
        )
    return found


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
