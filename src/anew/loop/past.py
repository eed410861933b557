"""What an effect looks up in the record and in the versions that were trained before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from anew.domain.errors import IntegrityError, NotFoundError
from anew.domain.fact import Fact
from anew.domain.manifest import Manifest
from anew.loop.training import SEARCH
from anew.loop.training_order import Training
from anew.ports.artifact import ArtifactStore
from anew.ports.snapshot import SnapshotStore

__all__ = ["Past", "Record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What effects look up in the record.

    The digest of a version (empty: unknown), a fact by its id, the digest of the version trained last, and the name of
    the first champion (or empty).
    """

    digest_of: Callable[[str], str]
    find: Callable[[str], Fact | None]
    newest: Callable[[], str] = lambda: ""
    first_champion: Callable[[], str] = lambda: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The versions that were trained before."""

    artifacts: ArtifactStore
    record: Record

    def champion(self, champion: str) -> tuple[str, str]:
        """Return the champion's digest and the folder of its verified artifact; empty for none."""
        digest = self.record.digest_of(champion) if champion else ""
        return digest, str(self.artifacts.get(digest)) if digest else ""

    def learned(self, champion: str, snapshots: SnapshotStore) -> datetime | None:
        """Return the instant of the newest row that the champion was trained on; None where that is not known.

        A snapshot is gone where a subject of it was purged.
        """
        digest, folder = self.champion(champion)
        if not digest:
            return None
        manifest = Manifest.from_json((Path(folder) / "manifest.json").read_text("utf-8"))
        if not manifest.snapshot:
            return None
        try:
            rows = pl.read_parquet(snapshots.get(manifest.snapshot), columns=["_at"], n_rows=manifest.rows)
        except (NotFoundError, IntegrityError):
            return None
        newest: datetime = rows.get_column("_at")[-1]
        return newest

    def warm(self, champion: str) -> tuple[str, str]:
        """Return whom a training starts warm from: the champion, or of its two models the one on its own span.

        Started from both, each model would have the trees of two, and the next of four. Where that one is gone, it is
        the champion all the same.
        """
        digest, folder = self.champion(champion)
        blend = Manifest.from_json((Path(folder) / "manifest.json").read_text("utf-8")).blend if digest else ()
        alone = blend[0][0] if blend else ""
        if not alone or not self.artifacts.has(alone):
            return digest, folder
        return alone, str(self.artifacts.get(alone))

    def params_of(self, candidate: str, training: Training) -> Mapping[str, Any]:
        """Return the parameters that a candidate was trained with: where they are searched, what was found for it."""
        digest = self.record.digest_of(candidate) or self.record.newest()
        if training.search is None or not digest:
            return training.params
        text = (self.artifacts.get(digest) / "manifest.json").read_text("utf-8")
        return Manifest.from_json(text).params

    def tried(self, champion: str) -> tuple[bytes, ...]:
        """Return the records of the searches that the newest version and the champion came from."""
        found = []
        for digest in dict.fromkeys(filter(None, (self.record.newest(), champion))):
            record = self.artifacts.get(digest) / SEARCH
            if record.is_file():
                found.append(record.read_bytes())
        return tuple(found)
