"""Notices to people, through whatever Apprise speaks: chat, mail, a pager."""

import json
import logging
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from anew.domain.errors import SettingsError, UnavailableError
from anew.domain.fact import Fact
from anew.ports.eventlog import Recorded
from anew.ports.notice import Notice

__all__ = ["AppriseSink"]

_SILENCE = timedelta(days=1)
"""The same is not told again within it."""
_MOST = 1_000


class AppriseSink:
    """Tells one address of those facts that `write` has a notice for; see `anew.ports.sink.Sink`.

    The same notice is told once a day at most, over restarts too, and what was recorded more than a day ago not at all:
    who begins to listen is not told of history.

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
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(app_id="anew", app_desc="anew", async_mode=False))
        if not self._apprise.add(url):
            raise SettingsError(
                "it is no URL that Apprise knows (what it is, is not repeated here: it may hold a secret)"
            )
        self._plain, self._urgent = apprise.NotifyType.INFO, apprise.NotifyType.WARNING
        self._told = self._remembered()

    def take(self, recorded: Recorded) -> None:
        """Tell of the fact where there is a notice of it; raises UnavailableError when the address takes nothing."""
        if self._now() - recorded.recorded_at > _SILENCE:
            return
        notice = self._write(recorded.fact)
        if notice is None or self._is_known(notice.key, recorded.recorded_at):
            return
        kind = self._urgent if notice.urgent else self._plain
        if not self._apprise.notify(body=notice.body, title=notice.title, notify_type=kind, timeout=self._timeout_s):
            raise UnavailableError(f"{self.name}: the notification was not taken")
        self._remember(notice.key, recorded.recorded_at)

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
