"""The one client that anew speaks to other services with: hosts from the policy alone, no redirects, bounded."""

from collections.abc import Mapping

import httpx

from anew.domain.errors import UnavailableError

__all__ = ["Outbound"]


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
