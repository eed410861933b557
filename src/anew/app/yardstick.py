"""What a version's artifact says its windows are to be compared with."""

from pathlib import Path

import polars as pl

from anew.domain.manifest import Manifest
from anew.loop.observer_plan import Known
from anew.monitor import Traits, Yardstick
from anew.stats.profile import Reference

__all__ = ["read_known"]


def read_known(folder: Path) -> Known:
    """Read the yardstick and the loss scale of the verified artifact in `folder`.

    Raises
    ------
    IntegrityError, SchemaError
        A file of it cannot be read.
    """
    manifest = Manifest.from_json((folder / "manifest.json").read_text("utf-8"))
    features = Reference.from_bytes((folder / "reference.bin").read_bytes())
    sample, traits = folder / "sample.arrow", folder / "traits.json"
    return Known(
        yardstick=Yardstick(
            features=features,
            labels=_reference(folder / "labels.bin"),
            outputs=_reference(folder / "outputs.bin"),
            sample=pl.read_ipc(sample.read_bytes()) if sample.exists() else pl.DataFrame(),
            traits=Traits.from_json(traits.read_text("utf-8")) if traits.exists() else None,
        ),
        loss_scale=manifest.loss_scale or 1.0,
    )


def _reference(file: Path) -> Reference | None:
    return Reference.from_bytes(file.read_bytes()) if file.exists() else None
