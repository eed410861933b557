"""Shadow: same requests, both answers; paired evidence decides whether the challenger is not worse."""

from dataclasses import dataclass
from math import exp, log

import numpy as np

from anew.domain.errors import InvariantError
from anew.domain.evidence import Counts, Evidence
from anew.rollout._judge import Outcome, Ruling
from anew.rollout._state import Probation
from anew.stats.betting import e_value_threshold, paired_e_value

__all__ = ["Shadow", "grid_of"]


def grid_of(counts: Counts) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the grid points of `counts`, shape `(len(counts.counts),)`."""
    return np.linspace(counts.low, counts.high, len(counts.counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Prove on paired answers that the challenger's mean loss exceeds the champion's by less than a margin.

    Parameters
    ----------
    margin
        Non-inferiority margin, in units of the loss in [0, 1].
    alpha
        Chance of a wrong decision in each direction, however often the evidence is read.
    at_least_rows
        Paired labels needed before anything is decided.

    Notes
    -----
    Paired betting e-process (a mixture of fixed bets, so the order of rows does not matter); by Ville's inequality the
    chance that it ever passes 1/alpha under the hypothesis is at most alpha. The two hypotheses meet at the margin:
    ADVANCE rejects "worse by the margin or more", HARM rejects "worse by the margin or less". Rows are taken one by
    one: where one user's rows depend on each other, declare a key and judge on user means instead.

    References
    ----------
    Waudby-Smith, I., Ramdas, A. (2024), Estimating means of bounded random variables by betting, JRSS B 86(1).
    """

    margin: float = 0.01
    alpha: float = 0.05
    at_least_rows: int = 200

    def __post_init__(self) -> None:
        if not (0 < self.margin < 1 and 0 < self.alpha < 0.5 and self.at_least_rows > 0):
            raise InvariantError(f"{self}: margin in (0, 1), alpha in (0, 0.5) and at least one row are needed")

    def rule(self, probation: Probation) -> Ruling:
        """ADVANCE when non-inferiority is proved, HARM when it is clearly worse, else HOLD."""
        down, up = probation.paired_down, probation.paired_up
        if down is None or up is None or not down.n:
            return Ruling(outcome=Outcome.HOLD, reason="no paired labels yet")
        bar = log(e_value_threshold(self.alpha))
        proof = paired_e_value(np.array(down.counts), grid_of(down), self.margin, "non_inferiority")
        harm = paired_e_value(np.array(up.counts), grid_of(up), self.margin, "harm")
        gain = down.mean or 0.0
        evidence = (
            Evidence.of("paired_gain", gain, down.n, subject="champion loss less challenger loss"),
            Evidence.of("e_value", exp(min(proof, 700.0)), down.n, subject="not worse", reference=exp(bar)),
            Evidence.of("e_value", exp(min(harm, 700.0)), up.n, subject="worse", reference=exp(bar)),
        )
        found = f"mean gain {gain:+.4f} on {down.n} paired labels"
        if down.n < self.at_least_rows:
            return Ruling(outcome=Outcome.HOLD, reason=f"{found}; {self.at_least_rows} are needed", evidence=evidence)
        if harm >= bar:
            return Ruling(
                outcome=Outcome.HARM,
                reason=f"{found}: worse by more than {self.margin:g} (e-value {exp(min(harm, 700.0)):.3g})",
                evidence=evidence,
            )
        if proof >= bar:
            return Ruling(
                outcome=Outcome.ADVANCE,
                reason=f"{found}: not worse by {self.margin:g} (e-value {exp(min(proof, 700.0)):.3g})",
                evidence=evidence,
            )
        return Ruling(
            outcome=Outcome.HOLD,
            reason=f"{found}: not proved yet (log e-value {proof:.2f} of {log(1 / self.alpha):.2f})",
            evidence=evidence,
        )
