"""A registry of somebody else's that shows our versions; nothing of ours is ever read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from anew.domain.manifest import Manifest

__all__ = ["MirroredRun", "ModelMirror"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredRun:
    """A training run as it is shown.

    Attributes
    ----------
    version, at
        Name of the version, and when it was trained.
    digest, folder, manifest
        Of its verified artifact; empty and None for a run that came to nothing.
    metrics
        What training and the gates measured, by name.
    facts
        What else is known, by name: cause, snapshot, outcome.
    """

    version: str
    at: datetime
    digest: str = ""
    folder: Path | None = None
    manifest: Manifest | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


class ModelMirror(Protocol):
    """Idempotent: each method reads before it writes, and may be repeated after any crash."""

    def show(self, run: MirroredRun) -> str:
        """Show a run with its model; return what the mirror calls the version, or an empty text without a model.

        Raises
        ------
        UnavailableError
            The mirror does not answer.
        """
        ...

    def point(self, alias: str, version: str) -> None:
        """Let `alias` name a shown version; an empty `version` takes the alias away. Raises as `show`."""
        ...

    def aliases(self) -> Mapping[str, str]:
        """Return the version that each alias names; one that we did not show is called ``?``. Raises as `show`."""
        ...

    def versions(self) -> frozenset[str]:
        """Return the versions that are shown with a model. Raises as `show`."""
        ...
