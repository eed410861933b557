"""Who stands before a project's gateway, and by what names it is called."""

from collections.abc import Collection

from anew.app.person import access_file
from anew.app.settings import Settings
from anew.domain.access import Role
from anew.gateway.gate import LOOPBACK, Rules

__all__ = ["rules"]

_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  to be told from others, not to be bound


def rules(settings: Settings, host: str = "") -> Rules:
    """Return who may use the project's gateway, where that is bound to `host`; empty: to what its settings say."""
    serving, access = settings.policy.serving, settings.policy.access
    tokens = access_file(settings.state)
    return Rules(
        verify=lambda token, now: tokens.verify(token, now=now),
        hosts=_names(host or serving.host, access.hosts),
        anonymous=Role.MACHINE if access.anonymous == "machine" else None,
    )


def _names(host: str, told: Collection[str]) -> frozenset[str]:
    own = () if host in _ANY else (f"[{host}]" if ":" in host else host,)
    return frozenset((*LOOPBACK, *own, *told))
