"""How people come in to a project's dashboard: by its tokens, its passwords, and the provider that its policy names."""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from anew.adapters.oidc_provider import OIDCProvider
from anew.adapters.password import check_password
from anew.adapters.sql_inbox import SQLInbox
from anew.adapters.system_clock import SystemClock
from anew.adapters.user_file import UserRecord
from anew.app.accepted import accepted
from anew.app.duration import parse_duration
from anew.app.person import PROGRAMS, access_file, names_on_record, user_file
from anew.app.policy_access import OIDCPolicy
from anew.app.record import open_record
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.app.status import state_folder
from anew.dashboard.entrance import Errand, Vouched, Ways
from anew.domain.access import Principal, Role
from anew.domain.errors import ConflictError, ForbiddenError, PolicyError
from anew.domain.facts import AccessChanged, AccessGranted

__all__ = ["ProjectEntrance", "role_of"]


class ProjectEntrance:
    """An `Entrance` over a project's folder. Thread-safe."""

    def __init__(self, project: Path) -> None:
        self._project = project.resolve()
        state = state_folder(self._project)
        self._tokens, self._users = access_file(state), user_file(state)
        self._clock = SystemClock()
        self._made: tuple[OIDCPolicy, OIDCProvider] | None = None

    def ways(self) -> Ways:
        """Return how people may sign in."""
        policy = accepted(self._project).policy.access.oidc
        passwords = any(each.hash for each in self._users.records())
        if policy is None:
            return Ways(passwords=passwords)
        return Ways(passwords=passwords, provider=policy.title, session=parse_duration(policy.session))

    def holder(self, token: str) -> Principal | None:
        """Return whose token it is."""
        return self._tokens.verify(token, now=self._clock.now())

    def by_password(self, name: str, password: str) -> Principal | None:
        """Return who has this name and this password; nobody's name takes as long."""
        found = self._users.named(name, now=self._clock.now())
        same = check_password("" if found is None else found.hash, password)
        return found.principal if found is not None and same else None

    def principal(self, id: str) -> Principal | None:
        """Return who has this id."""
        now = self._clock.now()
        return self._users.holder(id, now=now) or self._tokens.holder(id, now=now)

    def provider(self, errand: Errand) -> str:
        """Return the provider's address for a browser to be sent to."""
        _, provider = self._provider(accepted(self._project))
        return provider.address(state=errand.state, nonce=errand.nonce, verifier=errand.verifier, back=errand.back)

    def by_provider(self, errand: Errand, answer: Mapping[str, str]) -> Vouched:
        """Return whom the provider vouches for; who was never here before is known from now on."""
        settings = accepted(self._project)
        policy, provider = self._provider(settings)
        claims = provider.claims(answer, nonce=errand.nonce, verifier=errand.verifier, back=errand.back)
        who = self._vouched(settings, policy, claims)
        return Vouched(who=who, at=datetime.fromtimestamp(claims["iat"], UTC), ties=_ties(policy.issuer, claims))

    def signed_out(self, word: str) -> tuple[datetime, tuple[str, ...]]:
        """Return when somebody signed out at the provider, and the ties by which their sessions end."""
        policy, provider = self._provider(accepted(self._project))
        claims = provider.signed_out(word)
        return datetime.fromtimestamp(claims["iat"], UTC), _cut(policy.issuer, claims)

    def _vouched(self, settings: Settings, policy: OIDCPolicy, claims: Mapping[str, Any]) -> Principal:
        subject = f"{policy.issuer} {claims['sub']}"
        known, now = self._users.of_subject(subject), self._clock.now()
        if known is not None and (problem := known.problem(now)):
            raise ForbiddenError(f"{problem}, whatever the provider says")
        if known is not None and not known.provided:
            return known.principal  # what a person of this project may is said here; the provider proves who it is
        role = role_of(claims, policy)
        if known is None:
            return self._new(settings, subject, _name_of(claims, policy), role).principal
        return (known if known.role == role else self._other_role(settings, known, role)).principal

    def _provider(self, settings: Settings) -> tuple[OIDCPolicy, OIDCProvider]:
        policy = settings.policy.access.oidc
        if policy is None:
            raise ForbiddenError("no provider of identity is set; see access.oidc in anew.yaml")
        if self._made is None or self._made[0] != policy:
            secret = partial(read_secret, policy.client_secret, settings.root) if policy.client_secret else str
            made = OIDCProvider(
                issuer=policy.issuer,
                client_id=policy.client_id,
                secret=secret,
                scopes=policy.scopes,
                now=self._clock.now,
                hosts=frozenset(policy.hosts),
            )
            self._made = policy, made
        return self._made

    def _new(self, settings: Settings, subject: str, name: str, role: Role) -> UserRecord:
        """Make somebody known for whom the provider vouches; a name that is somebody's here is not given away."""
        if _is_taken(settings, name):
            raise ForbiddenError(
                f"{name} is somebody's name here already. If that is you, have it said: anew access link {name} "
                f"--subject {shlex.quote(subject.partition(' ')[2])}"
            )
        now, issuer = self._clock.now(), subject.partition(" ")[0]
        with closing(open_record(settings.state)) as database:

            def told(record: UserRecord) -> None:
                granted = AccessGranted(
                    model=settings.model, at=now, token=record.id, name=name, role=role.value, by=issuer
                )
                SQLInbox(database, clock=self._clock).post(granted.caused_by(""))

            try:
                return self._users.add(name, role, now=now, subject=subject, told=told)
            except (ConflictError, PolicyError) as exc:
                raise ForbiddenError(f"what the provider says of you does not do: {exc}") from exc

    def _other_role(self, settings: Settings, known: UserRecord, role: Role) -> UserRecord:
        now = self._clock.now()
        with closing(open_record(settings.state)) as database:
            record = self._users.set_provided_role(known.name, role, now=now)
            changed = AccessChanged(
                model=settings.model, at=now, user=record.id, name=record.name, change=f"role {role}",
                by=record.subjects[0].partition(" ")[0],
            )  # fmt: skip
            SQLInbox(database, clock=self._clock).post(changed.caused_by(""))
        return record


