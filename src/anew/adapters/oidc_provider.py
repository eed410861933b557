"""A provider of identity by OpenID Connect: where it sends a browser, and whom its answer vouches for."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # it ships no types
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, KeyParameterError
from joserfc.jwk import Key, KeySet

from anew.domain.errors import AnewError, ForbiddenError, UnavailableError

__all__ = ["OIDCProvider"]

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key of which the provider alone has the private half: neither none nor a shared secret."""
_GOOD_FOR: Final = timedelta(hours=1)
_KEYS_AGAIN: Final = timedelta(minutes=1)
_FAILED_FOR: Final = timedelta(seconds=10)
_LEEWAY_S: Final = 60
_MOST_BYTES: Final = 1 << 20
_DEADLINE_S: Final = 5.0
"""Of a request and the whole of its answer, however it drips."""
_SIGNED_OUT: Final = "http://schemas.openid.net/event/backchannel-logout"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")

T = TypeVar("T")


@dataclass(slots=True)
class _Fetched(Generic[T]):
    """Something of the provider's that everybody needs: fetched by one at a time, and not at once after a failure."""

    now: Callable[[], datetime]
    found: tuple[datetime, T] | None = None
    failed: tuple[datetime, str] | None = None
    lock: Lock = field(default_factory=Lock)

    def get(self, fetch: Callable[[], T], good_for: timedelta) -> T:
        """Return what was found no longer ago than that, or else what is fetched now."""
        found = self._fresh(good_for)
        if found is not None:
            return found[1]
        with self.lock:
            found = self._fresh(good_for)  # another thread has been there meanwhile
            if found is not None:
                return found[1]
            if self.failed is not None and timedelta(0) <= self.now() - self.failed[0] < _FAILED_FOR:
                raise UnavailableError(self.failed[1])
            try:
                made = fetch()
            except AnewError as exc:
                self.failed = self.now(), str(exc)
                raise
            self.found, self.failed = (self.now(), made), None
            return made

    def _fresh(self, good_for: timedelta) -> tuple[datetime, T] | None:
        found = self.found
        return found if found is not None and self.now() - found[0] <= good_for else None


