"""The parts of a project's gateway workers."""

import logging
from functools import partial
from pathlib import Path

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.journal_process import JournalProcess
from anew.adapters.journal_shipping import shipped_upto
from anew.adapters.lake_position import stored_positions
from anew.adapters.signing import Verifier
from anew.adapters.version_mark_file import VersionMarkFile
from anew.app.accepted import accepted
from anew.app.door import rules
from anew.app.duration import parse_duration
from anew.app.feature_store import online_features
from anew.app.gateway_parts import GatewayParts
from anew.app.hook import hook_reference, retrain_hook, senders
from anew.app.kept import kept_artifacts
from anew.app.metering import read_loop
from anew.app.review import review_desk
from anew.app.settings import Settings
from anew.app.stores import journal_folder
from anew.domain.errors import AnewError
from anew.gateway.marked import Unmarked
from anew.gateway.settings import EventClock, GatewaySettings, OnFull
from anew.ports.version_mark import VersionMark

__all__ = ["LOADER", "gateway_of", "gateway_parts", "gateway_settings", "parts_by", "sets_of"]

_LOG = logging.getLogger("anew.gateway")
LOADER = "anew.adapters.model_loader:ModelLoader"


def gateway_settings(settings: Settings) -> GatewaySettings:
    """Return what the project says of its gateway."""
    serving, guardrails = settings.policy.serving, settings.policy.rollout.guardrails
    return GatewaySettings(
        model=settings.model,
        columns=settings.columns,
        on_full=OnFull(serving.on_full),
        deadline_ms=serving.deadline_ms,
        queue_ms=serving.queue_ms,
        future_skew_s=parse_duration(serving.future_skew).total_seconds(),
        clock=EventClock(settings.policy.monitor.clock),
        trip_failures=guardrails.at_least_errors,
        trip_share=guardrails.error_rate,
        events=settings.events,
        log_only=serving.log_only,
        webhook=hook_reference(settings),
        signing={each.source: each.secrets for each in settings.policy.feedback.webhooks},
        review=(review := settings.policy.feedback.review) is not None,
        labelling=review is not None and review.label_studio is not None and review.label_studio.webhook is not None,
        fetched=tuple(store.features) if (store := settings.policy.feature_store) else (),
        trip_window=max(250, guardrails.at_least_errors),
    )


def sets_of(settings: Settings) -> int:
    """Return how many complete sets of workers serve the project: a blue-green switch is between two."""
    return 2 if settings.policy.rollout.strategy == "blue_green" else 1


def gateway_of(settings: Settings) -> tuple[object, ...]:
    """Return what a gateway worker is told at its start, its port apart."""
    serving = settings.policy.serving
    sets = sets_of(settings)
    return gateway_settings(settings), serving.workers, sets, serving.journal_mb, settings.policy.access


def gateway_parts(project: Path, worker: str) -> GatewayParts:
    """Make the parts of the worker called `worker`: it verifies, and holds no key to sign with."""
    return parts_by(accepted(project), worker)


def parts_by(settings: Settings, worker: str, *, signed: bool = True) -> GatewayParts:
    """Make the parts of a worker by these settings; not `signed` where the secrets of who signs are not at hand."""
    state = settings.state
    verifier = Verifier.load(state / "keys")
    return GatewayParts(
        settings=gateway_settings(settings),
        host=settings.policy.serving.host,
        traffic=FileTraffic(state, verifier=verifier),
        store=kept_artifacts(state),
        journal=JournalProcess(
            journal_folder(state, worker),
            most_bytes=_journal_bytes(settings),
            stored=partial(_stored, state, worker),
        ),
        loader=LOADER,
        hook=retrain_hook(settings),
        verify=senders(settings) if signed else None,
        desk=review_desk(settings),
        meter=read_loop(state),
        features=online_features(settings),
        rules=rules(settings),
        mark=_mark(state / "run" / "marks", worker),
    )


def _stored(state: Path, worker: str) -> int:
    """Return up to which number a worker's journal is in the lake, or was shipped to it; 0 where nobody can tell."""
    shipped = shipped_upto(journal_folder(state, worker))
    try:
        return max(shipped, stored_positions(state / "lake.db").get(worker, 0))
    except AnewError as exc:
        _LOG.warning("stored_not_known worker=%s problem=%s", worker, exc)
        return shipped


def _mark(folder: Path, worker: str) -> VersionMark:
    try:
        return VersionMarkFile(folder, worker)
    except OSError as exc:
        _LOG.warning("mark_not_kept worker=%s problem=%s", worker, exc)
        return Unmarked()


def _journal_bytes(settings: Settings) -> int:
    serving = settings.policy.serving
    return serving.journal_mb * (1 << 20) // max(1, serving.workers * sets_of(settings))
