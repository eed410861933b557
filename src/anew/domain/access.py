"""Who somebody is to anew, and what there is to be allowed."""

from dataclasses import dataclass
from enum import StrEnum

from anew.domain.errors import InvariantError

__all__ = ["Permission", "Principal", "Role"]


class Role(StrEnum):
    """What somebody is trusted with; see `anew.governance.PERMISSIONS` for what each may."""

    VIEWER = "viewer"
    LABELLER = "labeller"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    MACHINE = "machine"


class Permission(StrEnum):
    """One kind of thing that can be done over the network."""

    PREDICT = "predict"
    LABEL = "label"
    REVIEW = "review"
    READ = "read"
    METRICS = "metrics"
    OPERATE = "operate"
    APPROVE = "approve"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody whose token or session was verified.

    Attributes
    ----------
    id
        Opaque, e.g. the token's; never a secret.
    models
        Names of the models that it is about; empty for all of the installation.
    person
        What the person is trusted with whose token it is, which may no more than both; None where it is nobody's, or
        the person is here without one.
    """

    id: str
    name: str
    role: Role
    models: frozenset[str] = frozenset()
    person: Role | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.name:
            raise InvariantError("somebody without an id or a name can be held to nothing")
