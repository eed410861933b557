"""People: a name is one person's, whatever way they come in, and a new password ends what the old one began."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from anew.adapters.user_file import UserFile
from anew.domain.access import Role
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError, PolicyError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> UserFile:
    return UserFile(tmp_path / "access" / "users.json")


def test_a_person_is_found_by_name_account_and_subject_and_is_one(file: UserFile) -> None:
    made = file.add("ann", Role.APPROVER, now=NOW, kept="hash")
    file.link("ann", now=NOW, account="root")
    linked = file.link("ann", now=NOW, subject="https://id 7")
    found = [file.named("ann", now=NOW), file.of_account("root", now=NOW), file.of_subject("https://id 7", now=NOW)]
    assert found == [linked] * 3
    assert file.holder(made.principal.id, now=NOW) == made.principal
    assert (linked.principal.name, linked.principal.role) == ("ann", Role.APPROVER)


@pytest.mark.parametrize("change", ["revoke", "expire", "password"])
def test_who_is_let_in_no_more_is_nobody_by_any_way(file: UserFile, change: str) -> None:
    made = file.add("ann", Role.ADMIN, now=NOW, kept="hash", expires=NOW + timedelta(days=1))
    file.link("ann", now=NOW, account="root")
    later = NOW + timedelta(days=2) if change == "expire" else NOW
    if change == "revoke":
        file.revoke("ann", now=NOW)
    if change == "password":
        file.set_password("ann", "another")
    assert file.holder(made.principal.id, now=later) is None
    gone = change != "password"
    assert (file.named("ann", now=later) is None) == gone
    assert (file.of_account("root", now=later) is None) == gone


def test_who_is_known_again_under_a_revoked_name_has_nothing_of_who_was_before(file: UserFile) -> None:
    before = file.add("ann", Role.ADMIN, now=NOW, kept="hash")
    file.link("ann", now=NOW, account="root")
    file.revoke("ann", now=NOW)
    after = file.add("ann", Role.VIEWER, now=NOW)
    assert file.holder(before.principal.id, now=NOW) is None
    assert file.of_account("root", now=NOW) is None
    assert after.hash == ""


def test_a_role_is_another_at_once(file: UserFile) -> None:
    made = file.add("ann", Role.VIEWER, now=NOW)
    file.set_role("ann", Role.OPERATOR)
    found = file.holder(made.principal.id, now=NOW)
    assert found is not None
    assert found.role is Role.OPERATOR


def test_nobody_is_two_persons_and_no_name_two_people_s(file: UserFile) -> None:
    file.add("ann", Role.ADMIN, now=NOW)
    file.add("bob", Role.ADMIN, now=NOW)
    file.link("ann", now=NOW, account="root", subject="https://id 7")
    with pytest.raises(ConflictError, match="known already"):
        file.add("ann", Role.ADMIN, now=NOW)
    for what in ({"account": "root"}, {"subject": "https://id 7"}):
        with pytest.raises(ConflictError, match="is ann already"):
            file.link("bob", now=NOW, **what)
    with pytest.raises(NotFoundError):
        file.link("eve", now=NOW, account="eve")


@pytest.mark.parametrize("name", ["", "Ann", "ann bob", "änn", "ann\n", "-ann", "a" * 200, "ann\u202e", "\u0430nn"])
def test_a_name_that_could_be_taken_for_another_s_is_none(file: UserFile, name: str) -> None:
    with pytest.raises(PolicyError, match="is no name"):
        file.add(name, Role.VIEWER, now=NOW)


def test_of_many_that_are_made_at_once_none_is_lost(file: UserFile, tmp_path: Path) -> None:
    def make(number: int) -> None:
        UserFile(tmp_path / "access" / "users.json").add(f"u{number}", Role.VIEWER, now=NOW)

    threads = [Thread(target=make, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {each.name for each in file.records()} == {f"u{number}" for number in range(12)}


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2, "users": []}', '{"schema": 1, "users": [{"name": "ann"}]}'])
def test_a_file_that_holds_nobody_lets_nobody_in(file: UserFile, tmp_path: Path, text: str) -> None:
    file.add("ann", Role.ADMIN, now=NOW)
    path = tmp_path / "access" / "users.json"
    path.write_text(text)
    with pytest.raises(IntegrityError, match="holds no users"):
        file.named("ann", now=NOW)


def test_a_file_that_others_may_read_is_refused(file: UserFile, tmp_path: Path) -> None:
    file.add("ann", Role.ADMIN, now=NOW, kept="hash")
    path = tmp_path / "access" / "users.json"
    assert json.loads(path.read_text())["users"][0]["name"] == "ann"
    path.chmod(0o640)
    with pytest.raises(IntegrityError, match="chmod 600"):
        UserFile(path).records()
