"""The gate: who is let through to what, by a generated matrix, and every trick with paths, hosts and headers."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anew.domain.access import Permission, Principal, Role
from anew.domain.errors import IntegrityError
from anew.gateway.app import GatewayApp
from anew.gateway.gate import EXEMPT, OPEN, Gate, Rules, together
from anew.gateway.refusal import RefusedError
from anew.governance import PERMISSIONS
from anew.ports.http import Reply, Request, Respond
from anew.testing.fake_journal import FakeJournal
from tests.gateway.test_app import make

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = {f"/{permission}": (permission, "fraud") for permission in Permission}
HOLDERS = {role.value: Principal(id=role.value, name=role.value, role=role) for role in Role} | {
    "elsewhere": Principal(id="x", name="x", role=Role.ADMIN, models=frozenset({"churn"}))
}


class Inner:
    """What lies behind the gate."""

    def __call__(self, request: Request, respond: Respond) -> None:
        """Answer anything."""
        respond(Reply(200, request.path.encode()))

    def refusal(self, status: int, message: str) -> Reply:
        """Refuse."""
        return Reply(status, message.encode())


def verify(given: str, now: datetime) -> Principal | None:
    assert now == NOW
    if given == "broken":
        raise IntegrityError("the file of tokens cannot be read")
    return HOLDERS.get(given)


def gate(anonymous: Role | None = None) -> Gate:
    return Gate(Inner(), ASKED, Rules(verify=verify, anonymous=anonymous), now=lambda: NOW)


def ask(path: str, token: str | None = None, *, host: str = "localhost:8080", by: Gate | None = None) -> Reply:
    headers = {b"host": host.encode()}
    if token is not None:
        headers[b"authorization"] = f"Bearer {token}".encode()
    return raw(path, headers, by)


def raw(path: str, headers: dict[bytes, bytes], by: Gate | None = None) -> Reply:
    told: list[Reply] = []
    (by or gate())(Request("GET", path, headers, b""), told.append)
    (reply,) = told
    return reply


@pytest.mark.fault("H1")
@pytest.mark.parametrize("path", [*ASKED, "/nowhere", "/v2/health", "/v2/health/live/", "/V2/health/live", ""])
def test_strangers_reach_nothing_and_learn_nothing(path: str) -> None:
    reply = ask(path)
    assert (reply.status, tuple(reply.headers)) == (401, ((b"www-authenticate", b"Bearer"),))
    assert json.loads(reply.body) == json.loads(ask("/nowhere").body)


@pytest.mark.fault("H1")
def test_two_paths_are_anybody_s() -> None:
    assert {path for path in (*EXEMPT, *ASKED) if ask(path).status == 200} == EXEMPT
    assert len(EXEMPT) == 2


@pytest.mark.fault("H2")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("permission", Permission)
def test_each_role_reaches_what_the_table_says(role: Role, permission: Permission) -> None:
    assert ask(f"/{permission}", role.value).status == (200 if permission in PERMISSIONS[role] else 403)
    assert ask(f"/{permission}", "elsewhere").status == 403
    assert ask(f"/{permission}", by=gate(role)).status == (200 if permission in PERMISSIONS[role] else 403)


TRICKS = (
    "/predict/../v2/health/live", "/predict;/v2/health/live", "//v2/health/live", "/predict/v2/health/live",
    "/predict/health", "/%2e%2e",
)  # fmt: skip


@pytest.mark.fault("H3")
@pytest.mark.parametrize("path", TRICKS)
def test_no_path_that_ends_like_an_exempt_one_is_exempt(path: str) -> None:
    assert ask(path).status == 401


@pytest.mark.fault("H3")
def test_planted_a_gate_that_looks_at_how_a_path_ends_lets_tricks_in() -> None:
    class Suffixed(Gate):
        """Exempts whatever ends as an exempt path does, as others have done."""

        def _hindrance(self, request: Request) -> RefusedError | None:
            return None if request.path.endswith(tuple(EXEMPT)) else super()._hindrance(request)

    careless = Suffixed(Inner(), ASKED, Rules(verify=verify), now=lambda: NOW)
    assert {path for path in TRICKS if ask(path, by=careless).status == 200} == set(TRICKS[:4])


@pytest.mark.fault("H5")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "",
        "127.0.0.1.evil:80",
        "[::2]",
        ":80",
        "localhost:x",
    ],
)
def test_a_name_that_is_not_ours_is_refused_even_with_a_token(host: str) -> None:
    by = gate(Role.MACHINE)
    for _ in range(2):
        assert ask("/predict", "machine", host=host, by=by).status == 421
        assert ask("/v2/health/live/", host=host, by=by).status == 421


def probes() -> dict[str, str]:
    """Return the paths that the manifests of Kubernetes have a kubelet ask, each with the file it stands in."""
    asked = re.compile(r"httpGet: \{path: ([^,]+), port")
    files = sorted((Path(__file__).parents[2] / "deploy/kubernetes").glob("*.yaml"))
    return {path: file.name for file in files for path in asked.findall(file.read_text())}


@pytest.mark.fault("H5")
def test_a_kubelet_that_asks_by_the_address_of_a_pod_is_answered_and_learns_no_more() -> None:
    host = "10.244.0.7:8080"
    assert {path for path in probes() if ask(path, host=host).status == 200} == set(probes()) == EXEMPT
    app = GatewayApp([make(FakeJournal()).endpoints[0]])
    before = Gate(app, app.asked, Rules(verify=verify), now=lambda: NOW)
    said = {path: ask(path, host=host, by=before) for path in app.asked}
    assert {path for path, reply in said.items() if reply.status != 421} == EXEMPT
    assert json.loads(said["/v2/health/live"].body) == {"live": True}
    assert json.loads(said["/v2/health/ready"].body).keys() == {"ready"}


@pytest.mark.fault("H5")
@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("10.244.0.7:8080", True),
        ("10.244.255.1", True),
        ("[fd00::7]:8080", True),
        ("10.245.0.7:8080", False),
        ("[fd01::7]", False),
        ("10.244.0.7.evil.example", False),
        ("10.244.0.7:x", False),
        ("10.244.7", False),
        ("10.244.0.0/16", False),
    ],
)
def test_a_network_is_declared_for_who_asks_by_address(host: str, ours: bool) -> None:
    by = Gate(Inner(), ASKED, Rules(verify=verify, hosts=frozenset({"10.244.0.0/16", "fd00::/16"})), now=lambda: NOW)
    assert ask("/predict", "machine", host=host, by=by).status == (200 if ours else 421)


@pytest.mark.fault("H5")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9", "[::1]:9", "[::1]"])
def test_control_our_names_are_taken_with_any_port(host: str) -> None:
    assert ask("/predict", "machine", host=host).status == 200


@pytest.mark.fault("H8")
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic bWFjaGluZTo=",
        b"machine",
        b"Bearer \xff",
        b"Bearer " + b"a" * 600,
        b"Bearer broken",
    ],
)
def test_what_is_no_token_is_nobody_s_even_where_strangers_are_welcome(value: bytes) -> None:
    for by in (gate(), gate(Role.MACHINE)):
        assert raw("/predict", {b"host": b"localhost", b"authorization": value}, by).status == 401


def test_refusals_are_counted_by_their_reason() -> None:
    by = gate()
    ask("/predict", by=by)
    ask("/operate", "machine", by=by)
    ask("/predict", host="evil", by=by)
    ask("/predict", "broken", by=by)
    assert by.counts == {"unauthorised": 2, "forbidden": 1, "host": 1, "unverifiable": 1}


def test_what_is_no_request_is_refused_by_what_lies_behind() -> None:
    assert gate().refusal(400, "no").body == b"no"


@pytest.mark.fault("H1")
def test_of_the_gateway_s_own_paths_strangers_reach_two(record_property: Callable[[str, object], None]) -> None:
    app = GatewayApp([make(FakeJournal()).endpoints[0]])
    before = Gate(app, app.asked, Rules(verify=verify), now=lambda: NOW)
    reached = set()
    for path in app.asked:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            told: list[Reply] = []
            before(Request(method, path, {b"host": b"localhost"}, b"{}"), told.append)
            if told[0].status != 401:
                reached.add(path)
    assert reached == EXEMPT
    record_property("figure", f"{len(app.asked)} paths of the gateway, {len(reached)} without a token")


@pytest.mark.fault("H2")
def test_what_each_path_takes_is_pinned() -> None:
    app = GatewayApp([make(FakeJournal()).endpoints[0]])
    taken = {path: permission for path, (permission, _) in app.asked.items()}
    model = app.endpoints[0].model
    assert {path for path, permission in taken.items() if permission is Permission.PREDICT} == {
        "/predict",
        f"/models/{model}/predict",
        f"/v2/models/{model}/infer",
    }
    assert {path for path, permission in taken.items() if permission is Permission.LABEL} == {
        "/labels",
        "/feedback",
        f"/models/{model}/labels",
        f"/models/{model}/feedback",
    }
    others = {path for path, permission in taken.items() if permission is Permission.METRICS}
    assert others == {
        path for path in taken if path.endswith(("ready", "live", "stats", "metrics", ".json", "/v2", model))
    }
    assert {of for path, (_, of) in app.asked.items() if f"/{model}" in f"{path}/".replace("/metrics", "")} == {model}


@pytest.mark.fault("H2")
def test_of_several_models_each_has_its_own_tokens() -> None:
    def only(name: str) -> Rules:
        who = Principal(id=name, name=name, role=Role.ADMIN)
        return Rules(verify=lambda given, _: who if given == name else None, hosts=frozenset({f"{name}.example"}))

    both = Gate(
        Inner(),
        {"/a": (Permission.PREDICT, "a"), "/b": (Permission.PREDICT, "b"), "/all": (Permission.METRICS, "")},
        together({"a": only("a"), "b": only("b")}),
        now=lambda: NOW,
    )
    seen = {
        (path, token): ask(path, token, host="b.example", by=both).status
        for path in ("/a", "/b", "/all")
        for token in "abc"
    }
    assert {spot for spot, status in seen.items() if status == 200} == {("/a", "a"), ("/b", "b")}
    assert {seen[path, "c"] for path in ("/a", "/b", "/all")} == {401}
    assert together({"a": OPEN, "b": only("b")}).anonymous is None
    assert together({"a": OPEN, "b": OPEN}).anonymous is Role.MACHINE
