"""A registry in memory, which can be away, and in which somebody can change things by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anew.domain.errors import UnavailableError
from anew.ports.mirror import MirroredRun

__all__ = ["FakeMirror"]


@dataclass(slots=True)
class FakeMirror:
    """See `anew.ports.mirror.ModelMirror`.

    Attributes
    ----------
    shown, named
        Runs and aliases as anybody sees and changes them.
    away
        Does it answer nothing?
    calls
        What was asked of it that changes something.
    """

    shown: dict[str, MirroredRun] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    away: bool = False
    calls: list[str] = field(default_factory=list)

    def show(self, run: MirroredRun) -> str:
        """Keep the run."""
        self._answer()
        self.calls.append(f"show {run.version}")
        self.shown.setdefault(run.version, run)
        return str(len(self.shown)) if run.digest else ""

    def point(self, alias: str, version: str) -> None:
        """Move the alias."""
        self._answer()
        self.calls.append(f"point {alias} {version}".rstrip())
        self.named[alias] = version
        if not version:
            del self.named[alias]

    def aliases(self) -> Mapping[str, str]:
        """Return the aliases."""
        self._answer()
        return dict(self.named)

    def versions(self) -> frozenset[str]:
        """Return the versions that have a model."""
        self._answer()
        return frozenset(version for version, run in self.shown.items() if run.digest)

    def _answer(self) -> None:
        if self.away:
            raise UnavailableError("nobody answers")