@dataclass(slots=True, kw_only=True)
class OIDCProvider:
    """Signs people in by the authorization code flow with PKCE, state and nonce. Thread-safe.

    It speaks to the issuer's host and to `hosts`, follows no redirect, reads replies of a megabyte at most, waits five
    seconds for each as a whole, and takes neither a proxy nor credentials from the environment. What it says of itself
    and its keys are fetched by one thread at a time; where they cannot be had, nobody asks again for ten seconds.

    Attributes
    ----------
    secret
        Returns the client's secret; empty for a public client.
    hosts
        Other hosts, with ports where these are not the scheme's own, that the provider has its addresses at.
    """

    issuer: str
    client_id: str
    secret: Callable[[], str]
    scopes: Sequence[str]
    now: Callable[[], datetime]
    hosts: frozenset[str] = frozenset()
    _metadata: _Fetched[Mapping[str, Any]] = field(init=False)
    _keys: _Fetched[KeySet] = field(init=False)

    def __post_init__(self) -> None:
        self._metadata, self._keys = _Fetched(self.now), _Fetched(self.now)

    def address(self, *, state: str, nonce: str, verifier: str, back: str) -> str:
        """Return where a browser is to be sent, to come `back` with an answer.

        Raises
        ------
        UnavailableError
            The provider does not say where that is, or names an address that it may not have.
        """
        address = urlsplit(str(self._described()["authorization_endpoint"]))
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": back,
            "scope": " ".join(self.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        return address._replace(query="&".join(filter(None, (address.query, urlencode(asked))))).geturl()

    def claims(self, answer: Mapping[str, str], *, nonce: str, verifier: str, back: str) -> Mapping[str, Any]:
        """Return what the provider says of whom it vouches for by its `answer`, the query the browser came back with.

        Raises
        ------
        ForbiddenError
            It vouches for nobody, or what it says was not signed by it, for us, for this sign-in, and just now.
        UnavailableError
            It cannot be asked, or answers nonsense.
        """
        metadata = self._described()
        if "error" in answer:
            raise ForbiddenError(f"the provider of identity vouches for nobody: {answer['error'][:100]!r}")
        if answer.get("iss", self.issuer) != self.issuer or (
            metadata.get("authorization_response_iss_parameter_supported") and "iss" not in answer
        ):
            raise ForbiddenError("the answer is another provider's")
        tokens = self._tokens(answer.get("code", ""), verifier, back)
        claims = self._verified(str(tokens.get("id_token", "")), nonce, tokens.get("access_token"))
        return {**claims, **self._more(metadata, tokens, claims["sub"])}

    def signed_out(self, word: str) -> Mapping[str, Any]:
        """Return the claims of a logout token, by which the provider says that somebody has signed out there.

        It has a `sub`, a `sid`, or both, and an `iat`, the second in which that was. One that is told again says
        nothing new: who has signed in since then is not meant by it.

        Raises
        ------
        ForbiddenError
            It was not signed by the provider, for us, as such a word.
        UnavailableError
            The provider's keys cannot be had.

        References
        ----------
        OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6.
        """
        try:
            claims = self._signed(word).claims
            jwt.JWTClaimsRegistry(
                now=int(self.now().timestamp()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.client_id},
                iat={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise ForbiddenError(f"the provider's word is not good ({type(exc).__name__}: {exc})") from exc
        events, named = claims.get("events"), [claims[each] for each in ("sub", "sid") if each in claims]
        if not isinstance(events, dict) or not isinstance(events.get(_SIGNED_OUT), dict) or "nonce" in claims:
            raise ForbiddenError("the provider's word does not say that somebody signed out")
        if not named or not all(isinstance(each, str) and each.strip() for each in named):
            raise ForbiddenError("the provider says that somebody signed out and not who: it has neither sub nor sid")
        return claims

    def _described(self) -> Mapping[str, Any]:
        """Return what the provider says of itself."""
        return self._metadata.get(self._describe, _GOOD_FOR)

    def _describe(self) -> Mapping[str, Any]:
        found = self._json("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise UnavailableError(
                f"the provider calls itself {found.get('issuer')!r}, and access.oidc.issuer says {self.issuer!r}"
            )
        for name in _ENDPOINTS:
            self._check(str(found.get(name, "")), name)
        return found

    def _tokens(self, code: str, verifier: str, back: str) -> Mapping[str, Any]:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        secret, auth = self.secret(), None
        ways = self._described().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in ways:
            auth = httpx.BasicAuth(quote(self.client_id, safe=""), quote(secret, safe=""))
        else:
            form |= {"client_id": self.client_id} | ({"client_secret": secret} if secret else {})
        return self._json("POST", str(self._described()["token_endpoint"]), data=form, auth=auth)

    def _verified(self, token: str, nonce: str, access: object) -> dict[str, Any]:
        """Return the claims of an ID token that is the provider's, for us and for this sign-in."""
        try:
            found = self._signed(token)
            options = {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self.client_id},
            }
            params = {"nonce": nonce, "client_id": self.client_id, "access_token": access}
            claims = CodeIDToken(found.claims, found.header, options, params)
            claims.validate(now=int(self.now().timestamp()), leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise ForbiddenError(f"the provider's word is not good ({type(exc).__name__}: {exc})") from exc
        if not isinstance(claims["sub"], str) or not claims["sub"].strip():
            raise ForbiddenError(
                "the provider vouches for somebody and does not say for whom: its claim sub is no text"
            )
        return dict(claims)

    def _signed(self, token: str) -> jwt.Token:
        """Return a token that the provider signed; raises what joserfc does of any other."""
        try:
            return jwt.decode(token, self._key_set(), algorithms=list(_ALGORITHMS))
        except (InvalidKeyIdError, BadSignatureError, KeyParameterError):  # a new key since, under a new name or none
            return jwt.decode(token, self._key_set(again=True), algorithms=list(_ALGORITHMS))

    def _more(self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], sub: str) -> Mapping[str, Any]:
        """Return what the provider says besides, where it has an address for that, of this very person."""
        address, access = metadata.get("userinfo_endpoint"), tokens.get("access_token")
        if not address or not access:
            return {}
        self._check(str(address), "userinfo_endpoint")
        told = self._json("GET", str(address), headers={"authorization": f"Bearer {access}"})
        if told.get("sub") != sub:
            raise ForbiddenError("the provider says two different things of who this is")
        return {name: value for name, value in told.items() if name not in ("iss", "aud", "exp", "iat", "sid", "nonce")}

    def _key_set(self, *, again: bool = False) -> KeySet:
        return self._keys.get(self._fetch_keys, _KEYS_AGAIN if again else _GOOD_FOR)

    def _fetch_keys(self) -> KeySet:
        told = self._json("GET", str(self._described()["jwks_uri"])).get("keys")
        keys = [key for each in (told if isinstance(told, list) else []) if (key := _key(each)) is not None]
        if not keys:
            raise UnavailableError("the provider has no key that can be used")
        return KeySet(keys)

    def _check(self, address: str, what: str) -> None:
        """Refuse an address that is not the provider's to have."""
        own, parts = urlsplit(self.issuer), urlsplit(address)
        if parts.scheme != own.scheme or (parts.netloc != own.netloc and parts.netloc not in self.hosts):
            raise UnavailableError(
                f"the provider's {what} is {address!r}, which is neither at its issuer nor in access.oidc.hosts"
            )

    def _json(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        host = urlsplit(address).netloc
        try:
            status, body = asyncio.run(_fetch(method, address, **more))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
            raise UnavailableError(f"{host} does not answer ({type(exc).__name__})") from exc
        if len(body) > _MOST_BYTES:
            raise UnavailableError(f"{host} answers more than {_MOST_BYTES} bytes")
        try:
            told = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise UnavailableError(f"{host} answered {status} without JSON") from exc
        if not isinstance(told, dict):
            raise UnavailableError(f"{host} answered {status} without an object")
        if status in (400, 401, 403):
            raise ForbiddenError(f"the provider refused: {str(told.get('error', status))[:100]!r}")
        if status != 200:
            raise UnavailableError(f"{host} answered {status}")
        return told


async def _fetch(method: str, address: str, **more: Any) -> tuple[int, bytes]:
    """Return the status and the bytes of an answer, a few above the most at most; raises TimeoutError when late."""
    body = b""
    async with (
        asyncio.timeout(_DEADLINE_S),
        httpx.AsyncClient(timeout=_DEADLINE_S, follow_redirects=False, trust_env=False) as client,
        client.stream(method, address, **more) as reply,
    ):
        async for part in reply.aiter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                break
        return reply.status_code, body


def _key(plain: object) -> Key | None:
    """Return a key; None for one of a kind that is not known here, which others of the set may stand beside."""
    try:
        return KeySet.registry_cls.import_key(plain)  # type: ignore[arg-type]  # whatever it is, it is looked at there
    except (JoseError, ValueError, TypeError, KeyError):
        return None
