"""Notices to people, through whatever Apprise speaks: chat, mail, a pager."""

import json
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread

from anew.domain.errors import SettingsError, UnavailableError
from anew.domain.fact import Fact
from anew.ports.eventlog import Recorded
from anew.ports.notice import Notice

__all__ = ["AppriseSink"]

_SILENCE = timedelta(days=1)
"""The same is not told again within it."""
_MOST = 1_000


class _Sending:
    """A notice under way, in a thread of its own that holds up no program's end."""

    def __init__(self, key: str, at: datetime, send: Callable[[], object]) -> None:
        self.key = key
        self.at = at
        self.taken = False
        self._send = send
        self._thread = Thread(target=self._run, name="notice", daemon=True)
        self._thread.start()

    def has_ended(self, timeout_s: float) -> bool:
        """Wait so long for its end."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self.taken = bool(self._send())


class AppriseSink:
    """Tells one address of those facts that `write` has a notice for; see `anew.ports.sink.Sink`.

    The same notice is told once a day at most, over restarts too, and what was recorded more than a day ago not at all:
    who begins to listen is not told of history.

    One notice at a time is under way. An address that drips its answer is sent no other until that one has ended: it
    costs one thread, and what it took late counts as told. Apprise's own deadlines are off: it gives each that it gives
    up a thread of a pool which all addresses of the process share, and which is waited for when the process ends.

    Parameters
    ----------
    url
        An Apprise URL. It may hold secrets: no message repeats it, and Apprise's own log is silenced.
    memory
        File that remembers what was told when.
    timeout_s
        Seconds after which an address counts as not answering.

    Raises
    ------
    SettingsError
        The URL is none that Apprise knows.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        write: Callable[[Fact], Notice | None],
        memory: Path,
        now: Callable[[], datetime],
        timeout_s: float = 10.0,
    ) -> None:
        import apprise  # noqa: PLC0415  slow to load, and only a project that notifies needs it

        self.name = name
        self._write = write
        self._memory = memory
        self._now = now
        self._timeout_s = timeout_s
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        asset = apprise.AppriseAsset(app_id="anew", app_desc="anew", async_mode=False, service_timeout=0)
        self._apprise = apprise.Apprise(asset=asset)
        if not self._apprise.add(url):
            raise SettingsError(
                "it is no URL that Apprise knows (what it is, is not repeated here: it may hold a secret)"
            )
        self._plain, self._urgent = apprise.NotifyType.INFO, apprise.NotifyType.WARNING
        self._told = self._remembered()
        self._sending: _Sending | None = None

    def take(self, recorded: Recorded) -> None:
        """Tell of the fact where there is a notice of it; raises UnavailableError when the address takes nothing."""
        if self._now() - recorded.recorded_at > _SILENCE:
            return
        notice = self._write(recorded.fact)
        if notice is None:
            return
        while not self._is_known(notice.key, recorded.recorded_at):
            sending = self._sending = self._sending or self._begin(notice, recorded.recorded_at)
            if not sending.has_ended(self._timeout_s):
                raise UnavailableError(f"{self.name}: no answer to a notification within {self._timeout_s:g} s")
            self._sending = None
            if sending.taken:
                self._remember(sending.key, sending.at)
            elif sending.key == notice.key:
                raise UnavailableError(f"{self.name}: the notification was not taken")

    def _begin(self, notice: Notice, at: datetime) -> _Sending:
        kind = self._urgent if notice.urgent else self._plain
        send = partial(self._apprise.notify, body=notice.body, title=notice.title, notify_type=kind)
        return _Sending(notice.key, at, send)

    def _is_known(self, key: str, at: datetime) -> bool:
        told = self._told.get(key)
        return told is not None and at - told < _SILENCE

    def _remembered(self) -> dict[str, datetime]:
        try:
            given = json.loads(self._memory.read_text("utf-8"))
            return {key: datetime.fromisoformat(at) for key, at in given.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # then something may be told once more

    def _remember(self, key: str, at: datetime) -> None:
        self._told.pop(key, None)
        self._told[key] = at
        self._told = dict(list(self._told.items())[-_MOST:])
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        draft = self._memory.with_suffix(".part")
        draft.write_text(json.dumps({key: at.isoformat() for key, at in self._told.items()}), "utf-8")
        os.replace(draft, self._memory)  # noqa: PTH105  one call that replaces
