"""The gateway of a project beside its loop: begun with it, or before it, by what is on this disk."""

import logging
from collections.abc import Callable
from threading import Event

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Verifier
from anew.app.accepted import accepted, accepted_folder
from anew.app.gateway_wiring import sets_of
from anew.app.settings import FILE, Settings
from anew.app.status import told_problem
from anew.app.workers import GatewayProcesses, free_port
from anew.domain.errors import AnewError, UnavailableError

__all__ = ["ServedGateway"]

_LOG = logging.getLogger("anew.up")
_TURN_S = 0.1


class ServedGateway:
    """Workers that serve one project for as long as `anew up` runs, whatever becomes of its loop.

    Parameters
    ----------
    port
        Instead of the settings'; 0 takes a free one.
    """

    def __init__(self, settings: Settings, port: int | None) -> None:
        serving = settings.policy.serving
        wanted = serving.port if port is None else port
        self._settings = settings
        self._traffic: FileTraffic | None = None
        self._begun_by_us = False
        self._announced = False
        self._problems: set[str] = set()
        self.processes = GatewayProcesses(
            projects=(settings.root,),
            log=settings.state / "logs",
            host=serving.host,
            port=wanted or free_port(serving.host),
            count=serving.workers,
            living=lambda: [each for each in self._told().workers(settings.model) if not each.host],
            sets=sets_of(settings),
        )

    def start(self, *, same: bool) -> None:
        """Begin with the loop: workers that live go on, or are replaced where they serve by other settings.

        Parameters
        ----------
        same
            Were the settings that living workers began with those of the loop?
        """
        lived = self._begun_by_us or self.processes.start()
        # The ways between two sets ended with the program that held them, unless that is this one.
        whole = self.processes.sets == 1 or self._begun_by_us
        self._begun_by_us = True
        if lived and not (same and whole):
            self.processes.renew(self._settings.policy.serving.workers, sets_of(self._settings))

    def announce(self, ready: Callable[[str, int], None], told: Callable[[str], None]) -> None:
        """Say once, when it has begun, where it is served; or, in words, that others are to serve it."""
        if not self._begun_by_us or self._announced:
            return
        self._announced = True
        if self.processes.count:
            ready(self.processes.host, self.processes.port)
        else:
            told(f"not serving (serving.workers is 0): to serve it, run: anew gateway {self._settings.root}")

    def problems(self) -> list[str]:
        """Return what keeps workers from what they were told to, each once when it begins."""
        said = [each for each in self._told().workers(self._settings.model) if each.problem]
        found = {f"gateway {told_problem(each.worker, each.epoch, each.problem)}" for each in said}
        begun, self._problems = sorted(found - self._problems), found
        return begun

    def stand_in(self) -> None:
        """Begin without the loop, by the settings and the routing of last time.

        A project that never served has nothing to begin with, and one whose settings have changed begins with the old.
        """
        if self._begun_by_us or not self._settings.policy.serving.workers:
            return
        try:
            if not (accepted_folder(self._settings.root) / FILE).is_file():
                return
            routing = self._told().published(self._settings.model)
            before = accepted(self._settings.root)
        except AnewError as exc:
            _LOG.error("nothing can be served without the loop problem=%s", exc)
            return
        if routing is None:
            return
        self.processes.count, self.processes.sets = before.policy.serving.workers, sets_of(before)
        self.processes.start()
        self._begun_by_us = True
        _LOG.warning("serving without the loop version=%s epoch=%d", routing.champion[0], routing.epoch)

    def keep_until(self, seconds: float, stop: Event) -> None:
        """Keep the workers alive for so long, or until `stop`."""
        for _ in range(max(1, round(seconds / _TURN_S))):
            if stop.wait(_TURN_S):
                return
            try:
                for sentence in self.processes.keep():
                    _LOG.warning("%s", sentence)
            except UnavailableError as exc:
                _LOG.error("%s", exc)

    def close(self) -> None:
        """Let every worker finish what it answers, and end."""
        self.processes.stop()

    def _told(self) -> FileTraffic:
        if self._traffic is None:
            state = self._settings.state
            self._traffic = FileTraffic(state, verifier=Verifier.load(state / "keys"))
        return self._traffic
