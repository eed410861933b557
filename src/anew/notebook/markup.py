"""HTML of results, for notebooks: every value escaped, no script, colours of the page that it stands in."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["BAD", "GOOD", "UNSURE", "Markup", "bar", "mark", "table", "title"]

GOOD, UNSURE, BAD = "#1a7f37", "#9a6700", "#cf222e"
"""Colours that stand out on white and on black; each is that of a word that says the same."""
_CELL = "padding:.2em .8em;border-bottom:1px solid rgba(128,128,128,.35);vertical-align:top"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def title(text: object, about: object = "") -> str:
    """Return a heading and a sentence about it."""
    said = f' <span style="opacity:.75">{escape(str(about))}</span>' if about else ""
    return f'<p style="margin:.4em 0"><strong>{escape(str(text))}</strong>{said}</p>'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; cells that are no markup already are escaped, numbers stand to the right."""
    head = "".join(f'<th scope="col" style="{_CELL};text-align:left">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def mark(text: object, colour: str) -> Markup:
    """Return a word in a colour that adds nothing to it."""
    return Markup(f'<span style="color:{colour};font-weight:600">{escape(str(text))}</span>')


def bar(value: float, most: float, said: str) -> Markup:
    """Return a bar as SVG, `value` of `most` wide, with what it says in words beside it."""
    width = 0.0 if most <= 0 else 90 * min(1.0, max(0.0, value / most))
    drawn = f'<rect width="{width:.1f}" height="10" rx="2" fill="currentColor" opacity=".55"/>'
    return Markup(f'<svg width="92" height="10" role="img" aria-label="{escape(said)}">{drawn}</svg> {escape(said)}')


def _cell(value: object) -> str:
    if isinstance(value, Markup):
        return f'<td style="{_CELL}">{value}</td>'
    if value is None:
        return f'<td style="{_CELL}">\N{EN DASH}</td>'
    if isinstance(value, int | float) and not isinstance(value, bool):
        said = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        return f'<td style="{_CELL};text-align:right">{said}</td>'
    return f'<td style="{_CELL}">{escape(str(value))}</td>'
