"""Who failed to sign in, and how long they have to wait: by where they come from, and by whom they say they are."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

__all__ = ["Attempts"]

_FREE = {"source": 20, "name": 5, "device": 5}
"""Failures that cost nothing: many people may come from one place, and everybody mistypes."""
_FORGOTTEN = timedelta(minutes=15)
_LONGEST = timedelta(minutes=5)
_MOST = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: datetime


@dataclass(slots=True)
class Attempts:
    """Counts failures; each one above the free ones doubles the wait, to five minutes at most. Thread-safe.

    Nobody is locked out for good. A wait ends whether or not others go on trying, since whoever has to wait is not
    heard and counts for nothing. A browser in which somebody has signed in before is counted for itself, so that
    strangers who try that name from elsewhere hold up nobody but strangers.
    """

    _kept: OrderedDict[tuple[str, str], _Failures] = field(default_factory=OrderedDict)
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
                old = self._kept.pop(key, None)
                count = 0 if old is None or now - old.last > _FORGOTTEN else old.count
                self._kept[key] = _Failures(count + 1, now)
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
            return wait

    def succeeded(self, *keys: tuple[str, str]) -> None:
        """Forget the failures of somebody who is known now; of the place that they come from, this attempt alone."""
        with self._lock:
            for key in keys:
                if key[0] != "source":
                    self._kept.pop(key, None)
                elif key in self._kept:
                    self._kept[key].count -= 1

    def _left(self, now: datetime, key: tuple[str, str]) -> timedelta:
        found = self._kept.get(key)
        if found is not None:
            found.last = min(found.last, now)  # or a clock that was set back would draw the wait out
        if found is None or now - found.last > _FORGOTTEN:
            return timedelta(0)
        above = found.count - _FREE[key[0]]
        if above < 0:
            return timedelta(0)
        wait = min(timedelta(seconds=2.0 ** min(above, 20)), _LONGEST)
        return max(found.last + wait - now, timedelta(0))
