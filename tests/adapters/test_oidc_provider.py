"""A provider's word is taken only when it is the provider's, for us, for this sign-in, and from where it may come.

The provider here lies in every way that one at a time; the system tests sign in at a real one.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from anew.adapters import oidc_provider as adapter
from anew.adapters.oidc_provider import OIDCProvider
from anew.domain.errors import AnewError, ForbiddenError, UnavailableError

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "s&c"  # noqa: S105  of a client of this test
ASKED = {"nonce": "n" * 64, "verifier": "v" * 64, "back": "http://127.0.0.1:8090/sign-in/back"}
KEY, OTHER, POSED = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("1", "2", "1"))


@dataclass
class Provider:
    """What a provider answers, each of it to be spoiled; and what it was asked."""

    address: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] | None = None
    key: RSAKey = field(default_factory=lambda: KEY)
    keys: list[Key] = field(default_factory=lambda: [KEY])
    token: Callable[["Provider"], str] | None = None
    raw: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, str], str]] = field(default_factory=list)
    drips: str = ""
    open: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)

    def begin(self, address: str) -> None:
        """Tell the truth, at once."""
        self.open.set()
        at = int(NOW.timestamp())
        self.address = address
        self.metadata = {
            "issuer": address,
            "authorization_endpoint": f"{address}/authorize",
            "token_endpoint": f"{address}/token",
            "jwks_uri": f"{address}/keys",
        }
        self.claims = {
            "iss": address, "aud": "anew", "sub": "7", "iat": at, "exp": at + 300, "nonce": ASKED["nonce"],
            "preferred_username": "ann", "groups": ["ml"],
        }  # fmt: skip

    def id_token(self) -> str:
        """Return the token, as it was spoiled or not."""
        if self.token is not None:
            return self.token(self)
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, self.claims, self.key)

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer a request."""
        if path in self.raw:
            return self.raw[path]
        made: dict[str, Callable[[], Any]] = {
            "/.well-known/openid-configuration": lambda: self.metadata,
            "/token": lambda: {"id_token": self.id_token(), "access_token": "a", "token_type": "Bearer"},
            "/keys": lambda: KeySet(self.keys).as_dict(private=False),
            "/userinfo": lambda: self.userinfo,
        }
        return 200, json.dumps(made[path]()).encode()


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer("")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers["content-length"])).decode())

        def answer(self, body: str) -> None:
            made.asked.append((self.path, dict(self.headers), body))
            made.open.wait(30)
            if self.path == made.drips:
                self.drip()
                return
            status, told = made.answer(self.path)
            self.send_response(status)
            if status == 302:
                self.send_header("location", told.decode())
                told = b""
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not made.over.wait(0.02):  # no read is ever late, and the answer never whole
                try:
                    self.wfile.write(b"x: y\r\n")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.begin(f"http://127.0.0.1:{server.server_address[1]}")
    yield made
    made.open.set()
    made.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def client(provider: Provider, secret: str = SECRET, now: Callable[[], datetime] = lambda: NOW) -> OIDCProvider:
    return OIDCProvider(
        issuer=provider.address, client_id="anew", secret=lambda: secret, scopes=["openid", "profile"], now=now
    )


def test_a_browser_is_sent_with_state_nonce_and_the_challenge_of_pkce(provider: Provider) -> None:
    address = client(provider).address(state="s" * 43, **ASKED)
    query = dict(parse_qsl(urlsplit(address).query))
    assert address.startswith(f"{provider.address}/authorize?")
    assert (query["response_type"], query["client_id"], query["scope"]) == ("code", "anew", "openid profile")
    assert (query["state"], query["nonce"], query["redirect_uri"]) == ("s" * 43, ASKED["nonce"], ASKED["back"])
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    assert ASKED["verifier"] not in address
    assert "secret" not in address
    provider.metadata["authorization_endpoint"] += "?tenant=t"
    query = dict(parse_qsl(urlsplit(client(provider).address(state="s", **ASKED)).query))
    assert (query["tenant"], query["state"]) == ("t", "s")


