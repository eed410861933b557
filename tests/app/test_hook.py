"""The webhook of a project: from the policy to the inbox, and what the trigger makes of it."""

import asyncio
import base64
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from anew.adapters.segment_reader import SegmentReader
from anew.adapters.signing import Signer
from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.standard_webhook import signed_headers, webhook_key
from anew.adapters.system_clock import SystemClock
from anew.app.doctor.project import references
from anew.app.gateway_wiring import gateway_of, gateway_parts, gateway_settings
from anew.app.gateway_worker import _worker as worker_of
from anew.app.hook import hook_reference, retrain_hook, senders
from anew.app.replica_gateway import replica_parts
from anew.app.settings import load
from anew.app.up import UpOptions, up
from anew.app.watch import watched_by
from anew.domain.errors import PolicyError, SettingsError
from anew.domain.facts import RetrainCommanded, RetrainRequested, RetrainWithheld
from anew.domain.observation import Label
from anew.gateway.app import GatewayApp
from anew.ports.http import Reply, Request
from anew.trigger import Trigger
from anew.trigger.cooldown import Cooldown
from tests.app.small_project import write_project
from tests.cli.recorded import write_record

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def hooked(folder: Path, webhook: str = "{secret: env:HOOK_SECRET}") -> Path:
    project = write_record(folder / "small")
    policy = project / "anew.yaml"
    text = policy.read_text()
    assert "triggers:\n" in text
    policy.write_text(text.replace("triggers:\n", f"triggers:\n  - webhook: {webhook}\n"))
    return project


def test_a_signed_message_becomes_one_command_in_the_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    settings = load(hooked(tmp_path))
    assert hook_reference(settings) == watched_by(settings).webhook == "env:HOOK_SECRET"
    hook = retrain_hook(settings)
    assert hook is not None
    body = b'{"reason":"prices changed"}'
    second = int(SystemClock().now().timestamp())
    headers = signed_headers(webhook_key(SECRET), "msg-1", second, body)
    request = Request("POST", "/retrain", {k.encode(): v.encode() for k, v in headers.items()}, body)
    for _ in range(2):
        assert asyncio.run(hook.take(request)).status == 202
    with closing(Database(settings.state / "anew.db", create=False)) as database:
        (command,) = SQLInbox(database, clock=SystemClock()).pending()
    assert isinstance(command, RetrainCommanded)
    assert (command.command, command.by, command.reason) == ("webhook/msg-1", "webhook", "prices changed")
    assert command.held


def test_a_project_without_a_webhook_takes_none(tmp_path: Path) -> None:
    assert retrain_hook(load(write_project(tmp_path))) is None


def test_cooldown_and_budget_hold_a_program_and_not_a_person() -> None:
    trigger = Trigger(cooldown=Cooldown(length=timedelta(hours=5)))
    at = SystemClock().now()
    first = RetrainRequested(model="m", at=at, reason="", triggers=("x",), severity=1).caused_by("a")  # type: ignore[arg-type]  # a severity is a number
    state = trigger.apply(trigger.initial(), first)
    state = trigger.apply(state, RetrainWithheld(model="m", at=at, reason="", detail="", triggers=()).caused_by("b"))
    for held, kind in ((True, RetrainWithheld), (False, RetrainWithheld)):
        command = RetrainCommanded(model="m", at=at, command="c", by="webhook", reason="r", held=held)
        (answer,) = trigger.decide(state, command)
        assert isinstance(answer, kind)  # either finds a retrain under way
    free = trigger.initial()
    command = RetrainCommanded(model="m", at=at, command="c", by="webhook", reason="r", held=True)
    (asked,) = trigger.decide(free, command)
    assert isinstance(asked, RetrainRequested)
    assert asked.triggers == ("webhook",)


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    "webhook", ["{secret: s3cret}", "{}", "s3cret", "{secret: env:X, more: 1}", "{secret: 'env:'}"]
)
def test_a_secret_in_the_policy_is_refused_and_not_repeated(tmp_path: Path, webhook: str) -> None:
    with pytest.raises(SettingsError, match=r"anew\.yaml:\d+:\d+: webhook: write \{secret: env:NAME\}") as refused:
        watched_by(load(hooked(tmp_path, webhook)))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("value", ["", "short", "not base64!"])
def test_a_secret_that_is_none_is_said_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HOOK_SECRET", value)
    with pytest.raises(SettingsError) as refused:
        retrain_hook(load(hooked(tmp_path)))
    assert not value or value not in str(refused.value)


SENDERS = "[{source: crm, secrets: ['env:CRM', 'file:old']}, {source: clinic, secrets: ['env:CLINIC']}]"


def sending(folder: Path, webhooks: str = SENDERS) -> Path:
    project = write_project(folder)
    policy = project / "anew.yaml"
    policy.write_text(f"{policy.read_text()}\nfeedback:\n  webhooks: {webhooks}\n")
    (project / "old").write_text(OLD + "\n")
    return project


OLD, CLINIC = (base64.b64encode(letter * 24).decode() for letter in (b"o", b"c"))


