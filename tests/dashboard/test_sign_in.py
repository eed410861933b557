"""The way in: by password or provider, slower for who fails, and over when somebody has signed out."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event, Lock
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.testclient import TestClient

from anew.dashboard import sign_in
from anew.dashboard.entrance import Errand, Vouched, Ways
from anew.dashboard.web import dashboard_app
from anew.domain.errors import AnewError, IntegrityError, SettingsError, UnavailableError
from tests.dashboard.story import ToldSource, dashboard_over, story
from tests.dashboard.test_web import HERE, HTML, form_of

ORIGIN = "https://anew.example.org"
THERE = {"host": "anew.example.org", "origin": ORIGIN}


def client(source: ToldSource, origin: str = "", base: str = "http://testserver") -> TestClient:
    app = dashboard_app(dashboard_over(source, origin))
    return TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def source() -> ToldSource:
    return ToldSource(story("x"), "x", open_ways=Ways(passwords=True, provider="Example", session=timedelta(hours=1)))


def given(name: str, password: str) -> dict[str, str]:
    return {"name": name, "password": password, "next": "/runs"}


def test_a_name_and_its_password_open_a_session(source: ToldSource) -> None:
    made = client(source)
    page = made.get("/sign-in", headers=HTML).text
    assert 'autocomplete="current-password"' in page
    assert "Sign in with Example" in page
    answer = made.post("/sign-in", data=given(" Admin ", "admin"), headers=HERE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    assert made.get("/loop.json").status_code == 200


@pytest.mark.parametrize("wrong", [given("admin", "viewer"), given("nobody", "nobody's"), given("", "")])
def test_a_wrong_password_and_a_wrong_name_are_told_the_same(source: ToldSource, wrong: dict[str, str]) -> None:
    answer = client(source).post("/sign-in", data=wrong, headers=HERE)
    assert answer.status_code == 401
    assert "The name or the password is wrong" in answer.text
    assert "session" not in answer.headers.get("set-cookie", "")
    assert 'value="nobody' not in answer.text


@pytest.mark.fault("H8")
def test_who_fails_again_and_again_waits_and_the_right_password_is_not_heard_meanwhile(source: ToldSource) -> None:
    made = client(source)
    codes = [made.post("/sign-in", data=given("admin", "wrong"), headers=HERE).status_code for _ in range(8)]
    assert codes == [401] * 5 + [429] * 3
    held = made.post("/sign-in", data=given("admin", "admin"), headers=HERE)
    assert held.status_code == 429
    assert int(held.headers["retry-after"]) <= 300
    assert "Too many attempts failed" in held.text
    source.clock += timedelta(seconds=int(held.headers["retry-after"]))
    assert made.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303


@pytest.mark.fault("H8")
def test_a_stranger_who_tries_an_admin_s_name_does_not_lock_the_admin_out(source: ToldSource) -> None:
    app = dashboard_app(dashboard_over(source))
    admin, stranger = (TestClient(app, follow_redirects=False, client=(host, 1)) for host in ("10.0.0.1", "10.0.0.2"))
    assert admin.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303
    for _ in range(30):
        stranger.post("/sign-in", data=given("admin", "wrong"), headers=HERE)
    assert stranger.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 429
    assert admin.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303, "a browser known here"
    elsewhere = TestClient(app, follow_redirects=False, client=("10.0.0.3", 1))
    assert elsewhere.post("/sign-in", data={"token": "admin"}, headers=HERE).status_code == 303, "by a token"
    stranger.cookies.set("session_device", admin.cookies["session_device"].replace(".", ".0"))
    assert stranger.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 429


@pytest.mark.fault("H8")
def test_the_mark_of_one_person_is_no_mark_of_another(source: ToldSource) -> None:
    app = dashboard_app(dashboard_over(source))
    eve = TestClient(app, follow_redirects=False)
    eve.post("/sign-in", data=given("viewer", "viewer"), headers=HERE)
    codes = [eve.post("/sign-in", data=given("admin", "wrong"), headers=HERE).status_code for _ in range(7)]
    assert codes[-1] == 429
    assert TestClient(app).post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 429


@pytest.mark.fault("H8")
def test_who_is_known_or_has_a_token_is_held_up_by_nobody_at_the_same_place(source: ToldSource) -> None:
    app = dashboard_app(dashboard_over(source))
    admin, stranger = (TestClient(app, follow_redirects=False) for _ in range(2))
    assert admin.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303
    for n in range(30):
        stranger.post("/sign-in", data=given(f"n{n}", "wrong"), headers=HERE)
    for _ in range(10):
        held = stranger.post("/sign-in", data=given("viewer", "viewer"), headers=HERE)
        assert held.status_code == 429, "the control: strangers wait"
        assert admin.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303
        assert stranger.post("/sign-in", data={"token": "admin"}, headers=HERE).status_code == 303
        source.clock += timedelta(seconds=int(held.headers["retry-after"]))
        stranger.post("/sign-in", data=given("admin", "wrong"), headers=HERE)


@pytest.mark.fault("H8")
def test_who_signs_in_gets_another_session_than_he_came_with(source: ToldSource) -> None:
    made = client(source)
    made.post("/sign-in", data=given("viewer", "viewer"), headers=HERE)
    brought = made.cookies["session"]
    made.post("/sign-in", data=given("admin", "admin"), headers=HERE)
    assert made.cookies["session"] != brought


def test_a_session_that_was_signed_out_of_stays_so_when_the_dashboard_begins_anew(source: ToldSource) -> None:
    made = client(source)
    made.post("/sign-in", data=given("admin", "admin"), headers=HERE)
    cookie = made.cookies["session"]
    again = client(source)
    again.cookies.set("session", cookie)
    assert again.get("/loop.json").status_code == 200, "the control: a session outlives the process"
    assert made.post("/sign-out", data={"form": form_of(made, action="/sign-out")}, headers=HERE).status_code == 303
    again = client(source)
    again.cookies.set("session", cookie)
    assert again.get("/loop.json").status_code == 401


@pytest.mark.fault("H5")
@pytest.mark.parametrize(
    ("origin", "headers", "code"),
    [
        (ORIGIN, THERE, 303),
        (ORIGIN, THERE | {"sec-fetch-site": "same-origin"}, 303),
        (ORIGIN, THERE | {"origin": "http://anew.example.org"}, 403),
        (ORIGIN, THERE | {"origin": "https://evil.example"}, 403),
        (ORIGIN, THERE | {"sec-fetch-site": "cross-site"}, 403),
        (ORIGIN, {"host": "testserver", "origin": ORIGIN}, 403),
        (ORIGIN, {"host": "testserver", "origin": "http://testserver"}, 303),
        ("", THERE, 421),
        ("", {"host": "testserver", "origin": ORIGIN}, 403),
        ("", {"host": "testserver", "origin": ORIGIN, "x-forwarded-host": "anew.example.org"}, 403),
        ("", {"host": "testserver", "origin": "https://testserver", "x-forwarded-proto": "https"}, 403),
    ],
)
def test_a_form_through_a_proxy_is_taken_from_the_declared_origin_alone(
    source: ToldSource, origin: str, headers: dict[str, str], code: int
) -> None:
    assert client(source, origin).post("/sign-in", data=given("admin", "admin"), headers=headers).status_code == code


def test_behind_tls_the_cookie_is_sent_on_no_other_way(source: ToldSource) -> None:
    made = client(source, ORIGIN, ORIGIN)
    answer = made.post("/sign-in", data=given("admin", "admin"), headers=THERE)
    session = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-session="))
    for said in ("secure", "httponly", "samesite=strict", "path=/"):
        assert said in session.lower()
    assert "domain" not in session.lower()
    assert made.get("/loop.json").status_code == 200
    plain = client(source, ORIGIN)
    plain.cookies.set("session", session.split("=", 1)[1].split(";")[0])
    assert plain.get("/loop.json", headers={"host": "anew.example.org"}).status_code == 401


@pytest.mark.fault("H5")
@pytest.mark.parametrize(("headers", "believed"), [(THERE, True), (HERE, False)])
def test_where_somebody_comes_from_is_believed_of_the_declared_proxy_alone(
    source: ToldSource, headers: dict[str, str], believed: bool
) -> None:
    made = client(source, ORIGIN)

    def codes(told: Callable[[int], list[str]]) -> list[int]:
        return [
            made.post(
                "/sign-in",
                data=given(f"n{told(n)}", "wrong"),
                headers=[*headers.items(), *(("x-forwarded-for", each) for each in told(n))],
            ).status_code
            for n in range(25)
        ]

    assert (codes(lambda n: [f"6.6.6.6, 10.0.0.{n}"])[-1] == 401) == believed
    if believed:
        said = "what a client says of itself stands before what the proxy adds"
        assert codes(lambda n: [f"10.1.1.{n}, 9.9.9.9"])[-1] == 429, said
        assert codes(lambda n: [f"10.1.1.{n}", "9.9.9.8"])[-1] == 429, said
        assert codes(lambda n: [f"9.9.9.7:{n + 1}"])[-1] == 429, "another port is no other place"
        assert codes(lambda n: [f"2001:db8::{n + 1:x}"])[-1] == 429, "one customer has many addresses"
        assert codes(lambda n: [f"nonsense {n}"])[-1] == 429


def sent(made: TestClient) -> str:
    """Begin a sign-in at the provider, and return its state."""
    answer = made.get("/sign-in/provider?next=/runs", headers=HTML)
    assert answer.status_code == 303
    assert "samesite=lax" in answer.headers["set-cookie"].lower()
    return parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]


def test_whom_the_provider_vouches_for_is_signed_in_and_goes_on(source: ToldSource) -> None:
    made = client(source)
    answer = made.get(f"/sign-in/back?code=operator&state={sent(made)}", headers=HTML)
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/runs">' in answer.text
    assert made.get("/loop.json").status_code == 200
    source.clock += timedelta(minutes=61)
    assert made.get("/loop.json").status_code == 401, "as long as the policy says"


@pytest.mark.fault("H8")
@pytest.mark.parametrize("fault", ["no errand", "another's errand", "another state", "too late", "twice", "forged"])
def test_an_answer_that_this_browser_did_not_ask_for_lets_nobody_in(source: ToldSource, fault: str) -> None:
    made, other = client(source), client(source)
    state = sent(other if fault in ("no errand", "another's errand") else made)
    if fault == "another's errand":
        sent(made)
    if fault == "another state":
        state = "x" + state
    if fault == "too late":
        source.clock += timedelta(minutes=11)
    if fault == "twice":
        assert made.get(f"/sign-in/back?code=admin&state={state}").status_code == 200
        made.cookies.delete("session")
    if fault == "forged":
        body, _, _ = made.cookies["session_errand"].rpartition(".")
        made.cookies.clear()
        made.cookies.set("session_errand", f"{body}.{'0' * 64}")
    answer = made.get(f"/sign-in/back?code=admin&state={state}", headers=HTML)
    assert answer.status_code == 403
    assert "This sign-in was not begun here" in answer.text
    assert made.get("/loop.json").status_code == 401


def test_whom_the_provider_does_not_vouch_for_is_told_so(source: ToldSource) -> None:
    made = client(source)
    answer = made.get(f"/sign-in/back?error=access_denied&state={sent(made)}", headers=HTML)
    assert answer.status_code == 403
    assert "it vouches for nobody" in answer.text
    assert made.get("/loop.json").status_code == 401


def said_out(made: TestClient, word: str, **headers: str) -> int:
    """Have the provider say that somebody signed out there, as no browser would."""
    return made.post("/sign-out/provider", data={"logout_token": word}, headers=headers).status_code


@pytest.mark.fault("H8")
def test_who_signs_out_at_the_provider_is_signed_out_here(source: ToldSource) -> None:
    made, other, by_token = client(source), client(source), client(source)
    for each, code in ((made, "operator"), (other, "admin")):
        each.get(f"/sign-in/back?code={code}&state={sent(each)}", headers=HTML)
    by_token.post("/sign-in", data={"token": "operator"}, headers=HERE)
    cookie = made.cookies["session"]
    assert [each.get("/loop.json").status_code for each in (made, other, by_token)] == [200] * 3
    source.clock += timedelta(minutes=1)
    assert said_out(made, "operator") == 200
    assert [each.get("/loop.json").status_code for each in (made, other, by_token)] == [401, 200, 200]
    source.clock += timedelta(minutes=1)
    made.get(f"/sign-in/back?code=operator&state={sent(made)}", headers=HTML)
    assert made.get("/loop.json").status_code == 200, "a session of afterwards is another"
    made.cookies.clear()
    made.cookies.set("session", cookie)
    assert made.get("/loop.json").status_code == 401


@pytest.mark.fault("H8")
def test_a_sign_out_that_the_provider_did_not_say_ends_nothing_and_its_teller_waits(source: ToldSource) -> None:
    made = client(source)
    made.get(f"/sign-in/back?code=admin&state={sent(made)}", headers=HTML)
    source.clock += timedelta(minutes=1)
    codes = [said_out(made, word) for word in ["", "made up", *("x" for _ in range(20))]]
    assert codes == [400] * 20 + [429] * 2
    assert made.get("/loop.json").status_code == 200
    assert made.get("/sign-in/provider").status_code == 303, "that holds up nobody who signs in"
    assert said_out(client(source), "admin", host="evil.example") == 421
    assert made.get("/sign-out/provider", headers=HERE).status_code == 405


@pytest.mark.parametrize("path", ["/sign-in", "/rollback"])
def test_a_form_of_too_many_fields_is_refused(source: ToldSource, path: str) -> None:
    made = client(source)
    made.post("/sign-in", data=given("admin", "admin"), headers=HERE)
    answer = made.post(path, data={f"f{n}": "x" for n in range(60)}, headers=HERE | HTML)
    assert answer.status_code == 400
    assert "at most 50 fields" in answer.text


INNER = [
    IntegrityError("others than its owner may read /srv/x/users.json; if nobody did, run: chmod 600 /srv/x/users.json"),
    SettingsError("env:ANEW_SECRET: there is no environment variable ANEW_SECRET, or it is empty"),
    UnavailableError("too many people are signing in at once; try again in a moment"),
]


@pytest.mark.fault("H8")
@pytest.mark.parametrize("exc", INNER)
@pytest.mark.parametrize("way", ["by_password", "holder", "provider", "by_provider", "ways"])
def test_what_is_broken_is_logged_and_no_stranger_is_told(
    source: ToldSource, way: str, exc: AnewError, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise exc

    made = client(source)
    state = sent(made)
    monkeypatch.setattr(source, way, fail)
    ask: dict[str, Callable[[], Any]] = {
        "by_password": lambda: made.post("/sign-in", data=given("admin", "admin"), headers=HERE | HTML),
        "holder": lambda: made.post("/sign-in", data={"token": "admin"}, headers=HERE | HTML),
        "provider": lambda: made.get("/sign-in/provider", headers=HTML),
        "by_provider": lambda: made.get(f"/sign-in/back?code=admin&state={state}", headers=HTML),
        "ways": lambda: made.get("/sign-in", headers=HTML),
    }
    answer = ask[way]()
    assert answer.status_code >= 500
    assert "the log of the dashboard says" in answer.text
    for inner in ("/srv/x", "users.json", "ANEW_SECRET", "at once"):
        assert inner not in answer.text
    assert any(str(exc) in each.getMessage() for each in caplog.records)


@pytest.mark.fault("H8")
def test_what_is_broken_is_nobody_s_failure(source: ToldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise INNER[2]

    made = client(source)
    with monkeypatch.context() as broken:
        for way in ("by_password", "provider"):
            broken.setattr(source, way, fail)
        for _ in range(30):
            assert made.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 503
            assert made.get("/sign-in/provider").status_code == 503
    with monkeypatch.context() as broken:
        broken.setattr(source, "by_provider", fail)
        for _ in range(30):
            assert made.get(f"/sign-in/back?code=admin&state={sent(made)}").status_code == 503
    assert made.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303


@pytest.mark.fault("H8")
def test_answers_that_the_provider_knows_nothing_of_are_soon_passed_on_no_more(
    source: ToldSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, passed = client(source), list[str]()
    real = source.by_provider

    def heard(errand: Errand, answer: Mapping[str, str]) -> Vouched:
        passed.append(answer.get("code", ""))
        return real(errand, answer)

    monkeypatch.setattr(source, "by_provider", heard)
    codes = [made.get(f"/sign-in/back?code=made-up&state={sent(made)}").status_code for _ in range(20)]
    assert codes == [403] * 20
    held = made.get("/sign-in/provider")
    assert held.status_code == 429
    assert int(held.headers["retry-after"]) >= 1
    assert len(passed) == 20
    assert made.post("/sign-in", data=given("admin", "admin"), headers=HERE).status_code == 303, "by other ways"
    source.clock += timedelta(seconds=int(held.headers["retry-after"]))
    for _ in range(2):
        assert made.get(f"/sign-in/back?code=admin&state={sent(made)}").status_code == 200, "nobody failed"


@pytest.mark.fault("H8")
def test_a_slow_provider_holds_up_nothing_but_itself(source: ToldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen ask at once: four wait for it in threads, the others give up, and the pages are there meanwhile."""
    opened, lock, at_once, most = Event(), Lock(), 0, 0

    def slow(errand: Errand) -> str:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        opened.wait(60)
        with lock:
            at_once -= 1
        return f"https://id.example/?state={errand.state}"

    monkeypatch.setattr(source, "provider", slow)
    monkeypatch.setattr(sign_in, "_PATIENCE_S", 0.2)
    with client(source) as made, ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(made.get, "/sign-in/provider") for _ in range(16)]
        until = time.monotonic() + 60
        while sum(each.done() for each in asked) < 12 and time.monotonic() < until:
            assert made.get("/sign-in", headers=HTML).status_code == 200
        opened.set()
        codes = sorted(each.result().status_code for each in asked)
    assert codes == [303] * 4 + [503] * 12
    assert most == 4


