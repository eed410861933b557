"""whylogs: a profile of each side, then its drift scores."""

import pandas as pd
import whylogs
from clock import judge
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

__all__ = ["profiles"]


def profiles(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Profile both and score each column with the algorithm that whylogs chooses."""
    views = [whylogs.log(frame).view() for frame in (current, reference)]
    scores = calculate_drift_scores(*views, with_thresholds=True)
    return [name for name, score in scores.items() if score and score["drift_category"] == "DRIFT"]


if __name__ == "__main__":
    judge(profiles)
