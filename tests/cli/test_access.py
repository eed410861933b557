"""`anew access`: a token is shown once, listed without its secret, and taken back; each with a fact."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from anew.adapters.oidc_provider import OIDCProvider
from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.entrance import ProjectEntrance, role_of
from anew.app.person import access_file, user_file
from anew.app.policy_access import OIDCPolicy
from anew.app.settings import Settings, load
from anew.dashboard.entrance import Errand
from anew.domain.access import Principal, Role
from anew.domain.errors import ForbiddenError, SettingsError
from tests.app.small_project import YAML, write_project
from tests.cli.call import Called, call
from tests.cli.recorded import write_record

Run = Callable[..., Called]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda *arguments: call(capsys, monkeypatch, "access", *arguments)


def test_a_token_is_made_listed_and_taken_back(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    token = run("create", "checkout", "--expires", "90d", "--project", project).out.strip()
    who = access_file(project / ".anew").verify(token, now=SystemClock().now())
    assert who is not None
    assert (who.name, who.role) == ("checkout", "machine")
    listed = run("list", "--project", project)
    assert "checkout" in listed.out
    assert token.split("_", 2)[2] not in listed.out + run("list", "--project", project, "--json").out
    assert run("revoke", who.id, "--project", project).code == 0
    assert access_file(project / ".anew").verify(token, now=SystemClock().now()) is None
    with closing(Database(project / ".anew" / "anew.db", create=False)) as database:
        posted = SQLInbox(database, clock=SystemClock()).pending()
    assert [(fact.kind, getattr(fact, "name", "")) for fact in posted] == [
        ("AccessGranted", "checkout"),
        ("AccessRevoked", "checkout"),
    ]
    assert token.split("_", 2)[2] not in str(posted)


@pytest.mark.parametrize("given", ["0d", "99999999d"])
def test_nobody_is_let_in_until_an_instant_that_has_passed_or_never_comes(run: Run, tmp_path: Path, given: str) -> None:
    project = write_record(tmp_path / "small")
    for verb in (["create", "checkout"], ["add-user", "ann", "--no-password"]):
        refused = run(*verb, "--expires", given, "--project", project)
        assert refused.code == 2, refused
        assert "90d" in refused.err
    assert json.loads(run("list", "--project", project, "--json").out)["data"]["tokens"] == []


def test_what_has_expired_is_listed_so(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    assert run("create", "checkout", "--expires", "0.001s", "--project", project).code == 0
    assert " expired 20" in run("list", "--project", project).out


def test_mistakes_are_told(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    made = json.loads(run("create", "ann", "--role", "operator", "--project", project, "--json").out)["data"]
    assert made["role"] == "operator"
    assert run("create", "ann", "--project", project).code == 5
    assert run("create", "bob", "--role", "king", "--project", project).code == 2
    assert run("revoke", "nobody", "--project", project).code == 4
    assert run("list", "--project", tmp_path).code == 4


def entrance(project: Path) -> ProjectEntrance:
    return ProjectEntrance(project)


def test_a_person_is_made_known_signs_in_and_is_let_in_no_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write_record(tmp_path / "small")
    added = run("add-user", "ann", "--role", "approver", "--account", "ann-os", "--project", project)
    password = added.out.strip()
    who = entrance(project).by_password("ann", password)
    assert who is not None
    assert (who.name, who.role) == ("ann", "approver")
    assert entrance(project).by_password("ann", password + "x") is None
    assert entrance(project).by_password("bob", password) is None
    assert entrance(project).principal(who.id) == who
    listed = run("users", "--project", project, "--json").out + run("users", "--project", project).out
    assert password not in listed
    assert "argon2" not in listed
    assert "ann-os" in listed

    monkeypatch.setenv("NEW_PASSWORD", "chosen by herself")
    assert run("set-password", "ann", "--password", "env:NEW_PASSWORD", "--project", project).code == 0
    assert entrance(project).by_password("ann", password) is None
    assert entrance(project).principal(who.id) is None, "the session of the old password is over"
    assert run("set-role", "ann", "viewer", "--project", project).code == 0
    now = entrance(project).by_password("ann", "chosen by herself")
    assert now is not None
    assert now.role == "viewer"
    token = run("create", "ann-laptop", "--user", "ann", "--role", "viewer", "--project", project).out.strip()
    holder = entrance(project).holder(token)
    assert holder is not None
    assert holder.name == "ann"

    assert run("revoke", "ann", "--project", project).code == 0
    assert entrance(project).by_password("ann", "chosen by herself") is None
    assert entrance(project).principal(now.id) is None
    assert entrance(project).holder(token) is None, "her tokens with her"
    with closing(Database(project / ".anew" / "anew.db", create=False)) as database:
        posted = SQLInbox(database, clock=SystemClock()).pending()
    assert [fact.kind for fact in posted] == [
        "AccessGranted", "AccessChanged", "AccessChanged", "AccessChanged", "AccessGranted", "AccessRevoked",
        "AccessRevoked",
    ]  # fmt: skip
    for secret in (password, "chosen by herself", token.split("_", 2)[2]):
        assert secret not in str(posted)
        assert secret not in "".join(each.read_text() for each in (project / ".anew" / "access").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add-user", "An n"), 3, "is no name"),
        (("add-user", "webhook"), 5, "what a program or an account is called"),
        (("create", "account:root"), 5, "what a program or an account is called"),
        (("add-user", "ann"), 5, "known already"),
        (("add-user", "bob", "--account", "ann-os"), 5, "is ann already"),
        (("add-user", "bob", "--password", "hunter2hunter2"), 2, "env:NAME or file:PATH"),
        (("add-user", "bob", "--password", "env:SHORT"), 3, "12 to 128 characters"),
        (("add-user", "bob", "--password", "env:NAMED", "--no-password"), 2, "either there is a password"),
        (("add-user", "bob-bob-bob-bob", "--password", "env:NAMED"), 3, "that is the name is none"),
        (("set-password", "nobody"), 4, "nobody called"),
        (("set-role", "nobody", "viewer"), 4, "nobody called"),
        (("link", "nobody", "--account", "x"), 4, "nobody called"),
        (("link", "ann"), 2, "say which"),
        (("link", "ann", "--subject", "7"), 3, "no provider of identity"),
        (("create", "ANN"), 5, "would be taken for"),
        (("create", "x", "--user", "nobody"), 4, "nobody called"),
        (("create", "x", "--user", "ann", "--role", "admin"), 3, "ann is viewer, and a token of theirs may no more"),
        (("link", "ann", "--token", "nothing"), 4, "no token"),
        (("link", "nobody", "--token", "x"), 4, "nobody called"),
        (("set-password", "ann", "--password", "env:NAME_OF_HERS"), 3, "that is the name is none"),
        (("revoke", "nobody"), 4, "no token"),
    ],
)
def test_mistakes_about_people_are_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.setenv("SHORT", "short")
    monkeypatch.setenv("NAME_OF_HERS", "Ann")
    monkeypatch.setenv("NAMED", "BOB-bob-bob-bob")
    project = write_record(tmp_path / "small")
    assert run("add-user", "ann", "--no-password", "--account", "ann-os", "--project", project).code == 0
    ended = run(*arguments, "--project", project)
    assert ended.code == code, ended
    assert said in ended.out + ended.err
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.fault("P15")
def test_a_token_is_said_to_be_somebody_s(run: Run, tmp_path: Path) -> None:
    project = write_record(tmp_path / "small")
    token = run("create", "ann-laptop", "--role", "admin", "--project", project).out.strip()
    before = entrance(project).holder(token)
    assert before is not None
    assert before.name == "ann-laptop"
    for name in ("ann", "bob"):
        assert run("add-user", name, "--no-password", "--project", project).code == 0
    assert run("link", "ann", "--token", before.id, "--project", project).code == 0
    after = entrance(project).holder(token)
    assert after is not None
    assert (after.name, after.person) == ("ann", Role.VIEWER)
    refused = run("link", "bob", "--token", before.id, "--project", project)
    assert (refused.code, "nobody is two persons" in refused.err) == (5, True)
    assert run("revoke", "ann", "--project", project).code == 0
    assert entrance(project).holder(token) is None
    for words in (("set-role", "ann", "viewer"), ("set-password", "ann"), ("link", "ann", "--account", "x")):
        told = run(*words, "--project", project)
        assert (told.code, "ann was revoked" in told.err) == (4, True)


class Vouching(ProjectEntrance):
    """An entrance whose provider says what a test has it say."""

    claims: Mapping[str, object]

    def _provider(self, settings: Settings) -> tuple[OIDCPolicy, OIDCProvider]:
        told = self.claims
        policy = settings.policy.access.oidc
        assert policy is not None

        class Provider(OIDCProvider):
            def claims(self, *_: object, **__: object) -> Mapping[str, Any]:
                return told

            def signed_out(self, word: str) -> Mapping[str, Any]:
                return {"iat": 1_000, **json.loads(word)}

        made = Provider(issuer=policy.issuer, client_id="a", secret=str, scopes=(), now=SystemClock().now)
        return policy, made

    def enter(self, sub: str, name: str, *groups: str) -> Principal:
        """Come in at the provider."""
        self.claims = {"sub": sub, "preferred_username": name, "groups": groups or ("x",), "iat": 1_000}
        return self.by_provider(Errand(state="s", nonce="n", verifier="v", back="b"), {}).who


@pytest.fixture
def vouched(tmp_path: Path) -> Path:
    oidc = "access: {oidc: {issuer: https://id, client_id: a, roles: {x: approver, y: viewer}}}\n"
    return write_record(tmp_path / "small", f"{YAML}{oidc}governance: {{approvers: [kim]}}\n")


@pytest.mark.fault("H8")
@pytest.mark.parametrize("gone", ["revoked", "expired"])
def test_who_is_let_in_no_more_does_not_come_back_under_another_name(run: Run, vouched: Path, gone: str) -> None:
    made = Vouching(vouched)
    if gone == "revoked":
        assert made.enter("1", "ada").name == "ada"
        assert made.enter("1", "ada2").name == "ada", "the control: known by the subject"
        assert run("revoke", "ada", "--project", vouched).code == 0
    else:
        assert run("add-user", "ada", "--no-password", "--expires", "0.001s", "--project", vouched).code == 0
        users = user_file(vouched / ".anew")
        users.link("ada", now=datetime(2000, 1, 1, tzinfo=UTC), subject="https://id 1")
    for name in ("ada", "ada2"):
        with pytest.raises(ForbiddenError, match=f"ada (was )?{gone}.*whatever the provider says"):
            made.enter("1", name)
    assert [each.name for each in user_file(vouched / ".anew").records()] == ["ada"]
    assert run("add-user", "ada", "--no-password", "--project", vouched).code == 0
    with pytest.raises(ForbiddenError, match=gone):
        made.enter("1", "ada2")
    assert run("link", "ada", "--subject", "1", "--project", vouched).code == 0
    assert made.enter("1", "ada2").name == "ada", "until it is said to be the new one"


def test_a_provider_gives_nobody_a_name_that_means_somebody_here(run: Run, vouched: Path) -> None:
    assert run("create", "laptop", "--project", vouched).code == 0
    assert run("add-user", "bob", "--no-password", "--account", "bob-os", "--project", vouched).code == 0
    made = Vouching(vouched)
    # an approver of the policy, who is on record, a token, a person, an account, a program
    for name in ("kim", "ann", "laptop", "bob", "bob-os", "webhook"):
        with pytest.raises(ForbiddenError, match="somebody's name here already"):
            made.enter("1", name)
    assert made.enter("1", "new").name == "new", "the control"


@pytest.mark.parametrize(
    ("session", "word", "over"),
    [
        ({"sub": "1"}, {"sub": "1"}, True),
        ({"sub": "1", "sid": "a"}, {"sub": "1"}, True),
        ({"sub": "1", "sid": "a"}, {"sid": "a"}, True),
        ({"sub": "1", "sid": "a"}, {"sub": "1", "sid": "a"}, True),
        ({"sub": "1"}, {"sub": "1", "sid": "a"}, True),
        ({"sub": "1", "sid": "b"}, {"sub": "1", "sid": "a"}, False),
        ({"sub": "2", "sid": "b"}, {"sub": "1"}, False),
        ({"sub": "2"}, {"sub": "1", "sid": "a"}, False),
        ({"sub": "a"}, {"sid": "a"}, False),
        ({"sub": "1", "sid": "a"}, {"sub": "a"}, False),
    ],
)
def test_a_sign_out_at_the_provider_means_a_person_or_one_session_of_theirs(
    vouched: Path, session: dict[str, str], word: dict[str, str], over: bool
) -> None:
    made = Vouching(vouched)
    made.claims = {**session, "preferred_username": "ada", "groups": ("x",), "iat": 1_000}
    found = made.by_provider(Errand(state="s", nonce="n", verifier="v", back="b"), {})
    at, cut = made.signed_out(json.dumps(word))
    assert at == found.at == datetime.fromtimestamp(1_000, UTC)
    assert bool(set(found.ties) & set(cut)) is over


def test_what_a_provider_says_of_somebody_is_changed_there_alone(run: Run, vouched: Path) -> None:
    made = Vouching(vouched)
    made.enter("1", "ada")
    for words in (("set-role", "ada", "viewer"), ("set-password", "ada")):
        refused = run(*words, "--project", vouched)
        assert (refused.code, "change it there" in refused.err) == (3, True)
    assert made.enter("1", "ada", "y").role is Role.VIEWER


def test_whom_the_provider_called_otherwise_is_made_one_with_who_that_is(run: Run, vouched: Path) -> None:
    made = Vouching(vouched)
    before = made.enter("1", "asmith")
    assert run("add-user", "ann", "--no-password", "--role", "operator", "--project", vouched).code == 0
    told = run("link", "ann", "--subject", "1", "--project", vouched)
    assert (told.code, "ann is also asmith, https://id 1" in told.out) == (0, True)
    assert made.principal(before.id) is None
    after = made.enter("1", "asmith")
    assert (after.name, after.role) == ("ann", Role.OPERATOR)
    assert run("revoke", "asmith", "--project", vouched).code == 0, "any name of theirs will do"
    with pytest.raises(ForbiddenError, match="ann was revoked"):
        made.enter("1", "asmith")


@pytest.mark.parametrize(
    ("oidc", "said"),
    [
        ("issuer: http://id.example.org, client_id: a, roles: {x: admin}", "https:// URL"),
        ("issuer: https://u:p@id.example.org, client_id: a, roles: {x: admin}", "holds a password"),
        ("issuer: https://id.example.org, client_id: a, client_secret: hunter2, roles: {x: admin}", "env:NAME"),
        ("issuer: https://id.example.org, client_id: a, roles: {}", "roles"),
        ("issuer: https://id.example.org, client_id: a, roles: {x: king}", "king"),
        ("issuer: https://id.example.org, client_id: a, roles: {x: admin}, scopes: [profile]", "openid"),
    ],
)
def test_a_provider_that_could_let_anybody_in_is_refused(tmp_path: Path, oidc: str, said: str) -> None:
    project = write_project(tmp_path / "small", YAML + f"access: {{oidc: {{{oidc}}}}}\n")
    with pytest.raises(SettingsError, match=said) as refused:
        load(project)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"groups": ["x"]}, "operator"),
        ({"groups": "x"}, "operator"),
        ({"groups": ["y", "x"]}, "operator"),
        ({"groups": ["y"]}, "admin"),
        ({"groups": []}, None),
        ({"groups": ["X", "xy", None, 3]}, None),
        ({"groups": {"x": True}}, None),
        ({"groups": None}, None),
        ({}, None),
    ],
)
def test_a_role_is_given_for_what_the_policy_names_and_for_nothing_else(
    claims: dict[str, object], role: str | None
) -> None:
    policy = OIDCPolicy(issuer="https://id", client_id="a", roles={"x": Role.OPERATOR, "y": Role.ADMIN})
    if role is None:
        with pytest.raises(ForbiddenError, match="nobody has given you a role"):
            role_of(claims, policy)
        return
    assert role_of(claims, policy) == role
    inside = policy.model_copy(update={"claim": "realm.groups"})
    assert role_of({"realm": claims}, inside) == role
    with pytest.raises(ForbiddenError):
        role_of(claims, inside)


NAMED = {"groups": ["x"]}
OTHER = {"groups": ["y"]}


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("https://x.example/groups", {"https://x.example/groups": ["x"]}, "operator"),
        ("resource.my.client.groups", {"resource": {"my.client": NAMED}}, "operator"),
        ("resource.my.client.groups", {"resource": {"my": {"client": NAMED}}}, "operator"),
        ("resource.my.client.groups", {"resource.my": {"client": NAMED}}, "operator"),
        ("resource.my.client.groups", {"resource": {"my": {"other": OTHER}, "my.client": NAMED}}, "operator"),
        ("realm.groups", {"realm.groups": ["x"], "realm": OTHER}, "operator"),
        ("realm.groups", {"realm.groups": [], "realm": OTHER}, None),
        ("realm.groups", {"realm": ["groups", "x"]}, None),
        ("realm.groups", {"groups": ["x"]}, None),
        ("realm..groups", {"realm": NAMED}, None),
        ("." * 40, {"": {"": NAMED}}, None),
    ],
)
def test_a_claim_is_the_one_of_that_very_name_before_one_inside_another(
    claim: str, claims: dict[str, object], role: str | None
) -> None:
    policy = OIDCPolicy(issuer="https://id", client_id="a", roles={"x": Role.OPERATOR, "y": Role.ADMIN}, claim=claim)
    if role is None:
        with pytest.raises(ForbiddenError, match="nobody has given you a role"):
            role_of(claims, policy)
    else:
        assert role_of(claims, policy) == role
