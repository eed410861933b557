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
    found = [file.named("ann", now=NOW), file.of_account("root"), file.of_subject("https://id 7")]
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
        file.set_password("ann", "another", now=NOW)
    assert file.holder(made.principal.id, now=later) is None
    gone = change != "password"
    assert (file.named("ann", now=later) is None) == gone
    found = file.of_account("root")
    assert found is not None, "it is known whose account it is, let in or not"
    assert found.is_good(later) != gone


def test_who_is_known_again_under_a_revoked_name_has_nothing_of_who_was_before(file: UserFile) -> None:
    before = file.add("ann", Role.ADMIN, now=NOW, kept="hash")
    file.link("ann", now=NOW, account="root")
    file.revoke("ann", now=NOW)
    after = file.add("ann", Role.VIEWER, now=NOW)
    assert file.holder(before.principal.id, now=NOW) is None
    assert (after.hash, after.accounts) == ("", ())
    account = file.of_account("root")
    assert account is not None
    assert (account.id, account.is_good(NOW)) == (before.id, False), "what was theirs leads to who is let in no more"
    assert file.link("ann", now=NOW, account="root").id == after.id, "until it is said to be somebody's again"
    assert [each.accounts for each in file.records()] == [(), ("root",)]


def test_a_role_is_another_at_once(file: UserFile) -> None:
    made = file.add("ann", Role.VIEWER, now=NOW)
    file.set_role("ann", Role.OPERATOR, now=NOW)
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


@pytest.mark.parametrize("gone", ["revoked", "expired"])
def test_a_subject_of_somebody_who_is_let_in_no_more_is_nobody_new(file: UserFile, gone: str) -> None:
    file.add("ann", Role.ADMIN, now=NOW, subject="https://id 7", expires=NOW + timedelta(days=1))
    if gone == "revoked":
        file.revoke("ann", now=NOW)
    later = NOW + timedelta(days=2)
    with pytest.raises(ConflictError, match="https://id 7 is ann already"):
        file.add("ann2", Role.ADMIN, now=later, subject="https://id 7")
    file.add("ann", Role.VIEWER, now=later)
    with pytest.raises(ConflictError, match="https://id 7 is ann already"):
        file.add("ann2", Role.ADMIN, now=later, subject="https://id 7")


@pytest.mark.fault("P15")
@pytest.mark.parametrize("gone", [False, True])
def test_whom_a_provider_brought_under_another_name_is_one_with_who_that_is(file: UserFile, gone: bool) -> None:
    file.add("ann", Role.APPROVER, now=NOW)
    brought = file.add("asmith", Role.APPROVER, now=NOW, subject="https://id 7")
    file.link("asmith", now=NOW, account="asmith-os")
    if gone:
        file.revoke("asmith", now=NOW)
    whole = file.link("ann", now=NOW, subject="https://id 7")
    assert (whole.aliases, whole.subjects, whole.accounts) == (("asmith",), ("https://id 7",), ("asmith-os",))
    assert file.called("asmith") == file.of_subject("https://id 7") == file.of_account("asmith-os") == whole
    assert file.named("asmith", now=NOW) is None, "a name to sign in with is one's own"
    assert file.holder(brought.principal.id, now=NOW) is None
    with pytest.raises(ConflictError, match="known already"):
        file.add("asmith", Role.ADMIN, now=NOW)
    assert file.records() == [whole]


def test_what_a_provider_says_of_somebody_is_not_said_here(file: UserFile) -> None:
    file.add("ann", Role.ADMIN, now=NOW, subject="https://id 7")
    with pytest.raises(PolicyError, match="change it there"):
        file.set_role("ann", Role.VIEWER, now=NOW)
    with pytest.raises(PolicyError, match="alone lets ann in"):
        file.set_password("ann", "hash", now=NOW)
    assert file.set_provided_role("ann", Role.VIEWER, now=NOW).role == "viewer"


def test_nothing_changes_of_who_is_let_in_no_more(file: UserFile) -> None:
    file.add("ann", Role.ADMIN, now=NOW)
    file.revoke("ann", now=NOW)
    with pytest.raises(NotFoundError, match="ann was revoked"):
        file.set_role("ann", Role.VIEWER, now=NOW)
    with pytest.raises(NotFoundError, match="ann was revoked"):
        file.set_password("ann", "hash", now=NOW)
    with pytest.raises(NotFoundError, match="ann was revoked"):
        file.link("ann", now=NOW, account="root")


def test_nobody_is_known_of_whom_nothing_could_be_told(file: UserFile) -> None:
    def told(_: object) -> None:
        raise OSError

    with pytest.raises(OSError):
        file.add("ann", Role.ADMIN, now=NOW, told=told)
    assert file.records() == []


def test_a_session_of_an_older_file_put_back_is_none_of_another_password(file: UserFile, tmp_path: Path) -> None:
    path = tmp_path / "access" / "users.json"
    file.add("ann", Role.ADMIN, now=NOW, kept="one")
    older = path.read_text()
    session = file.set_password("ann", "two", now=NOW).principal.id
    path.write_text(older)
    file.set_password("ann", "three", now=NOW)
    assert file.holder(session, now=NOW) is None


def test_a_file_of_before_is_read(file: UserFile, tmp_path: Path) -> None:
    file.add("ann", Role.ADMIN, now=NOW)
    path = tmp_path / "access" / "users.json"
    plain = json.loads(path.read_text())
    plain["users"][0].pop("aliases")
    plain["users"][0]["turn"] = 3
    path.write_text(json.dumps(plain))
    found = file.named("ann", now=NOW)
    assert found is not None
    assert (found.role, found.aliases) == ("admin", ())


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
