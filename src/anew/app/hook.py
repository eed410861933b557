"""The webhooks of a project: programs ask for a retrain, and say what is true."""

from collections.abc import Mapping
from contextlib import closing

from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.standard_webhook import verified_id, verified_sender, webhook_key
from anew.adapters.system_clock import SystemClock
from anew.app.command import latest_time
from anew.app.record import open_record
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.domain.errors import SettingsError
from anew.domain.facts import RetrainCommanded
from anew.gateway.retrain_hook import RetrainHook
from anew.gateway.signed import VerifySender

__all__ = ["check_secrets", "hook_reference", "retrain_hook", "senders"]


def hook_reference(settings: Settings) -> str:
    """Return where the webhook's secret is; empty when the policy has no webhook. Its form is checked with the rest."""
    for entry in settings.policy.triggers:
        given = entry.get("webhook")
        if isinstance(given, Mapping):
            return str(given.get("secret", ""))
    return ""


def check_secrets(settings: Settings) -> None:
    """Read every secret that a gateway's worker needs to tell who signed what, so that none fails to begin for want.

    Raises
    ------
    SettingsError
        There is no secret where the policy says, it is none, or two sources have one and the same. No message holds it.
    """
    retrain_hook(settings)
    senders(settings)


def retrain_hook(settings: Settings) -> RetrainHook | None:
    """Return the project's webhook; None when the policy has none.

    Raises
    ------
    SettingsError
        There is no secret where the policy says, or it is none. No message holds it.
    """
    reference = hook_reference(settings)
    if not reference:
        return None
    key, clock = webhook_key(read_secret(reference, settings.root)), SystemClock()

    def post(id: str, reason: str) -> None:
        with closing(open_record(settings.state)) as database:
            command = RetrainCommanded(
                model=settings.model,
                at=latest_time(SQLEventLog(database, clock=clock)) or clock.now(),
                command=f"webhook/{id}",
                by="webhook",
                reason=reason or "no reason given",
                held=True,
            )
            SQLInbox(database, clock=clock).post(command.caused_by(""))

    def verify(headers: Mapping[str, str], body: bytes, now: float) -> str:
        return verified_id(key, headers, body, now=now)

    return RetrainHook(verify=verify, post=post, now=clock.now)


def senders(settings: Settings) -> VerifySender | None:
    """Return what tells which source signed a message; None when the policy has none that does.

    Raises
    ------
    SettingsError
        There is no secret where the policy says, it is none, or two sources have one and the same. No message holds it.
    """
    keys = {
        each.source: tuple(webhook_key(read_secret(reference, settings.root)) for reference in each.secrets)
        for each in settings.policy.feedback.webhooks
    }
    owners: dict[bytes, str] = {}
    for source, own in keys.items():
        for key in own:
            if owners.setdefault(key, source) != source:
                raise SettingsError(
                    f"feedback.webhooks: {owners[key]} and {source} have one secret, so nobody could tell them apart"
                )

    def verify(headers: Mapping[str, str], body: bytes, now: float) -> tuple[str, str]:
        return verified_sender(keys, headers, body, now=now)

    return verify if keys else None
