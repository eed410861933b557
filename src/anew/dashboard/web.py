"""The dashboard as a web application: pages for whoever may read, forms for whoever may act, nothing for others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from anew.dashboard.asking import Asking
from anew.dashboard.asset import Assets
from anew.dashboard.place import ACTS, NAVIGATION, PLACES, Act, Outcome, Place
from anew.dashboard.record import Record
from anew.dashboard.session import Forms, Session, Sessions
from anew.dashboard.shield import Shield
from anew.dashboard.source import Source
from anew.dashboard.stream import events
from anew.dashboard.view import View, plain_json
from anew.domain.access import Permission
from anew.domain.errors import AnewError, ConflictError, NotFoundError, PolicyError, UnavailableError
from anew.governance import may
from anew.ports.eventlog import Recorded

__all__ = ["Dashboard", "dashboard_app"]

_STATUS: Sequence[tuple[type[AnewError], int]] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (PolicyError, 409),
    (UnavailableError, 503),
)
_MOST_TOKEN = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the application is made of; `cookie` is the name of the session's cookie, one for each project."""

    source: Source
    key: bytes
    cookie: str
    hosts: frozenset[str]


def dashboard_app(made: Dashboard) -> ASGIApp:
    """Return the application."""
    return Shield(_Web(made).app(), made.hosts)


