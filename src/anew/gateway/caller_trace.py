"""The trace that a caller has begun: kept with its rows when the caller samples it, left alone otherwise.

Reference: W3C Trace Context, section 3.2.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from anew.domain.observation import CALLER_TRACE
from anew.gateway.row import RequestRow

__all__ = ["traced"]

_SAMPLED: Final = 1
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def traced(rows: Sequence[RequestRow], headers: Mapping[bytes, bytes]) -> Sequence[RequestRow]:
    """Return the rows with the trace that the header ``traceparent`` names, where there is one that is sampled.

    What is no trace is passed over, as the standard asks: a caller's mistake in it refuses no request.
    """
    told = headers.get(b"traceparent")
    kept = None if told is None else _sampled(told)
    if kept is None:
        return rows
    return [msgspec.structs.replace(row, extra={**row.extra, CALLER_TRACE: kept}) for row in rows]


def _sampled(told: bytes) -> str | None:
    """Return the ids of trace and span as ``TRACE-SPAN``; None for what is not sampled, or no trace."""
    found = _PARENT.fullmatch(told.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None) or not int(flags, 16) & _SAMPLED:
        return None
    return None if not int(trace, 16) or not int(span, 16) else f"{trace.decode()}-{span.decode()}"
