"""Who may do what: exactly the table, and nothing by accident."""

from collections.abc import Mapping

import pytest

from anew.domain.access import Permission, Principal, Role
from anew.domain.errors import InvariantError
from anew.governance import PERMISSIONS, may

TABLE = """
            viewer labeller operator approver admin machine
predict     -      -        -        -        yes   yes
label       -      -        -        -        yes   yes
review      -      yes      yes      -        yes   -
read        yes    -        yes      yes      yes   -
metrics     yes    -        yes      yes      yes   yes
operate     -      -        yes      -        yes   -
approve     -      -        -        yes      yes   -
administer  -      -        -        -        yes   -
"""


def rows() -> list[tuple[str, str, bool]]:
    roles, *lines = [line.split() for line in TABLE.strip().splitlines()]
    return [(line[0], role, word == "yes") for line in lines for role, word in zip(roles, line[1:], strict=True)]


@pytest.mark.fault("H2")
def test_each_role_may_what_the_table_says() -> None:
    assert len(rows()) == len(Role) * len(Permission)
    for permission, role, allowed in rows():
        assert may(Principal(id="1", name="ann", role=Role(role)), Permission(permission), "m") is allowed
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.fault("H2")
def test_another_model_is_nobody_s_business() -> None:
    for role in Role:
        who = Principal(id="1", name="ann", role=role, models=frozenset({"fraud"}))
        assert not any(may(who, permission, model) for permission in Permission for model in ("churn", ""))
        assert any(may(who, permission, "fraud") for permission in Permission)


def test_nobody_is_nameless() -> None:
    with pytest.raises(InvariantError):
        Principal(id="", name="ann", role=Role.ADMIN)


def told_apart(table: Mapping[Role, frozenset[Permission]]) -> list[tuple[str, str]]:
    """Return where a table of permissions is another than the one that is written out here."""
    return [
        (role, permission)
        for permission, role, allowed in rows()
        if (Permission(permission) in table[Role(role)]) is not allowed
    ]


@pytest.mark.fault("H2")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_planted_one_permission_too_many_or_too_few_is_found(role: Role, permission: Permission) -> None:
    assert told_apart(PERMISSIONS) == []
    changed = {**PERMISSIONS, role: PERMISSIONS[role] ^ {permission}}
    assert told_apart(changed) == [(role, permission)]
