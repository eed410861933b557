"""A page of another site, open in the browser of somebody who has signed in, changes nothing here."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser
from starlette.responses import PlainTextResponse
from starlette.types import Scope

from anew.dashboard.shield import Shield
from tests.dashboard.story import ToldSource, story
from tests.system.browsed import Served, browser, served, visiting

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

ACTS = ("/rollback", "/rollout/hold", "/approvals/approve", "/review/answer", "/sign-out", "/sign-in")
FETCH = """([url, method, mode]) => fetch(url, {method, mode, credentials: 'include',
  headers: {'content-type': 'application/x-www-form-urlencoded'}, body: method === 'GET' ? undefined : 'form=x.y'})
  .then(answer => `${answer.type} ${answer.status}`, () => 'blocked')"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture
def plain() -> Iterator[Served]:
    with served(ToldSource(story("x"), "x")) as made:
        yield made


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Note what reaches the server, each with how it is refused; 0 for what is let through."""
    told: list[tuple[str, int]] = []
    judge = Shield._hindrance

    def noted(self: Shield, scope: Scope) -> PlainTextResponse | None:
        refusal = judge(self, scope)
        told.append((scope["method"], 0 if refusal is None else refusal.status_code))
        return refusal

    monkeypatch.setattr(Shield, "_hindrance", noted)
    return told


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """Serve an empty page on another port; under the name localhost it is another site as well."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "15")
            self.end_headers()
            self.wfile.write(b"<!doctype html>")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.fault("H4")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_method_from_another_site_does_anything(
    chromium: Browser, plain: Served, elsewhere: int, host: str, heard: list[tuple[str, int]]
) -> None:
    with visiting(chromium, plain) as seen:
        heard.clear()
        seen.page.goto(f"http://{host}:{elsewhere}/")
        for path in ACTS:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                for mode in ("no-cors", "cors"):
                    if mode == "no-cors" and method != "POST":
                        continue  # a browser does not even send it
                    told = seen.page.evaluate(FETCH, [f"{plain.url}{path}", method, mode])
                    assert told == "blocked", (path, method, mode)
        assert seen.page.evaluate(FETCH, [f"{plain.url}/loop.json", "GET", "cors"]) == "blocked", "nor read"
        came = [each for each in heard if each[0] not in ("GET", "HEAD")]
        assert len(came) >= len(ACTS), "the browser did send them"
        assert {code for _, code in came} <= {403, 413}
        for path in ACTS:
            form = f"<form method='post' action='{plain.url}{path}'><input name='form' value='x'></form>"
            seen.page.goto(f"http://{host}:{elsewhere}/")
            seen.page.evaluate("form => { document.body.innerHTML = form }", form)
            with seen.page.expect_navigation() as gone:
                seen.page.evaluate("document.forms[0].submit()")
            assert gone.value.status == 403, path
        source = plain.source
        assert not source.ordered
        assert not source.judged
        assert not source.over, "nor is the session ended"
        seen.page.goto(f"{plain.url}/")
        assert "name of admin" in seen.page.inner_text("header"), "the control: the session is good all the while"


@pytest.mark.fault("H4")
def test_control_a_form_of_our_own_page_reaches_the_check_of_its_hidden_field(chromium: Browser, plain: Served) -> None:
    with visiting(chromium, plain) as seen:
        seen.page.goto(f"{plain.url}/")
        assert seen.page.evaluate(FETCH, [f"{plain.url}/rollback", "POST", "same-origin"]) == "basic 403"
        assert seen.page.evaluate(FETCH, [f"{plain.url}/loop.json", "GET", "same-origin"]) == "basic 200"


@pytest.mark.fault("H4")
def test_no_other_page_can_frame_ours(chromium: Browser, plain: Served, elsewhere: int) -> None:
    with visiting(chromium, plain) as seen:
        seen.page.goto(f"http://127.0.0.1:{elsewhere}/")
        seen.page.evaluate("url => { document.body.innerHTML = `<iframe src='${url}'></iframe>` }", f"{plain.url}/")
        seen.page.wait_for_timeout(500)
        assert all(frame.url in ("", "about:blank", "chrome-error://chromewebdata/") for frame in seen.page.frames[1:])
