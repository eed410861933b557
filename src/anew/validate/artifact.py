"""Gate: the stored artifact holds data alone, and nothing that runs when it is read."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured

__all__ = ["Artifact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Refuse an artifact with a finding: pickled objects, programs, links, names or formats that are not known.

    The store verifies signature and digest before anything is parsed, and the loader reads data-only formats alone;
    this gate looks at the bytes once more, so that what was smuggled into a file of a harmless name is found before
    traffic.

    Notes
    -----
    It knows what is never data, not whether data is harmless: a model that was trained to do harm looks like any other.
    There is no reason not to use it. A replay leaves it out: nothing is packaged there.

    Examples
    --------
    >>> gate = Artifact()
    >>> gate.judge((Evidence.of("artifact", 1.0, 7, subject="model.bin: a pickle"),)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False
    packaged: ClassVar[bool] = True

    @property
    def key(self) -> str:
        """``artifact``."""
        return "artifact"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Return one piece of evidence for each finding; one of value 0 for none."""
        if rows.candidate is None or rows.candidate.package is None:
            return (unmeasured(self.key, "", "nothing is packaged here"),)
        package = rows.candidate.package()
        found = [Evidence.of(self.key, 1.0, len(package.files), subject=each) for each in package.findings]
        return tuple(found) or (Evidence.of(self.key, 0.0, len(package.files)),)

    def judge(self, evidence: tuple[Evidence, ...]) -> Judgement:
        """PASS when it was looked for and nothing was found."""
        return all_of(map(self._judged, evidence))

    @staticmethod
    def _judged(each: Evidence) -> Judgement:
        problem = lacking(each, 1)
        if problem:
            return problem
        if each.value:
            return Judgement(verdict=Verdict.FAIL, reason=each.subject)
        return Judgement(verdict=Verdict.PASS, reason="files hold data alone")
