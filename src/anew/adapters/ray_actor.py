"""A job on a node of a Ray cluster: the body of a detached actor, which goes on when whoever asked for it is gone.

It runs the job as one machine runs it, with supervisor, limits and confinement, in a folder of its own on the node. It
ends itself when nobody has asked for the job for the time of its lease.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import anew
from anew.adapters.job_ground import PIECE_BYTES, JobGround
from anew.adapters.job_record import JobRecord, job_from_json
from anew.adapters.local_compute import LocalCompute
from anew.adapters.trial_mail import ASKED, TOLD, TrialMail
from anew.domain.errors import ConflictError, InvariantError
from anew.ports.compute import Job, JobState
from anew.ports.search import Scores

__all__ = ["FarJob", "clear_grounds", "new_ground"]

_GROUND = "anew-job-"
_LOOK_S = 0.2
_ORPHAN_S = 10.0
"""A supervisor whose actor was killed ends its job after so long."""
_CHECKPOINT_BYTES = 64 << 20

Tasks = Callable[[JobGround, Job], Scores | None]
"""Given a job where it is laid, returns what scores its trials elsewhere; None when there is no room elsewhere."""


@dataclass(slots=True)
class FarJob:
    """One job, from the delivery of its files to the collection of its results.

    Parameters
    ----------
    lease_s
        It ends itself when nobody asked for so long.
    tasks
        What scores its trials.
    leave
        Ends this process.
    """

    lease_s: float
    tasks: Tasks
    leave: Callable[[], object] = lambda: os._exit(0)
    _ground: Path = field(init=False)
    _compute: LocalCompute = field(init=False)
    _token: str = field(default="", init=False)
    _job: Job | None = field(default=None, init=False)
    _started: bool = field(default=False, init=False)
    _asked: float = field(default_factory=time.monotonic, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        clear_grounds()
        self._ground = new_ground()
        self._compute = LocalCompute(root=self._ground / "jobs", lease_s=_ORPHAN_S)
        threading.Thread(target=self._watch, daemon=True).start()

    def open(self, told: str, version: str) -> str:
        """Begin the delivery of a job's files, and return the token of the delivery; empty when all is here already.

        A delivery that was begun before and not finished is void.
        """
        with self._lock:
            self._asked = time.monotonic()
            if version != anew.__version__:
                raise ConflictError(f"the job comes from anew {version}, and this node has {anew.__version__}")
            if self._started:
                return ""
            for name in ("files", "results"):
                shutil.rmtree(self._ground / name, ignore_errors=True)
            self._token, self._job = os.urandom(8).hex(), job_from_json(told)
            return self._token

    def write(self, token: str, area: str, name: str, piece: bytes) -> None:
        """Take a piece of a file: of the job's ``files``, or of the ``results`` that it had before."""
        with self._lock:
            self._delivered(token)
            JobGround(self._ground / area).add(name if area == "files" else f"/{name}", piece)

    def start(self, token: str) -> None:
        """Begin the job: the delivery is complete."""
        with self._lock:
            self._delivered(token)
            assert self._job is not None, "it came with the token"  # noqa: S101  an invariant of ours
            ground = JobGround(self._ground / "files")
            job = ground.moved(self._job)
            scores = self.tasks(ground, job) if job.trial else None
            record = self._compute.record(job.id)
            if scores is not None:
                job = self._with_mail(job, record, scores)
            if (self._ground / "results").exists():
                shutil.copytree(self._ground / "results", record.results)
            self._compute.submit(job)
            self._started = True

    def status(self) -> Mapping[str, object]:
        """Return where it stands: ``opening``, ``running`` or ``ended``, and then how; it is still wanted."""
        self._asked = time.monotonic()
        if not self._started or self._job is None:
            return {"state": "opening"}
        record = self._compute.record(self._job.id)
        ended = record.ended()
        if ended is None:
            status = self._compute.poll(self._job.id)
            if status.state is JobState.RUNNING:
                return {"state": "running", "cpu_s": status.cpu_s, "checkpoint": _checkpoint(record.results)}
            lost = "its supervisor is gone and left no result: it was killed"
            return {"state": "ended", "reason": "killed", "detail": lost, "wall_s": 0.0, "cpu_s": status.cpu_s}
        told = {"reason": ended.reason, "detail": ended.detail, "wall_s": ended.wall_s, "cpu_s": ended.cpu_s}
        return {"state": "ended", **told}

    def files(self) -> Sequence[tuple[str, int]]:
        """Return name and size of each file of the results, and of the logs; what is a link is left out."""
        folder = self._folder()
        logs = [path for path in folder.glob("*.log") if path.is_file()]
        made = [path for path in (folder / "results").rglob("*") if path.is_file() and not path.is_symlink()]
        return [(str(path.relative_to(folder)), path.stat().st_size) for path in (*logs, *sorted(made))]

    def read(self, name: str, offset: int) -> bytes:
        """Return a piece of a file."""
        self._asked = time.monotonic()
        descriptor = os.open(self._folder() / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, PIECE_BYTES, offset)
        finally:
            os.close(descriptor)

    def cancel(self, why: str) -> None:
        """Ask the job to end."""
        if self._job is not None and self._started:
            self._compute.cancel(self._job.id, why)

    def _folder(self) -> Path:
        if self._job is None:
            raise InvariantError("there is no job here yet")
        return self._compute.record(self._job.id).folder

    def _delivered(self, token: str) -> None:
        if self._started or not token or token != self._token:
            raise ConflictError("another delivery of this job was begun since")

    def _with_mail(self, job: Job, record: JobRecord, scores: Scores) -> Job:
        """Have the trials of a search scored elsewhere, by letters: the search itself is confined to files."""
        mail = TrialMail(asked=record.results / ASKED, told=self._ground / TOLD)
        mail.told.mkdir(mode=0o700)
        threading.Thread(target=_answer, args=(mail, scores), daemon=True).start()
        return replace(
            job,
            arguments={**job.arguments, ASKED: str(mail.asked), TOLD: str(mail.told)},
            reads=None if job.reads is None else (*job.reads, str(mail.told)),
        )

    def _watch(self) -> None:
        """Keep the job's own lease while ours lasts; then end it, and ourselves."""
        while time.monotonic() - self._asked < self.lease_s:
            time.sleep(_LOOK_S)
            if self._started and self._job is not None:
                self._compute.record(self._job.id).touch()
        if self._started and self._job is not None:
            self._compute.cancel(self._job.id, f"nobody asked for it for {self.lease_s:g} s")
            while self._compute.poll(self._job.id).state is JobState.RUNNING:
                time.sleep(_LOOK_S)
        shutil.rmtree(self._ground, ignore_errors=True)
        self.leave()


