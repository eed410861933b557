"""People sign in to a project's dashboard at a real provider of identity, in a real browser."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from anew.adapters.page_server import page_server
from anew.adapters.sql_engine import Database
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.app.dashboard_worker import dashboard_of
from anew.app.person import user_file
from anew.dashboard.web import dashboard_app
from anew.domain.access import Role
from anew.domain.facts import AccessGranted
from tests.app.small_project import YAML
from tests.cli.recorded import write_record
from tests.system.browsed import browser

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

PROGRAM = Path(__file__).with_name("identity_provider.py")
USERS = [
    ("ada", "ada of analytics", ["ml-approvers"]),
    ("bob", "bob of baking", ["bakers"]),
    ("ann", "ann!", ["ml-ops"]),
    ("cy", "cy!", ["ml-ops"]),
]
POLICY = """
access:
  oidc:
    issuer: http://127.0.0.1:{port}/o
    client_id: anew-dashboard
    client_secret: file:secret
    title: Example ID
    roles: {{ml-approvers: approver, ml-ops: operator}}
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def seen() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Start the provider, and the dashboard of a project that names it; give its address and the project."""
    provider_port, port, folder = free_port(), free_port(), tmp_path_factory.mktemp("identity")
    project = write_record(folder / "small", YAML + POLICY.format(port=provider_port))
    (project / "secret").write_text("of the dashboard\n")
    asked = {
        "port": provider_port, "folder": str(folder), "redirects": f"http://127.0.0.1:{port}/sign-in/back",
        "client_id": "anew-dashboard", "secret": "of the dashboard", "users": USERS,
    }  # fmt: skip
    with subprocess.Popen([sys.executable, str(PROGRAM), json.dumps(asked)], stdout=subprocess.PIPE, text=True) as told:
        try:
            assert told.stdout is not None
            assert told.stdout.readline() == "listening\n"
            app = dashboard_app(dashboard_of(project))
            server = page_server(app, port=port)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            while not server.started:
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}", project
            server.should_exit = True
            thread.join(10)
        finally:
            told.kill()


def sign_in(page: Page, address: str, name: str, password: str) -> None:
    """Go the whole way at the provider, as a person does."""
    page.goto(f"{address}/runs")
    page.click("text=Sign in with Example ID")
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("button")
    page.click("[name=allow]")


def test_who_has_a_role_comes_in_under_the_name_that_the_provider_says(place: tuple[str, Path], seen: Browser) -> None:
    address, project = place
    context = seen.new_context()
    page = context.new_page()
    sign_in(page, address, "ada", "ada of analytics")
    page.wait_for_url(f"{address}/runs")
    assert "ada · approver" in page.inner_text("header")
    (cookie,) = [each for each in context.cookies() if each["name"].startswith("anew_session_")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    (made,) = [each for each in user_file(project / ".anew").records() if each.name == "ada"]
    assert (made.role, made.provided, made.hash) == ("approver", True, "")
    with closing(Database(project / ".anew" / "anew.db", create=False)) as database:
        granted = [each for each in SQLInbox(database, clock=SystemClock()).pending() if each.kind == "AccessGranted"]
    by = [each.by for each in granted if isinstance(each, AccessGranted) and each.name == "ada"]
    assert by == [_issuer(project)]

    context.clear_cookies(name=cookie["name"])
    page.goto(f"{address}/runs")
    page.click("text=Sign in with Example ID")
    page.click("[name=allow]")
    page.wait_for_url(f"{address}/runs")
    again = [each for each in user_file(project / ".anew").records() if each.name == "ada"]
    assert again == [made], "the same person, and no second one"

    user_file(project / ".anew").revoke("ada", now=SystemClock().now())
    page.goto(f"{address}/runs")
    assert page.url.startswith(f"{address}/sign-in"), "taken back here, whatever the provider says"
    page.click("text=Sign in with Example ID")
    page.click("[name=allow]")
    page.wait_for_selector("text=whatever the provider says")
    context.close()


def test_whom_the_provider_knows_and_nobody_gave_a_role_stays_outside(place: tuple[str, Path], seen: Browser) -> None:
    address, project = place
    context = seen.new_context()
    page = context.new_page()
    sign_in(page, address, "bob", "bob of baking")
    page.wait_for_selector("text=nobody has given you a role here")
    page.goto(f"{address}/runs")
    assert page.url.startswith(f"{address}/sign-in")
    assert "bob" not in {each.name for each in user_file(project / ".anew").records()}
    context.close()


def test_a_name_that_is_somebody_s_here_is_given_to_nobody_until_it_is_said_who_that_is(
    place: tuple[str, Path], seen: Browser
) -> None:
    address, project = place
    users = user_file(project / ".anew")
    users.add("ann", Role.ADMIN, now=SystemClock().now())
    context = seen.new_context()
    page = context.new_page()
    sign_in(page, address, "ann", "ann!")
    said = page.wait_for_selector("#problem")
    assert said is not None
    subject = said.inner_text().split("--subject ")[1].strip()
    users.link("ann", now=SystemClock().now(), subject=f"{_issuer(project)} {subject}")
    page.click("text=Sign in with Example ID")
    page.click("[name=allow]")
    page.wait_for_url(f"{address}/runs")
    assert "ann · admin" in page.inner_text("header"), "what she may is said here; the provider proves who she is"
    context.close()


def test_the_provider_s_answer_is_good_once_and_in_one_browser(place: tuple[str, Path], seen: Browser) -> None:
    address, _ = place
    context = seen.new_context()
    page = context.new_page()
    answers: list[str] = []
    page.on("request", lambda asked: answers.append(asked.url) if "/sign-in/back" in asked.url else None)
    sign_in(page, address, "cy", "cy!")
    page.wait_for_url(f"{address}/runs")
    (answer,) = answers
    assert page.goto(answer).status == 403  # type: ignore[union-attr]  # a page of HTTP
    assert httpx.get(answer).status_code == 403
    context.close()


@pytest.mark.fault("H8")
def test_who_signs_out_at_the_provider_is_out_of_the_dashboard(place: tuple[str, Path], seen: Browser) -> None:
    address, project = place
    context = seen.new_context()
    page = context.new_page()
    sign_in(page, address, "cy", "cy!")
    page.wait_for_url(f"{address}/runs")
    word = httpx.get(f"{_issuer(project).removesuffix('/o')}/said-out/", params={"name": "cy"}).text
    head, body, signature = word.split(".")
    forged = f"{head}.{body}.{signature[::-1]}"
    told = [httpx.post(f"{address}/sign-out/provider", data={"logout_token": each}) for each in (forged, word)]
    assert [each.status_code for each in told] == [400, 200]
    assert told[1].headers["cache-control"] == "no-store"
    page.goto(f"{address}/runs")
    assert page.url.startswith(f"{address}/sign-in")
    context.close()


def _issuer(project: Path) -> str:
    return (project / "anew.yaml").read_text().split("issuer: ")[1].splitlines()[0]
