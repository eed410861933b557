"""What the feature store knows of customers: how much they usually pay, and how often, day by day."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource
from feast.types import Float64, Int64

customer = Entity(name="customer", join_keys=["customer_id"])

spending = FeatureView(
    name="spending",
    entities=[customer],
    ttl=timedelta(days=3),
    schema=[Field(name="usual", dtype=Float64), Field(name="orders", dtype=Int64)],
    source=FileSource(path="build/spending.parquet", timestamp_field="at"),
)