class _Web:
    def __init__(self, made: Dashboard) -> None:
        self._source = made.source
        self._cookie = made.cookie
        self._sessions = Sessions(made.key, made.source.principal, made.source.now)
        self._forms = Forms(self._sessions)
        self._assets = Assets()
        self._view = View(self._assets.paths)
        self._record = Record()
        self._lock = Lock()

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
                Route("/sign-in", self._sign_in_page),
                Route("/sign-in", self._sign_in, methods=["POST"]),
                Route("/sign-out", partial(self._act, Act(path="/sign-out", permission=None)), methods=["POST"]),
                Route("/static/{name}", self._asset),
                Route("/events", self._events),
                *pages,
                *(Route(act.path, partial(self._act, act), methods=["POST"]) for act in ACTS),
            ],
            exception_handlers={HTTPException: self._failed, AnewError: self._failed, 500: self._failed},
        )

    def _asset(self, request: Request) -> Response:
        asset = self._assets.files.get(request.url.path)
        if asset is None:
            raise HTTPException(404)
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        headers |= {"content-encoding": "gzip"} if packed else {}
        return Response(asset.packed if packed else asset.plain, media_type=asset.media, headers=headers)

    def _session(self, request: Request) -> Session | None:
        """Return who asks: by the cookie of a session, or a program by its token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and len(token) <= _MOST_TOKEN:
            who = self._source.holder(token.strip())
            return None if who is None else Session(who=who, nonce=who.id)
        return self._sessions.find(request.cookies.get(self._cookie, ""))

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
        with self._lock:
            self._refresh()
            asking = Asking(
                record=self._record,
                source=self._source,
                who=session.who,
                policy=self._source.in_force(),
                params=request.path_params,
                query=dict(request.query_params),
            )
            page = place.build(asking)
        if as_json:
            return Response(plain_json(place.name, page), media_type="application/json")
        chrome = self._chrome(request, session, place)
        return self._html(f"{place.name}.html", page=page, chrome=chrome)

    def _refresh(self) -> None:
        """Hear what was recorded since the last look; a record that was replaced by a shorter one is read again."""
        if self._source.head() < self._record.head:
            self._record = Record()
        for recorded in self._source.facts(self._record.head):
            self._record.hear(recorded)

    def _chrome(self, request: Request, session: Session | None, place: Place | None) -> Mapping[str, object]:
        """Return what stands around every page: who is signed in, where else to go, and what came of a form."""
        model = self._source.in_force().model
        outcome, done = None, request.query_params.get("done", "")
        if session is not None and done:
            for act in ACTS:
                outcome = outcome or self._forms.outcome(session, act.path, done)
        return {
            "model": model,
            "who": session.who if session else None,
            "place": place.name if place else "",
            "path": _address(request),
            "head": self._record.head,
            "navigation": self._open_to(session) if session else [],
            "outcome": outcome,
            "twin": _address(request, ".json") if request.url.path != "/" else "/loop.json",
            "form": (lambda path: self._forms.make(session, path)) if session else (lambda _: ""),
            "may": lambda what: session is not None and may(session.who, Permission(what), model),
        }

    def _open_to(self, session: Session) -> Sequence[Place]:
        """Return the pages that somebody may see."""
        model = self._source.in_force().model
        return [each for each in NAVIGATION if may(session.who, each.permission, model)]

    def _html(self, template: str, status: int = 200, **values: object) -> Response:
        return Response(self._view.render(template, **values), status, media_type="text/html")

    def _sign_in_page(self, request: Request) -> Response:
        return self._html(
            "sign-in.html",
            chrome=self._chrome(request, None, None),
            next=_local(request.query_params.get("next", "")),
            problem="",
        )

    async def _sign_in(self, request: Request) -> Response:
        fields = await _fields(request)
        token, back = fields.get("token", "").strip(), _local(fields.get("next", ""))
        who = await run_in_threadpool(self._source.holder, token) if len(token) <= _MOST_TOKEN else None
        if who is None:
            problem = "That is no token of this project, or it has expired or been revoked."
            return self._html("sign-in.html", 401, chrome=self._chrome(request, None, None), next=back, problem=problem)
        response = RedirectResponse(back, 303)
        response.set_cookie(self._cookie, self._sessions.open(who), httponly=True, samesite="strict", path="/")
        return response

    async def _act(self, act: Act, request: Request) -> Response:
        session = self._session(request)
        refusal = self._refusal(request, session, act.permission)
        if refusal is not None or session is None:
            return refusal or Response(status_code=401)
        fields = await _fields(request)
        form = fields.get("form", "")
        id = self._forms.check(session, act.path, form)
        if not id:
            said = "This form was not made for you here. Open the page again, and send it from there."
            return self._error(request, session, 403, said)
        if act.path == "/sign-out":
            self._sessions.end(session)
            response = RedirectResponse("/sign-in", 303)
            response.delete_cookie(self._cookie, path="/")
            return response
        outcome = await run_in_threadpool(self._forms.once, id, partial(self._done, act, session, id, fields))
        told = "" if act.quiet and outcome.ok else f"?done={quote(form)}"
        return RedirectResponse(f"{act.back(fields)}{told}", 303)

    def _done(self, act: Act, session: Session, id: str, fields: Mapping[str, str]) -> Outcome:
        try:
            return Outcome(ok=True, title=act.title, said=tuple(act.do(self._source, session.who, id, fields)))
        except AnewError as exc:
            return Outcome(ok=False, title="Nothing was changed", said=tuple(str(exc).splitlines()))

    async def _events(self, request: Request) -> Response:
        session = await run_in_threadpool(self._session, request)
        refusal = self._refusal(request, session, None)
        if refusal is not None:
            return refusal
        told = request.headers.get("last-event-id") or request.query_params.get("after", "")
        after = int(told) if told.isdecimal() and len(told) < 16 else await run_in_threadpool(self._source.head)

        async def news(seq: int) -> Sequence[Recorded]:
            return await run_in_threadpool(lambda: list(self._source.facts(seq)) if self._source.head() > seq else [])

        async def is_good() -> bool:
            return await run_in_threadpool(self._session, request) is not None

        return StreamingResponse(events(after, news, is_good), media_type="text/event-stream")

    def _failed(self, request: Request, exc: Exception) -> Response:
        if isinstance(exc, HTTPException):
            said = "There is no such page." if exc.status_code == 404 else exc.detail
            return self._error(request, self._session(request), exc.status_code, said)
        if isinstance(exc, AnewError):
            status = next((code for kind, code in _STATUS if isinstance(exc, kind)), 500)
            return self._error(request, self._session(request), status, str(exc))
        return self._error(request, None, 500, "Something is wrong with this page; the log of the dashboard says what.")

    def _error(self, request: Request, session: Session | None, status: int, said: str) -> Response:
        if request.url.path.endswith(".json") or "text/html" not in request.headers.get("accept", ""):
            return Response(
                plain_json("error", {"status": status, "said": said}), status, media_type="application/json"
            )
        chrome = self._chrome(request, session, None)
        return self._html("error.html", status, chrome=chrome, code=status, said=said)


def _address(request: Request, suffix: str = "") -> str:
    """Return path and query as they were asked for, the path with a suffix."""
    query = request.url.query
    return quote(request.scope["path"], safe="/:") + suffix + (f"?{query}" if query else "")


async def _fields(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; the first of a name counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=50):
        found.setdefault(name, value)
    return found


def _local(path: str) -> str:
    """Return a path of this server to go to; the home page for anything else."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain else "/"
