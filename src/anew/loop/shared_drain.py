"""The drainer whose batches are read and prepared by several processes; it alone stores them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from anew.domain.errors import AnewError, ConflictError, IntegrityError, UnavailableError
from anew.loop.drain import Drainer, DrainReport
from anew.ports.drainers import Drainers, PreparedAnswer
from anew.ports.lake import PreparedBatch

__all__ = ["SharedDrainer"]


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for: a batch after this position, in this call."""

    after: int
    call: int


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One call: the batches that may still come from each journal, what was done, and the first thing that failed."""

    left: dict[str, int]
    report: DrainReport = DrainReport()
    complain: Callable[[str, AnewError], None]
    problem: AnewError | None = None

    def fail(self, journal: str, problem: AnewError) -> None:
        """Leave a journal to the next call."""
        self.complain(journal, problem)
        self.problem = self.problem or problem
        self.left.pop(journal, None)

    def count(self, journal: str) -> None:
        """Note that a batch came from a journal."""
        if journal in self.left:
            self.left[journal] -= 1
            if not self.left[journal]:
                del self.left[journal]
                self.report = replace(self.report, behind=True)


@dataclass(slots=True, kw_only=True)
class SharedDrainer(Drainer):
    """A drainer that has batches prepared by `drainers`, several journals at a time, and stores them one by one.

    What costs most, reading and decoding a journal and writing rows as Parquet, is done there, and while a batch is
    stored here the next is made. The lake has its one writer as before. A batch is stored only while the journal
    stands where it was read after: what comes late, or twice, or from one that was taken for dead, is thrown away.

    The report says `behind` where a journal gave as many batches as it may in one call, whether or not it has more.

    Parameters
    ----------
    patience_s
        How long nobody may answer before the call gives up; what was asked for stays asked for.
    """

    drainers: Drainers
    patience_s: float = 6.0
    _asked: dict[str, _Order] = field(default_factory=dict, init=False)
    _failing: set[str] = field(default_factory=set, init=False)
    _call: int = field(default=0, init=False)

    def drain_once(self) -> DrainReport:
        """Drain every journal for a few batches; one that fails does not keep the others waiting.

        Raises
        ------
        UnavailableError
            As of a drainer alone; or a drainer ended, or none answered: the next call goes on.
        IntegrityError, ConflictError
            As of a drainer alone.
        """
        self._call += 1
        # What a drainer died of is read last: the others are not to wait until it has been started again.
        journals = sorted(self.reader.journals(), key=lambda journal: journal in self._failing)
        turn = _Turn(left=dict.fromkeys(journals, self.rounds), report=self._untold, complain=self._complain)
        while turn.left:
            self._ask_all(turn)
            answers = self.drainers.answers(self.patience_s) if self._asked else ()
            if not answers and turn.left:
                names = ", ".join(sorted(turn.left))
                turn.problem = turn.problem or UnavailableError(
                    f"no drainer has read the journals {names} yet; the next turn goes on"
                )
                break
            for answer in answers:
                try:
                    self._take(answer, turn)
                except AnewError as exc:
                    turn.fail(answer.journal, exc)
        return self._told(turn.report, turn.problem)

    def _ask_all(self, turn: _Turn) -> None:
        for journal in list(turn.left):
            if journal in self._asked:
                continue
            try:
                after = self.lake.drained(journal)
            except AnewError as exc:
                turn.fail(journal, exc)
                continue
            if not self._ask(journal, after):
                return

    def _ask(self, journal: str, after: int) -> bool:
        if not self.drainers.ask(journal, after=after, most=self.most):
            return False
        self._asked[journal] = _Order(after, self._call)
        return True

    def _take(self, answer: PreparedAnswer, turn: _Turn) -> None:
        journal, batch = answer.journal, answer.batch
        order = self._asked.pop(journal)
        (self._failing.discard if answer.problem is None else self._failing.add)(journal)
        if order.after != self.lake.drained(journal):
            # It was asked for when the batch before it was to be stored, which then was not: asked for again.
            turn.count(journal)
        elif isinstance(answer.problem, ConflictError) and turn.left.get(journal, 0) > 1:
            turn.count(journal)  # what it was reading was trimmed: read again
        elif answer.problem is not None:
            turn.fail(journal, answer.problem)
        elif batch is not None:
            self._ask_ahead(batch, turn)
            self._settle(batch, turn)
        elif order.call == self._call:
            turn.left.pop(journal, None)
        # else there was nothing when an earlier call asked, and may be something now: asked for again.

    def _ask_ahead(self, batch: PreparedBatch, turn: _Turn) -> None:
        """Have the next batch prepared while this one is stored; that of the next call when nobody else waits."""
        due = batch.journal in turn.left
        turn.count(batch.journal)
        if batch.journal not in turn.left:
            self._ask_all(turn)
        if due:  # else it was of the call before: a third in a row would keep this call from its end
            self._ask(batch.journal, batch.position)

    def _settle(self, batch: PreparedBatch, turn: _Turn) -> None:
        repaired: list[str] = []
        try:
            self._commit(batch, repaired)
        except ConflictError:
            if self.lake.drained(batch.journal) == batch.after:
                raise
            # Else the lake has just finished an interrupted batch: what was read begins too early, and is read again.
            return
        finally:
            turn.report = replace(turn.report, repaired=turn.report.repaired + tuple(repaired))
        turn.report = replace(
            turn.report,
            read=turn.report.read + batch.observations,
            stored=turn.report.stored + batch.observations,
            oldest=min(_known(turn.report.oldest, batch.oldest), default=None),
            newest=max(_known(turn.report.newest, batch.newest), default=None),
        )
        self._trim(batch.journal, min(batch.after, batch.position - self.keep))

    def _commit(self, batch: PreparedBatch, repaired: list[str]) -> None:
        """Store a batch, once more after a repair or when the lake has finished another; add what was repaired."""
        refused = False
        while True:
            try:
                self._stored(batch.journal, batch.position, batch.observations, lambda: self.lake.commit(batch))
            except ConflictError:
                if refused or self.lake.drained(batch.journal) != batch.after:
                    raise
                refused = True
            except IntegrityError as exc:
                if repaired:
                    raise
                repaired += self._repair(exc)
            else:
                return


def _known(*instants: datetime | None) -> list[datetime]:
    return [each for each in instants if each is not None]
