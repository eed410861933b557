"""Gate: the packaged candidate is small enough, on disk and in memory."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.errors import InvariantError
from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured

__all__ = ["Footprint"]

_SIZE, _MEMORY = "size, MB", "memory, MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Limit the size of the stored artifact and the memory that loading it and answering take.

    Parameters
    ----------
    size_mb
        Megabytes of all files of the artifact.
    memory_mb
        Megabytes of resident memory; None for any. What libraries took that were loaded before is not counted.

    Notes
    -----
    A gateway holds three versions at once, and each of its processes its own copies. Do not use the memory limit for
    models of a few megabytes: allocation comes in steps of that size. A replay leaves it out: nothing is packaged
    there.

    Examples
    --------
    >>> gate = Footprint(size_mb=100)
    >>> said = gate.judge((Evidence.of("footprint", 240.0, 7, subject="size, MB"),))
    >>> said.verdict.name, said.reason
    ('FAIL', 'size, MB 240 in 7 files, at most 100')
    """

    needs_champion: ClassVar[bool] = False
    packaged: ClassVar[bool] = True

    size_mb: float
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        if not self.size_mb > 0 or not (self.memory_mb is None or self.memory_mb > 0):
            raise InvariantError(f"{self} is no gate: limits are above 0")

    @property
    def key(self) -> str:
        """``footprint``."""
        return "footprint"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Measure size, which rests on so many files, and memory."""
        if rows.candidate is None or rows.candidate.package is None:
            return (unmeasured(self.key, _SIZE, "nothing is packaged here"),)
        package = rows.candidate.package()
        size = sum(package.files.values()) / 1e6
        found = [Evidence.of(self.key, size, len(package.files), subject=_SIZE)]
        if self.memory_mb is not None:
            memory = package.memory_bytes / 1e6
            problem = "" if package.memory_bytes else "resident memory cannot be read here"
            found.append(Evidence.of(self.key, memory, 1, subject=_MEMORY, problem=problem))
        return tuple(found)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when the limits are kept."""
        asked = (_SIZE,) if self.memory_mb is None else (_SIZE, _MEMORY)
        limits = {_SIZE: self.size_mb, _MEMORY: self.memory_mb or 0.0}
        judged = (_judged(each, limits.get(each.subject, 0.0)) for each in evidence)
        return all_of(judged, asked=asked, found=[each.subject for each in evidence])


def _judged(each: Evidence, limit: float) -> Judgement:
    """Judge a number that is as it is: no sample of rows, so without an interval."""
    problem = lacking(each, 1)
    if problem or each.value is None:
        return problem or Judgement(verdict=Verdict.ERROR, reason=f"{each.subject}: nothing measured")
    files = f" in {each.n} files" if each.subject == _SIZE else ""
    reason = f"{each.subject} {each.value:.4g}{files}, at most {limit:.4g}"
    return Judgement(verdict=Verdict.FAIL if each.value > limit else Verdict.PASS, reason=reason)
