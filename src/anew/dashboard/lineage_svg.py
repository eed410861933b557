"""A lineage graph as SVG: layers from top to bottom, readable without colour, with a text alternative."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap

from anew.lineage import Lineage, Node

__all__ = ["lineage_svg"]

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _LAYER, _MARGIN = 216, 60, 18, 14, 26, 8
_LABEL, _LINES, _ACROSS = 31, 2, 3

_STYLE = (
    "svg{--fill:var(--paper,#fff);background:var(--fill);color:var(--ink,#1a1d21);font:12px system-ui,sans-serif}"
    ".box{fill:var(--fill);stroke:currentColor;stroke-opacity:.55}.edge{fill:none;stroke:currentColor;stroke-opacity:.35}"
    ".kind{font-size:10px;fill-opacity:.75}text{fill:currentColor}.subject{stroke-width:2.5;stroke-opacity:1}"
    "@media(prefers-color-scheme:dark){svg{--fill:var(--paper,#14171a);color:var(--ink,#e8eaed)}}"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """The upper left corner of a node, and where its layer begins and ends."""

    x: int
    y: int
    top: int
    bottom: int


def lineage_svg(lineage: Lineage, *, styled: bool = True) -> str:
    """Draw the graph; every node names its kind in words, and its details are its title.

    Without `styled` it brings no style of its own, for a page that has one and may have no other.
    """
    layers = _layers(lineage)
    places, height = _places_of(layers)
    across = min(_ACROSS, max(map(len, layers), default=1))
    width = 2 * _MARGIN + across * (_WIDTH + _GAP_X) - _GAP_X
    said = escape(f"Lineage of {lineage.subject}: {len(lineage.nodes)} nodes, {len(lineage.edges)} edges")
    style = f"<style>{_STYLE}</style>" if styled else ""
    body = [
        *(_edge(places[each.source], places[each.target], each.role) for each in lineage.edges),
        *(_box(lineage.nodes[id], place, lineage.subject) for id, place in places.items()),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{said}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><title>{said}</title>{style}{"".join(body)}</svg>\n'
    )


def _places_of(layers: Sequence[Sequence[str]]) -> tuple[dict[str, _Place], int]:
    """Return the place of each node, a layer below the other in rows of a few, and the height of all.

    Every second row of a layer is moved by half a node: what leads past it goes through its gaps. In a layer of more
    than two rows some lines go behind the boxes of the third.
    """
    places, top = dict[str, _Place](), _MARGIN
    for ids in layers:
        rows = _rows(ids)
        bottom = top + len(rows) * (_HEIGHT + _GAP_Y) - _GAP_Y
        for number, row in enumerate(rows):
            left = _MARGIN + number % 2 * (_WIDTH + _GAP_X) // 2
            for column, id in enumerate(row):
                x, y = left + column * (_WIDTH + _GAP_X), top + number * (_HEIGHT + _GAP_Y)
                places[id] = _Place(x, y, top, bottom)
        top = bottom + _LAYER
    return places, top - _LAYER + _MARGIN


def _rows(ids: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the nodes of a layer in rows of three and two by turns."""
    rows: list[Sequence[str]] = []
    at = 0
    while at < len(ids):
        rows.append(ids[at : at + _ACROSS - len(rows) % 2])
        at += len(rows[-1])
    return rows


def _layers(lineage: Lineage) -> Sequence[Sequence[str]]:
    """Return the nodes in layers: each stands below the last that leads to it, a first one by what it led to."""
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for edge in lineage.edges:
        before[edge.target].append(edge.source)
        after[edge.source].append(edge.target)
    depth: dict[str, int] = {}
    for id in lineage.nodes:
        _place(id, before, depth)
    for id in lineage.nodes.keys() - before.keys():
        depth[id] = min((depth[each] for each in after[id]), default=1) - 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    for id in lineage.nodes:
        layers[depth[id]].append(id)
    return layers


def _place(start: str, before: Mapping[str, Sequence[str]], depth: dict[str, int]) -> None:
    """Note the depth of `start` and of all that leads to it; no recursion, a chain may be long."""
    stack = [start]
    while stack:
        id = stack[-1]
        waiting = [each for each in before.get(id, ()) if each not in depth]
        if waiting:
            stack += waiting
            continue
        depth[id] = 1 + max((depth[each] for each in before.get(id, ())), default=-1)
        stack.pop()


def _box(node: Node, place: _Place, subject: str) -> str:
    x, y = place.x, place.y
    lines = [*wrap(node.label, _LABEL, max_lines=_LINES, placeholder="…"), *[""] * _LINES][:_LINES]
    label = "".join(f'<tspan x="{x + 10}" y="{y + 33 + 15 * i}">{escape(each)}</tspan>' for i, each in enumerate(lines))
    marked = " subject" if subject in (node.id, node.label.split()[0] if node.kind == "version" else "") else ""
    detail = "\n".join([node.label, node.at, *(f"{name}: {value}" for name, value in node.detail)])
    return (
        f'<g><title>{escape(detail)}</title><rect class="box{marked}" x="{x}" y="{y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="6"/><text class="kind" x="{x + 10}" y="{y + 16}">{escape(node.kind)}'
        f"{escape(f' · {node.at[:16]}' if node.at else '')}</text>"
        f"<text>{label}</text></g>"
    )


def _edge(source: _Place, target: _Place, role: str) -> str:
    """Draw a line that leaves its layer, and enters the other, straight down."""
    x1, x2 = source.x + _WIDTH // 2, target.x + _WIDTH // 2
    bend = max(14, (target.top - source.bottom) // 2)
    curve = f"C{x1} {source.bottom + bend} {x2} {target.top - bend} {x2} {target.top}"
    return (
        f'<path class="edge" d="M{x1} {source.y + _HEIGHT}V{source.bottom}{curve}V{target.y}">'
        f"<title>{escape(role)}</title></path>"
    )