def test_the_challenge_is_the_one_of_the_standard(provider: Provider) -> None:
    """RFC 7636, appendix B."""
    asked = ASKED | {"verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}
    query = dict(parse_qsl(urlsplit(client(provider).address(state="s", **asked)).query))
    assert query["code_challenge"] == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("secret", [SECRET, ""])
def test_a_good_answer_is_a_person_s_claims(provider: Provider, secret: str) -> None:
    provider.metadata["userinfo_endpoint"] = f"{provider.address}/userinfo"
    provider.userinfo = {"sub": "7", "groups": ["more"]}
    found = client(provider, secret).claims({"code": "c"}, **ASKED)
    assert (found["sub"], found["preferred_username"], found["groups"]) == ("7", "ann", ["more"])
    _, headers, body = next(each for each in provider.asked if each[0] == "/token")
    form = parse_qs(body)
    assert form["code_verifier"] == [ASKED["verifier"]]
    assert (form["code"], form["redirect_uri"]) == (["c"], [ASKED["back"]])
    basic = {name.lower(): value for name, value in headers.items()}.get("authorization", "")
    assert basic.startswith("Basic ") == bool(secret)
    assert secret == "" or secret not in body


def _spoil(**claims: object) -> Callable[[Provider], None]:
    return lambda provider: provider.claims.update(claims)


def _drop(name: str) -> Callable[[Provider], None]:
    return lambda provider: provider.claims.pop(name) and None


def _token(make: Callable[[Provider], str]) -> Callable[[Provider], None]:
    return lambda provider: setattr(provider, "token", make)


def _unsigned(provider: Provider) -> str:
    whole = jwt.encode({"alg": "RS256", "kid": "1"}, provider.claims, KEY).split(".")
    return f"eyJhbGciOiJub25lIn0.{whole[1]}."


def _by_public_key(provider: Provider) -> str:
    body = jwt.encode({"alg": "RS256", "kid": "1"}, provider.claims, KEY).split(".")[1]
    said = f"{_encoded(json.dumps({'alg': 'HS256', 'kid': '1'}).encode())}.{body}"
    return f"{said}.{_encoded(hmac.new(KEY.as_pem(private=False), said.encode(), hashlib.sha256).digest())}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _changed(provider: Provider) -> str:
    whole = jwt.encode({"alg": "RS256", "kid": "1"}, provider.claims, KEY).split(".")
    other = jwt.encode({"alg": "RS256", "kid": "1"}, provider.claims | {"sub": "1"}, KEY).split(".")
    return f"{whole[0]}.{other[1]}.{whole[2]}"


AT = int(NOW.timestamp())
LIES: Mapping[str, Callable[[Provider], object]] = {
    "unsigned": _token(_unsigned),
    "signed by what is public": _token(_by_public_key),
    "changed after it was signed": _token(_changed),
    "no token": _token(lambda _: "nonsense"),
    "another's key": lambda provider: setattr(provider, "key", OTHER),
    "another's key under our name": lambda provider: setattr(provider, "key", POSED),
    "another issuer": _spoil(iss="https://evil.example"),
    "another audience": _spoil(aud="another"),
    "many audiences": _spoil(aud=["anew", "another"]),
    "another party": _spoil(azp="another"),
    "expired": _spoil(exp=AT - 3_600),
    "no expiry": _drop("exp"),
    "not yet": _spoil(nbf=AT + 3_600),
    "from the future": _spoil(iat=AT + 3_600),
    "another nonce": _spoil(nonce="m" * 64),
    "no nonce": _drop("nonce"),
    "nobody": _drop("sub"),
    "nobody by a name": _spoil(sub=""),
    "nobody by blanks": _spoil(sub=" "),
    "a number": _spoil(sub=7),
    "many": _spoil(sub=["7"]),
    "refused": lambda provider: provider.raw.update({"/token": (400, b'{"error": "invalid_grant"}')}),
}  # fmt: skip


@pytest.mark.fault("H8")
def test_control_the_truth_is_taken_every_time(provider: Provider) -> None:
    for _ in range(2):
        assert client(provider).claims({"code": "c"}, **ASKED)["sub"] == "7"


@pytest.mark.fault("H8")
@pytest.mark.parametrize("lie", LIES)
def test_a_word_that_is_not_good_vouches_for_nobody(provider: Provider, lie: str) -> None:
    assert client(provider).claims({"code": "c"}, **ASKED)["sub"] == "7", "the control: the truth is taken"
    LIES[lie](provider)
    with pytest.raises(ForbiddenError):
        client(provider).claims({"code": "c"}, **ASKED)


SIGNED_OUT: Mapping[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
NO_SIGN_OUT: Mapping[str, Mapping[str, object]] = {
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "no event": {"events": None},
    "an event that is no object": {"events": dict.fromkeys(SIGNED_OUT, True)},
    "a word to sign in": {"nonce": ASKED["nonce"]},
    "of nobody": {"sub": None},
    "of a blank": {"sub": " "},
    "of a number": {"sub": 7},
    "of a session that is none": {"sid": ["1"]},
    "for another": {"aud": "another"},
    "by another": {"iss": "https://evil.example"},
    "of no time": {"iat": None},
    "of the future": {"iat": AT + 3_600},
    "expired": {"exp": AT - 3_600},
}


def said_out(provider: Provider, key: RSAKey, **more: object) -> str:
    """Return what a provider says of somebody who signed out; a claim that is None is left out."""
    claims = {"iss": provider.address, "aud": "anew", "iat": AT, "jti": "1", "sub": "7", "events": SIGNED_OUT, **more}
    told = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "RS256", "kid": key.kid, "typ": "logout+jwt"}, told, key)


