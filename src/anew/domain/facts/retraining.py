"""Facts on the way from a finding to a candidate: trigger, governance, train."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from anew.domain.blend import Blend
from anew.domain.evidence import Evidence
from anew.domain.fact import Fact
from anew.domain.interval import Interval
from anew.domain.severity import Severity

__all__ = [
    "CandidateTrained",
    "EffectFailed",
    "RetrainApproved",
    "RetrainRefused",
    "RetrainRequested",
    "RetrainWithheld",
    "SnapshotTaken",
    "SourceCapped",
    "TrainingEnded",
    "TrainingPlanned",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequested(Fact):
    """The trigger holds that retraining is worth it.

    Attributes
    ----------
    triggers
        Names of the rules of the policy that ask for it.
    considered
        Every number that was used.
    intended
        For a schedule, the instant that it named; each is answered once.
    corrected
        Is the history to be repaired first, so that it keeps the policy's rules?
    revive
        The retired version that is to come back instead of a new fit; empty for a fit.
    """

    schema: ClassVar[int] = 3

    reason: str
    triggers: tuple[str, ...]
    severity: Severity
    considered: tuple[tuple[str, str], ...] = ()
    intended: datetime | None = None
    corrected: bool = False
    revive: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainWithheld(Fact):
    """The trigger was asked and said no; `reason` is one word, `detail` a sentence with the numbers."""

    schema: ClassVar[int] = 2

    reason: str
    detail: str
    triggers: tuple[str, ...]
    considered: tuple[tuple[str, str], ...] = ()
    intended: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainApproved(Fact):
    """Governance consents to a request, and to all that it asks for.

    `request` is the id of a request that was held; empty when the request itself is the cause.
    """

    schema: ClassVar[int] = 4

    by: str
    corrected: bool = False
    revive: str = ""
    request: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRefused(Fact):
    """Governance refuses the request that caused this fact."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlanned(Fact):
    """All that a training run needs to be repeated; asks for its snapshot.

    Attributes
    ----------
    version
        Name that the candidate will bear.
    champion
        The version it will be compared with; empty for a first champion.
    span
        Interval of event time that rows are taken from; its newest `holdout_share` is held out for the gates.
    holdout_most, holdout_least
        Rows that are enough to be held out, and those that have to be, whatever the share; 0 for no limit.
    seed
        For everything random in the run.
    code, settings
        Digests of the project's files at the time of planning.
    corrected
        Are rows to be repaired, or left out, that break the policy's rules?
    left_out
        Instants whose rows are kept from training: incidents in the span, or before it where older rows are read too.
    why_span
        Why this span and not another; empty where the policy names it.
    rehearsal
        Share of the rows trained on that are drawn from before the span, in [0, 1).
    max_source_share, uncapped_sources
        Share of the rows that one source may have, in (0, 1], and the sources that may have more.
    holdout_sources
        Sources whose rows alone are held out; empty for any.
    purged
        Sources whose rows are kept out.
    beside_s
        Seconds of event time of a second span, which a second model is fitted on; 0 for none.
    span_weight
        Share of the model on `span` where it answers together with the one on the second, in (0, 1); 1: alone.
    revive
        The retired version whose model the candidate is: nothing is fitted; empty for a fit.
    """

    asks: ClassVar[str] = "snapshot"
    schema: ClassVar[int] = 9

    version: str
    champion: str
    span: Interval
    holdout_share: float
    seed: int
    code: str
    settings: str
    corrected: bool = False
    left_out: tuple[Interval, ...] = ()
    why_span: str = ""
    rehearsal: float = 0.0
    max_source_share: float = 1.0
    uncapped_sources: tuple[str, ...] = ()
    purged: tuple[str, ...] = ()
    beside_s: float = 0.0
    revive: str = ""
    holdout_most: int = 0
    holdout_least: int = 0
    span_weight: float = 1.0
    holdout_sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken(Fact):
    """The rows of a run are fixed; asks for the training itself.

    `tables` pairs each table with the version it was read at; `digest` addresses rows and order. Of the rows that broke
    a rule, `repaired` were mended by the pipeline's ``correct`` and `dropped` left out; `rehearsed` come from before
    the span. `sources` has, for each source, its name, its rows that came and those that were kept, most first; beyond
    a hundred sources the rest is summed up under an empty name. `compute_s` is what mending them took, in CPU seconds.
    """

    asks: ClassVar[str] = "train"
    ends: ClassVar[bool] = True
    schema: ClassVar[int] = 4

    version: str
    champion: str
    digest: str
    tables: tuple[tuple[str, int], ...]
    span: Interval
    rows: int
    holdout_rows: int
    seed: int
    repaired: int = 0
    dropped: int = 0
    sources: tuple[tuple[str, int, int], ...] = ()
    rehearsed: int = 0
    compute_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCapped(Fact):
    """One source had more of a snapshot's rows than it may have: an alarm that names it.

    `rows` came from `source`, a share of `share` in [0, 1]; `kept` of them stayed, none among those held out. Whoever
    floods a loop with labels looks like this, and so does a feed that is new: a person has to look.
    """

    version: str
    source: str
    rows: int
    kept: int
    share: float
    at_most: float

    @property
    def key(self) -> str:
        """One per source and snapshot."""
        return self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTrained(Fact):
    """A candidate lies in the artifact store under `digest`; asks for the gates' measurements.

    `commit` is what the project's folder was checked out at, empty where it is in no Git repository; `dirty`, whether
    it had changes that are in no commit; `repository`, where others find it. `blend` says which two models were
    fitted for it, None of one; `alone_because`, why one of them answers where its plan has two.
    """

    asks: ClassVar[str] = "measure"
    ends: ClassVar[bool] = True
    schema: ClassVar[int] = 3

    version: str
    champion: str
    digest: str
    snapshot: str
    rows: int
    compute_s: float
    evidence: tuple[Evidence, ...] = ()
    commit: str = ""
    dirty: bool = False
    repository: str = ""
    blend: Blend | None = None
    alone_because: str = ""

    @property
    def both(self) -> Blend | None:
        """The two models that it answers by; None where one answers."""
        return None if self.blend is None or self.blend.weight >= 1 else self.blend


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFailed(Fact):
    """The effect that its cause asked for came to nothing: `reason` one word, `detail` a sentence.

    `compute_s` is the CPU time that it took until then.
    """

    ends: ClassVar[bool] = True
    schema: ClassVar[int] = 2

    effect: str
    version: str
    reason: str
    detail: str
    compute_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEnded(Fact):
    """A run is over: its slot is free again and its outcome known (``accepted``, ``held``, ``refused``, ``failed``)."""

    version: str
    outcome: str
    detail: str
    compute_s: float
