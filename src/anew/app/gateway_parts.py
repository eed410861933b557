"""What a gateway worker is made of, by name: so that a test can give it other parts."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anew.domain.errors import SettingsError
from anew.gateway.gate import OPEN, Rules
from anew.gateway.marked import Unmarked
from anew.gateway.metrics import Loop
from anew.gateway.retrain_hook import RetrainHook
from anew.gateway.review_desk import ReviewDesk
from anew.gateway.settings import GatewaySettings
from anew.gateway.signed import VerifySender
from anew.ports.artifact import ArtifactStore
from anew.ports.feature_store import OnlineFeatures
from anew.ports.journal import JournalWriter
from anew.ports.traffic import Traffic
from anew.ports.version_mark import VersionMark

__all__ = ["GatewayParts", "PartsMaker", "named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """The parts of one worker.

    `loader` is the ``package.module:Class`` of the loader, by name because the challenger's process makes its own.
    """

    settings: GatewaySettings
    host: str
    traffic: Traffic
    store: ArtifactStore
    journal: JournalWriter
    loader: str
    hook: RetrainHook | None = None
    verify: VerifySender | None = None
    desk: ReviewDesk | None = None
    meter: Callable[[], Loop] | None = None
    features: OnlineFeatures | None = None
    rules: Rules = OPEN
    mark: VersionMark = field(default_factory=Unmarked)


PartsMaker = Callable[[Path, str], GatewayParts]
"""Makes the parts for (project folder, name of the worker)."""


def named(entry: str) -> Any:
    """Return what ``package.module:name`` names.

    Raises
    ------
    SettingsError
        There is no such module or name.
    """
    module, _, name = entry.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise SettingsError(f"{entry!r} cannot be found ({exc}); write package.module:name") from exc
