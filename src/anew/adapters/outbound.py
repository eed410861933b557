"""The one client that anew speaks to other services with: hosts from the policy alone, no redirects, bounded."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from anew.domain.errors import UnavailableError

__all__ = ["Outbound", "OutboundService", "RefusedStatusError"]

_MOST_BYTES = 32 << 20


class Outbound:
    """Posts to one URL, which comes from the project's policy and from nowhere else. Thread-safe.

    It follows no redirect (the next host would be somebody else's choice), reads no reply beyond its status, takes no
    proxy or credentials from the environment, and gives up after `timeout_s`.
    """

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url
        self._host = httpx.URL(url).host
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send `body`.

        Raises
        ------
        UnavailableError
            Nobody took it: no connection, no reply in time, or a status other than 2xx. The message names the host and
            never the URL, which may hold a secret.
        """
        try:
            with self._client.stream("POST", self._url, content=body, headers=dict(headers)) as reply:
                status = reply.status_code
        except httpx.HTTPError as exc:
            raise UnavailableError(f"{self._host} does not answer ({type(exc).__name__})") from exc
        if not 200 <= status < 300:
            raise UnavailableError(f"{self._host} answered {status}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class RefusedStatusError(UnavailableError):
    """A service answered with another status than 2xx, which is `status`."""

    def __init__(self, host: str, status: int) -> None:
        super().__init__(f"{host} answered {status}")
        self.status = status


class OutboundService:
    """Asks one JSON service, whose address comes from the project's policy and from nowhere else.

    It follows no redirect, takes no proxy or credentials from the environment, gives up after `timeout_s`, and reads no
    more than a page's worth of a reply. Messages name the host, never an address or what was sent.
    """

    def __init__(self, base: str, *, timeout_s: float = 20.0, most_bytes: int = _MOST_BYTES) -> None:
        self._host = httpx.URL(base).host
        self._most_bytes = most_bytes
        self._client = httpx.Client(base_url=base, timeout=timeout_s, follow_redirects=False, trust_env=False)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: Any, query: Mapping[str, str]) -> Any:
        """Send `body`, None for none, as JSON; return what came back, None for nothing.

        Raises
        ------
        RefusedStatusError
            The service answered with another status than 2xx.
        UnavailableError
            No connection, no reply in time, one that is too long, or none in JSON.
        """
        sent = {} if body is None else {"json": body}
        try:
            with self._client.stream(method, path, headers=dict(headers), params=dict(query), **sent) as reply:
                if not 200 <= reply.status_code < 300:
                    raise RefusedStatusError(self._host, reply.status_code)
                text = bytearray()
                for part in reply.iter_bytes():
                    text += part
                    if len(text) > self._most_bytes:
                        raise UnavailableError(f"{self._host} answered with more than {self._most_bytes} bytes")
        except httpx.HTTPError as exc:
            raise UnavailableError(f"{self._host} does not answer ({type(exc).__name__})") from exc
        try:
            return json.loads(text) if text else None
        except ValueError as exc:
            raise UnavailableError(f"{self._host} answered with something else than JSON") from exc

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
