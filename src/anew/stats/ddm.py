"""DDM: has an error rate risen, in standard deviations of its own best?"""

import numpy as np
import numpy.typing as npt

__all__ = ["ddm_alarm"]


def ddm_alarm(losses: npt.NDArray[np.float64], *, deviations: float = 3.0, at_least_rows: int = 30) -> bool:
    """Return whether the drift detection method raises its alarm anywhere in `losses`, shape `(n,)`, in time order.

    The running error rate p and its deviation s = sqrt(p(1 - p)/n) are compared with those of the row where p + s was
    least: an alarm is p + s >= p_min + `deviations` s_min. Losses beyond [0, 1] are cut off; those between count as
    parts of an error. Without change it alarms sooner or later: no level is kept.

    References
    ----------
    Gama, Medas, Castillo and Rodrigues, Learning with drift detection, SBIA 2004, section 3.

    >>> rng = np.random.default_rng(0)
    >>> ddm_alarm(np.r_[rng.random(500) < 0.1, rng.random(500) < 0.5].astype(float))
    True
    """
    n = np.arange(1, losses.size + 1)
    rate = np.cumsum(np.clip(losses, 0.0, 1.0)) / n
    deviation = np.sqrt(rate * (1 - rate) / n)
    known = n >= at_least_rows
    rate, deviation = rate[known], deviation[known]
    if not rate.size:
        return False
    level = rate + deviation
    best = np.maximum.accumulate(np.where(level <= np.minimum.accumulate(level), np.arange(level.size), 0))
    return bool((level > rate[best] + deviations * deviation[best]).any())
