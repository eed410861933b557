"""A project's Label Studio, from the policy: secrets by reference, and what is wrong said before anything begins."""

import asyncio
from pathlib import Path

import pytest

from anew.adapters.label_studio import LabelStudio
from anew.adapters.outbound import OutboundService
from anew.app.labelling import LabellingThread, label_studio, labelling_hook
from anew.app.settings import load
from anew.domain.errors import SettingsError
from anew.ports.http import Request
from tests.app.small_project import write_project

STUDIO = "{url: 'http://127.0.0.1:9', token: 'env:STUDIO_TOKEN', webhook: {url: 'http://a/b', secret: 'env:HOOK'}}"


def project(folder: Path, studio: str = STUDIO) -> Path:
    root = write_project(folder)
    policy = root / "anew.yaml"
    policy.write_text(policy.read_text() + f"feedback: {{review: {{per_day: 10, label_studio: {studio}}}}}\n")
    return root


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_TOKEN", "t0ken")
    monkeypatch.setenv("HOOK", "0123456789abcdef")


def test_it_is_wired_from_the_policy(tmp_path: Path) -> None:
    settings = load(project(tmp_path))
    assert isinstance(label_studio(settings, OutboundService("http://127.0.0.1:9")), LabelStudio)
    hook = labelling_hook(settings)
    assert hook is not None
    called = Request("POST", "/", {b"x-anew-secret": b"0123456789abcdef"}, b"")
    assert asyncio.run(hook.take(called)).status == 202
    assert (settings.state / "run" / "labelling.called").exists()


def test_without_it_nothing_runs_and_nobody_is_heard(tmp_path: Path) -> None:
    settings = load(write_project(tmp_path))
    assert labelling_hook(settings) is None
    with LabellingThread(settings) as idle:
        assert idle is not None


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    "studio",
    [
        "{url: 'http://a', token: s3cret}",
        "{url: 'http://s3cret@a', token: 'env:STUDIO_TOKEN'}",
        "{url: 'ftp://a', token: 'env:STUDIO_TOKEN'}",
        "{url: 'http://a', token: 'env:STUDIO_TOKEN', webhook: {url: 'http://b', secret: s3cret}}",
        "{url: 'http://a', token: 'env:STUDIO_TOKEN', every: 0s}",
        "{url: 'http://a', token: 'env:STUDIO_TOKEN', project: 0}",
    ],
)
def test_what_cannot_be_is_said_with_its_place_and_no_secret(tmp_path: Path, studio: str) -> None:
    with pytest.raises(SettingsError, match=r"anew\.yaml:\d+:\d+") as refused:
        load(project(tmp_path, studio))
    if "token: s3cret" in studio or "secret: s3cret" in studio:
        assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("STUDIO_TOKEN", ""), ("HOOK", ""), ("HOOK", "short"), ("HOOK", "é" * 20)])
def test_a_secret_that_is_none_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    settings = load(project(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        LabellingThread(settings)
    assert name in str(refused.value)
    assert not value or value not in str(refused.value)


def test_whether_answers_are_shown_is_a_truth_value(tmp_path: Path) -> None:
    settings = load(project(tmp_path, "{url: 'http://a', token: 'env:STUDIO_TOKEN', answers: false}"))
    review = settings.policy.feedback.review
    assert review is not None
    assert review.label_studio is not None
    assert review.label_studio.answers is False
