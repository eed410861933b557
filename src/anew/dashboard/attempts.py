"""Who failed to sign in, and how long they have to wait: by where they come from, and by whom they say they are."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

__all__ = ["Attempts"]

_FREE = {"source": 20, "provider": 20, "word": 20, "name": 5, "device": 5}
"""Failures that cost nothing: many people may come from one place, and everybody mistypes."""
_OF_MANY = ("source", "provider", "word")
"""Kinds of keys that many people have: one who is known says nothing of the others."""
_FORGOTTEN = timedelta(minutes=15)
_LONGEST = timedelta(minutes=5)
_MOST = 10_000
_ENOUGH = 30
"""Failures after which the wait grows no more, whatever they are counted by."""


@dataclass(slots=True)
class Attempts:
    """Counts failures; each one above the free ones doubles the wait, to five minutes at most. Thread-safe.

    Nobody is locked out for good. A wait ends whether or not others go on trying, since whoever has to wait is not
    heard and counts for nothing. A browser in which somebody has signed in before is counted for itself, so that
    strangers who try that name from elsewhere hold up nobody but strangers.
    """

    _kept: OrderedDict[tuple[str, str], list[datetime]] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def begin(self, now: datetime, *keys: tuple[str, str]) -> timedelta:
        """Return how long somebody has to wait who is known by these keys, each of a kind and a text.

        Whoever need not wait is counted as having failed until it turns out otherwise, so that many who try at once are
        not heard before the first has failed.

        >>> Attempts().begin(datetime(2026, 1, 1), ("source", "127.0.0.1"))
        datetime.timedelta(0)
        """
        with self._lock:
            wait = max((self._left(now, each) for each in keys), default=timedelta(0))
            for key in keys if wait == timedelta(0) else ():
                old = self._kept.pop(key, [])
                recent = old if old and now - old[-1] <= _FORGOTTEN else []
                self._kept[key] = [*recent, now][-_ENOUGH:]
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
            return wait

    def succeeded(self, at: datetime, *keys: tuple[str, str]) -> None:
        """Forget the failures of somebody who began `at` and is known now; of the place, this attempt alone."""
        self.withdraw(at, *(each for each in keys if each[0] in _OF_MANY))
        with self._lock:
            for key in keys:
                if key[0] not in _OF_MANY:
                    self._kept.pop(key, None)

    def withdraw(self, at: datetime, *keys: tuple[str, str]) -> None:
        """Take back an attempt that began `at`, as if it had never been: it was no failure of who made it."""
        with self._lock:
            for key in keys:
                kept = self._kept.get(key, [])
                if at in kept:
                    kept.remove(at)
                    if not kept:
                        del self._kept[key]

    def _left(self, now: datetime, key: tuple[str, str]) -> timedelta:
        failed = self._kept.get(key)
        if failed is None:
            return timedelta(0)
        failed[:] = [min(each, now) for each in failed]  # or a clock that was set back would draw the wait out
        above = len(failed) - _FREE[key[0]]
        if above < 0 or now - failed[-1] > _FORGOTTEN:
            return timedelta(0)
        return max(failed[-1] + min(timedelta(seconds=2.0**above), _LONGEST) - now, timedelta(0))
