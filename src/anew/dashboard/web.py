"""The dashboard as a web application: pages for whoever may read, forms for whoever may act, nothing for others."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock, Thread
from time import monotonic
from typing import TypeVar
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from anew.dashboard.asking import Asking
from anew.dashboard.asset import Assets
from anew.dashboard.cookie import Cookies
from anew.dashboard.entrance import Ended, Entrance
from anew.dashboard.form import fields_of
from anew.dashboard.place import ACTS, NAVIGATION, PLACES, Act, Outcome, Place
from anew.dashboard.record import Record
from anew.dashboard.records import Records, StillReadingError
from anew.dashboard.session import Forms, Session, Sessions
from anew.dashboard.shield import WORD, Shield
from anew.dashboard.sign_in import MOST_TOKEN, SignIn
from anew.dashboard.source import Source
from anew.dashboard.stream import events
from anew.dashboard.view import View, plain_json
from anew.domain.access import Permission
from anew.domain.errors import AnewError, ConflictError, NotFoundError, PolicyError, UnavailableError
from anew.governance import may
from anew.ports.eventlog import Recorded

__all__ = ["Dashboard", "dashboard_app"]

T = TypeVar("T")

_LOG = logging.getLogger("anew.dashboard")
_MOST_NEWS = 1_000
_ACTING = 8
_PATIENCE_S = 10.0
_TURN_S, _PAUSE_S, _AWAY_S = 0.5, 0.1, 5.0
"""How long reading ahead keeps pages waiting at a time, how long it lets them go first, and waits for the record."""
_AGAIN_S = "5"
_BROKEN = "Something is wrong with this page; the log of the dashboard says what."
_STATUS: Sequence[tuple[type[AnewError], int]] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (PolicyError, 409),
    (UnavailableError, 503),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the application is made of.

    Attributes
    ----------
    cookie
        What the names of its cookies begin with, another for each project.
    origin
        Its address to browsers where a proxy ends TLS in front of it; empty without one.
    """

    source: Source
    entrance: Entrance
    ended: Ended
    key: bytes
    cookie: str
    hosts: frozenset[str]
    origin: str = ""


def dashboard_app(made: Dashboard, *, reads_ahead: bool = False) -> ASGIApp:
    """Return the application; where it `reads_ahead`, a thread hears what is on record before anybody asks."""
    web = _Web(made)
    if reads_ahead:
        Thread(target=web.read_ahead, name="reads ahead", daemon=True).start()
    return Shield(web.app(), made.hosts, made.origin, style=web.assets.style_source)


