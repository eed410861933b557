"""Sessions of people, in a signed cookie; and forms that are good for one session, one place and one time."""

import base64
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar

from anew.dashboard.entrance import Ended, Vouched
from anew.domain.access import Principal

__all__ = ["LASTS", "Forms", "Session", "Sessions"]

T = TypeVar("T")

LASTS = timedelta(hours=12)
"""At most, whatever vouched for whom."""
_MOST_FORMS = 2_000
_PARTS = 6
"""Of what a cookie says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who has signed in; `nonce` tells the session from others of the same person, until when it is good."""

    who: Principal
    nonce: str
    until: datetime


class Sessions:
    """Opens sessions and knows them again. Thread-safe.

    A cookie names a token or a person by an id, and is signed: with the token revoked or expired, or the password
    another, it is worth nothing. Whoever signs out ends the session for the server as well, and so does the provider
    that vouched for somebody. Where it is no longer known which sessions were ended, all of them are.

    Parameters
    ----------
    key
        Secret of this project, at least 32 bytes.
    principal
        Finds who has an id, None once that is no good.
    ended
        Those that were signed out of.
    """

    def __init__(
        self, key: bytes, principal: Callable[[str], Principal | None], now: Callable[[], datetime], ended: Ended
    ) -> None:
        self._key = key
        self._principal = principal
        self._now = now
        self._ended = ended

    def open(self, who: Principal, lasts: timedelta = LASTS, vouched: Vouched | None = None) -> str:
        """Return the cookie of a new session, which the provider can end where it `vouched` for who it is."""
        now = self._now()
        until, ties = (now + min(lasts, LASTS)).timestamp(), () if vouched is None else vouched.ties
        began = (now if vouched is None else vouched.at).timestamp()
        plain = json.dumps([who.id, until, secrets.token_hex(16), self._ended.era(), began, ties]).encode()
        body = base64.urlsafe_b64encode(plain).decode()
        return f"{body}.{self.sign('session', body)}"

    def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None for what was not signed here, is over, or whose token is no good."""
        body, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self.sign("session", body).encode()):
            return None
        plain = json.loads(base64.urlsafe_b64decode(body))
        if len(plain) != _PARTS:
            return None  # of a version of before
        id, until, nonce, era, began, ties = plain
        if self._now().timestamp() >= until or era != self._ended.era():
            return None
        if self._ended.is_over(nonce, ties, datetime.fromtimestamp(began, UTC)):
            return None
        who = self._principal(id)
        over = datetime.fromtimestamp(until, UTC)
        return None if who is None else Session(who=who, nonce=nonce, until=over)

    def end(self, session: Session) -> None:
        """Know a session no more, also once this server has begun anew."""
        self._ended.add(session.nonce, session.until)

    def cut(self, at: datetime, ties: Collection[str]) -> None:
        """Know no session more that has one of these ties and began at `at`, by the provider's clock, or before."""
        self._ended.cut(ties, at, self._now() + LASTS)

    def sign(self, *parts: str) -> str:
        """Return a signature over `parts`, as hex."""
        said = "".join(f"{len(part.encode())}:{part}" for part in parts).encode()
        return hmac.new(self._key, said, hashlib.sha256).hexdigest()


@dataclass(slots=True)
class _Used:
    lock: Lock = field(default_factory=Lock)
    outcome: object | None = None


class Forms:
    """Hidden fields that say a form was made here, for this session and this place; each works once. Thread-safe."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._lock = Lock()

    def make(self, session: Session, place: str) -> str:
        """Return the hidden field of a form that posts to `place`."""
        once = secrets.token_hex(16)
        return f"{once}.{self._sessions.sign('form', session.nonce, place, once)}"

    def check(self, session: Session, place: str, value: str) -> str:
        """Return the form's own id; empty for a form that was not made for this session and place."""
        once, _, signature = value.partition(".")
        expected = self._sessions.sign("form", session.nonce, place, once)
        return once if hmac.compare_digest(signature.encode(), expected.encode()) else ""

    def once(self, id: str, act: Callable[[], T]) -> T:
        """Do what a form asks, the first time; afterwards, and to whoever waits meanwhile, return what came of it."""
        with self._lock:
            used = self._used.setdefault(id, _Used())
            if len(self._used) > _MOST_FORMS:
                self._used.popitem(last=False)
        with used.lock:
            if used.outcome is None:
                used.outcome = act()
            return used.outcome  # type: ignore[return-value]  # of one id all outcomes are of one type

    def outcome(self, session: Session, place: str, value: str) -> object | None:
        """Return what came of a form of this session; None when it was not used, or that is forgotten."""
        used = self._used.get(self.check(session, place, value))
        return None if used is None else used.outcome
