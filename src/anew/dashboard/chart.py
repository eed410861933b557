"""Charts as SVG: drawn on the server, without style of their own, every point with its numbers in words."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime

from markupsafe import Markup, escape

from anew.dashboard.part import Series
from anew.dashboard.probation import OnProbation
from anew.dashboard.source import Shift

__all__ = ["bars_svg", "course_svg", "looks_svg", "ticks"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 240, 56, 16, 18, 30
_MOST_NAME, _LETTER = 9, 7.0
Place = Callable[[float], float]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, at most `most` of them.

    >>> ticks(0.0, 97.0)
    [0.0, 25.0, 50.0, 75.0]
    """
    span = (high - low) or 1.0
    step = next(
        size * 10**power
        for power in range(math.floor(math.log10(span / most)), 300)
        for size in (1.0, 2.0, 2.5, 5.0)
        if span / (size * 10**power) <= most
    )
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)][:most]


def course_svg(series: Series) -> Markup:
    """Draw how a measure went, window by window, with its intervals, its objective and the promotions."""
    points, last = series.points, series.points[-1]
    times = [each.at.timestamp() for each in points]
    values = [each.value for each in points] + [each for p in points for each in (p.low, p.high) if each is not None]
    values += [] if series.limit is None else [series.limit]
    end = max((last.at, *(at for at, _ in series.promotions)))
    x = _scale(min(times), end.timestamp(), _LEFT, _WIDTH - _RIGHT)
    low, high = min(0.0, *values), max(values)
    y = _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    said = f"{series.metric} of the served model in {len(points)} windows; the last is {last.value:.4g}"
    body = [*_grid(y, ticks(low, high)), *_times(x, points[0].at, end)]
    body += _marks([(x(at.timestamp()), _short(version)) for at, version in series.promotions])
    bands = [(x(p.at.timestamp()), y(p.low), y(p.high)) for p in points if p.low is not None and p.high is not None]
    body.append(_band(bands))
    if series.limit is not None:
        body.append(_line("limit", _LEFT, y(series.limit), _WIDTH - _RIGHT, y(series.limit)))
        body.append(_text(_LEFT + 6, y(series.limit) - 5, f"objective {series.limit:g}", "limit-name"))
    body.append(_path([(x(p.at.timestamp()), y(p.value)) for p in points]))
    for each in points:
        title = f"{each.at:%d %b %Y}: {each.value:.4g}"
        title += f" ({each.low:.4g} to {each.high:.4g})" if each.low is not None and each.high is not None else ""
        body.append(_dot(x(each.at.timestamp()), y(each.value), f"{title}, {each.n} labels, {each.version}"))
    return _svg(said, body)


def looks_svg(probation: OnProbation) -> Markup:
    """Draw the excess loss of a challenger as a confidence sequence over labels, with the limit it may not pass."""
    looks = probation.looks
    counts = [0.0, *(float(each.n) for each in looks), float(probation.needed)]
    limit = probation.limit or 0.0
    values = [0.0, limit, *(each.low for each in looks), *(each.high for each in looks)]
    low, high = max(-1.0, min(values)), min(1.0, max(values))
    pad = 0.06 * (high - low)
    x = _scale(0.0, max(counts), _LEFT, _WIDTH - _RIGHT)
    y = _scale(low - pad, high + pad, _HEIGHT - _BOTTOM, _TOP)
    last = looks[-1]
    said = (
        f"Excess loss of {probation.version} over {probation.champion}: {last.excess:+.4f} "
        f"({last.low:+.4f} to {last.high:+.4f}) on {last.n} labels; the limit is {limit:+g}"
    )
    body = [*_grid(y, ticks(low - pad, high + pad))]
    body += [_text(x(each), _HEIGHT - 10, f"{each:g}", "tick", "middle") for each in ticks(0.0, max(counts), 7)]
    body.append(_line("zero", _LEFT, y(0.0), _WIDTH - _RIGHT, y(0.0)))
    body.append(_band([(x(each.n), y(max(low, each.low)), y(min(high, each.high))) for each in looks]))
    body.append(_line("limit", _LEFT, y(limit), _WIDTH - _RIGHT, y(limit)))
    name = {"shadow": "margin", "ab": "limit"}.get(probation.stage, "harm")
    body.append(_text(_LEFT + 6, y(limit) - 5, f"{name} {limit:+g}", "limit-name"))
    if probation.needed:
        body.append(_line("mark", x(probation.needed), _TOP, x(probation.needed), _HEIGHT - _BOTTOM))
        end, aside = ("end", -4) if x(probation.needed) > _WIDTH / 2 else ("start", 4)
        body.append(_text(x(probation.needed) + aside, _TOP + 8, f"{probation.needed} needed", "mark-name", end))
    body.append(_path([(x(each.n), y(each.excess)) for each in looks]))
    body.append(_line("whisker", x(last.n), y(max(low, last.low)), x(last.n), y(min(high, last.high))))
    for each in looks:
        title = f"{each.n} labels: {each.excess:+.4f} ({each.low:+.4f} to {each.high:+.4f})"
        body.append(_dot(x(each.n), y(each.excess), title))
    return _svg(said, body)