class _Web:
    def __init__(self, made: Dashboard) -> None:
        self._source = made.source
        self._entrance = made.entrance
        self._cookies = Cookies(name=made.cookie, origin=made.origin)
        self._sessions = Sessions(made.key, made.entrance.principal, made.source.now, made.ended)
        self._door = SignIn(
            entrance=made.entrance,
            sessions=self._sessions,
            cookies=self._cookies,
            now=made.source.now,
            show=self._alone,
        )
        self._forms = Forms(self._sessions)
        self.assets = Assets()
        self._view = View(self.assets)
        self._records = Records()
        self._head = 0
        self._lock = Lock()
        self._acting = CapacityLimiter(_ACTING)  # orders do not wait behind pages

    def app(self) -> Starlette:
        pages = [
            route
            for place in PLACES
            for route in (
                Route(place.twin, partial(self._page, place, as_json=True)),
                Route(place.path, partial(self._page, place)),
            )
        ]
        return Starlette(
            routes=[
                Route("/sign-in", self._door.page),
                Route("/sign-in", self._door.take, methods=["POST"]),
                Route("/sign-in/provider", self._door.to_provider),
                Route("/sign-in/back", self._door.from_provider),
                Route(WORD, self._door.signed_out, methods=["POST"]),
                Route("/sign-out", partial(self._act, Act(path="/sign-out", permission=None)), methods=["POST"]),
                Route("/static/{name}", self._asset),
                Route("/events", self._events),
                *pages,
                *(Route(act.path, partial(self._act, act), methods=["POST"]) for act in ACTS),
            ],
            exception_handlers={HTTPException: self._failed, AnewError: self._failed, 500: self._failed},
        )

    def _asset(self, request: Request) -> Response:
        asset = self.assets.files.get(request.url.path)
        if asset is None:
            raise HTTPException(404)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        headers |= {"content-encoding": "gzip"} if packed else {}
        return Response(asset.packed if packed else asset.plain, media_type=asset.media, headers=headers)

    def _session(self, request: Request) -> Session | None:
        """Return who asks: by the cookie of a session, or a program by its token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and len(token) <= MOST_TOKEN:
            who = self._entrance.holder(token.strip())
            return None if who is None else Session(who=who, nonce=who.id, until=self._source.now())
        return self._sessions.find(self._cookies.read(request))

    def _refusal(self, request: Request, session: Session | None, permission: Permission | None) -> Response | None:
        """Return what to say to somebody who may not, None to one who may."""
        if session is None:
            if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
                return RedirectResponse(f"/sign-in?next={quote(request.url.path)}", 303)
            return self._error(request, None, 401, "Sign in first: your session is over, or there was none.")
        if permission is not None and not may(session.who, permission, self._source.in_force().model):
            elsewhere = self._open_to(session)
            if request.method == "GET" and request.url.path == "/" and elsewhere:
                return RedirectResponse(elsewhere[0].path, 303)
            said = f"{session.who.name} ({session.who.role}) may not {permission} here."
            return self._error(request, session, 403, said)
        return None

    def _page(self, place: Place, request: Request, *, as_json: bool = False) -> Response:
        session = self._session(request)
        refusal = self._refusal(request, session, place.permission)
        if refusal is not None or session is None:
            return refusal or Response(status_code=401)
        page = self._read(partial(self._built, place, request, session))
        if as_json:
            return Response(plain_json(place.name, page), media_type="application/json")
        chrome = self._chrome(request, session, place)
        return self._html(f"{place.name}.html", page=page, chrome=chrome)

    def _read(self, make: Callable[[Record], T], patience_s: float | None = None) -> T:
        """Return what is made of the record; one at a time, and whoever waits for that waits no longer than so."""
        patience_s = _PATIENCE_S if patience_s is None else patience_s
        until = monotonic() + patience_s
        if not self._lock.acquire(timeout=patience_s):
            raise UnavailableError("many ask for pages at once: ask again in a moment")
        try:
            return self._records.read("", self._source, make, patience_s=until - monotonic())
        finally:
            self._lock.release()

    def read_ahead(self) -> None:
        """Hear what is on record, a little at a time, until all of it is heard; pages hear what comes later."""
        while True:
            try:
                return self._read(lambda _: None, _TURN_S)
            except StillReadingError:
                time.sleep(_PAUSE_S)
            except AnewError as exc:  # the record is away
                _LOG.warning("reading_ahead problem=%r", str(exc))
                time.sleep(_AWAY_S)

    def _built(self, place: Place, request: Request, session: Session, record: Record) -> object:
        """Return the page as an object."""
        self._head = record.head
        return place.build(
            Asking(
                record=record,
                records=self._records,
                source=self._source,
                who=session.who,
                policy=self._source.in_force(),
                params=request.path_params,
                query=dict(request.query_params),
            )
        )

    def _chrome(self, request: Request, session: Session | None, place: Place | None) -> Mapping[str, object]:
        """Return what stands around every page: who is signed in, where else to go, and what came of a form."""
        model = self._source.in_force().model
        outcome, done = None, request.query_params.get("done", "")
        if session is not None and done:
            for act in ACTS:
                outcome = outcome or self._forms.outcome(session, act.path, done)
        frame = self._frame(request, model)
        if session is None:
            return frame
        return frame | {
            "who": session.who,
            "place": place.name if place else "",
            "navigation": self._open_to(session),
            "outcome": outcome,
            "form": lambda path: self._forms.make(session, path),
            "may": lambda what: may(session.who, Permission(what), model),
        }

    def _frame(self, request: Request, model: str) -> dict[str, object]:
        """Return what stands around a page for nobody in particular."""
        return {
            "model": model,
            "who": None,
            "place": "",
            "path": _address(request),
            "whole": "hx-request" not in request.headers,
            "live": True,
            "head": self._head,
            "navigation": [],
            "outcome": None,
            "twin": _address(request, ".json") if request.url.path != "/" else "/loop.json",
            "form": lambda _: "",
            "may": lambda _: False,
        }

    def _open_to(self, session: Session) -> Sequence[Place]:
        """Return the pages that somebody may see."""
        model = self._source.in_force().model
        several = bool(self._source.in_force().others)
        open_to = [each for each in NAVIGATION if may(session.who, each.permission, model)]
        return [each for each in open_to if several or each.name != "models"]

    def _alone(self, request: Request, template: str, status: int, values: Mapping[str, object]) -> Response:
        """Return a page for somebody who has not signed in."""
        return self._html(template, status, chrome=self._chrome(request, None, None), **values)

    def _html(self, template: str, status: int = 200, **values: object) -> Response:
        return Response(self._view.render(template, **values), status, media_type="text/html")

    async def _act(self, act: Act, request: Request) -> Response:
        session = await self._apart(self._session, request)
        refusal = await self._apart(self._refusal, request, session, act.permission)
        if refusal is not None or session is None:
            return refusal or Response(status_code=401)
        fields = await fields_of(request)
        form = fields.get("form", "")
        id = self._forms.check(session, act.path, form)
        if not id:
            said = "This form was not made for you here. Open the page again, and send it from there."
            return await self._apart(self._error, request, session, 403, said)
        if act.path == "/sign-out":
            await self._apart(self._sessions.end, session)
            response = RedirectResponse("/sign-in", 303)
            self._cookies.forget(request, response)
            return response
        outcome = await self._apart(self._forms.once, id, partial(self._done, act, session, id, fields))
        told = "" if act.quiet and outcome.ok else f"?done={quote(form)}"
        return RedirectResponse(f"{act.back(fields)}{told}", 303)

    async def _apart(self, call: Callable[..., T], *told: object) -> T:
        """Call where no page is waited for."""
        return await to_thread.run_sync(partial(call, *told), limiter=self._acting)

    def _done(self, act: Act, session: Session, id: str, fields: Mapping[str, str]) -> Outcome:
        try:
            return Outcome(ok=True, title=act.title, said=tuple(act.do(self._source, session.who, id, fields)))
        except AnewError as exc:
            return Outcome(ok=False, title="Nothing was changed", said=tuple(str(exc).splitlines()))

    async def _events(self, request: Request) -> Response:
        session = await run_in_threadpool(self._session, request)
        refusal = await run_in_threadpool(self._refusal, request, session, None)
        if refusal is not None:
            return refusal
        told = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = int(told) if told.isdecimal() and len(told) < 16 else await run_in_threadpool(self._source.head)

        async def news(seq: int) -> Sequence[Recorded]:
            return await run_in_threadpool(self._news, seq)

        async def is_good() -> bool:
            return await run_in_threadpool(self._session, request) is not None

        return StreamingResponse(events(after, news, is_good), media_type="text/event-stream")

    def _news(self, seq: int) -> Sequence[Recorded]:
        """Return the next facts after a number, not all of a long record at once."""
        return list(islice(self._source.facts(seq), _MOST_NEWS)) if self._source.head() > seq else []

    def _failed(self, request: Request, exc: Exception) -> Response:
        try:
            session = self._session(request)
        except AnewError:  # who asks cannot be told either; then nobody does
            session = None
        if isinstance(exc, HTTPException):
            said = "There is no such page." if exc.status_code == 404 else exc.detail
            return self._error(request, session, exc.status_code, said)
        if isinstance(exc, AnewError):
            status = next((code for kind, code in _STATUS if isinstance(exc, kind)), 500)
            if session is not None:
                return self._error(request, session, status, str(exc))
            _LOG.warning("page_failed status=%s problem=%r", status, str(exc))
            return self._error(request, None, status, _BROKEN)  # it may name files, which are no stranger's business
        return self._error(request, None, 500, _BROKEN)

    def _error(self, request: Request, session: Session | None, status: int, said: str) -> Response:
        if request.url.path.endswith(".json") or "text/html" not in request.headers.get("accept", ""):
            return Response(
                plain_json("error", {"status": status, "said": said}), status, media_type="application/json"
            )
        try:
            chrome = self._chrome(request, session, None)
        except (AnewError, OSError):  # the settings cannot be read, which may be what is to be said
            chrome = self._frame(request, "")
        # a page that asks again by itself needs no news
        chrome = {**chrome, "live": status != 503}
        response = self._html("error.html", status, chrome=chrome, code=status, said=said)
        if status == 503 and request.method == "GET":
            response.headers["refresh"] = _AGAIN_S  # what does not answer now may in a moment, without scripts as well
        return response


def _address(request: Request, suffix: str = "") -> str:
    """Return path and query as they were asked for, the path with a suffix."""
    query = request.url.query
    return quote(request.scope["path"], safe="/:") + suffix + (f"?{query}" if query else "")