@pytest.mark.fault("H8")
@pytest.mark.parametrize("lie", NO_SIGN_OUT)
def test_what_is_no_word_of_a_sign_out_is_refused(provider: Provider, lie: str) -> None:
    by = client(provider)
    assert by.signed_out(said_out(provider, KEY))["sub"] == "7", "the control: the truth is taken"
    with pytest.raises(ForbiddenError):
        by.signed_out(said_out(provider, KEY, **NO_SIGN_OUT[lie]))


@pytest.mark.fault("H8")
@pytest.mark.parametrize("key", [OTHER, POSED])
def test_a_sign_out_that_another_signed_is_refused(provider: Provider, key: RSAKey) -> None:
    with pytest.raises(ForbiddenError):
        client(provider).signed_out(said_out(provider, key))
    with pytest.raises(ForbiddenError):
        client(provider).signed_out(provider.id_token())
    with pytest.raises(ForbiddenError):
        client(provider).claims({"code": "c"}, **ASKED | {"nonce": "x"})


def test_a_session_alone_may_be_signed_out_of(provider: Provider) -> None:
    assert client(provider).signed_out(said_out(provider, KEY, sub=None, sid="s1", exp=AT + 120))["sid"] == "s1"


@pytest.mark.parametrize("answer", [{"error": "access_denied"}, {"code": "c", "iss": "https://evil.example"}])
def test_an_answer_that_says_no_or_is_another_s_asks_for_no_token(provider: Provider, answer: dict[str, str]) -> None:
    with pytest.raises(ForbiddenError):
        client(provider).claims(answer, **ASKED)
    provider.metadata["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(ForbiddenError):
        client(provider).claims({"code": "c"}, **ASKED)
    assert not [each for each in provider.asked if each[0] == "/token"]


def test_who_somebody_is_must_be_said_alike_twice(provider: Provider) -> None:
    provider.metadata["userinfo_endpoint"] = f"{provider.address}/userinfo"
    provider.userinfo = {"sub": "8"}
    with pytest.raises(ForbiddenError, match="two different things"):
        client(provider).claims({"code": "c"}, **ASKED)


@pytest.mark.fault("H7")
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/x", "file:///etc/passwd", "http://127.0.0.1:1/x", "gopher://x/", "", "//x/y"]
)
def test_an_address_elsewhere_is_not_asked(provider: Provider, name: str, address: str) -> None:
    provider.metadata[name] = address
    if name == "userinfo_endpoint" and not address:
        return
    with pytest.raises(UnavailableError, match="neither at its issuer nor in"):
        client(provider).claims({"code": "c"}, **ASKED)