def bars_svg(shift: Shift) -> Markup:
    """Draw the shares of a column's parts, then and now, side by side."""
    bars = shift.bars
    high = max(max(each.reference, each.current) for each in bars)
    y = _scale(0.0, 1.1 * high, _HEIGHT - _BOTTOM, _TOP)
    body = [*_grid(y, ticks(0.0, 1.1 * high, 4))]
    room = (_WIDTH - _RIGHT - _LEFT) / len(bars)
    for i, each in enumerate(bars):
        left, width = _LEFT + room * (i + 0.15), room * 0.33
        for kind, share, at in (("reference", each.reference, left), ("current", each.current, left + width)):
            title = f"{each.name}: {100 * share:.3g} % {'of the rows trained on' if kind == 'reference' else 'now'}"
            body.append(_bar(kind, (round(at, 1), y(share)), (round(width, 1), round(y(0.0) - y(share), 1)), title))
        body.append(_text(round(left + width, 1), _HEIGHT - 10, _short(each.name), "tick", "middle"))
    said = f"Shares of {shift.column} among the rows trained on and now; PSI {shift.psi:.3g}"
    return _svg(said, body)


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else f"{name[: _MOST_NAME - 1]}…"


def _scale(low: float, high: float, start: float, end: float) -> Place:
    span = (high - low) or 1.0
    return lambda value: round(start + (value - low) / span * (end - start), 1)


def _svg(said: str, body: Sequence[Markup]) -> Markup:
    return Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
        said, _WIDTH, _HEIGHT, Markup("").join(body)
    )


def _grid(y: Place, values: Sequence[float]) -> list[Markup]:
    found = []
    for each in values:
        found.append(_line("grid", _LEFT, y(each), _WIDTH - _RIGHT, y(each)))
        found.append(_text(_LEFT - 8, y(each) + 4, f"{each:g}".replace("-", "\N{MINUS SIGN}"), "tick", "end"))
    return found


def _marks(places: Sequence[tuple[float, str]]) -> list[Markup]:
    """Draw upright lines with names beside them, those without room excepted: on the left where the picture ends."""
    found, free = list[Markup](), 0.0
    for place, name in places:
        width = _LETTER * (len(name) + 1)
        left = place + width > _WIDTH
        found.append(_line("mark", place, _TOP, place, _HEIGHT - _BOTTOM))
        if place - (width if left else 0.0) >= free:
            found.append(_text(place + (-4 if left else 4), _TOP + 8, name, "mark-name", "end" if left else "start"))
            free = place + (0.0 if left else width)
    return found


def _times(x: Place, first: datetime, last: datetime) -> list[Markup]:
    """Name four instants along the axis, the first and the last among them."""
    form = "%d %b %Y" if (last - first).days > 2 else "%d %b, %H:%M"
    found = []
    for i, anchor in enumerate(("start", "middle", "middle", "end")):
        at = first + (last - first) * (i / 3)
        found.append(_text(x(at.timestamp()), _HEIGHT - 10, at.strftime(form), "tick", anchor))
    return found


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, said: str, kind: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, x, round(y, 1), anchor, said
    )


def _path(points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="line" points="{}"/>').format(" ".join(f"{x},{y}" for x, y in points))


def _bar(kind: str, place: tuple[float, float], size: tuple[float, float], said: str) -> Markup:
    form = Markup('<rect class="bar-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>')
    return form.format(kind, *place, *size, said)


def _band(places: Sequence[tuple[float, float, float]]) -> Markup:
    if not places:
        return Markup("")
    ring = [*((x, low) for x, low, _ in places), *((x, high) for x, _, high in reversed(places))]
    return Markup('<polygon class="band" points="{}"/>').format(" ".join(f"{x},{y}" for x, y in ring))


def _dot(x: float, y: float, said: str) -> Markup:
    return Markup('<circle class="dot" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(x, y, escape(said))
