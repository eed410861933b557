"""What the dashboard's pages are made from, and what their forms do: the same that the command line reads and does."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final

from anew.adapters.fact_reader import count_facts, read_facts, reading_facts
from anew.adapters.lake_position import stored_positions
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.system_clock import SystemClock
from anew.app.accepted import accepted
from anew.app.artifact_glance import artifact_of, logs_of
from anew.app.backtest_report import kept_report
from anew.app.catalogue_file import CatalogueFile
from anew.app.column_shift import column_shifts
from anew.app.command import told_waiting
from anew.app.consent import Signed, consent
from anew.app.examination import Examination
from anew.app.lineage import lineage_among
from anew.app.mirror_status import mirror_status
from anew.app.narration import narrate
from anew.app.neighbour import neighbour
from anew.app.order import order
from anew.app.progress import describe_run
from anew.app.record_place import has_record, record_place
from anew.app.review import label_value, open_review, review_lease
from anew.app.settings import FILE
from anew.app.status import living_workers, loop_holder, state_folder, stored_rows
from anew.app.wiring import stages
from anew.dashboard.at_hand import AtHand
from anew.dashboard.source import (
    MOST_WAITING,
    Artifact,
    Consent,
    Desk,
    InForce,
    Log,
    Neighbour,
    RecordReader,
    Shift,
    Source,
    Surroundings,
    Worker,
)
from anew.domain.access import Principal
from anew.domain.errors import AnewError, ConflictError, NotFoundError, PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalSigned,
    CandidateTrained,
    Order,
    OverrideSigned,
    RejectionSigned,
    WindowClosed,
)
from anew.domain.health import Finding
from anew.lineage import Indexed, Lineage
from anew.ports.eventlog import Recorded
from anew.rollout import Rollout
from anew.trigger import Trigger

__all__ = ["ProjectSource"]

_SIGNED: Final[Mapping[Consent, type[Signed]]] = {
    "approve": ApprovalSigned,
    "override": OverrideSigned,
    "reject": RejectionSigned,
}


class ProjectSource:
    """A `Source` over a project's folder. Thread-safe.

    Parameters
    ----------
    beside
        Folder of the project whose dashboard this is, where that is another: there it may write.
    """

    def __init__(self, project: Path, beside: Path | None = None) -> None:
        self._project = project.resolve()
        self._state = state_folder(self._project)
        self._catalogue = CatalogueFile(self._state if beside is None else state_folder(beside), self._project)
        self._journals = SegmentReader(self._state / "journal")
        self._examination = Examination(self._project)
        self._lock = Lock()
        self._read: tuple[tuple[int, ...], InForce] | None = None
        self._others: dict[str, ProjectSource] = {}

    def now(self) -> datetime:
        """Return the time on the wall."""
        return SystemClock().now()

    def head(self) -> int:
        """Return the number of the last fact; numbers have no gaps."""
        return count_facts(record_place(self._state)) if has_record(self._state) else 0

    def facts(self, after: int) -> Iterable[Recorded]:
        """Yield the facts after number `after`."""
        return read_facts(record_place(self._state), after) if has_record(self._state) else ()

    @contextmanager
    def reading(self) -> Iterator[RecordReader]:
        """Open the record for one page."""
        if not has_record(self._state):
            yield AtHand()
            return
        with reading_facts(record_place(self._state)) as reader:
            yield reader

    def catalogue(self) -> Path | None:
        """Return the file in which what was found in the record may be kept; None while another process has it."""
        return self._catalogue.path() if has_record(self._state) else None

    def surroundings(self, asked: Sequence[Fact]) -> Surroundings:
        """Return what stands beside the record."""
        there = has_record(self._state)
        return Surroundings(
            holder=loop_holder(self._state) if there else "",
            workers=tuple(
                Worker(
                    worker=each["worker"],
                    port=each["port"],
                    epoch=each["epoch"],
                    at=each["at"],
                    problem=each["problem"],
                    counts=each["counts"],
                )
                for each in living_workers(self._state)
            ),
            waiting=self._waiting(),
            stored=stored_rows(self._state),
            runs=tuple(describe_run(self._state, fact) for fact in asked),
            mirror=mirror_status(self._state),
            to_review=self._to_review(),
        )

    def in_force(self) -> InForce:
        """Return the policy in force; read again when its files have changed."""
        folder = self._state / "run" / "accepted"
        folder = folder if (folder / FILE).is_file() else self._project
        mark = tuple(each.stat().st_mtime_ns for each in sorted((*folder.glob("*.yaml"), *folder.glob("*.py"))))
        with self._lock:
            if self._read is None or self._read[0] != mark:
                self._read = (mark, self._in_force(folder / FILE))
            return self._read[1]

    def _in_force(self, file: Path) -> InForce:
        settings = accepted(self._project)
        made = stages(settings)
        rollout, trigger = made["rollout"], made["trigger"]
        assert isinstance(rollout, Rollout), "the stage of this name"  # noqa: S101  an invariant of ours
        assert isinstance(trigger, Trigger), "the stage of this name"  # noqa: S101  an invariant of ours
        return InForce(
            model=settings.model,
            task=settings.task.value,
            settings=settings.digest,
            code=settings.code,
            text=file.read_text("utf-8"),
            label_delay=settings.label_delay,
            rollout=rollout,
            trigger=trigger,
            others=settings.policy.dashboard.others,
            compute_hour=settings.policy.policy.cost.hour_written,
        )

    def others(self, who: Principal) -> Sequence[Neighbour]:
        """Return the other projects that the policy lists, each once."""
        found: dict[str, str] = {}
        for each in self.in_force().others:
            found |= {str(place): name for place, name in self._meant(each)}
        names = Counter(found.values())
        found = {place: name if names[name] == 1 else place for place, name in found.items()}
        return [neighbour(Path(place), name, who, self._source_of) for place, name in found.items()]

    def _meant(self, pattern: str) -> Sequence[tuple[Path, str]]:
        """Return the folders that an entry of the policy means, this one left out, and what each is called."""
        if "*" not in pattern:
            return [(self._project / pattern, pattern)]
        meant = self._project / pattern / FILE
        files = Path(meant.anchor).glob(str(meant.relative_to(meant.anchor)))
        places = sorted(each.parent.resolve() for each in files)
        return [(each, each.name) for each in places if each != self._project]

    def _source_of(self, project: Path) -> Source:
        return self._others.setdefault(str(project), ProjectSource(project, self._project))

    def narrate(self, fact: Fact) -> str:
        """Say a fact in one sentence."""
        return narrate(fact)

    def lineage(self, subject: str, facts: Indexed) -> Lineage:
        """Return the lineage of a version, a prediction or a fact."""
        return lineage_among(self._project, subject, facts)

    def artifact(self, digest: str) -> Artifact:
        """Return what a stored version says of itself."""
        return artifact_of(self._state / "models", digest)

    def logs(self, asked: Sequence[Fact]) -> Sequence[Log]:
        """Return what the jobs of these facts wrote last."""
        return logs_of(self._state / "jobs", asked)

    def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:
        """Return how far each column of a window moved."""
        hidden = accepted(self._project).policy.columns.personal
        return column_shifts(self._state, digest, window, hidden=hidden)

    def findings(self) -> tuple[datetime | None, Sequence[Finding]]:
        """Return what the last examination found, and when."""
        return self._examination.last()

    def backtested(self) -> tuple[datetime | None, Mapping[str, Any] | None]:
        """Return the last backtest of the project."""
        return kept_report(self._state)

    def review(self, who: Principal) -> Desk | None:
        """Give somebody a question, the one that is theirs already if any."""
        settings = accepted(self._project)
        try:
            lease, gold = review_lease(settings)
            with open_review(settings) as store:
                question = store.lease(who.name, self.now(), lease, gold=gold)
                found = store.status(self.now())
        except NotFoundError:
            return None
        mine = found["labellers"].get(who.name, {})
        return Desk(
            question=question,
            target=settings.columns.target,
            classes=tuple(settings.columns.classes),
            open=found["open"],
            leased=found["leased"],
            oldest=found["oldest"] or "",
            answered=mine.get("answered", 0),
            skipped=mine.get("skipped", 0),
        )

    def answer(self, who: Principal, item: str, value: str) -> None:
        """Take what somebody says is true of the question that is theirs."""
        settings = accepted(self._project)
        with open_review(settings) as store:
            store.answer(item, who.name, label_value(value, settings), self.now())

    def skip(self, who: Principal, item: str) -> None:
        """Take back a question that somebody does not want."""
        with open_review(accepted(self._project)) as store:
            store.skip(item, who.name, self.now())

    def order(
        self, action: Order, *, who: Principal, command: str, reason: str, expect: tuple[str, str]
    ) -> Sequence[str]:
        """Order the gateways and say what became of it."""
        done = order(self._project, action, reason, by=who.name, command=command, expect=expect)
        said = [narrate(done.order), *map(narrate, done.facts)]
        later = "The gateways obey it now; it comes on record when the loop runs and is done with what it is at."
        return said if done.recorded else [*said, later]

    def sign(
        self, how: Consent, *, who: Principal, candidate: tuple[str, str], gate: str, reason: str
    ) -> Sequence[str]:
        """Sign for a gate of a candidate, or for its promotion, and say what became of it."""
        if not reason:
            raise PolicyError("say why: the reason is signed and stays on record")
        self._same(candidate)
        try:
            taken, facts = consent(accepted(self._project), _SIGNED[how], candidate[0], gate, reason, by=who.name)
        except ConflictError as exc:
            raise ConflictError("\n".join([str(exc), *self._signatures(candidate[0])])) from exc
        said = [narrate(fact) for fact in facts]
        if not taken:
            waits = told_waiting(self._state, "the signature")
            return [f"{waits[0].upper()}{waits[1:]}."]
        return said or [f"Other gates of {candidate[0]} are still in the way."]

    def _same(self, shown: tuple[str, str]) -> None:
        """Refuse a signature for something else than the person was shown."""
        with reading_facts(record_place(self._state)) as reader:
            last = reader.last("CandidateTrained")
        newest = last.fact if last is not None else None
        if isinstance(newest, CandidateTrained) and (newest.version, newest.digest) != shown:
            raise ConflictError(
                f"you were shown {shown[0]} ({shown[1][:12]}), and the candidate is {newest.version} "
                f"({newest.digest[:12]}) now, trained on {newest.rows} rows against {newest.champion or 'nobody'}: "
                "look again and decide again"
            )

    def _signatures(self, version: str) -> list[str]:
        """Say who has signed what of a version."""
        kinds = {kind.__name__ for kind in _SIGNED.values()}
        facts = (each.fact for each in read_facts(record_place(self._state), kinds=kinds))
        return [narrate(fact) for fact in facts if getattr(fact, "version", "") == version]

    def _to_review(self) -> int:
        try:
            with open_review(accepted(self._project)) as store:
                return int(store.status(self.now())["open"])
        except AnewError:
            return 0

    def _waiting(self) -> int | None:
        """Return how many observations the journals hold that the lake has not."""
        try:
            drained = stored_positions(self._state / "lake.db")
            with self._lock:
                return sum(
                    len(self._journals.read(each, after=drained.get(each, 0), most=MOST_WAITING).observations)
                    for each in self._journals.journals()
                )
        except (AnewError, OSError):
            return None