@pytest.mark.fault("L11")
def test_the_policy_says_whose_secret_is_whose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM", SECRET)
    monkeypatch.setenv("CLINIC", CLINIC)
    settings = load(sending(tmp_path))
    verify = senders(settings)
    assert verify is not None
    for secret, source in ((SECRET, "crm"), (OLD, "crm"), (CLINIC, "clinic")):
        assert verify(signed_headers(webhook_key(secret), "m", 1000, b"body"), b"body", 1000.0) == (source, "m")
    stranger = signed_headers(webhook_key("whsec_" + "A" * 32), "m", 1000, b"body")
    with pytest.raises(PolicyError):
        verify(stranger, b"body", 1000.0)
    assert gateway_settings(settings).signing == {"crm": ("env:CRM", "file:old"), "clinic": ("env:CLINIC",)}
    assert {"env:CRM", "file:old", "env:CLINIC"} <= set(references(settings)), "the doctor looks at them"
    assert gateway_of(settings) != gateway_of(load(sending(tmp_path / "b", "[{source: crm, secrets: ['env:CRM']}]")))


def test_a_project_in_which_nobody_signs_has_no_such_path(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path))
    assert senders(settings) is None
    assert gateway_settings(settings).signing == {}


def test_one_secret_is_no_two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM", SECRET)
    monkeypatch.setenv("CLINIC", OLD)
    with pytest.raises(SettingsError, match="crm and clinic have one secret") as refused:
        senders(load(sending(tmp_path)))
    assert OLD not in str(refused.value)


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    ("webhooks", "said"),
    [
        ("[{source: crm, secrets: [s3cret]}]", "it is a secret, so write env:NAME or file:PATH"),
        ("[{source: crm, secrets: s3cret}]", "secrets: write a list, such as [a, b]"),
        ("[{source: crm, secrets: [[s3cret]]}]", "should be a valid string"),
        ("[{source: crm, secrets: []}]", "at least 1 item"),
        ("[{source: crm}]", "secrets is missing"),
        ("[{source: user, secrets: ['env:A']}]", "what anew calls another source"),
        ("[{source: review, secrets: ['env:A']}]", "what anew calls another source"),
        ("[{source: 'a b', secrets: ['env:A']}]", "source"),
        ("[{source: a, secrets: ['env:A']}, {source: a, secrets: ['env:B']}]", "a source stands twice"),
        ("[{source: a, secret: 'env:A'}]", "did you mean secrets"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, webhooks: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"anew\.yaml:\d+:\d+") as refused:
        load(sending(tmp_path, webhooks))
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.fault("L11")
def test_a_worker_of_the_project_takes_what_its_sources_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM", SECRET)
    monkeypatch.setenv("CLINIC", CLINIC)
    settings = load(sending(tmp_path))
    Signer.load_or_create(settings.state / "keys")
    parts = gateway_parts(settings.root, "w0")
    worker = worker_of(parts, "w0", 0)
    app = GatewayApp([worker.endpoint])
    body = json.dumps({"labels": [{"prediction": "0" * 32, "value": 1.0, "at": "2026-01-01T00:00:00Z"}]}).encode()

    async def sent(secret: str) -> int:
        headers = signed_headers(webhook_key(secret), "m1", int(SystemClock().now().timestamp()), body)
        told: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        app(
            Request("POST", "/webhook/labels", {k.encode(): v.encode() for k, v in headers.items()}, body),
            told.set_result,
        )
        return (await told).status

    async def both() -> tuple[int, int]:
        try:
            return await sent(OLD), await sent("whsec_" + "A" * 32)
        finally:
            await worker.stop()

    assert asyncio.run(both()) == (200, 401)
    reader = SegmentReader(settings.state / "journal")
    (journal,) = reader.journals()
    batch = reader.read(journal, after=0, most=9)
    (label,) = batch.observations
    assert isinstance(label, Label)
    assert label.source == "crm"


@pytest.mark.fault("L11")
def test_a_host_without_the_secrets_serves_and_lets_nobody_speak_in_a_signers_name(tmp_path: Path) -> None:
    settings = load(sending(tmp_path))
    Signer.load_or_create(settings.state / "keys")
    (settings.state / "replica.json").write_text('{"host": "127.0.0.1"}', "utf-8")
    with pytest.raises(SettingsError):
        gateway_parts(settings.root, "w0")
    parts = replica_parts(settings.root, "w1")
    assert parts.verify is None
    assert set(parts.settings.signing) == {"crm", "clinic"}


@pytest.mark.parametrize("what", ["webhook", "senders"])
def test_a_secret_that_is_not_there_is_said_before_anything_begins(tmp_path: Path, what: str) -> None:
    project = hooked(tmp_path) if what == "webhook" else sending(tmp_path)
    with pytest.raises(SettingsError, match="HOOK_SECRET" if what == "webhook" else "CRM"):
        up(project, UpOptions(), Event())
    assert not (project / ".anew" / "run").exists()
