"""Who is told of facts outside: sinks from the policy, each followed in a thread of its own."""

import logging
from collections.abc import Collection, Iterator
from contextlib import closing
from threading import Event, Thread
from typing import Self

from anew.adapters.apprise_sink import AppriseSink
from anew.adapters.cursor_file import CursorFile
from anew.adapters.fact_reader import read_facts
from anew.adapters.handover_sink import HandoverSink
from anew.adapters.openlineage_sink import FileEvents, HttpEvents, OpenLineageSink
from anew.adapters.outbound import Outbound
from anew.adapters.sql_database import SQLDatabase
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.standard_webhook import webhook_key
from anew.adapters.system_clock import SystemClock
from anew.adapters.webhook_sink import WebhookSink
from anew.app.kept import kept_artifacts
from anew.app.notice import notice
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.secret import is_reference, is_url, read_secret
from anew.app.settings import Settings
from anew.app.traces import trace_sink
from anew.domain.errors import AnewError, SettingsError
from anew.loop.follow import Follower
from anew.ports.eventlog import Recorded
from anew.ports.sink import Sink

__all__ = ["Followers", "sinks"]

_LOG = logging.getLogger("anew.followers")
_POLL_S = 0.5
_WAIT_S = 5.0


def sinks(settings: Settings) -> tuple[Sink, ...]:
    """Return the sinks that the policy names.

    Raises
    ------
    SettingsError
        A reference points nowhere, or to what cannot be a secret or a URL; all that is wrong.
    MissingExtraError
        OpenLineage or traces are asked for and the extra is not installed.
    """
    events, problems = settings.policy.events, list[str]()
    found: list[Sink] = []
    for number in range(len(events.webhooks)):
        try:
            found.append(_webhook(settings, number))
        except SettingsError as exc:
            place = settings.document.where(("events", "webhooks", number))
            problems += [f"{place}: events.webhooks.{number}: {each}" for each in exc.problems]
    for number, reference in enumerate(settings.policy.notify):
        try:
            found.append(_notifier(settings, number, reference))
        except SettingsError as exc:
            place = settings.document.where(("notify", number))
            problems += [f"{place}: notify.{number}: {each}" for each in exc.problems]
    if events.openlineage:
        found.append(_openlineage(events.openlineage, settings))
    if events.traces is not None:
        try:
            found.append(trace_sink(settings))
        except SettingsError as exc:
            place = settings.document.where(("events", "traces"))
            problems += [f"{place}: events.traces: {each}" for each in exc.problems]
    if problems:
        raise SettingsError(*problems)
    if settings.policy.serving.handover:
        found.append(_handover(settings))
    return tuple(found)


def _handover(settings: Settings) -> Sink:
    return HandoverSink(settings.root / settings.policy.serving.handover, lambda: kept_artifacts(settings.state))


def _webhook(settings: Settings, number: int) -> Sink:
    policy = settings.policy.events.webhooks[number]
    url = _url(read_secret(policy.url, settings.root))
    key = webhook_key(read_secret(policy.secret, settings.root)) if policy.secret else None
    name = f"webhook-{number}"
    return WebhookSink(name, Outbound(url), key=key, kinds=policy.kinds, now=SystemClock().now)


def _notifier(settings: Settings, number: int, reference: str) -> Sink:
    url = read_secret(reference, settings.root)
    name = f"notify-{number}"
    memory = settings.state / "told" / f"{name}.json"
    return AppriseSink(name, url, write=notice, memory=memory, now=SystemClock().now)


def _openlineage(to: str, settings: Settings) -> Sink:
    def past(kinds: Collection[str]) -> Iterator[Recorded]:
        return read_facts(record_place(settings.state), kinds=kinds)

    if to.startswith("file:") and is_reference(to):
        return OpenLineageSink(FileEvents(settings.root / to.removeprefix("file:")), past=past)
    return OpenLineageSink(HttpEvents(Outbound(to)), past=past)


def _url(text: str) -> str:
    if not is_url(text):
        raise SettingsError("it is no http or https URL (what it is, is not repeated here: it may hold a secret)")
    return text


class Followers:
    """Threads that tell the sinks while it is entered. A sink that takes nothing delays its own facts alone."""

    def __init__(self, settings: Settings) -> None:
        self._state, self._model = settings.state, settings.model
        self._sinks = sinks(settings)
        self._stop = Event()
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        """Begin where each left off."""
        self._stop.clear()
        self._threads.clear()
        for sink in self._sinks:
            thread = Thread(target=self._follow, args=(sink,), name=f"follow-{sink.name}-{self._model}", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        """Let each finish the fact it is telling, and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_WAIT_S)

    def _follow(self, sink: Sink) -> None:
        while not self._stop.is_set():
            try:
                with closing(open_record(self._state)) as database:
                    self._follow_in(database, sink)
            except AnewError as exc:  # the server that keeps the record may be away for a while
                _LOG.warning("told sink=%s problem=%s", sink.name, exc)
                self._stop.wait(_WAIT_S)

    def _follow_in(self, database: SQLDatabase, sink: Sink) -> None:
        log = SQLEventLog(database, clock=SystemClock())
        follower = Follower(log, sink, CursorFile(self._state / "told" / sink.name))
        for pause in self._pauses(follower):
            if self._stop.wait(pause):
                return

    def _pauses(self, follower: Follower) -> Iterator[float]:
        """Let it take a step again and again; yield how long to wait until the next, longer while nobody takes them."""
        told = ""
        while True:
            try:
                follower.step()
                problem = follower.problem
            except Exception as exc:  # noqa: BLE001 - telling others must not end, nor end the loop
                problem = type(exc).__name__
                _LOG.error("follower_failed sink=%s", follower.name, exc_info=exc)
            if problem != told:
                told = problem
                (_LOG.warning if problem else _LOG.info)("told sink=%s problem=%s", follower.name, problem)
            yield _WAIT_S if problem else _POLL_S