@pytest.mark.parametrize("sign", ["x", "ü", "\N{GRINNING FACE}", '"', "%"])
def test_a_place_to_go_back_to_is_no_longer_than_a_cookie_holds(source: ToldSource, sign: str) -> None:
    made = client(source)
    for length in (100, 500, 1_000, 1_990, 5_000):
        answer = made.get("/sign-in/provider", params={"next": "/" + sign * length})
        (cookie,) = [each for each in answer.headers.get_list("set-cookie") if "errand" in each]
        assert len(cookie.partition(";")[0]) < 4_000
        body = base64.urlsafe_b64decode(cookie.partition("=")[2].partition(".")[0])
        kept = json.loads(body)[2]
        assert kept == ("/" + sign * length if len(quote(sign)) * length < 2_000 else "/")


READERS = [
    "ways", "holder", "principal", "by_password", "provider", "by_provider", "signed_out", "in_force", "era", "is_over",
    "add", "cut", "reading", "catalogue",
]  # fmt: skip


def test_no_file_is_read_on_the_event_loop(source: ToldSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it would hold up all pages; what the entrance, the settings and the record are asked reads files."""
    asked, on_loop = set[str](), list[str]()

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*given: object, **named: object) -> object:
            asked.add(name)
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                return real(*given, **named)
            on_loop.append(name)
            return real(*given, **named)

        return ask

    for name in READERS:
        monkeypatch.setattr(source, name, watched(name, getattr(source, name)))
    made = client(source)
    for name in ("nobody", "admin"):
        made.post("/sign-in", data=given("admin", name), headers=HERE | HTML)
    made.post("/sign-in", data={"token": "nobody"}, headers=HERE | HTML)
    made.post("/rollback", data={"form": "made up"}, headers=HERE | HTML)
    made.get("/runs")
    made.post("/sign-out", data={"form": form_of(made, action="/sign-out")}, headers=HERE)
    for code in ("nobody", "admin"):
        made.get(f"/sign-in/back?code={code}&state={sent(made)}", headers=HTML)
    made.get("/sign-in/back?code=admin&state=another", headers=HTML)
    said_out(made, "admin")
    assert asked == set(READERS)
    assert on_loop == []
