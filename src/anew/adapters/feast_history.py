"""Feast's offline store: a point-in-time join, run in the environment that Feast is installed in."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # likewise

from anew.domain.errors import SchemaError, UnavailableError

__all__ = ["FeastHistory"]

_CHILD = Path(__file__).with_name("feast_child.py")
_REFUSED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FeastHistory:
    """See `anew.ports.feature_store.OfflineFeatures`.

    Attributes
    ----------
    python
        The interpreter of Feast's own environment: its pandas is older than anew's.
    repository
        Folder with ``feature_store.yaml``.
    entity
        Feast's join keys, each with the column that has it.
    features
        Names of columns, each with its reference ``view:feature``.
    timeout_s
        Seconds that a join may take.
    """

    python: Path
    repository: Path
    entity: Mapping[str, str]
    features: Mapping[str, str]
    timeout_s: float = 600.0

    def join(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Hand the rows' keys and instants over as Parquet and take the features back."""
        missing = [name for name in self.entity.values() if name not in rows.columns]
        if missing:
            raise SchemaError(
                f"the rows lack {missing}, by which the feature store knows them; they have {rows.columns}", missing[0]
            )
        if not rows.height:
            return rows.with_columns(pl.lit(None).alias(name) for name in self.features)
        with TemporaryDirectory(prefix="anew-feast-") as folder:
            answer = self._asked(rows, Path(folder))
        numbers = answer.get_column("_row")
        if numbers.n_unique() < len(numbers) or not numbers.is_between(0, rows.height - 1).all():
            raise UnavailableError(f"Feast was asked about {rows.height} rows and answered {answer.height} others")
        # Feast leaves out rows of which nothing was known, or nothing that had not expired: null is what that means.
        whole = pl.select(_row=pl.int_range(rows.height)).join(
            answer.with_columns(numbers.cast(pl.Int64)), on="_row", how="left", maintain_order="left"
        )
        known = [whole.get_column(of.replace(":", "__", 1)).alias(name) for name, of in self.features.items()]
        return rows.with_columns(known)

    def _asked(self, rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
        keys = rows.select(
            pl.int_range(pl.len()).alias("_row"),
            *(pl.col(column).alias(key) for key, column in self.entity.items()),
            pl.col("_at").alias("event_timestamp"),
        ).to_arrow()
        # Feast takes Arrow's large text for JSON.
        plain = pa.schema([f.with_type(pa.string()) if f.type == pa.large_string() else f for f in keys.schema])
        pq.write_table(keys.cast(plain), folder / "rows.parquet")
        order = {
            "repository": str(self.repository),
            "features": sorted(set(self.features.values())),
            "rows": str(folder / "rows.parquet"),
            "answer": str(folder / "answer.parquet"),
        }
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        self._run(folder / "order.json")
        try:
            return pl.read_parquet(folder / "answer.parquet")
        except (OSError, pl.exceptions.PolarsError) as exc:
            raise UnavailableError(f"Feast ended without an answer that can be read: {exc}") from exc

    def _run(self, order: Path) -> None:
        settings = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"FEAST_USAGE": "False"}
        command = [str(self.python), str(_CHILD), str(order)]
        try:
            ended = subprocess.run(  # noqa: S603  the interpreter is the project's own setting
                command, env=settings, capture_output=True, timeout=self.timeout_s, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise UnavailableError(f"Feast took more than {self.timeout_s:g} s for a join; it was ended") from exc
        except OSError as exc:
            raise UnavailableError(
                f"{self.python} cannot be run ({exc.strerror}); feature_store.python has to be the interpreter of an "
                "environment with Feast, which `make feast` installs into build/feast"
            ) from exc
        if ended.returncode:
            said = ended.stderr.decode(errors="replace").strip().splitlines() or ["(it said nothing)"]
            if ended.returncode == _REFUSED:
                raise SchemaError(f"Feast refuses the join: {said[-1]}", "feature_store")
            raise UnavailableError(f"Feast ended with {ended.returncode}: {said[-1]}")
