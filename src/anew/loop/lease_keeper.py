"""Keeps the lease of a loop that is at work, however long a single step of it takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from anew.domain.errors import AnewError
from anew.ports.clock import Clock
from anew.ports.eventlog import Grant, Lease
from anew.ports.traffic import Traffic

__all__ = ["LEASE_S", "STEP_S", "LeaseKeeper"]

LEASE_S = 10.0
"""Seconds after which another process may take over from one that says nothing."""
STEP_S = 300.0
"""Seconds that a turn may take with the lease kept: longer than a slow bucket does; a loop that hangs loses it then."""
_LOOK_S = 1.0


class LeaseKeeper:
    """Renews the lease and tells the gateways that the loop is alive. Thread-safe.

    A turn may wait long for others, a bucket that is away for one: the loop is at work then, and nobody else could do
    better. So a thread renews the lease between two turns' beginnings, too, and fails in silence: whoever has lost the
    lease may write nothing, and the next turn finds out by itself and stops.
    """

    def __init__(self, lease: Lease, traffic: Traffic, clock: Clock, grant: Grant) -> None:
        self._lease = lease
        self._traffic = traffic
        self._clock = clock
        self._grant = grant
        self._lock = threading.Lock()
        self._renewed = float("-inf")
        self._moved = clock.monotonic()

    def move_on(self) -> None:
        """Say that the loop begins a turn, and renew the lease where that is due.

        Raises
        ------
        FencedError
            Another process holds it.
        UnavailableError
            The store does not answer.
        """
        self.come_on()
        self._renew()

    def come_on(self) -> None:
        """Say that the loop does not hang, within a turn that does one long thing after another."""
        self._moved = self._clock.monotonic()

    def stand_in(self) -> None:
        """Renew the lease where that is due, for a loop that has moved on within `STEP_S`; fail in silence."""
        if self._clock.monotonic() - self._moved <= STEP_S:
            with suppress(AnewError, OSError):
                self._renew()

    @contextmanager
    def running(self, look_s: float = _LOOK_S) -> Iterator[None]:
        """Stand in for the loop every `look_s` seconds within the block."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(look_s):
                self.stand_in()

        thread = threading.Thread(target=keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(LEASE_S)  # a store that does not answer holds up nobody who wants to end

    def _renew(self) -> None:
        with self._lock:
            now = self._clock.monotonic()
            if now - self._renewed > LEASE_S / 4:
                self._lease.renew(self._grant, LEASE_S)
                self._traffic.beat()
                self._renewed = now
