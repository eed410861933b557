"""What a gateway worker can be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from anew.domain.column import Columns
from anew.domain.errors import InvariantError

__all__ = ["EventClock", "GatewaySettings", "OnFull"]


class OnFull(StrEnum):
    """What happens to a prediction that the journal cannot take."""

    FAIL = "fail"
    DROP_COUNTED = "drop-counted"


class EventClock(StrEnum):
    """Where event time comes from when a request gives none: WALL, the present; DATA, it has to give one."""

    WALL = "wall"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Settings of one gateway worker.

    Attributes
    ----------
    on_full
        FAIL answers 503; DROP_COUNTED answers, and counts what is missing from the record.
    deadline_ms
        How long a challenger may take; in a canary a caller waits at most this long for it.
    queue_ms
        How long a request may have to wait for its turn; when it would be longer, new ones are turned away.
    future_skew_s
        How far ahead of this machine's clock an event time may lie.
    most_body_bytes, most_rows, most_string
        Bounds on a request: bytes, rows or labels, characters of one string.
    most_replayed
        How many answers are kept for a repeated client id; older ones are forgotten, each worker has its own, and
        loses them when it ends.
    most_in_flight
        Requests that a challenger may have before further ones count as failed by overload.
    misses_before_kill
        Deadlines missed in a row, with no sign of life between, after which the challenger's process is killed.
    trip_failures, trip_share, trip_window
        A challenger, or a champion with a fallback, is not asked any more when, of its last `trip_window` rows, at
        least `trip_failures` and more than the share `trip_share` failed.
    poll_s, report_s
        How often routing is looked at and the status written.
    stale_s
        Silence of the control plane after which the worker calls itself degraded.
    events
        Names that feedback may bear.
    review
        Are people asked about answers here?
    labelling
        Does a labelling tool call here?
    webhook
        Where the secret is of those programs that may ask for a retrain; empty: none may.
    signing
        Sources that sign what they say, each with where its secrets are; nobody else says anything in their name.
    fetched
        Features that a request may leave out: the feature store is asked for them.
    log_only
        Another server answers; this one is told what it said.
    load_timeout_s
        How long loading a version may take before the swap is refused.
    """

    model: str
    columns: Columns
    on_full: OnFull = OnFull.FAIL
    deadline_ms: float = 200.0
    queue_ms: float = 250.0
    future_skew_s: float = 300.0
    clock: EventClock = EventClock.WALL
    most_body_bytes: int = 1 << 20
    most_rows: int = 1000
    most_string: int = 8192
    most_replayed: int = 10_000
    most_in_flight: int = 64
    misses_before_kill: int = 5
    trip_failures: int = 5
    trip_share: float = 0.02
    trip_window: int = 250
    poll_s: float = 0.05
    report_s: float = 1.0
    stale_s: float = 10.0
    load_timeout_s: float = 60.0
    events: tuple[str, ...] = ()
    webhook: str = ""
    review: bool = False
    labelling: bool = False
    signing: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    fetched: tuple[str, ...] = ()
    log_only: bool = False

    def __post_init__(self) -> None:
        if not min(self.deadline_ms, self.queue_ms) > 0 or not self.future_skew_s >= 0:
            raise InvariantError(
                f"deadline_ms is {self.deadline_ms}, queue_ms {self.queue_ms} and future_skew_s {self.future_skew_s}; "
                "use positive numbers"
            )
        if not 0 <= self.trip_share < 1 or self.trip_failures < 1 or self.trip_window < self.trip_failures:
            raise InvariantError(
                "trip_share must lie in [0, 1) and 1 <= trip_failures <= trip_window, or nothing trips"
            )
