"""Fairlearn's own value of a fairness metric: the second opinion on ours."""

from typing import Any

import numpy as np
import numpy.typing as npt

from anew.domain.errors import InvariantError

__all__ = ["fairlearn_disparity"]


def fairlearn_disparity(
    metric: str, label: npt.NDArray[Any], output: npt.NDArray[Any], group: npt.NDArray[Any], positive: str
) -> float:
    """Return the difference between groups as fairlearn computes it, of arrays of shape (n,).

    Parameters
    ----------
    metric
        ``demographic_parity``, ``equal_opportunity``, ``equalized_odds``; or ``error``, the difference of the means of
        `label`, which are losses then.

    Raises
    ------
    InvariantError
        The metric is unknown.
    """
    from fairlearn import metrics  # type: ignore[import-untyped]  # noqa: PLC0415  no types; seconds to import

    if metric == "error":
        frame = metrics.MetricFrame(metrics=_mean, y_true=label, y_pred=output, sensitive_features=group)
        return float(frame.difference(method="between_groups"))
    known = {
        "demographic_parity": metrics.demographic_parity_difference,
        "equal_opportunity": metrics.equal_opportunity_difference,
        "equalized_odds": metrics.equalized_odds_difference,
    }
    if metric not in known:
        raise InvariantError(f"fairlearn is not asked about {metric!r}; known are error, {', '.join(known)}")
    truth, said = (np.asarray(each == positive, dtype=np.int64) for each in (label, output))
    return float(known[metric](truth, said, sensitive_features=group))


def _mean(loss: npt.NDArray[np.float64], _: npt.NDArray[Any]) -> float:
    return float(np.mean(loss))