@pytest.mark.fault("H7")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize(
    "raw",
    [
        (302, b"http://127.0.0.1:1/x"),
        (500, b"{}"),
        (200, b"<html>"),
        (200, b"[" * 100_000),
        (200, b"[]"),
        (200, b" " * ((1 << 20) + 1)),
    ],
    ids=["redirect", "500", "html", "deep", "list", "large"],
)
def test_nonsense_and_redirects_are_told_from_answers(provider: Provider, path: str, raw: tuple[int, bytes]) -> None:
    provider.raw[path] = raw
    with pytest.raises(AnewError):
        client(provider).claims({"code": "c"}, **ASKED)
    assert all(each[0].startswith(("/.well", "/token", "/keys")) for each in provider.asked)


def test_another_issuer_than_was_asked_is_none(provider: Provider) -> None:
    provider.metadata["issuer"] = "https://evil.example"
    with pytest.raises(UnavailableError, match="calls itself"):
        client(provider).address(state="s", **ASKED)


def test_a_new_key_of_the_provider_is_fetched_and_a_made_up_one_once_a_minute(provider: Provider) -> None:
    clock = [NOW]
    made = client(provider, now=lambda: clock[0])
    made.claims({"code": "c"}, **ASKED)
    provider.key, provider.keys = OTHER, [KEY, OTHER]
    clock[0] += timedelta(minutes=2)
    assert made.claims({"code": "c"}, **ASKED)["sub"] == "7"
    provider.key = RSAKey.generate_key(2048, {"kid": "3"})
    before = len([each for each in provider.asked if each[0] == "/keys"])
    for _ in range(5):
        with pytest.raises(ForbiddenError):
            made.claims({"code": "c"}, **ASKED)
    assert len([each for each in provider.asked if each[0] == "/keys"]) == before, "no sooner than in a minute"


@pytest.mark.parametrize(
    ("kid", "key"),
    [
        (None, RSAKey.generate_key(2048)),
        (None, ECKey.generate_key("P-256")),
        ("1", POSED),
    ],
    ids=["without a name", "of another kind", "under the same name"],
)
def test_a_new_key_that_no_name_tells_from_the_old_is_fetched(
    provider: Provider, kid: str | None, key: RSAKey | ECKey
) -> None:
    def sign(by: RSAKey | ECKey) -> Callable[[Provider], str]:
        named = {} if kid is None else {"kid": kid}
        alg = "RS256" if isinstance(by, RSAKey) else "ES256"
        return lambda provider: jwt.encode({"alg": alg} | named, provider.claims, by)

    def fetched() -> int:
        return len([each for each in provider.asked if each[0] == "/keys"])

    clock = [NOW]
    made = client(provider, now=lambda: clock[0])
    provider.token = sign(KEY)
    made.claims({"code": "c"}, **ASKED)
    provider.token, provider.keys = sign(key), [key]
    with pytest.raises(ForbiddenError, match="the provider's word is not good"):
        made.claims({"code": "c"}, **ASKED)
    assert fetched() == 1, "no sooner than in a minute"
    clock[0] += timedelta(minutes=2)
    assert made.claims({"code": "c"}, **ASKED)["sub"] == "7"
    provider.token = sign(OTHER)
    with pytest.raises(ForbiddenError):
        made.claims({"code": "c"}, **ASKED)
    assert fetched() == 2
    clock[0] += timedelta(minutes=2)
    for _ in range(5):
        with pytest.raises(ForbiddenError):
            made.claims({"code": "c"}, **ASKED)
    assert fetched() == 3, "once a minute, whatever is made up"


