"""Pages as HTML and as JSON, both from the same object."""

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from struct import Struct
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup, escape

from anew.dashboard import chart
from anew.dashboard.asset import Assets
from anew.dashboard.backtest_svg import backtest_svg
from anew.dashboard.lineage_svg import lineage_svg
from anew.domain.column import Value
from anew.domain.duration import lasting

__all__ = ["View", "plain_json"]

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_NONE, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_FLOAT32 = Struct("f")
_WHOLE = 2.0**53
"""Below it every whole number is told from the next."""


def plain_json(name: str, page: object) -> bytes:
    """Return the page's twin for programs: the envelope ``{"schema": …, "data": …}``."""
    return msgspec.json.encode({"schema": f"anew.page.{name}/1", "data": page}, enc_hook=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no part of a page")


class View:
    """Renders templates. Everything is escaped; a name that is not there is an error, never nothing."""

    def __init__(self, assets: Assets) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("anew.dashboard"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals |= {"asset": assets.paths.__getitem__, "icon": assets.icon, "style": assets.style}
        self._environment.filters |= {
            "when": _when,
            "day": lambda at: _when(at, "%d %b %Y"),
            "number": _number,
            "sent": _sent,
            "percent": _percent,
            "lasting": _lasting,
            "signed": _signed,
            "anchor": lambda text: sha256(str(text).encode()).hexdigest()[:10],
            "brief": lambda text: _DIGEST.sub(lambda found: found[0][:12], str(text)),
            "drawn": Markup,
            "short": lambda text: str(text)[:12],
        }
        self._environment.globals |= {
            "backtest_svg": partial(backtest_svg, styled=False),
            "bars_svg": chart.bars_svg,
            "course_svg": chart.course_svg,
            "lineage_svg": partial(lineage_svg, styled=False),
            "looks_svg": chart.looks_svg,
        }

    def render(self, template: str, **values: Any) -> str:
        """Return the page."""
        return self._environment.get_template(template).render(**values)


def _when(at: datetime | None, form: str = "%d %b %Y, %H:%M") -> Markup:
    """Write an instant, in UTC, for people and for programs."""
    if at is None:
        return escape(_NONE)
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), at.strftime(form.replace("%d", str(at.day))))


def _number(value: float | None) -> str:
    """Write a number to four digits; a dash for none."""
    if value is None:
        return _NONE
    if isinstance(value, int) or (abs(value) >= 1_000 and float(value).is_integer()):
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4g}".replace("-", _MINUS)


def _signed(value: float | None) -> str:
    """Write a number to four digits with its sign; zero has none."""
    if value is None:
        return _NONE
    return f"{value:+.4g}".replace("-", _MINUS) if value else "0"


def _sent(value: Value) -> str:
    """Write a value as people would have: whole numbers without a point, a float32 by the digits that it has."""
    if value is None:
        return "missing"
    if not isinstance(value, float):
        return str(value)
    if value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    short = (f"{value:.{digits}g}" for digits in range(6, 10))
    return next((each for each in short if _single(float(each)) == value), str(value))


def _single(value: float) -> float:
    """Round to a float32; NaN where it is too large for one."""
    try:
        (rounded,) = _FLOAT32.unpack(_FLOAT32.pack(value))
    except OverflowError:
        return math.nan
    return float(rounded)


def _percent(share: float | None) -> str:
    """Write a share as a percentage."""
    return _NONE if share is None else f"{100 * share:.3g} %"


def _lasting(length: float | timedelta | None) -> str:
    """Write a length of time, in seconds or as one, in its largest two units."""
    if length is None:
        return _NONE
    return lasting(length.total_seconds() if isinstance(length, timedelta) else float(length))
