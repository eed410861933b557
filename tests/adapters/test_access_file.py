"""Tokens: who holds a good one is known, and nobody else."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.access_file import AccessFile
from anew.adapters.user_file import UserFile
from anew.domain.access import Permission, Role
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError
from anew.governance import may

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def tokens_in(folder: Path) -> AccessFile:
    return AccessFile(folder / "access" / "tokens.json", UserFile(folder / "access" / "users.json"))


@pytest.fixture
def file(tmp_path: Path) -> AccessFile:
    return tokens_in(tmp_path)


def test_a_token_says_whose_it_is_and_its_secret_is_kept_nowhere(file: AccessFile, tmp_path: Path) -> None:
    token, record = file.create("checkout", Role.MACHINE, now=NOW, models=("fraud",))
    who = file.verify(token, now=NOW)
    assert who is not None
    assert (who.id, who.name, who.role, who.models) == (record.id, "checkout", Role.MACHINE, frozenset({"fraud"}))
    secret = token.split("_", 2)[2]
    kept = "".join(path.read_text() for path in (tmp_path / "access").iterdir())
    assert secret not in kept
    assert (tmp_path / "access" / "tokens.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.fault("H8")
def test_every_other_token_is_nobody_s(file: AccessFile) -> None:
    token, record = file.create("checkout", Role.MACHINE, now=NOW, expires=NOW + DAY)
    other, _ = file.create("shop", Role.ADMIN, now=NOW)
    prefix, id, secret = token.split("_", 2)
    for wrong in (
        "",
        "anew",
        "anew__",
        f"{prefix}_{id}_",
        f"{prefix}_{id}_{secret}x",
        f"{prefix}_{id}_{secret[:-1]}",
        f"{prefix}_{id}_{other.split('_', 2)[2]}",
        f"other_{id}_{secret}",
        f"{prefix}_{id}_{record.hash}",
        "anew_" + "a" * 100_000,
        "anew_\u00e9_\udcff".encode("utf-8", "replace").decode(),
    ):
        assert file.verify(wrong, now=NOW) is None, wrong[:60]
    assert file.verify(token, now=NOW + DAY) is None
    assert file.verify(token, now=NOW + DAY - timedelta(microseconds=1)) is not None


def test_a_revoked_token_is_refused_by_those_who_read_before(file: AccessFile, tmp_path: Path) -> None:
    token, record = file.create("checkout", Role.MACHINE, now=NOW)
    reader = tokens_in(tmp_path)
    assert reader.verify(token, now=NOW) is not None
    assert file.revoke(record.id, now=NOW + DAY).revoked
    assert file.revoke(record.id, now=NOW + 2 * DAY).revoked == (NOW + DAY).isoformat()
    assert reader.verify(token, now=NOW) is None
    with pytest.raises(NotFoundError):
        file.revoke("nobody", now=NOW)


def test_a_name_has_one_good_token(file: AccessFile) -> None:
    _, record = file.create("ann", Role.OPERATOR, now=NOW, expires=NOW + DAY)
    with pytest.raises(ConflictError):
        file.create("ann", Role.OPERATOR, now=NOW)
    file.create("ann", Role.OPERATOR, now=NOW + DAY)  # the first has expired
    assert next(each.id for each in file.records()) == record.id


def test_of_many_that_are_made_at_once_none_is_lost(file: AccessFile, tmp_path: Path) -> None:
    def make(number: int) -> str:
        own = tokens_in(tmp_path)
        return own.create(f"app{number}", Role.MACHINE, now=NOW)[0]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(24)))
    assert all(file.verify(token, now=NOW) for token in made)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema": 2, "tokens": []}', json.dumps({"schema": 1, "tokens": [{"id": 1}]})]
)
def test_a_file_that_holds_no_tokens_lets_nobody_in(file: AccessFile, tmp_path: Path, text: str) -> None:
    token, _ = file.create("ann", Role.ADMIN, now=NOW)
    (tmp_path / "access" / "tokens.json").write_text(text)
    with pytest.raises(IntegrityError):
        tokens_in(tmp_path).verify(token, now=NOW)


def test_a_file_that_others_may_read_is_refused(file: AccessFile, tmp_path: Path) -> None:
    file.create("ann", Role.ADMIN, now=NOW)
    path = tmp_path / "access" / "tokens.json"
    path.chmod(0o640)
    with pytest.raises(IntegrityError, match="chmod 600"):
        AccessFile(path, UserFile(path.with_name("users.json"))).records()


def test_a_link_is_not_followed(file: AccessFile, tmp_path: Path) -> None:
    file.create("ann", Role.ADMIN, now=NOW)
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "access" / "tokens.json")
    with pytest.raises(OSError, match="symbolic link"):
        AccessFile(link, UserFile(link.with_name("users.json"))).records()


@pytest.mark.fault("H2")
def test_a_person_s_token_may_no_more_than_the_person(file: AccessFile, tmp_path: Path) -> None:
    users = UserFile(tmp_path / "access" / "users.json")
    users.add("ann", Role.ADMIN, now=NOW, expires=NOW + timedelta(days=1))
    token, record = file.create("ann-laptop", Role.ADMIN, now=NOW, user="ann")
    own, _ = file.create("laptop", Role.ADMIN, now=NOW)

    def allowed(of: str) -> set[Permission]:
        who = file.verify(of, now=NOW)
        assert who is not None
        return {each for each in Permission if may(who, each)}

    assert allowed(token) == allowed(own) == set(Permission), "the control"
    users.set_role("ann", Role.VIEWER, now=NOW)
    assert allowed(token) == {Permission.READ, Permission.METRICS}
    assert allowed(own) == set(Permission)
    later = NOW + timedelta(days=2)
    assert (file.verify(token, now=later), file.holder(record.id, now=later)) == (None, None), "ann has expired"
    assert file.verify(own, now=later) is not None


def test_a_token_of_somebody_who_is_nobody_is_refused(file: AccessFile) -> None:
    token, _ = file.create("ann-laptop", Role.ADMIN, now=NOW, user="ann")
    assert file.verify(token, now=NOW) is None
