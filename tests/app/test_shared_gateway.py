"""A gateway of several projects that is started before them."""

import threading
from pathlib import Path

import pytest

from anew.adapters.signing import Signer
from anew.app import shared_gateway
from anew.app.shared_gateway import serve_projects
from anew.app.workers import GatewayProcesses
from anew.domain.errors import NotFoundError
from tests.app.small_project import YAML, write_project


def projects(folder: Path) -> list[Path]:
    for model in ("fraud", "churn"):
        write_project(folder / model, YAML.replace("model: small", f"model: {model}") + "serving: {workers: 0}\n")
    return [folder / "fraud", folder / "churn"]


def test_projects_that_are_only_beginning_are_waited_for_and_each_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GatewayProcesses, "start", lambda _: False)
    both, stop, heard = projects(tmp_path), threading.Event(), []

    def told(said: str) -> None:
        heard.append(said)
        folder = both[len(heard) - 1]
        Signer.load_or_create(folder / ".anew" / "keys")  # what the project's `anew up` does

    serve_projects(both, stop, port=0, ready=lambda *_: stop.set(), told=told)
    assert heard == [f"waiting for: anew up {each.resolve()} (there is no signing key yet)" for each in both]


def test_one_that_is_never_brought_up_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_gateway, "_BEGIN_S", 0.0)
    with pytest.raises(NotFoundError, match="anew up makes one for a new project"):
        serve_projects(projects(tmp_path), threading.Event())


def test_who_ends_it_meanwhile_does_not_wait(tmp_path: Path) -> None:
    stop = threading.Event()
    serve_projects(projects(tmp_path), stop, ready=lambda *_: pytest.fail("it began"), told=lambda _: stop.set())
