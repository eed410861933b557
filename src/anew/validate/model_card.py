"""Gate: the candidate has a model card that a reader can use."""

from dataclasses import dataclass
from typing import ClassVar

from anew.domain.evidence import Evidence
from anew.domain.verdict import Verdict
from anew.validate._gate import HeldOut, Judgement
from anew.validate._limit import all_of, lacking, unmeasured

__all__ = ["ModelCard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Ask for a complete model card: facts filled in by anew, and what only people know written by them.

    The card has the form of the Hugging Face Hub: a YAML head, then sections. Facts (data, training, evaluation,
    environment) come from the version itself; the sections in `sections` come from the file `model_card.md` of the
    project, each with at least ten words.

    Parameters
    ----------
    sections
        Headings that people have to have written.

    Notes
    -----
    It sees that something was written, not that it is true: have people review the file as they review code. A replay
    leaves it out: nothing is packaged there.

    References
    ----------
    Mitchell et al. (2019), "Model cards for model reporting", FAT*; Hugging Face, "Model cards".

    Examples
    --------
    >>> gate = ModelCard()
    >>> gate.judge((Evidence.of("model_card", 1.0, 9, subject="Intended uses: missing"),)).verdict
    <Verdict.FAIL: 3>
    """

    needs_champion: ClassVar[bool] = False
    packaged: ClassVar[bool] = True

    sections: tuple[str, ...] = ("Intended uses", "Limitations", "Contact")

    @property
    def key(self) -> str:
        """``model_card``."""
        return "model_card"

    def measure(self, rows: HeldOut) -> tuple[Evidence, ...]:
        """Return one piece of evidence for each finding; one of value 0 for none."""
        if rows.candidate is None or rows.candidate.package is None:
            return (unmeasured(self.key, "", "nothing is packaged here"),)
        package = rows.candidate.package()
        found = [Evidence.of(self.key, 1.0, 1, subject=each) for each in package.card_problems]
        return tuple(found) or (Evidence.of(self.key, 0.0, 1),)

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
        return Judgement(verdict=Verdict.PASS, reason="the card is complete")
