"""NannyML's univariate methods, and its domain classifier, with all current rows as one chunk."""

import nannyml
import pandas as pd
from data import Values, answer

__all__ = ["values"]

NUMERIC = ["jensen_shannon", "kolmogorov_smirnov", "wasserstein"]
LEVELS = ["jensen_shannon", "chi2"]


def values(columns: dict[str, tuple[pd.Series, pd.Series]]) -> Values:
    """Fit on the reference, score the current rows."""
    found: Values = {}
    for name, pair in columns.items():
        first, second = (each.to_frame(name) for each in pair)
        numeric = pd.api.types.is_numeric_dtype(pair[0])
        calculator = nannyml.UnivariateDriftCalculator(
            column_names=[name],
            continuous_methods=NUMERIC,
            categorical_methods=LEVELS,
            treat_as_categorical=[] if numeric else [name],
            chunk_size=len(first),
        ).fit(first)
        scored = calculator.calculate(second).filter(period="analysis").to_df()
        found[name] = {method: scored[name, method, "value"].iloc[0] for method in (NUMERIC if numeric else LEVELS)}
    names = [name for name in ("normal", "lognormal", "uniform") if name in columns]
    first, second = (pd.DataFrame({name: columns[name][side] for name in names}) for side in (0, 1))
    classifier = nannyml.DomainClassifierCalculator(feature_column_names=names, chunk_size=len(second)).fit(first)
    scored = classifier.calculate(second).filter(period="analysis").to_df()
    found["together"] = {"domain_classifier": scored["domain_classifier_auroc", "value"].iloc[0]}
    return found


if __name__ == "__main__":
    answer(nannyml.__version__, values)
