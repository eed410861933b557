"""Who sends too much is told to wait, and nobody else is."""

import gzip

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from anew.dashboard.flood import Flood
from anew.dashboard.shield import Shield
from anew.dashboard.web import _Web
from tests.dashboard.story import ToldSource, dashboard_over, story
from tests.dashboard.test_web import HERE

ORIGIN = "https://anew.example.org"


def shielded(origin: str = "") -> tuple[ASGIApp, list[float]]:
    """Return the dashboard behind a clock that stands still until a test moves it."""
    now = [0.0]
    app = _Web(dashboard_over(ToldSource(story("x"), "x"), origin)).app()
    return Shield(app, frozenset({"testserver"}), origin, clock=lambda: now[0]), now


@pytest.mark.fault("H6")
def test_a_place_that_floods_waits_and_others_do_not() -> None:
    app, now = shielded()
    here, there = (TestClient(app, client=(host, 1)) for host in ("10.0.0.1", "10.0.0.2"))
    codes = [here.get("/static/none.css").status_code for _ in range(450)]
    assert codes == [404] * 400 + [429] * 50
    held = here.get("/sign-in")
    assert (held.status_code, held.headers["retry-after"]) == (429, "1")
    assert held.headers["content-security-policy"], "whatever it answers has its headers"
    assert there.get("/sign-in").status_code == 200
    now[0] += 1.0
    assert [here.get("/static/none.css").status_code for _ in range(41)] == [404] * 40 + [429]


@pytest.mark.fault("H6")
def test_behind_a_proxy_places_are_those_that_it_says_and_no_others() -> None:
    app, _ = shielded(ORIGIN)
    proxied = {"host": "anew.example.org"}
    made = TestClient(app)

    def code(*said: str, **headers: str) -> int:
        told = {"x-forwarded-for": ", ".join(said)} | (headers or proxied)
        return made.get("/static/none.css", headers=told).status_code

    assert [code(f"9.9.9.{n}", "10.0.0.1") for n in range(200)] + [code("10.0.0.1") for _ in range(200)] == [404] * 400
    assert code("10.0.0.1") == 429
    assert code("10.0.0.2") == 404
    assert [code(f"10.0.1.{n}", host="testserver") for n in range(201)][-1] == 404
    assert [code(f"10.0.2.{n}", host="testserver") for n in range(200)][-1] == 429, "past the proxy nobody is believed"


def test_what_is_remembered_of_places_is_bounded() -> None:
    flood = Flood(burst=1)
    for n in range(20_000):
        assert flood.wait_s(0.0, f"place {n}") == 0
    assert len(flood._left) == 10_000
    assert flood.wait_s(0.0, "place 19999") == 1


@pytest.mark.fault("H6")
@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "deflate, gzip"])
def test_a_form_that_is_packed_is_refused_and_not_unpacked(coding: str) -> None:
    app, _ = shielded()
    bomb = gzip.compress(b"token=" + b"x" * 30_000_000, 9)
    assert len(bomb) < 65_536, "as long as a form may be"
    made = TestClient(app)
    assert made.post("/sign-in", content=bomb, headers=HERE | {"content-encoding": coding}).status_code == 415
    assert made.post("/sign-in", content=b"token=x", headers=HERE | {"content-encoding": "identity"}).status_code == 401
