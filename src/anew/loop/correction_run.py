"""One correction of history on files: what a job in a process of its own is told, and what it leaves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anew.domain.errors import SettingsError, TrainingError
from anew.loop.correction import Corrected

__all__ = ["CORRECTED", "Correction", "CorrectionRun", "leave_correction", "read_correction"]

CORRECTED = "corrected.parquet"
_OUTCOME = "corrected.json"

Tables = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRun:
    """What a job is to correct.

    Attributes
    ----------
    project
        Folder with the rules and the pipeline.
    rows
        Parquet file in time order: ``_at``, ``_label`` and the declared features.
    code
        The SHA-256 that the pipeline had when the run was planned (empty: whatever it is).
    tables
        Which version of each table the rows were read at.
    """

    project: Path
    rows: Path
    code: str
    tables: Tables

    def to_json(self) -> str:
        """Write as JSON."""
        return json.dumps(
            {"project": str(self.project), "rows": str(self.rows), "code": self.code, "tables": self.tables}
        )

    @classmethod
    def from_json(cls, text: str) -> "CorrectionRun":
        """Read what `to_json` wrote.

        Raises
        ------
        SettingsError
            It is something else.
        """
        try:
            plain = json.loads(text)
            return cls(
                project=Path(plain["project"]),
                rows=Path(plain["rows"]),
                code=plain["code"],
                tables=_tables(plain["tables"]),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise SettingsError(f"the correction cannot be read: {exc!r}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What a job did: rows mended and left out, and the table versions that its rows were read at."""

    tables: Tables
    repaired: int
    dropped: int


def leave_correction(run: CorrectionRun, corrected: Corrected, folder: Path) -> None:
    """Write the corrected rows and what was done to them into `folder`."""
    corrected.rows.write_parquet(folder / CORRECTED, compression="zstd")
    told = {"tables": run.tables, "repaired": corrected.repaired, "dropped": corrected.dropped}
    (folder / _OUTCOME).write_text(json.dumps(told), encoding="utf-8")


def read_correction(folder: Path) -> Correction:
    """Return what a finished job left in its folder.

    Raises
    ------
    TrainingError
        There is nothing, or it cannot be read.
    """
    try:
        plain = json.loads((folder / _OUTCOME).read_text("utf-8"))
        return Correction(
            tables=_tables(plain["tables"]), repaired=int(plain["repaired"]), dropped=int(plain["dropped"])
        )
    except (OSError, KeyError, TypeError, ValueError) as exc:
        raise TrainingError("error", f"the correction left no outcome in {folder}: {exc}") from exc


def _tables(plain: Any) -> Tables:
    return tuple((str(table), int(version)) for table, version in plain)
