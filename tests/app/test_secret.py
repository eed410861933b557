"""Secrets by reference."""

from pathlib import Path

import pytest

from anew.app.secret import is_reference, read_secret
from anew.app.settings import load
from anew.domain.errors import SettingsError
from tests.app.small_project import write_project

STUDIO = "url: 'http://a'"
HOOK = "token: 'env:A', webhook: {url: 'http://b', secret: {}}"


def test_a_secret_is_read_from_where_its_reference_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "s3cret")
    (tmp_path / "hook").write_text("s3cret\n")
    assert read_secret("env:HOOK", tmp_path) == read_secret("file:hook", tmp_path) == "s3cret"
    assert read_secret(f"file:{tmp_path / 'hook'}", Path("elsewhere")) == "s3cret"


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    "reference", ["s3cret", "env:", "file:", "env:NOWHERE", "file:nowhere", "file:empty", "http://s3cret"]
)
def test_what_points_nowhere_is_refused_and_no_secret_is_repeated(reference: str, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError) as refused:
        read_secret(reference, tmp_path)
    assert "s3cret" not in str(refused.value)
    assert is_reference(reference) is reference.startswith(("env:N", "file:n", "file:e"))


@pytest.mark.fault("H10")
@pytest.mark.parametrize("wrong", ["s3cret", "[s3cret]", "[[s3cret]]", "{a: s3cret}", "[{secret: s3cret}]"])
@pytest.mark.parametrize(
    "place",
    [
        "notify: {}",
        "feedback: {webhooks: [{source: a, secrets: {}}]}",
        f"feedback: {{review: {{per_day: 1, label_studio: {{{STUDIO}, token: {{}}}}}}}}",
        f"feedback: {{review: {{per_day: 1, label_studio: {{{STUDIO}, {HOOK}}}}}}}",
        "events: {webhooks: [{url: {}}]}",
        "events: {webhooks: [{url: 'env:A', secret: {}}]}",
        "events: {traces: {url: 'http://a', headers: {}}}",
        "access: {oidc: {issuer: 'https://a', client_id: a, roles: {a: admin}, client_secret: {}}}",
    ],
)
def test_a_secret_that_stands_in_the_policy_in_whatever_form_is_not_repeated(
    place: str, wrong: str, tmp_path: Path
) -> None:
    policy = write_project(tmp_path) / "anew.yaml"
    policy.write_text(f"{policy.read_text()}\n{place.replace('{}', wrong)}\n")
    with pytest.raises(SettingsError, match=r"anew\.yaml:\d+:\d+") as refused:
        load(policy.parent)
    assert "s3cret" not in str(refused.value)
