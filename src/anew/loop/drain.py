"""The drainer: brings what the gateways acknowledged into the lake, exactly once, and then lets the journals go."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from anew.domain.boundary import reach
from anew.domain.errors import AnewError, ConflictError, IntegrityError
from anew.domain.observation import Prediction
from anew.ports.journal import Batch, JournalReader
from anew.ports.lake import Lake

__all__ = ["DrainReport", "Drainer"]

_REPEAT_S = 60.0
_LOG = logging.getLogger("anew.loop")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReport:
    """What one call of the drainer did.

    Attributes
    ----------
    read, stored
        Observations read from journals, and rows by which the lake grew; equal, unless the call raised.
    behind
        Is there more to read at once?
    oldest, newest
        Least and greatest event time of the predictions among them; None without any.
    repaired
        One sentence for each damage that was found in the lake and repaired.
    """

    read: int = 0
    stored: int = 0
    behind: bool = False
    oldest: datetime | None = None
    newest: datetime | None = None
    repaired: tuple[str, ...] = ()


@dataclass(slots=True)
class Drainer:
    """Moves batches from `reader` to `lake`. Not thread-safe; one at a time, as the lake's one writer.

    A crash anywhere leaves a state from which the next call goes on: the lake knows what it has, the journals have what
    the lake lacks. The journals are trimmed behind what is stored and verified, and never beyond the beginning of the
    last batch nor the last `keep` records: from these the lake is rebuilt when it is found damaged.

    Parameters
    ----------
    most
        Observations in one batch.
    rounds
        Batches from one journal in one call.
    keep
        Records that stay in a journal behind its drained position.
    """

    reader: JournalReader
    lake: Lake
    most: int = 5_000
    rounds: int = 4
    keep: int = 100_000
    _trimmed: dict[str, int] = field(default_factory=dict, init=False)
    _untold: DrainReport = field(default=DrainReport(), init=False)
    _said: dict[str, tuple[str, float]] = field(default_factory=dict, init=False)

    def drain_once(self) -> DrainReport:
        """Drain every journal for a few batches; one that fails does not keep the others waiting.

        Raises
        ------
        UnavailableError
            The lake or a journal cannot be used now; the journals keep the rows, the next call goes on.
        IntegrityError
            A journal is damaged, or the lake in a way that cannot be repaired; the message says where.
        ConflictError
            Another process writes to the lake.
        """
        report = self._untold
        problem: AnewError | None = None
        for journal in self.reader.journals():
            try:
                for grown in self._drain(journal, report):
                    report = grown
            except AnewError as exc:
                self._complain(journal, exc)
                problem = problem or exc
        return self._told(report, problem)

    def _complain(self, journal: str, problem: AnewError) -> None:
        """Log why a journal is not drained: once, and again from time to time while it lasts."""
        said, until = self._said.get(journal, ("", 0.0))
        if str(problem) != said or time.monotonic() >= until:
            self._said[journal] = (str(problem), time.monotonic() + _REPEAT_S)
            _LOG.error("drain failed journal=%s problem=%s", journal, problem)

    def _told(self, report: DrainReport, problem: AnewError | None) -> DrainReport:
        """Return the report, or raise; then the next one tells the event times of what was stored all the same."""
        self._untold = DrainReport()
        if problem is not None:
            self._untold = DrainReport(oldest=report.oldest, newest=report.newest)
            raise problem
        return report

    def _drain(self, journal: str, report: DrainReport) -> Iterator[DrainReport]:
        """Store a few batches; yields the report as it grows."""
        for _ in range(self.rounds):
            after, batch, repaired = self._store_next(journal)
            report = replace(report, repaired=report.repaired + repaired)
            if batch is None:
                yield report
                return
            report = _grown(report, batch)
            yield report
            self._trim(journal, min(after, batch.position - self.keep))
        left = self.reader.read(journal, after=self.lake.drained(journal), most=1)
        yield replace(report, behind=report.behind or bool(left.observations))

    def _store_next(self, journal: str) -> tuple[int, Batch | None, tuple[str, ...]]:
        """Store the next batch; return the position before it, the batch or None for none, and what was repaired."""
        repaired: tuple[str, ...] = ()
        for last in (False, False, True):
            after = self.lake.drained(journal)
            try:
                batch = self.reader.read(journal, after=after, most=self.most)
            except (ConflictError, IntegrityError):
                if last or self.lake.drained(journal) == after:
                    raise
                continue  # another process has drained and trimmed it meanwhile: nothing is missing
            if batch.position <= after:
                return after, None, repaired
            try:
                self._store(batch)
            except ConflictError:
                # The lake has just finished an interrupted batch: what was read begins too early. Read again.
                if last:
                    raise
            except IntegrityError as exc:
                if last or repaired:
                    raise
                repaired = self._repair(exc)
            else:
                return after, batch, repaired
        raise AssertionError("the last attempt returns or raises")

    def _store(self, batch: Batch) -> None:
        self._stored(
            batch.journal,
            batch.position,
            len(batch.observations),
            lambda: self.lake.append(batch.journal, batch.position, batch.observations),
        )

    def _stored(self, journal: str, position: int, observations: int, store: Callable[[], int]) -> None:
        """Store, and see that the lake grew by what was given to it."""
        reach("drain.before_write")
        grown = store()
        reach("drain.after_write")
        drained = self.lake.drained(journal)
        if grown != observations or drained != position:
            raise IntegrityError(
                f"journal {journal}: {observations} observations up to {position} were given to the lake, it grew by "
                f"{grown} rows and stands at {drained}; `anew doctor` says what to do"
            )

    def _repair(self, damage: IntegrityError) -> tuple[str, ...]:
        try:
            repaired = tuple(self.lake.rebuild(self.reader))
        except IntegrityError as exc:
            raise IntegrityError(f"{damage}; {exc}") from exc
        if not repaired:
            raise damage
        _LOG.error("lake damaged problem=%s", damage)
        for sentence in repaired:
            _LOG.warning("lake repaired what=%s", sentence)
        return repaired

    def _trim(self, journal: str, upto: int) -> None:
        # A segment holds thousands of records: asking after each batch would list the folder for nothing.
        if upto <= 0 or upto - self._trimmed.get(journal, 0) < self.keep // 4:
            return
        reach("drain.before_trim")
        self.reader.trim(journal, upto=upto)
        self._trimmed[journal] = upto
        reach("drain.after_trim")


def _grown(report: DrainReport, batch: Batch) -> DrainReport:
    times = [o.at for o in batch.observations if isinstance(o, Prediction)]
    return replace(
        report,
        read=report.read + len(batch.observations),
        stored=report.stored + len(batch.observations),
        oldest=min(_known(report.oldest, times), default=None),
        newest=max(_known(report.newest, times), default=None),
    )


def _known(one: datetime | None, more: Iterable[datetime]) -> list[datetime]:
    return [*more] if one is None else [one, *more]