KEYS: Mapping[str, object] = {
    "of another curve": {"kty": "EC", "crv": "P-999", "x": "AA", "y": "AA", "kid": "2"},
    "of another kind": {"kty": "AKP", "kid": "2"},
    "without a kind": {"kid": "2"},
    "without its parts": {"kty": "RSA", "kid": "2", "n": "AQAB"},
    "of nonsense": {"kty": ["RSA"]},
    "text": "key",
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_that_is_not_understood_spoils_no_other(provider: Provider, kind: str) -> None:
    good = KEY.as_dict(private=False)
    provider.raw["/keys"] = 200, json.dumps({"keys": [KEYS[kind], good]}).encode()
    assert client(provider).claims({"code": "c"}, **ASKED)["sub"] == "7"
    provider.raw["/keys"] = 200, json.dumps({"keys": [KEYS[kind]]}).encode()
    with pytest.raises(UnavailableError, match="no key that can be used"):
        client(provider).claims({"code": "c"}, **ASKED)


@pytest.mark.fault("H8")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys", "/userinfo"])
def test_an_answer_that_drips_is_given_up(provider: Provider, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte is in time; without a deadline for the whole, the first of these would not end."""
    monkeypatch.setattr(adapter, "_DEADLINE_S", 1.0)
    provider.metadata["userinfo_endpoint"] = f"{provider.address}/userinfo"
    provider.drips = path
    with pytest.raises(UnavailableError, match=r"does not answer \(TimeoutError"):
        client(provider).claims({"code": "c"}, **ASKED)


@pytest.mark.fault("H8")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
def test_a_provider_that_failed_is_asked_again_in_ten_seconds_and_no_sooner(provider: Provider, path: str) -> None:
    clock = [NOW]
    made = client(provider, now=lambda: clock[0])
    provider.raw[path] = 500, b"{}"

    def asked() -> int:
        return len([each for each in provider.asked if each[0] == path])

    for _ in range(5):
        with pytest.raises(UnavailableError, match="answered 500"):
            made.claims({"code": "c"}, **ASKED)
    assert asked() == 1
    del provider.raw[path]
    clock[0] += timedelta(seconds=9)
    with pytest.raises(UnavailableError, match="answered 500"):
        made.claims({"code": "c"}, **ASKED)
    clock[0] += timedelta(seconds=1)
    assert made.claims({"code": "c"}, **ASKED)["sub"] == "7"
    assert asked() == 2


@pytest.mark.fault("H8")
def test_a_clock_that_is_set_back_draws_no_failure_out(provider: Provider) -> None:
    clock = [NOW]
    made = client(provider, now=lambda: clock[0])
    provider.raw["/keys"] = 500, b"{}"
    with pytest.raises(UnavailableError):
        made.claims({"code": "c"}, **ASKED)
    provider.raw.clear()
    provider.claims["iat"] = AT - 60
    clock[0] -= timedelta(seconds=60)
    assert made.claims({"code": "c"}, **ASKED)["sub"] == "7"


@pytest.mark.fault("H8")
@pytest.mark.parametrize("planted", [False, True])
def test_of_many_who_come_at_once_one_asks(provider: Provider, *, planted: bool) -> None:
    """With the planted fault, a lock that holds nobody, all of them do."""
    made, answers = client(provider), list[str]()
    if planted:
        made._metadata.lock = nullcontext()  # type: ignore[assignment]  # the fault
    provider.open.clear()
    threads = [Thread(target=lambda: answers.append(made.address(state="s", **ASKED))) for _ in range(6)]
    for each in threads:
        each.start()
    until = time.monotonic() + 20
    while len(provider.asked) < (6 if planted else 1) and time.monotonic() < until:
        time.sleep(0.01)
    provider.open.set()
    for each in threads:
        each.join()
    assert len(answers) == 6
    assert len(provider.asked) == (6 if planted else 1)
