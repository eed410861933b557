"""A project's Label Studio: wired from the policy, and kept like the review queue by a thread of its own."""

import logging
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Self

from anew.adapters.label_studio import LabelStudio, StudioHook
from anew.adapters.outbound import OutboundService
from anew.adapters.review_places import ReviewPlaces
from anew.adapters.system_clock import SystemClock
from anew.app.duration import parse_duration
from anew.app.policy_feedback import StudioPolicy
from anew.app.secret import read_secret
from anew.app.settings import Settings
from anew.app.stores import review_file
from anew.domain.errors import AnewError, SettingsError, UnavailableError
from anew.gateway.labelling_hook import LabellingHook
from anew.loop.labelling import Labelling

__all__ = ["LabellingThread", "label_studio", "labelling_hook"]

_LOG = logging.getLogger("anew.labelling")
_LOOK_S = 1.0
_PATIENCE_S = 5.0
_LEAST_SECRET = 16


def label_studio(settings: Settings, service: OutboundService) -> LabelStudio:
    """Return the project's Label Studio as `service` reaches it.

    Raises
    ------
    SettingsError
        There is no secret where the policy says.
    """
    policy = _policy(settings)
    assert policy is not None, "a project that has one"  # noqa: S101  our invariant
    hook = None
    if policy.webhook is not None:
        hook = StudioHook(url=policy.webhook.url, secret=_secret(settings, policy.webhook.secret))
    token = read_secret(policy.token, settings.root)
    return LabelStudio(
        service,
        token,
        settings.model,
        settings.columns,
        project=policy.project,
        hook=hook,
        personal=settings.policy.columns.personal,
    )


def labelling_hook(settings: Settings) -> LabellingHook | None:
    """Return what Label Studio calls; None without a policy for it.

    Raises
    ------
    SettingsError
        The secret is not where the policy says, or too short.
    """
    policy = _policy(settings)
    if policy is None or policy.webhook is None:
        return None
    file = _call(settings.state)

    def look() -> None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except OSError as exc:
            raise UnavailableError(f"{file} cannot be written ({exc.strerror})") from exc

    return LabellingHook(secret=_secret(settings, policy.webhook.secret), look=look)


class LabellingThread:
    """Keeps both alike while it is entered; a server that does not answer delays nobody."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = Event()
        self._thread: Thread | None = None
        policy = _policy(settings)
        if policy is None:
            return
        self._every = parse_duration(policy.every)
        self._answers = policy.answers
        self._service = OutboundService(policy.url)
        self._tool = label_studio(settings, self._service)
        self._thread = Thread(target=self._keep, name=f"labelling-{settings.model}", daemon=True)

    def __enter__(self) -> Self:
        """Begin, where the project has one."""
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let it finish what it is at, and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
            self._service.close()

    def _keep(self) -> None:
        told = ""
        while not self._stop.is_set():
            called = _called(self._settings.state)
            try:
                problem = self._step()
            except AnewError as exc:
                problem = f"{exc}"
            if problem != told:
                told = problem
                (_LOG.warning if problem else _LOG.info)("label studio problem=%s", problem)
            self._rest(called)

    def _step(self) -> str:
        file = review_file(self._settings.state)
        if not file.exists():
            return ""  # the loop makes it in a moment
        with closing(ReviewPlaces(file)) as placed:
            labelling = Labelling(self._tool, placed, SystemClock().now, answers=self._answers)
            while labelling.step() and not self._stop.wait(0):
                pass
        return ""

    def _rest(self, called: float) -> None:
        """Wait until it is time again, or somebody calls; never less than a second."""
        rested = timedelta()
        while rested < self._every and not self._stop.wait(_LOOK_S):
            rested += timedelta(seconds=_LOOK_S)
            if _called(self._settings.state) != called:
                return


def _policy(settings: Settings) -> StudioPolicy | None:
    review = settings.policy.feedback.review
    return None if review is None else review.label_studio


def _secret(settings: Settings, reference: str) -> str:
    secret = read_secret(reference, settings.root)
    if len(secret) < _LEAST_SECRET or not secret.isascii() or not secret.isprintable():
        raise SettingsError(
            f"{reference}: the secret of the webhook needs at least {_LEAST_SECRET} printable characters of ASCII"
        )
    return secret


def _call(state: Path) -> Path:
    return state / "run" / "labelling.called"


def _called(state: Path) -> float:
    """Return when somebody called last."""
    try:
        return _call(state).stat().st_mtime
    except OSError:
        return 0.0
