"""NannyML's estimates of every world named on the command line, chunk by chunk, as one JSON list on stdout."""

import json
import sys
from pathlib import Path

import nannyml
import pandas as pd

__all__ = ["estimates"]


def estimates(case: dict) -> dict:
    """Fit CBPE or DLE on the reference and estimate the chunks; values and the ends of their confidence band."""
    reference, chunks = (pd.DataFrame(case[part]) for part in ("reference", "chunks"))
    scores = [name for name in reference.columns if name.startswith("p")]
    common = {"y_true": "label", "y_pred": "said", "metrics": case["metrics"], "chunk_size": case["chunk"]}
    if not scores:
        model = nannyml.DLE(feature_column_names=["x0", "x1"], **common)
    else:
        for frame in (reference, chunks):
            frame[["label", "said"]] = frame[["label", "said"]].astype(int)
        two = len(scores) == 2
        said = "p1" if two else {k: f"p{k}" for k in range(len(scores))}
        task = "classification_binary" if two else "classification_multiclass"
        model = nannyml.CBPE(y_pred_proba=said, problem_type=task, **common)
    found = model.fit(reference).estimate(chunks).filter(period="analysis").to_df()
    return {
        metric: {
            "value": found[metric, "value"].tolist(),
            "low": found[metric, "lower_confidence_boundary"].tolist(),
            "high": found[metric, "upper_confidence_boundary"].tolist(),
        }
        for metric in case["metrics"]
    }


if __name__ == "__main__":
    cases = json.loads(Path(sys.argv[1]).read_text())
    json.dump({"version": nannyml.__version__, "found": [estimates(case) for case in cases]}, sys.stdout)
