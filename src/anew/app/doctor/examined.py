"""The project that is looked at, once it was brought up."""

from dataclasses import dataclass
from pathlib import Path

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.signing import Verifier
from anew.app.settings import Settings

__all__ = ["Examined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """The project that is looked at; `quick` leaves out what reads every byte."""

    settings: Settings
    quick: bool = False

    @property
    def state(self) -> Path:
        """The project's ``.anew`` folder."""
        return self.settings.state

    @property
    def traffic(self) -> FileTraffic:
        """The routing, to be read."""
        return FileTraffic(self.state, verifier=Verifier.load(self.state / "keys"))
