"""Evidently's default drift report, from two frames to its verdict for each column."""

import pandas as pd
from clock import judge
from evidently import Report
from evidently.presets import DataDriftPreset

__all__ = ["report"]


def report(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Run the preset as its documentation does, and read the scores against the thresholds that it chose."""
    ran = Report([DataDriftPreset()]).run(current, reference).dict()
    scores = [metric for metric in ran["metrics"] if metric["config"]["type"].endswith("ValueDrift")]
    if len(scores) != len(current.columns):
        raise SystemExit(f"a score for each of {len(current.columns)} columns expected, got {len(scores)}")
    return [each["config"]["column"] for each in scores if each["value"] >= each["config"]["threshold"]]


if __name__ == "__main__":
    judge(report)
