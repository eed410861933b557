"""Facts about windows: summaries of observations, and what a detector found in them."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval
from anew.domain.severity import Severity

__all__ = ["AlertRaised", "IncidentRaised", "RowsChecked", "WindowClosed", "WindowScored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowClosed(Fact):
    """The watermark has passed the end of a window: what the champion saw in it, compared with its reference.

    Attributes
    ----------
    version
        The champion whose reference the evidence compares with.
    n
        Predictions in the window.
    rows
        Content address of the window's rows.
    evidence
        One entry for each configured detector and subject, named by the detector's key.
    """

    version: str
    window: Interval
    n: int
    rows: str
    evidence: tuple[Evidence, ...]

    @property
    def key(self) -> str:
        """One per window."""
        return self.window.start.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowScored(Fact):
    """The labels of a window are mature: how good the served answers were.

    Attributes
    ----------
    n, labelled
        Predictions in the window, and those of them that have a label.
    revision
        Counts up when what came later (labels, corrections, withdrawals, predictions) changed the numbers.
    fresh
        Labelled rows that no earlier score of the window had; None in facts of schema 1.
    delay_p50_s, delay_p90_s
        How long labels took from answer to arrival; None where there is none.
    unmatched
        Labels about ids of the window's time that nobody was answered under.
    """

    schema: ClassVar[int] = 2

    version: str
    window: Interval
    n: int
    labelled: int
    revision: int
    evidence: tuple[Evidence, ...]
    fresh: int | None = None
    delay_p50_s: float | None = None
    delay_p90_s: float | None = None
    unmatched: int = 0

    @property
    def gained(self) -> int:
        """Labelled rows that no earlier score of the window had."""
        return (0 if self.revision else self.labelled) if self.fresh is None else self.fresh

    @property
    def key(self) -> str:
        """One per window and revision."""
        return f"{self.window.start.isoformat()}/{self.revision}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised(Fact):
    """A detector's finding about a window.

    `detector` is the key of the configured detector (``psi(temp)``), `message` one sentence for people. `since` is the
    start of the first window in a row in which one of the evidence's subjects was found; None in alerts of schema 1.
    """

    schema: ClassVar[int] = 2

    detector: str
    version: str
    window: Interval
    severity: Severity
    evidence: tuple[Evidence, ...]
    message: str
    since: datetime | None = None

    @property
    def key(self) -> str:
        """One per detector and cause."""
        return self.detector


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsChecked(Fact):
    """New rows broke something that does not wait for the end of their window.

    `window` is the period since the last look, `n` the predictions in it. Looks that found nothing leave no fact.
    """

    version: str
    window: Interval
    n: int
    evidence: tuple[Evidence, ...]

    @property
    def key(self) -> str:
        """One per period."""
        return self.window.start.isoformat()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRaised(Fact):
    """What came in a window is broken data, not a changed world: the feed has to be mended, not the model.

    Alerts about the same window never lead to a retrain, and its rows are kept from training.
    """

    detector: str
    version: str
    window: Interval
    evidence: tuple[Evidence, ...]
    message: str

    @property
    def key(self) -> str:
        """One per detector and cause."""
        return self.detector
