"""Who may do what: one table, and whatever it does not name is refused."""

from collections.abc import Mapping
from types import MappingProxyType

from anew.domain.access import Permission, Principal, Role

__all__ = ["PERMISSIONS", "may"]

PERMISSIONS: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Permission.READ, Permission.METRICS}),
        Role.LABELLER: frozenset({Permission.REVIEW}),
        Role.OPERATOR: frozenset({Permission.READ, Permission.METRICS, Permission.OPERATE, Permission.REVIEW}),
        Role.APPROVER: frozenset({Permission.READ, Permission.METRICS, Permission.APPROVE}),
        Role.ADMIN: frozenset(Permission),
        Role.MACHINE: frozenset({Permission.PREDICT, Permission.LABEL, Permission.METRICS}),
    }
)
"""What each role may. An operator cannot approve and an approver cannot operate: asking and consenting stay apart."""


def may(who: Principal, what: Permission, model: str = "") -> bool:
    """Is `who` allowed to do `what`, about `model` when it is about one?

    >>> may(Principal(id="1", name="app", role=Role.MACHINE, models=frozenset({"fraud"})), Permission.PREDICT, "churn")
    False
    """
    inside = not who.models or model in who.models
    roles = {who.role, who.person or who.role}
    return inside and all(what in PERMISSIONS.get(role, frozenset()) for role in roles)
