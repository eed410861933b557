"""The cookies that a browser keeps for us: out of reach of scripts, and of other sites."""

from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["Cookies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookies:
    """Cookies of one project.

    Where browsers come through a proxy that ends TLS, by our `origin`, they are told to send cookies on no other way
    (``Secure``), and to take them from nobody but us (``__Host-``).

    Attributes
    ----------
    name
        What names begin with: all ports of one host share their cookies.
    """

    name: str
    origin: str = ""

    def is_behind_proxy(self, request: Request) -> bool:
        """Did a browser ask by our origin?"""
        return bool(self.origin) and f"https://{request.headers.get('host', '').lower()}" == self.origin

    def address(self, request: Request) -> str:
        """Return our address to the browser that asks."""
        return self.origin if self.is_behind_proxy(request) else f"http://{request.headers.get('host', '')}"

    def read(self, request: Request, kind: str = "") -> str:
        """Return a cookie; empty without."""
        return request.cookies.get(self._named(request, kind), "")

    def write(
        self,
        request: Request,
        response: Response,
        value: str,
        kind: str = "",
        *,
        lasts_s: int | None = None,
        same_site: Literal["strict", "lax"] = "strict",
    ) -> None:
        """Have a cookie kept, for `lasts_s` or until the browser ends."""
        response.set_cookie(
            self._named(request, kind),
            value,
            max_age=lasts_s,
            httponly=True,
            secure=self.is_behind_proxy(request),
            samesite=same_site,
            path="/",
        )

    def forget(self, request: Request, response: Response, kind: str = "") -> None:
        """Have a cookie deleted."""
        secure = self.is_behind_proxy(request)
        response.delete_cookie(self._named(request, kind), path="/", secure=secure, httponly=True, samesite="strict")

    def _named(self, request: Request, kind: str) -> str:
        prefix = "__Host-" if self.is_behind_proxy(request) else ""
        return f"{prefix}{self.name}{kind and '_'}{kind}"