def new_ground() -> Path:
    """Make a folder of this process, for its owner alone."""
    return Path(tempfile.mkdtemp(prefix=f"{_GROUND}{os.getpid()}-"))


def clear_grounds() -> None:
    """Delete what processes that were killed left on this node, once what they ran has ended."""
    for left in Path(tempfile.gettempdir()).glob(f"{_GROUND}*"):
        with suppress(OSError):
            owner = left.name.removeprefix(_GROUND).partition("-")[0]
            if left.is_symlink() or left.stat().st_uid != os.getuid() or Path(f"/proc/{owner}").exists():
                continue
            if not any(JobRecord(lock.parent).locked() for lock in left.glob("jobs/*/lock")):
                shutil.rmtree(left, ignore_errors=True)


def _answer(mail: TrialMail, scores: Scores) -> None:
    while True:
        letter = mail.waiting()
        if letter is None:
            time.sleep(_LOOK_S)
        else:
            mail.tell(letter[0], scores(letter[1]))


def _checkpoint(results: Path) -> Mapping[str, Sequence[int]]:
    """Return the plain files at the top of unfinished results, with sizes and times: what a repetition begins with."""
    found = {}
    for path in results.iterdir():
        with suppress(OSError):
            seen = path.lstat()
            if path.is_file() and not path.is_symlink() and seen.st_size <= _CHECKPOINT_BYTES:
                found[f"results/{path.name}"] = (seen.st_size, seen.st_mtime_ns)
    return found