def role_of(claims: Mapping[str, Any], policy: OIDCPolicy) -> Role:
    """Return what the policy gives somebody of whom the provider says this; raises ForbiddenError for nothing."""
    found = _found(claims, policy.claim)
    values = [found] if isinstance(found, str) else found if isinstance(found, Sequence) else []
    role = next((role for value, role in policy.roles.items() if value in values), None)
    if role is None:
        raise ForbiddenError(
            f"the provider says who you are, and nobody has given you a role here: access.oidc.roles of anew.yaml has "
            f"none for what its claim {policy.claim!r} says of you"
        )
    return role


def _found(claims: object, path: str) -> object:
    """Return what claims have under this very name, or else inside of another one that stands before a dot of it."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    dots = (place for place, sign in enumerate(path) if sign == ".")
    inside = (_found(claims.get(path[:dot]), path[dot + 1 :]) for dot in dots)
    return next((each for each in inside if each is not None), None)


def _name_of(claims: Mapping[str, Any], policy: OIDCPolicy) -> str:
    name = claims.get(policy.name)
    if not isinstance(name, str):
        raise ForbiddenError(f"the provider says no name: there is no claim {policy.name!r}; see access.oidc.name")
    return name.casefold()


def _ties(issuer: str, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the provider can end a session by: who it is of, and which of its own sessions, where it says so."""
    sub, sid = str(claims["sub"]), claims.get("sid")
    return (_tie(issuer, "sub", sub), _tie(issuer, "sid", sid) if isinstance(sid, str) else _tie(issuer, "none", sub))


def _cut(issuer: str, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which ties a sign-out cuts: all of a person, or one session's and those of nobody knows which session."""
    sub, sid = claims.get("sub"), claims.get("sid")
    if sid is None:
        return (_tie(issuer, "sub", str(sub)),)
    return (_tie(issuer, "sid", sid), *([_tie(issuer, "none", sub)] if sub is not None else []))


def _tie(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_taken(settings: Settings, name: str) -> bool:
    """Does anybody or anything go by this name, or by one that differs in the size of its letters alone?"""
    tokens, users = access_file(settings.state).records(), user_file(settings.state).records()
    known = {other for each in users for other in (each.name, *each.aliases, *each.accounts)}
    known |= {other for each in tokens for other in (each.name, each.user)} | PROGRAMS
    known |= {*settings.policy.governance.approvers, *names_on_record(settings.state)}
    return name.casefold() in {each.casefold() for each in known}
