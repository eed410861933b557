"""The way in: by a token, by name and password, or by the word of a provider of identity."""

import base64
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import Final, TypeVar
from urllib.parse import urlencode

from anyio import CapacityLimiter, move_on_after, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from anew.dashboard.attempts import Attempts
from anew.dashboard.cookie import Cookies
from anew.dashboard.entrance import Entrance, Errand, Vouched
from anew.dashboard.form import fields_of, local
from anew.dashboard.network import place_of
from anew.dashboard.session import LASTS, Sessions
from anew.domain.access import Principal
from anew.domain.errors import AnewError, ForbiddenError, UnavailableError

__all__ = ["MOST_TOKEN", "SignIn"]

MOST_TOKEN: Final = 512
"""Characters of a token."""

_LOG = logging.getLogger("anew.dashboard")
_ERRAND: Final = timedelta(minutes=10)
_DEVICE_S: Final = 90 * 86_400
_AT_PROVIDER: Final = 4
"""Threads that may wait for the provider, so that a slow one holds up nothing but itself."""
_PATIENCE_S: Final = 10.0
_NOBODY = "That is no token of this project, or it has expired or been revoked."
_WRONG = "The name or the password is wrong, or this person is not let in any more."
_BROKEN = "Nobody can be let in by this way at the moment. Try again soon; the log of the dashboard says why."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Given:
    """How somebody wants to come in: `keys` are what failures are counted by."""

    name: str
    check: Callable[[], Principal | None]
    keys: tuple[tuple[str, str], ...]
    refusal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The pages and forms of signing in.

    Attributes
    ----------
    show
        Makes a page of a template's name, a status, and what it shows.
    """

    entrance: Entrance
    sessions: Sessions
    cookies: Cookies
    now: Callable[[], datetime]
    show: Callable[[Request, str, int, Mapping[str, object]], Response]
    attempts: Attempts = field(default_factory=Attempts)
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_AT_PROVIDER))

    def page(self, request: Request) -> Response:
        """Ask who it is."""
        return self._form(request, local(request.query_params.get("next", "")), "", 200)

    async def take(self, request: Request) -> Response:
        """Take a token, or a name and a password."""
        fields = await fields_of(request)
        given, back = self._given(request, fields), local(fields.get("next", ""))
        at = self.now()
        wait = self.attempts.begin(at, *given.keys)
        if wait > timedelta(0):
            return await self._hold(request, back, wait)
        try:
            who = await run_in_threadpool(given.check)
        except AnewError as exc:  # before anything was compared
            self.attempts.withdraw(at, *given.keys)
            return await self._give_up(request, back, exc)
        if who is None:
            _LOG.warning("sign_in_failed source=%s", self._source(request))
            return await self._ask(request, back, given.refusal, 401)
        self.attempts.succeeded(at, *given.keys)
        response = RedirectResponse(back, 303)
        await run_in_threadpool(self._open, request, response, who)
        if given.name:
            self.cookies.write(request, response, self._device(given.name), "device", lasts_s=_DEVICE_S)
        return response

    async def to_provider(self, request: Request) -> Response:
        """Send somebody to the provider, with what tells later that it was we who did."""
        state, until = secrets.token_urlsafe(32), (self.now() + _ERRAND).timestamp()
        at, source = self.now(), ("provider", self._source(request))
        back = local(request.query_params.get("next", ""))
        wait = self.attempts.begin(at, source)
        if wait > timedelta(0):
            return await self._hold(request, back, wait)
        try:
            address = await self._at_provider(partial(self.entrance.provider, self._errand(request, state)))
        except AnewError as exc:
            return await self._give_up(request, back, exc)
        finally:
            self.attempts.withdraw(at, source)  # who is sent there has not failed; it counts while it goes on
        body = base64.urlsafe_b64encode(json.dumps([state, until, back]).encode()).decode()
        response = RedirectResponse(address, 303)
        kept = f"{body}.{self.sessions.sign('errand', body)}"
        # Lax, since the browser comes back from another site; it is good for nothing but this one way.
        self.cookies.write(request, response, kept, "errand", lasts_s=int(_ERRAND.total_seconds()), same_site="lax")
        return response

    async def from_provider(self, request: Request) -> Response:
        """Take the provider's answer, from the browser that was sent there and from no other."""
        state, back = self._sent(request)
        answer = dict(request.query_params)
        if not state or not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
            said = "This sign-in was not begun here, or too long ago. Begin again."
            return self._ended(request, await self._ask(request, back, said, 403))
        at, source = self.now(), ("provider", self._source(request))
        wait = self.attempts.begin(at, source)
        if wait > timedelta(0):
            return self._ended(request, await self._hold(request, back, wait))
        try:
            vouched = await self._at_provider(partial(self.entrance.by_provider, self._errand(request, state), answer))
        except ForbiddenError as exc:
            _LOG.warning("sign_in_failed source=%s problem=%r", source[1], str(exc))
            return self._ended(request, await self._ask(request, back, str(exc), 403))
        except AnewError as exc:
            self.attempts.withdraw(at, source)
            return self._ended(request, await self._give_up(request, back, exc))
        self.attempts.succeeded(at, source)
        ways = await run_in_threadpool(self.entrance.ways)
        # A page, not a redirect: a browser that another site sent here keeps strict cookies back on the whole way.
        response = await run_in_threadpool(self.show, request, "signed-in.html", 200, {"next": back})
        await run_in_threadpool(self._open, request, response, vouched.who, ways.session, vouched)
        return self._ended(request, response)

    async def signed_out(self, request: Request) -> Response:
        """Take the provider's word that somebody has signed out there; it is no browser's, and says so by its key."""
        at, source = self.now(), ("word", self._source(request))
        wait = self.attempts.begin(at, source)
        if wait > timedelta(0):
            return Response(status_code=429, headers={"retry-after": str(ceil(wait.total_seconds()))})
        word = (await fields_of(request)).get("logout_token", "")
        try:
            signed_out, ties = await self._at_provider(partial(self.entrance.signed_out, word))
            await run_in_threadpool(self.sessions.cut, signed_out, ties)
        except ForbiddenError as exc:
            _LOG.warning("sign_out_refused source=%s problem=%r", source[1], str(exc))
            return Response('{"error": "invalid_request"}', 400, media_type="application/json")
        except AnewError as exc:
            self.attempts.withdraw(at, source)
            _LOG.warning("sign_out_broken source=%s problem=%r", source[1], str(exc))
            return Response(status_code=503)
        self.attempts.withdraw(at, source)
        _LOG.info("signed_out_at_provider source=%s", source[1])
        return Response(status_code=200)

    async def _at_provider(self, ask: Callable[[], T]) -> T:
        """Return what the provider is asked for, in one of the few threads that may wait for it."""
        answers: list[T] = []
        with move_on_after(_PATIENCE_S):  # for a thread; what has begun ends by itself
            answers.append(await to_thread.run_sync(ask, limiter=self.limiter))
        if not answers:
            raise UnavailableError(f"{_AT_PROVIDER} others have been waiting for the provider for {_PATIENCE_S:g} s")
        return answers[0]

    def _given(self, request: Request, fields: Mapping[str, str]) -> _Given:
        source = ("source", self._source(request))
        if "password" not in fields:
            token = fields.get("token", "").strip()
            if len(token) > MOST_TOKEN:
                raise HTTPException(400, f"a token has at most {MOST_TOKEN} characters")
            return _Given("", partial(self.entrance.holder, token), (), _NOBODY)  # of 256 bits: guessed by nobody
        name = fields.get("name", "").strip().lower()[:MOST_TOKEN]
        check = partial(self.entrance.by_password, name, fields["password"])
        known = self._known(request, name)
        return _Given(name, check, (("device", known),) if known else (source, ("name", name)), _WRONG)

    async def _ask(self, request: Request, back: str, problem: str, status: int) -> Response:
        return await run_in_threadpool(self._form, request, back, problem, status)  # which reads files

    async def _hold(self, request: Request, back: str, wait: timedelta) -> Response:
        """Answer somebody who has to wait."""
        seconds = ceil(wait.total_seconds())
        _LOG.warning("sign_in_held source=%s seconds=%s", self._source(request), seconds)
        answer = await self._ask(request, back, f"Too many attempts failed. Wait {seconds} s, then try again.", 429)
        answer.headers["retry-after"] = str(seconds)
        return answer

    async def _give_up(self, request: Request, back: str, exc: AnewError) -> Response:
        """Answer somebody whom nothing can be said of; what is wrong is no stranger's business."""
        _LOG.warning("sign_in_broken source=%s problem=%r", self._source(request), str(exc))
        return await self._ask(request, back, _BROKEN, 503)

    def _form(self, request: Request, back: str, problem: str, status: int) -> Response:
        ways = self.entrance.ways()
        to_provider = f"/sign-in/provider?{urlencode({'next': back})}"
        shown = {"next": back, "problem": problem, "ways": ways, "to_provider": to_provider}
        return self.show(request, "sign-in.html", status, shown)

    def _open(
        self, request: Request, response: Response, who: Principal, lasts: timedelta = LASTS,
        vouched: Vouched | None = None,
    ) -> None:  # fmt: skip
        cookie = self.sessions.open(who, lasts, vouched)
        self.cookies.write(request, response, cookie)
        _LOG.info("signed_in who=%s source=%s", who.name, self._source(request))

    def _source(self, request: Request) -> str:
        """Return where somebody comes from."""
        peer = request.client.host if request.client else ""
        told = request.headers.getlist("x-forwarded-for") if self.cookies.is_behind_proxy(request) else []
        return place_of(peer, told)

    def _device(self, name: str) -> str:
        """Return what is kept in a browser in which somebody has signed in."""
        nonce = secrets.token_hex(16)
        return f"{nonce}.{self.sessions.sign('device', name, nonce)}"

    def _known(self, request: Request, name: str) -> str:
        """Return the mark of a browser in which this person has signed in before; empty for any other."""
        nonce, _, signature = self.cookies.read(request, "device").partition(".")
        same = hmac.compare_digest(signature.encode(), self.sessions.sign("device", name, nonce).encode())
        return nonce if same and nonce else ""

    def _errand(self, request: Request, state: str) -> Errand:
        """Return the whole errand: what else nobody may guess follows from its state and our key."""
        return Errand(
            state=state,
            nonce=self.sessions.sign("nonce", state),
            verifier=self.sessions.sign("verifier", state),
            back=f"{self.cookies.address(request)}/sign-in/back",
        )

    def _sent(self, request: Request) -> tuple[str, str]:
        """Return the state of the errand that this browser is on, and where it wanted to go; no state without one."""
        body, _, signature = self.cookies.read(request, "errand").rpartition(".")
        if not hmac.compare_digest(signature.encode(), self.sessions.sign("errand", body).encode()):
            return "", "/"
        state, until, back = json.loads(base64.urlsafe_b64decode(body))
        return (state, back) if self.now().timestamp() < until else ("", back)

    def _ended(self, request: Request, response: Response) -> Response:
        self.cookies.forget(request, response, "errand")
        return response
