"""A provider of identity by OpenID Connect: where it sends a browser, and whom its answer vouches for."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.client import OAuth2Client  # type: ignore[import-untyped]  # it ships no types
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # likewise
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from anew.domain.errors import ForbiddenError, UnavailableError

__all__ = ["OIDCProvider"]

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key of which the provider alone has the private half: neither none nor a shared secret."""
_GOOD_FOR: Final = timedelta(hours=1)
_KEYS_AGAIN: Final = timedelta(minutes=1)
_LEEWAY_S: Final = 60
_MOST_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 5.0
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(slots=True, kw_only=True)
class OIDCProvider:
    """Signs people in by the authorization code flow with PKCE, state and nonce. Thread-safe.

    It speaks to the issuer's host and to `hosts`, follows no redirect, reads replies of a megabyte at most, and takes
    neither a proxy nor credentials from the environment.

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
    _metadata: tuple[datetime, Mapping[str, Any]] | None = field(default=None, init=False)
    _keys: tuple[datetime, KeySet] | None = field(default=None, init=False)

    def address(self, *, state: str, nonce: str, verifier: str, back: str) -> str:
        """Return where a browser is to be sent, to come `back` with an answer.

        Raises
        ------
        UnavailableError
            The provider does not say where that is, or names an address that it may not have.
        """
        client = OAuth2Client(
            None, self.client_id, scope=" ".join(self.scopes), redirect_uri=back, code_challenge_method="S256"
        )
        endpoint = self._described()["authorization_endpoint"]
        return str(client.create_authorization_url(endpoint, state=state, code_verifier=verifier, nonce=nonce)[0])

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
        return {**claims, **self._more(metadata, tokens, str(claims["sub"]))}

    def _described(self) -> Mapping[str, Any]:
        """Return what the provider says of itself."""
        now = self.now()
        if self._metadata is None or now - self._metadata[0] > _GOOD_FOR:
            found = self._json("GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.issuer:
                raise UnavailableError(
                    f"the provider calls itself {found.get('issuer')!r}, and access.oidc.issuer says {self.issuer!r}"
                )
            for name in _ENDPOINTS:
                self._check(str(found.get(name, "")), name)
            self._metadata = now, found
        return self._metadata[1]

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
            try:
                found = jwt.decode(token, self._key_set(), algorithms=list(_ALGORITHMS))
            except InvalidKeyIdError:  # it signs with a new key since
                found = jwt.decode(token, self._key_set(again=True), algorithms=list(_ALGORITHMS))
            options = {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self.client_id},
            }
            params = {"nonce": nonce, "client_id": self.client_id, "access_token": access}
            claims = CodeIDToken(found.claims, found.header, options, params)
            claims.validate(now=int(self.now().timestamp()), leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as exc:
            raise ForbiddenError(f"the provider's word is not good ({type(exc).__name__}: {exc})") from exc
        return dict(claims)

    def _more(self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], sub: str) -> Mapping[str, Any]:
        """Return what the provider says besides, where it has an address for that, of this very person."""
        address, access = metadata.get("userinfo_endpoint"), tokens.get("access_token")
        if not address or not access:
            return {}
        self._check(str(address), "userinfo_endpoint")
        told = self._json("GET", str(address), headers={"authorization": f"Bearer {access}"})
        if told.get("sub") != sub:
            raise ForbiddenError("the provider says two different things of who this is")
        return {name: value for name, value in told.items() if name not in ("iss", "aud", "exp", "nonce")}

    def _key_set(self, *, again: bool = False) -> KeySet:
        now = self.now()
        age = None if self._keys is None else now - self._keys[0]
        if self._keys is None or age is None or age > (_KEYS_AGAIN if again else _GOOD_FOR):
            told = self._json("GET", str(self._described()["jwks_uri"]))
            try:
                self._keys = now, KeySet.import_key_set({"keys": list(told.get("keys", []))})
            except (JoseError, ValueError, TypeError, KeyError) as exc:
                raise UnavailableError(f"the provider's keys are none ({type(exc).__name__})") from exc
        return self._keys[1]

    def _check(self, address: str, what: str) -> None:
        """Refuse an address that is not the provider's to have."""
        own, parts = urlsplit(self.issuer), urlsplit(address)
        if parts.scheme != own.scheme or (parts.netloc != own.netloc and parts.netloc not in self.hosts):
            raise UnavailableError(
                f"the provider's {what} is {address!r}, which is neither at its issuer nor in access.oidc.hosts"
            )

    def _json(self, method: str, address: str, **more: Any) -> Mapping[str, Any]:
        host, body = urlsplit(address).netloc, b""
        try:
            with (
                httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
                client.stream(method, address, **more) as reply,
            ):
                for part in reply.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise UnavailableError(f"{host} answers more than {_MOST_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise UnavailableError(f"{host} does not answer ({type(exc).__name__})") from exc
        try:
            told = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise UnavailableError(f"{host} answered {reply.status_code} without JSON") from exc
        if not isinstance(told, dict):
            raise UnavailableError(f"{host} answered {reply.status_code} without an object")
        if reply.status_code in (400, 401, 403):
            raise ForbiddenError(f"the provider refused: {str(told.get('error', reply.status_code))[:100]!r}")
        if reply.status_code != 200:
            raise UnavailableError(f"{host} answered {reply.status_code}")
        return told
