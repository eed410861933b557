"""A signature is taken for what it signs alone, and for nothing that does not ask for it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anew.adapters.signing import Signer
from anew.adapters.sql_engine import Database
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.sql_lease import SQLLease
from anew.adapters.system_clock import SystemClock
from anew.app.asker import who_asks
from anew.app.consent import Consent, admits, consent
from anew.app.model_card import card_seal, write_section
from anew.app.person import access_file, user_file
from anew.app.settings import Settings, load
from anew.domain.access import Role
from anew.domain.errors import AnewError, ConflictError, ForbiddenError, NotFoundError, PolicyError
from anew.domain.fact import Fact
from anew.domain.facts import (
    ApprovalAsked,
    ApprovalSigned,
    CandidateAccepted,
    CandidateTrained,
    GateJudged,
    OverrideSigned,
    RejectionSigned,
    RolledBack,
    RolloutApproved,
    RolloutRefused,
    RolloutSuperseded,
    Ticked,
)
from anew.domain.verdict import Verdict
from tests.app.small_project import write_project
from tests.cli.call import call

T0 = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def judged(gate: str, verdict: Verdict, *, required: bool = True, ask: bool = False) -> GateJudged:
    return GateJudged(
        model="small", at=T0, version="v2", gate=gate, verdict=verdict, required=required, reason="", ask=ask
    )


def trained(version: str) -> CandidateTrained:
    return CandidateTrained(
        model="small",
        at=T0,
        cause=version,
        version=version,
        champion="v1",
        digest="d" * 64,
        snapshot="",
        rows=1,
        compute_s=0.0,
    )


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Settings]:
    """Return what makes a project with facts on record."""

    def make(*more: Fact) -> Settings:
        settings = load(write_project(tmp_path / "small"))
        settings.state.mkdir()
        Signer.load_or_create(settings.state / "keys")
        clock = SystemClock()
        database = Database(settings.state / "anew.db")
        lease = SQLLease(database, clock=clock)
        grant = lease.acquire("test", 60)
        assert grant is not None
        facts = (
            trained("v2"),
            judged("slos", Verdict.PASS),
            judged("fairness", Verdict.FAIL, ask=True),
            judged("rules", Verdict.ERROR),
            judged("slices", Verdict.FAIL, required=False),
            *more,
        )
        SQLEventLog(database, clock=clock).append([each.caused_by(each.cause) for each in facts], grant=grant)
        lease.release(grant)
        database.close()
        return settings

    return make


def posted(settings: Settings) -> list[Fact]:
    database = Database(settings.state / "anew.db")
    found = list(SQLInbox(database, clock=SystemClock()).pending())
    database.close()
    return found


def known(settings: Settings, *names: str) -> None:
    for name in names:
        user_file(settings.state).add(name, Role.APPROVER, now=NOW)


def by(settings: Settings) -> list[str]:
    """Return in whose names something was signed."""
    return [getattr(fact, "by", "") for fact in posted(settings)]


@pytest.mark.parametrize(("kind", "gate"), [(ApprovalSigned, "fairness"), (OverrideSigned, "rules")])
def test_what_is_signed_is_posted_and_admitted(
    project: Callable[..., Settings], kind: type[ApprovalSigned] | type[OverrideSigned], gate: str
) -> None:
    settings = project()
    assert consent(settings, kind, "v2", gate, "looked into it") == (False, ())
    (fact,) = posted(settings)
    assert isinstance(fact, kind)
    assert (fact.version, fact.digest, fact.gate, fact.reason) == ("v2", "d" * 64, gate, "looked into it")
    assert admits(settings.state / "keys")(fact)


@pytest.mark.parametrize("changed", ["version", "digest", "gate", "by", "reason", "signature"])
def test_a_signature_for_something_else_is_not_admitted(tmp_path: Path, changed: str) -> None:
    signer = Signer.load_or_create(tmp_path)
    fact = ApprovalSigned(model="m", at=T0, version="v2", digest="d", gate="a", by="ada", reason="looked", signature="")
    fact = replace(fact, signature=signer.sign(fact.signed))
    admitted = admits(tmp_path)
    assert admitted(fact)
    assert not admitted(replace(fact, **{changed: "0" + getattr(fact, changed)}))
    override = {name: getattr(fact, name) for name in ("version", "digest", "gate", "by", "reason", "signature")}
    assert not admitted(OverrideSigned(model="m", at=T0, **override))
    assert admitted(Ticked(model="m", at=T0, wall=T0))


@pytest.mark.parametrize(
    ("kind", "version", "gate", "error", "said"),
    [
        (ApprovalSigned, "v9", "fairness", NotFoundError, "there is no candidate 'v9'; known are v2"),
        (ApprovalSigned, "v2", "speed", NotFoundError, "fairness, rules, slices, slos"),
        (ApprovalSigned, "v2", "slos", ConflictError, "passed"),
        (OverrideSigned, "v2", "slices", ConflictError, "only advises"),
        (ApprovalSigned, "v2", "rules", PolicyError, "anew override v2 rules"),
        (OverrideSigned, "v2", "fairness", PolicyError, "anew approve v2 fairness"),
    ],
)
def test_what_needs_no_signature_gets_none(
    project: Callable[..., Settings],
    kind: type[ApprovalSigned] | type[OverrideSigned],
    version: str,
    gate: str,
    error: type[AnewError],
    said: str,
) -> None:
    settings = project()
    with pytest.raises(error, match=said):
        consent(settings, kind, version, gate, "why not")
    assert posted(settings) == []


def test_nothing_is_signed_for_what_was_accepted_or_is_no_candidate_any_more(project: Callable[..., Settings]) -> None:
    accepted = CandidateAccepted(model="small", at=T0, version="v2", champion="v1", digest="d" * 64)
    settings = project(accepted)
    with pytest.raises(ConflictError, match="accepted already"):
        consent(settings, ApprovalSigned, "v2", "fairness", "looked")


def test_nothing_is_signed_for_an_older_candidate(project: Callable[..., Settings]) -> None:
    settings = project(trained("v3"))
    with pytest.raises(ConflictError, match="v3 was trained after it"):
        consent(settings, ApprovalSigned, "v2", "fairness", "looked")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("approve", "v2", "fairness", "--reason", "looked into it"), 0, "not taken yet"),
        (("override", "v2", "rules", "--reason", "the rule is wrong"), 0, "not taken yet"),
        (("approve", "v2", "fairness", "--reason", " "), 2, "say why"),
        (("approve", "v2", "fairness"), 2, "--reason"),
        (("approve", "v2", "rules", "--reason", "x"), 3, "anew override v2 rules"),
        (("override", "v9", "rules", "--reason", "x"), 4, "no candidate 'v9'"),
        (("override", "v2", "slos", "--reason", "x"), 5, "nothing to sign"),
    ],
)
def test_the_commands_end_with_the_codes_that_are_written(
    project: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    settings = project()
    called = call(capsys, monkeypatch, *words, "--project", str(settings.root))
    assert called.code == code, called
    assert said in called.out + called.err
    assert len(posted(settings)) == (code == 0)


ASKED = ApprovalAsked(
    model="small", at=T0, version="v2", champion="v1", digest="d" * 64, needed=2, why=("promotion",), requester="",
    barred=(), expires=T0,
)  # fmt: skip
ACCEPTED = CandidateAccepted(model="small", at=T0, version="v2", champion="v1", digest="d" * 64)


@pytest.mark.fault("P15")
@pytest.mark.parametrize("kind", [ApprovalSigned, RejectionSigned])
def test_a_promotion_that_waits_is_signed_in_the_name_of_whose_token_it_is(
    project: Callable[..., Settings], kind: type[ApprovalSigned] | type[RejectionSigned]
) -> None:
    settings = project(ACCEPTED, ASKED)
    known(settings, "bob")
    consent(settings, kind, "v2", "promotion", "looked into it", by="bob")
    (fact,) = posted(settings)
    assert isinstance(fact, kind)
    assert (fact.digest, fact.gate, fact.by) == ("d" * 64, "promotion", "bob")
    admitted = admits(settings.state / "keys")
    assert admitted(fact)
    assert not admitted(replace(fact, by="eve"))


@pytest.mark.fault("P15")
def test_nothing_is_signed_where_nobody_is_asked_or_by_who_has_signed(project: Callable[..., Settings]) -> None:
    signed = ApprovalSigned(
        model="small", at=T0, version="v2", digest="d" * 64, gate="promotion", by="bob", reason="r", signature="s"
    )
    settings = project(ACCEPTED, ASKED, signed)
    known(settings, "bob", "eve")
    with pytest.raises(ConflictError, match="bob has signed for promotion of v2 already"):
        consent(settings, ApprovalSigned, "v2", "promotion", "twice", by="bob")
    consent(settings, ApprovalSigned, "v2", "promotion", "once", by="eve")
    consent(settings, RejectionSigned, "v2", "promotion", "found a defect", by="bob")  # who signed may still say no
    assert len(posted(settings)) == 2


@pytest.mark.parametrize(
    "over", [(), (ASKED, RolloutRefused(model="small", at=T0, version="v2", digest="d", by="p", reason=""))]
)
def test_a_promotion_that_waits_for_nobody_is_not_signed(
    project: Callable[..., Settings], over: tuple[Fact, ...]
) -> None:
    settings = project(ACCEPTED, *over)
    with pytest.raises(ConflictError, match="waits for nobody"):
        consent(settings, ApprovalSigned, "v2", "promotion", "why not")


def asked_for_by(*barred: str) -> ApprovalAsked:
    return replace(ASKED, requester=barred[0], barred=barred)


@pytest.mark.fault("P15")
def test_an_account_of_which_nobody_has_said_whose_it_is_signs_for_no_promotion(
    project: Callable[..., Settings],
) -> None:
    settings = project(ACCEPTED, ASKED)
    with pytest.raises(ForbiddenError, match=f"anew access link PERSON --account {who_asks()}"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it")
    assert posted(settings) == []
    consent(settings, RejectionSigned, "v2", "promotion", "anybody may say no")
    assert [fact.kind for fact in posted(settings)] == ["RejectionSigned"]


def relaxed(settings: Settings) -> Settings:
    """Return the settings without four eyes."""
    policy = settings.policy
    governance = policy.governance.model_copy(update={"four_eyes": "none"})
    return replace(settings, policy=policy.model_copy(update={"governance": governance}))


def test_without_four_eyes_and_of_one_signature_an_account_is_a_name_as_any_other(
    project: Callable[..., Settings],
) -> None:
    settings = relaxed(project(ACCEPTED, replace(ASKED, needed=1)))
    consent(settings, ApprovalSigned, "v2", "promotion", "looked into it")
    assert by(settings) == [f"account:{who_asks()}"]


@pytest.mark.fault("P15")
def test_where_two_have_to_sign_it_is_known_who_they_are(project: Callable[..., Settings]) -> None:
    """Without four eyes too: a token and an account of one person are not two."""
    signed = ApprovalSigned(
        model="small", at=T0, version="v2", digest="d" * 64, gate="promotion", by="ann-laptop", reason="r", signature=""
    )
    settings = relaxed(project(ACCEPTED, ASKED, signed))
    known(settings, "ann")
    _, token = access_file(settings.state).create("ann-laptop", Role.APPROVER, now=NOW)
    with pytest.raises(ForbiddenError, match="nobody has said who account:"):
        consent(settings, ApprovalSigned, "v2", "promotion", "from the shell")
    user_file(settings.state).link("ann", now=NOW, account=who_asks())
    access_file(settings.state).link(token.id, "ann")
    with pytest.raises(ConflictError, match="ann has signed for promotion of v2 already"):
        consent(settings, ApprovalSigned, "v2", "promotion", "from the shell")
    assert posted(settings) == []


@pytest.mark.fault("P15")
def test_a_person_at_the_command_line_and_the_holder_of_that_person_s_token_are_one(
    project: Callable[..., Settings],
) -> None:
    signed = ApprovalSigned(
        model="small", at=T0, version="v2", digest="d" * 64, gate="promotion", by="ada", reason="by token", signature=""
    )
    settings = project(ACCEPTED, ASKED, signed)
    users = user_file(settings.state)
    users.add("ada", Role.APPROVER, now=NOW)
    users.link("ada", now=NOW, account=who_asks())
    with pytest.raises(ConflictError, match="ada has signed for promotion of v2 already"):
        consent(settings, ApprovalSigned, "v2", "promotion", "once more, from the shell")
    users.revoke("ada", now=NOW)
    with pytest.raises(ForbiddenError, match="ada was revoked"):
        consent(settings, ApprovalSigned, "v2", "promotion", "who was sent away")
    users.add("eve", Role.APPROVER, now=NOW, account=who_asks())
    consent(settings, ApprovalSigned, "v2", "promotion", "the control: another person counts")
    assert by(settings) == ["eve"]


@pytest.mark.fault("H2")
def test_a_person_at_the_command_line_may_what_the_person_may(project: Callable[..., Settings]) -> None:
    settings = project(ACCEPTED, ASKED)
    users = user_file(settings.state)
    users.add("ada", Role.OPERATOR, now=NOW, account=who_asks())
    with pytest.raises(ForbiddenError, match="ada is operator, who may not approve here"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it")
    for gone in (False, True):
        if gone:
            users.revoke("ada", now=NOW)
        for kind, gate in (
            (OverrideSigned, "rules"), (ApprovalSigned, "fairness"), (RejectionSigned, "promotion"),
        ):  # fmt: skip
            with pytest.raises(ForbiddenError, match="ada was revoked" if gone else "may not approve"):
                consent(settings, kind, "v2", gate, "looked into it")
    assert posted(settings) == []


@pytest.mark.fault("H2")
def test_the_account_of_somebody_who_has_expired_signs_for_nothing(project: Callable[..., Settings]) -> None:
    settings = project()
    users = user_file(settings.state)
    users.add("ada", Role.APPROVER, now=NOW, account=who_asks(), expires=NOW + timedelta(days=1))
    with pytest.raises(ForbiddenError, match="ada expired 2026-01-02"):
        consent(settings, OverrideSigned, "v2", "rules", "looked into it")
    assert posted(settings) == []


@pytest.mark.fault("P15")
@pytest.mark.parametrize(
    ("owner", "error"), [("", ForbiddenError), ("bob", PolicyError), ("eve", None), ("revoked", None)]
)
def test_who_asked_from_an_account_does_not_sign_under_another_name(
    project: Callable[..., Settings], owner: str, error: type[AnewError] | None
) -> None:
    settings = project(ACCEPTED, asked_for_by("svc"))
    users = user_file(settings.state)
    for name in ("bob", "eve", "revoked"):
        users.add(name, Role.APPROVER, now=NOW)
    if owner:
        users.link(owner, now=NOW, account="svc")
    users.revoke("revoked", now=NOW)
    if error is None:
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    else:
        with pytest.raises(error):
            consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    assert len(posted(settings)) == (error is None)


@pytest.mark.parametrize("program", ["webhook", "anew up"])
def test_what_a_program_asked_for_bars_nobody(project: Callable[..., Settings], program: str) -> None:
    settings = project(ACCEPTED, asked_for_by(program))
    known(settings, "bob")
    consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    assert len(posted(settings)) == 1


def test_a_card_is_approved_when_it_is_complete_and_the_signature_is_of_its_words(
    project: Callable[..., Settings],
) -> None:
    settings = project(judged("model_card", Verdict.FAIL, ask=True))
    yaml = (settings.root / "anew.yaml").read_text() + "validate: [slos: {}, {model_card: {}, mode: ask}]\n"
    (settings.root / "anew.yaml").write_text(yaml)
    settings = load(settings.root)
    with pytest.raises(PolicyError, match="Limitations: model_card"):
        consent(settings, ApprovalSigned, "v2", "model_card", "read it")
    for section in ("Intended uses", "Limitations", "Contact"):
        write_section(settings.root, section, "Ten words are the least that say anything at all of this model here.")
    consent(settings, ApprovalSigned, "v2", "model_card", "read it")
    (fact,) = posted(settings)
    assert isinstance(fact, ApprovalSigned)
    assert fact.reason == f"read it (model card {card_seal(settings.root)[:16]})"
    assert admits(settings.state / "keys")(fact)


@pytest.mark.fault("P15")
def test_a_token_of_which_nobody_has_said_whose_it_is_signs_for_no_promotion(project: Callable[..., Settings]) -> None:
    settings = project(ACCEPTED, ASKED)
    known(settings, "ann")
    access = access_file(settings.state)
    _, token = access.create("ann-laptop", Role.APPROVER, now=NOW)
    with pytest.raises(ForbiddenError, match=f"anew access link PERSON --token {token.id}"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="ann-laptop")
    assert posted(settings) == []
    access.link(token.id, "ann")
    consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="ann")
    assert by(settings) == ["ann"]


@pytest.mark.fault("P15")
def test_who_asked_by_a_token_does_not_sign_under_another_name(project: Callable[..., Settings]) -> None:
    settings = project(ACCEPTED, asked_for_by("ann-laptop"))
    known(settings, "ann", "bob")
    access = access_file(settings.state)
    _, token = access.create("ann-laptop", Role.OPERATOR, now=NOW)
    for name in ("ann", "bob"):
        with pytest.raises(ForbiddenError, match=f"ann-laptop asked for the retrain.*--token {token.id}"):
            consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by=name)
    access.revoke(token.id, now=NOW)
    access.link(token.id, "ann")
    with pytest.raises(PolicyError, match="ann is ann-laptop"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="ann")
    consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    _, again = access.create("ann-laptop", Role.OPERATOR, now=NOW)
    access.link(again.id, "bob")
    with pytest.raises(ForbiddenError, match="nobody has said who that is"):
        consent(settings, ApprovalSigned, "v2", "promotion", "of two tokens of one name", by="bob")
    assert by(settings) == ["bob"]


@pytest.mark.fault("P15")
def test_who_was_brought_by_a_provider_and_is_somebody_known_is_one_with_them(project: Callable[..., Settings]) -> None:
    signed = ApprovalSigned(
        model="small", at=T0, version="v2", digest="d" * 64, gate="promotion", by="bsmith", reason="r", signature=""
    )
    settings = project(ACCEPTED, asked_for_by("asmith"), signed)
    users = user_file(settings.state)
    known(settings, "ann", "bob", "eve")
    for name in ("asmith", "bsmith"):
        users.add(name, Role.APPROVER, now=NOW, subject=f"https://id {name}")
    users.link("ann", now=NOW, subject="https://id asmith")
    users.link("bob", now=NOW, subject="https://id bsmith")
    with pytest.raises(PolicyError, match="ann is asmith"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="ann")
    with pytest.raises(ConflictError, match="bob has signed"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    consent(settings, ApprovalSigned, "v2", "promotion", "the control", by="eve")
    assert by(settings) == ["eve"]


def test_an_approved_candidate_whose_bytes_are_quarantined_is_refused(
    project: Callable[..., Settings], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = (
        RolloutApproved(model="small", at=T0, version="v2", digest="d" * 64, champion="v1", by="ada"),
        RolledBack(model="small", at=T0, version="v2", to="v1", evidence=(), reason="it is quarantined"),
    )
    monkeypatch.setattr(Consent, "sign", lambda _: (True, decided))
    words = ("approve", "v2", "fairness", "--reason", "looked", "--project", project().root, "--json")
    told = call(capsys, monkeypatch, *words)
    assert (told.code, json.loads(told.out)["data"]["outcome"]) == (3, "refused")


@pytest.mark.fault("P15")
def test_an_account_is_nobody_of_a_like_name(project: Callable[..., Settings]) -> None:
    settings = project(ACCEPTED, asked_for_by("account:deploy"))
    known(settings, "deploy", "bob")
    with pytest.raises(ForbiddenError, match=r"account:deploy asked for the retrain.*--account deploy"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    user_file(settings.state).link("bob", now=NOW, account="deploy")
    with pytest.raises(PolicyError, match="bob is account:deploy"):
        consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="bob")
    consent(settings, ApprovalSigned, "v2", "promotion", "looked into it", by="deploy")
    assert by(settings) == ["deploy"]


@pytest.mark.parametrize(
    ("leaves", "to", "code", "outcome"), [("v2", "v1", 5, "gave way"), ("v1", "v2", 0, "approved")]
)
def test_an_approved_candidate_that_gives_way_is_not_said_to_go_on(
    project: Callable[..., Settings],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    leaves: str,
    to: str,
    code: int,
    outcome: str,
) -> None:
    decided = (
        RolloutApproved(model="small", at=T0, version="v2", digest="d" * 64, champion="v1", by="ada"),
        RolloutSuperseded(model="small", at=T0, version=leaves, by=to, reason="on probation already"),
    )
    monkeypatch.setattr(Consent, "sign", lambda _: (True, decided))
    words = ("approve", "v2", "fairness", "--reason", "looked", "--project", project().root)
    said = call(capsys, monkeypatch, *words)
    assert (said.code, f"{leaves} gives way to {to}" in said.out) == (code, True)
    told = call(capsys, monkeypatch, *words, "--json")
    assert (told.code, json.loads(told.out)["data"]["outcome"]) == (code, outcome)
