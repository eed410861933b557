"""Runs in the environment of Feast, as a program of its own: joins rows with features as they were known then.

``python feast_child.py ORDER.json``; the order names the repository, the features, the rows (Parquet, with the join
keys and ``event_timestamp``) and where the answer goes. Imports nothing of anew: the two share no environment.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(order_file: str) -> int:
    """Write what Feast knows, by number of row, in an order of its own; exit code 0, or 3 when it refuses."""
    order = json.loads(Path(order_file).read_text("utf-8"))
    pandas: Any = importlib.import_module("pandas")  # only Feast's environment has this release of it
    feast: Any = importlib.import_module("feast")  # likewise
    rows = pandas.read_parquet(order["rows"])
    store = feast.FeatureStore(repo_path=order["repository"])
    try:
        asked = store.get_historical_features(entity_df=rows, features=order["features"], full_feature_names=True)
        joined = asked.to_df()
    except (feast.errors.FeastError, KeyError, ValueError) as exc:
        sys.stderr.write(f"{type(exc).__name__}: {exc}\n")
        return 3
    names = [each.replace(":", "__", 1) for each in order["features"]]
    joined[["_row", *names]].to_parquet(order["answer"], index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
