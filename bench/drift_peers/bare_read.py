"""Read a Parquet file as our monitor does, in batches with dictionary-encoded categories, and do nothing with it."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["main"]

BATCH = 131_072


def main(current: str) -> None:
    """Read every batch, in this thread."""
    schema = pq.read_schema(current)
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    with pq.ParquetFile(current, read_dictionary=text, pre_buffer=False) as file:
        rows = sum(batch.num_rows for batch in file.iter_batches(batch_size=BATCH, use_threads=False))
    sys.stdout.write(f"{rows}\n")


if __name__ == "__main__":
    main(sys.argv[-1])
