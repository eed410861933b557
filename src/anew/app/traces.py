"""Where a project's traces go, and what they are made from: the record, and the answers in the lake."""

import hashlib
import json
from contextlib import closing
from datetime import timedelta
from typing import Any

import polars as pl

from anew.adapters.otlp_sink import OTLPSink, ServedRequest
from anew.adapters.outbound import Outbound
from anew.adapters.sql_eventlog import SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.record import open_record
from anew.app.secret import is_reference, is_url, read_secret
from anew.app.settings import Settings
from anew.app.stores import open_lake
from anew.domain.errors import AnewError, SettingsError
from anew.domain.facts import WindowClosed
from anew.domain.observation import CALLER_TRACE
from anew.ports.eventlog import Recorded

__all__ = ["trace_sink"]

_COLUMNS = ("_id", "_received_at", "_latency_us", "_version", "_arm", "_extra")


def trace_sink(settings: Settings) -> OTLPSink:
    """Return the sink that the policy names.

    Raises
    ------
    SettingsError
        There is no URL, or no header's value, where the policy says.
    MissingExtraError
        The extra `traces` is not installed.
    """
    policy = settings.policy.events.traces
    assert policy is not None, "a project that has one"  # noqa: S101  our invariant
    url = read_secret(policy.url, settings.root) if is_reference(policy.url) else policy.url
    if not is_url(url):
        raise SettingsError("it is no http or https URL (what it is, is not repeated here: it may hold a secret)")
    headers = {name.lower(): read_secret(reference, settings.root) for name, reference in policy.headers.items()}

    def recorded(id: str) -> Recorded | None:
        with closing(open_record(settings.state)) as database:
            return SQLEventLog(database, clock=SystemClock()).find(id)

    def requests(window: WindowClosed) -> list[ServedRequest]:
        if not policy.requests:
            return []
        try:
            with open_lake(settings) as lake:
                rows = lake.predictions(window.window).select(_COLUMNS)
        except AnewError:  # the window's span goes without them: what happened is told, whatever the lake does
            return []
        return _some(rows, policy.requests)

    return OTLPSink(Outbound(url), headers, recorded=recorded, requests=requests)


def _some(rows: pl.DataFrame, most: int) -> list[ServedRequest]:
    """Return some requests, the same ones whenever it is asked; those first that are in a trace of their callers'."""
    told = rows.get_column("_extra").str.contains(CALLER_TRACE, literal=True).fill_null(value=False).to_list()
    lots = {
        id: (not of_caller, hashlib.sha256(f"traced/{id}".encode()).digest())
        for id, of_caller in zip(rows.get_column("_id").to_list(), told, strict=True)
    }
    chosen = sorted(lots, key=lots.__getitem__)[:most]
    return [_served(row) for row in rows.filter(pl.col("_id").is_in(chosen)).iter_rows(named=True)]


def _served(row: dict[str, Any]) -> ServedRequest:
    trace, _, span = str(json.loads(row["_extra"] or "{}").get(CALLER_TRACE, "")).partition("-")
    return ServedRequest(
        prediction=row["_id"],
        answered_at=row["_received_at"],
        took=timedelta(microseconds=row["_latency_us"] or 0),
        version=row["_version"],
        arm=row["_arm"],
        caller=(bytes.fromhex(trace), bytes.fromhex(span)) if span else None,
    )
