"""Makes the events that a model learns from, and what the feature store knows of the customers at each time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, CUSTOMERS, PER_DAY = 60, 40, 60


def spending() -> pl.DataFrame:
    """Return what each customer usually pays, as it was known at the end of each day."""
    chance = np.random.default_rng(1)
    usual = np.exp(chance.normal(3.0, 0.5, CUSTOMERS) + np.cumsum(chance.normal(0.0, 0.05, (DAYS, CUSTOMERS)), axis=0))
    orders = chance.poisson(3.0, (DAYS, CUSTOMERS))
    return pl.DataFrame(
        {
            "customer_id": [f"c{i}" for _ in range(DAYS) for i in range(CUSTOMERS)],
            "at": [START + timedelta(days=day) for day in range(DAYS) for _ in range(CUSTOMERS)],
            "usual": usual.ravel(),
            "orders": orders.ravel(),
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def rows() -> pl.DataFrame:
    """Return payments with their truth, without what the feature store knows: that is joined by anew."""
    chance = np.random.default_rng(2)
    n = (DAYS - 1) * PER_DAY
    at = [START + timedelta(days=1, minutes=24 * i) for i in range(n)]
    known = spending().get_column("usual").to_numpy().reshape(DAYS, CUSTOMERS)
    customer = chance.integers(0, CUSTOMERS, n)
    usual = known[[(each - START).days for each in at], customer]
    fraud = chance.random(n) < 0.3
    amount = usual * np.exp(chance.normal(0.0, 0.2, n)) * np.where(fraud, 4.0, 1.0)
    return pl.DataFrame(
        {
            "at": at,
            "customer_id": [f"c{i}" for i in customer],
            "amount": amount,
            "is_fraud": fraud.astype(int),
        }
    ).with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))


def main() -> None:
    """Write both files where the project and the feature repository look for them."""
    here = Path(__file__).parent
    build = here / "feature_repo" / "build"
    build.mkdir(exist_ok=True)
    # Feast takes text of Arrow's plain kind for text; polars writes the large one, which it takes for JSON.
    known = spending().to_arrow()
    plain = known.schema.set(0, pa.field("customer_id", pa.string()))
    pq.write_table(known.cast(plain), build / "spending.parquet")
    rows().write_parquet(here / "events.parquet")


if __name__ == "__main__":
    main()
