"""Every way into the dashboard, for every role: what is here is all there is, and each does what its line says.

The list is written out, and not made from the code, so that a route that is added or opened changes this file.
"""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from anew.dashboard.web import Dashboard, _Web, dashboard_app
from anew.domain.access import Role
from anew.domain.errors import IntegrityError
from tests.dashboard.story import ToldSource, dashboard_over, story
from tests.dashboard.test_web import HERE, HTML

ANYBODY = {
    "GET /sign-in", "POST /sign-in", "GET /sign-in/provider", "GET /sign-in/back", "GET /static/{name}",
    "POST /sign-out/provider",
}  # fmt: skip
"""What a stranger needs to stop being one; and where a provider says that somebody signed out, by its signature."""

READERS = {"viewer", "operator", "approver", "admin"}
SIGNED_IN = {"GET /events": set(Role), "POST /sign-out": set(Role)}
MATRIX: dict[str, set[str]] = {
    **{
        f"GET {path}{twin}": READERS
        for path in (
            "/models", "/runs", "/runs/{version:path}", "/rollout", "/compare", "/data", "/lineage", "/approvals",
            "/lab", "/audit", "/health",
        )
        for twin in ("", ".json")
    },
    "GET /": READERS,
    "GET /loop.json": READERS,
    "GET /review": {"labeller", "operator", "admin"},
    "GET /review.json": {"labeller", "operator", "admin"},
    "POST /rollback": {"operator", "admin"},
    "POST /rollout/hold": {"operator", "admin"},
    "POST /rollout/resume": {"operator", "admin"},
    "POST /approvals/approve": {"approver", "admin"},
    "POST /approvals/override": {"approver", "admin"},
    "POST /approvals/reject": {"approver", "admin"},
    "POST /review/answer": {"labeller", "operator", "admin"},
    "POST /review/skip": {"labeller", "operator", "admin"},
}  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")


def ways(app: Starlette) -> Iterator[str]:
    """Yield every route as method and path; what is neither a route of HTTP nor known here fails."""
    for route in app.routes:
        assert isinstance(route, Route), f"{route!r} is a way in that this file does not know"
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield f"{method} {route.path}"


def made() -> Dashboard:
    return dashboard_over(ToldSource(story("x"), "x"))


def client() -> TestClient:
    return TestClient(dashboard_app(made()), raise_server_exceptions=False, follow_redirects=False)


def sent(by: TestClient, way: str, **headers: str) -> int:
    """Ask without following; POST as a page of ours would, but without its hidden field."""
    method, path = way.split(" ")
    path = path.replace("{version:path}", "v2x").replace("{name}", "none.css")
    return by.request(method, path, headers=(HERE if method == "POST" else {}) | headers, data=None).status_code


@pytest.mark.fault("H1")
def test_the_routes_are_those_of_the_list() -> None:
    found = list(ways(_Web(made()).app()))
    assert len(found) == len(set(found))
    assert set(found) == ANYBODY | SIGNED_IN.keys() | MATRIX.keys()


@pytest.mark.fault("H1")
@pytest.mark.parametrize(
    "planted", [Route("/debug", lambda _: None), Mount("/x", routes=[]), WebSocketRoute("/ws", lambda _: None)]
)
def test_a_route_that_is_added_is_noticed(planted: object) -> None:
    app = _Web(made()).app()
    app.routes.append(planted)  # type: ignore[arg-type]  # a route of each kind
    try:
        found = set(ways(app))
    except AssertionError:
        return
    assert found != ANYBODY | SIGNED_IN.keys() | MATRIX.keys()


@pytest.mark.fault("H1")
@pytest.mark.parametrize("way", sorted(MATRIX.keys() | SIGNED_IN.keys()))
def test_a_stranger_reaches_nothing(way: str) -> None:
    stranger = client()
    assert sent(stranger, way) == 401
    assert sent(stranger, way, **HTML) in (303, 401)
    assert sent(stranger, way, authorization="Bearer nobody's") == 401


@pytest.mark.fault("H1")
@pytest.mark.parametrize("way", sorted(ANYBODY))
def test_what_is_anybody_s_shows_nothing_of_the_model(way: str) -> None:
    method, path = way.split(" ")
    answer = client().request(method, path.replace("{name}", "none.css"), headers=HERE)
    assert answer.status_code in (200, 303, 400, 401, 403, 404)
    for told in ("v1x", "v2x", "gatex", "columnx"):
        assert told not in answer.text


@pytest.mark.fault("H1")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/", "/loop.json", "/rollback", "/events", "/sign-out", "/static/none.css", "/no"])
def test_no_other_method_reaches_anything(method: str, path: str) -> None:
    body = None if method in ("GET", "HEAD") else b"x=1"
    assert client().request(method, path, headers=HERE, content=body).status_code in (401, 404, 405)


@pytest.mark.fault("H2")
@pytest.mark.parametrize("role", sorted(Role))
@pytest.mark.parametrize("way", sorted(MATRIX))
def test_each_role_reaches_what_its_line_says(way: str, role: str) -> None:
    source = ToldSource(story("x"), "x")
    by = TestClient(dashboard_app(dashboard_over(source)), raise_server_exceptions=False, follow_redirects=False)
    code = sent(by, way, authorization=f"Bearer {role}")
    if role not in MATRIX[way]:
        assert code in ((303, 403) if way == "GET /" else (403,)), "the first page leads a labeller to the question"
        assert not source.ordered
        assert not source.judged
    elif way.startswith("GET"):
        assert code == 200
    else:
        assert code == 403, "without the hidden field of a page that was shown"
        assert not source.ordered


@pytest.mark.fault("H3")
@pytest.mark.parametrize(
    "path",
    ["/static/../loop.json", "/static/%2e%2e/loop.json", "/static/..%2floop.json", "/static/%252e%252e/loop.json",
     "//loop.json", "/loop.json;x", "/loop.json/", "/LOOP.JSON", "/sign-in/../loop.json", "/sign-in/loop.json",
     "/loop.json%00", "/runs/../../etc/passwd.json", "/x/health", "/loop.json\\"],
)  # fmt: skip
def test_no_trick_with_a_path_leads_in(path: str) -> None:
    answer = client().get(path)
    assert answer.status_code in (303, 307, 400, 401, 404)
    assert "v1x" not in answer.text


@pytest.mark.parametrize("broken", ["in_force", "holder"])
def test_an_error_page_needs_neither_settings_nor_tokens_to_be_readable(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ToldSource(story("x"), "x")
    by = TestClient(dashboard_app(dashboard_over(source)), raise_server_exceptions=False, follow_redirects=False)

    def fail(*_: object) -> None:
        raise IntegrityError("anew.yaml cannot be read; restore it")

    monkeypatch.setattr(source, broken, fail)
    answer = by.get("/", headers=HTML | {"authorization": "Bearer admin"})
    assert answer.status_code == 500
    assert ("anew.yaml cannot be read; restore it" in answer.text) == (broken == "in_force"), "to who is known"
    assert ("the log of the dashboard says what" in answer.text) == (broken == "holder"), "to strangers"
    assert "<h1>" in answer.text
    assert by.get("/loop.json", headers={"authorization": "Bearer admin"}).json()["data"]["status"] == 500
