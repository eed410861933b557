"""Cost against loss as an SVG: policies as points, hindsight as a line; every point says its numbers in words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from anew.dashboard.chart import ticks

__all__ = ["backtest_svg"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 760, 420, 80, 60, 30
_LINE, _LETTER, _DOT, _LETTERS = 14.0, 7.2, 5, 60
"""Height of a line and width of a letter, both a little more than they are; radius of a point."""
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.oracle{fill:none;stroke:#777;stroke-width:1.5;"
    "stroke-dasharray:4 3}.axis,.lead{stroke:#999}circle{fill:#1f6fb2}.best{fill:#b8460e}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.axis,.lead{stroke:#777}circle{fill:#6db3f2}.best{fill:#f2a06d}}"
)


def backtest_svg(report: Mapping[str, Any], *, styled: bool = True) -> str:
    """Return the SVG of ``anew.backtest/1``; without `styled` it brings no style of its own."""
    policies, oracle = report["policies"], report["oracle"]
    spent = [len(each["fits"]) + each["probes"] for each in policies]
    most = max(1.0, *spent)
    shown = oracle[: int(most) + 1]
    losses = [*oracle, *(each["loss"] for each in policies)]
    low, high = min(losses), max(losses)
    margin = 0.05 * ((high - low) or 1.0)
    low, high = low - margin, high + margin

    def place(fits: float, loss: float) -> tuple[float, float]:
        x = _LEFT + fits / most * (_WIDTH - _LEFT - 140)
        return round(x, 1), round(_TOP + (high - loss) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    best = report["recommended"]["policy"] if report["recommended"] else "never"
    line = " ".join(f"{x},{y}" for x, y in (place(k, loss) for k, loss in enumerate(shown)))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-labelledby="title description">',
            "<title id='title'>Loss against fits of retraining policies</title>",
            f"<desc id='description'>{escape(_description(policies, oracle, best))}</desc>",
            f"<style>{_STYLE}</style>" if styled else "",
            *_axes(low, high, most, place(0, low), place(most, high)),
            f'<polyline class="oracle" points="{line}"/>',
            *_points(policies, spent, place, best),
            "</svg>\n",
        ]
    )


def _description(policies: Sequence[Mapping[str, Any]], oracle: Sequence[float], best: str) -> str:
    said = "; ".join(f"{each['policy']}: loss {each['loss']:.4f} with {len(each['fits'])} fits" for each in policies)
    return f"Recommended: {best}. {said}. Hindsight loses {oracle[0]:.4f} without a fit and {min(oracle):.4f} at best."


def _axes(low: float, high: float, most: float, origin: tuple[float, float], corner: tuple[float, float]) -> list[str]:
    (left, bottom), (right, top) = origin, corner
    found = [
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{left}" y2="{top}"/>',
        f'<text x="{(left + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">fits, probes at their share</text>',
        f'<text x="{left}" y="{top - 10}">loss (dashed: hindsight)</text>',
    ]
    for each in ticks(0.0, most):
        x = left + each / most * (right - left)
        found.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{each:g}</text>')
    for each in ticks(low, high):
        y = bottom + (each - low) / (high - low) * (top - bottom)
        found.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{each:g}</text>')
    return found


def _points(
    policies: Sequence[Mapping[str, Any]],
    spent: Sequence[float],
    place: Callable[[float, float], tuple[float, float]],
    best: str,
) -> list[str]:
    places = [place(fits, each["loss"]) for each, fits in zip(policies, spent, strict=True)]
    names = [_short(each["policy"]) for each in policies]
    texts = _texts(places, names)
    leads, dots, said = list[str](), list[str](), list[str]()
    for each, fits, (x, y), text, short in zip(policies, spent, places, texts, names, strict=True):
        name = escape(each["policy"])
        kind = ' class="best"' if each["policy"] == best else ""
        leads.append(f'<line class="lead" x1="{x}" y1="{y}" x2="{text.near(x):.1f}" y2="{text.middle:.1f}"/>')
        dots.append(
            f'<circle cx="{x}" cy="{y}" r="{_DOT}"{kind}>'
            f"<title>{name}: loss {each['loss']:.4f} with {fits:g} fits</title></circle>"
        )
        said.append(f'<text x="{text.left:.1f}" y="{text.middle + 4:.1f}">{escape(short)}</text>')
    return [*leads, *dots, *said]


@dataclass(frozen=True, slots=True)
class _Text:
    """Where a name stands; a line leads there."""

    left: float
    right: float
    middle: float

    def near(self, x: float) -> float:
        """Return the end of the text that is nearer to `x`."""
        return self.left if abs(self.left - x) <= abs(self.right - x) else self.right

    def meets(self, other: "_Text") -> bool:
        """Do the two overlap?"""
        beside = self.right < other.left or other.right < self.left
        return not beside and abs(self.middle - other.middle) < _LINE


def _texts(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[_Text]:
    """Return where each name stands: beside its point, or as near as nothing else is."""
    taken = [_Text(x - _DOT, x + _DOT, y) for x, y in places]
    found = []
    for (x, y), name in zip(places, names, strict=True):
        free = (each for each in _candidates(x, y, _LETTER * len(name)) if not any(map(each.meets, taken)))
        text = next(free, _Text(x + 8, x + 8 + _LETTER * len(name), y))
        taken.append(text)
        found.append(text)
    return found


def _candidates(x: float, y: float, width: float) -> Iterator[_Text]:
    """Yield places for a name of a point, the best first; all within the picture."""
    left = max(_LEFT + 2.0, min(x - width / 2, _WIDTH - width - 2))
    for step in range(_HEIGHT // int(_LINE)):
        for middle in (y + step * _LINE, y - step * _LINE):
            for start in (x + 8, x - 8 - width, left):
                inside = start > _LEFT and start + width <= _WIDTH - 2 and _TOP - 8 <= middle <= _HEIGHT - _BOTTOM - 4
                if inside:
                    yield _Text(start, start + width, middle)


def _short(name: str) -> str:
    """Return a name as a picture has room for it; the point's own title has all of it."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
