"""What `access` and `dashboard` of `anew.yaml` may say: who is let in, and by what way."""

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from anew.app.loopback import is_loopback
from anew.app.policy_section import Section
from anew.app.secret import is_reference
from anew.domain.access import Role

__all__ = ["AccessPolicy", "DashboardPolicy", "OIDCPolicy"]

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


class OIDCPolicy(Section):
    """A provider of identity by OpenID Connect; whom it vouches for has a role only where `roles` gives one."""

    issuer: str = Field(description="its issuer, an https URL; http only on this machine")
    client_id: str = Field(min_length=1, description="what this dashboard is called there")
    client_secret: str = Field(
        default="", description="where the client's secret is: env:NAME or file:PATH; empty: a public client"
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="hosts besides the issuer's that it has its other addresses at, as HOST or HOST:PORT"
    )
    title: str = Field(default="single sign-on", description="what the button says: Sign in with …")
    scopes: tuple[str, ...] = Field(default=("openid", "profile", "email"), description="what is asked for")
    name: str = Field(
        default="preferred_username", description="claim that has the person's name: small letters, as of users here"
    )
    claim: str = Field(
        default="groups",
        description="claim that `roles` looks at; where none is called just so, a dot leads inside: realm.roles",
    )
    roles: dict[str, Role] = Field(
        min_length=1, description="values of that claim with the role each gives; the first that a person has counts"
    )
    session: str = Field(default="8h", description="wall time after which a person has to be vouched for again")

    @field_validator("issuer")
    @classmethod
    def _safe(cls, text: str) -> str:
        """Refuse what others could answer for."""
        parts = urlsplit(text)
        plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
        if not (parts.scheme == "https" or plain) or not parts.hostname or parts.query or parts.fragment:
            raise PydanticCustomError("issuer", "write an https:// URL without query; http:// only on this machine")
        if parts.username is not None or parts.password is not None:
            raise PydanticCustomError("issuer", "it holds a password; the client's secret goes into client_secret")
        return text

    @field_validator("client_secret")
    @classmethod
    def _by_reference(cls, text: str) -> str:
        """Refuse a secret that stands in the policy."""
        if text and not is_reference(text):
            raise PydanticCustomError("reference", "it is a secret, so write env:NAME or file:PATH, where it is")
        return text

    @field_validator("scopes")
    @classmethod
    def _with_identity(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise PydanticCustomError("scopes", "without the scope openid nobody is vouched for")
        return scopes


class AccessPolicy(Section):
    """Who may use the gateway, and how people sign in; `anew access` gives tokens and knows people."""

    anonymous: Literal["machine", "nobody"] = Field(
        default="machine", description="what requests without a token may: predict and label, or nothing"
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="names that the gateway is called by besides localhost, and networks: 10.244.0.0/16"
    )
    oidc: OIDCPolicy | None = Field(default=None, description="a provider at which people sign in to the dashboard")

    @field_validator("hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what nobody can call the gateway by."""
        wrong = [each for each in hosts if not _is_host(each)]
        if wrong:
            raise ValueError(
                f"{', '.join(map(repr, wrong))}: write names without scheme and port, such as models.example.org, "
                "addresses ([fd00::7]), or networks (10.244.0.0/16)"
            )
        return hosts


class DashboardPolicy(Section):
    """The pages for people; who may see them, `anew access` says."""

    serve: bool = Field(default=True, description="whether anew up serves them")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8090, description="on loopback; 0, or one in use: a free one"
    )
    origin: str = Field(
        default="",
        description="address that browsers have for it where a proxy ends TLS in front: https://anew.example.org; its "
        "forms are taken then, and what the proxy says of who asks is believed",
    )

    others: tuple[str, ...] = Field(
        default=(),
        description="folders of other projects, from this one's, or patterns (../*), whose models the page Models "
        "lists; each shows itself to whom it lets in by the same name",
    )

    @field_validator("origin")
    @classmethod
    def _an_origin(cls, text: str) -> str:
        """Refuse what is no origin of TLS."""
        parts = urlsplit(text)
        if text and (parts.scheme != "https" or not parts.hostname or text != f"https://{parts.netloc}"):
            raise PydanticCustomError("origin", "write it as browsers do, without a path: https://anew.example.org")
        if "@" in parts.netloc or text != text.lower():
            raise PydanticCustomError("origin", "write it as browsers do, in small letters: https://anew.example.org")
        return text


def _is_host(text: str) -> bool:
    """Can a Host header say this without its port, or is it a network?"""
    try:
        if "/" in text:
            ip_network(text)
        elif text.startswith("["):
            return text.endswith("]") and ip_address(text[1:-1]).version == 6
    except ValueError:
        return False
    return "/" in text or _NAME.fullmatch(text) is not None
