"""NannyML's univariate drift with the methods that it takes by default, the current rows as one chunk."""

import nannyml
import pandas as pd
from clock import judge

__all__ = ["univariate"]

_REFERENCE_CHUNKS = 10


def univariate(reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
    """Fit the thresholds on ten chunks of the reference, then score the current rows."""
    names = list(reference.columns)
    chunker = nannyml.SizeBasedChunker(len(current), incomplete="keep")
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=names,
        continuous_methods=["jensen_shannon"],
        categorical_methods=["jensen_shannon"],
        chunker=nannyml.SizeBasedChunker(len(reference) // _REFERENCE_CHUNKS),
    ).fit(reference)
    calculator.chunker = chunker
    found = calculator.calculate(current).filter(period="analysis").to_df()
    return [name for name in names if found[name, "jensen_shannon", "alert"].any()]


if __name__ == "__main__":
    judge(univariate)
