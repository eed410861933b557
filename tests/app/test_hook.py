"""The webhook of a project: from the policy to the inbox, and what the trigger makes of it."""

import asyncio
import base64
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.standard_webhook import signed_headers, webhook_key
from anew.adapters.system_clock import SystemClock
from anew.app.hook import hook_reference, retrain_hook
from anew.app.settings import load
from anew.app.watch import watched_by
from anew.domain.errors import SettingsError
from anew.domain.facts import RetrainCommanded, RetrainRequested, RetrainWithheld
from anew.ports.http import Request
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
