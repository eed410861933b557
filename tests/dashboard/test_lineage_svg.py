"""The drawn graph: well-formed, whole, and inert whatever names it holds."""

import re
from itertools import pairwise
from xml.etree import ElementTree

from anew.dashboard.lineage_svg import lineage_svg
from anew.lineage import Edge, Lineage, Node, NodeKind

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>\"&'\u202e"


def graph(*names: str) -> Lineage:
    nodes = {name: Node(id=name, kind=NodeKind.VERDICT, label=name, detail=(("why", name),)) for name in names}
    return Lineage(
        subject=names[-1],
        nodes=nodes,
        edges=tuple(sorted(Edge(a, b, f"led to {b}") for a, b in pairwise(names))),
    )


def test_every_node_and_edge_is_drawn_once_from_top_to_bottom() -> None:
    drawn = ElementTree.fromstring(lineage_svg(graph("a", "b", "c")))  # noqa: S314  our own text
    boxes = drawn.findall(f".//{SVG}rect")
    assert [float(box.attrib["y"]) for box in boxes] == sorted({float(box.attrib["y"]) for box in boxes})
    assert len(boxes) == 3
    assert len(drawn.findall(f".//{SVG}path")) == 2
    assert drawn.attrib["aria-label"] == "Lineage of c: 3 nodes, 2 edges"


def test_many_of_one_layer_stand_in_rows_that_a_page_has_room_for() -> None:
    names = [f"n{i}" for i in range(7)]
    nodes = {name: Node(id=name, kind=NodeKind.VERDICT, label=name) for name in ("root", *names)}
    edges = tuple(Edge("root", name, "led to") for name in names)
    drawn = ElementTree.fromstring(lineage_svg(Lineage(subject="root", nodes=nodes, edges=edges)))  # noqa: S314  ours
    width, height = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    boxes = {
        (float(box.attrib["x"]), float(box.attrib["y"]), float(box.attrib["width"]), float(box.attrib["height"]))
        for box in drawn.findall(f".//{SVG}rect")
    }
    assert len(boxes) == 8
    assert width <= 720
    assert all(x >= 0 and x + wide <= width and y >= 0 and y + high <= height for x, y, wide, high in boxes)
    assert all(
        abs(x - u) >= wide or abs(y - v) >= high for x, y, wide, high in boxes for u, v, *_ in boxes if (x, y) != (u, v)
    )


def test_what_leads_from_a_row_goes_through_the_gaps_of_the_next_one() -> None:
    names = [f"n{i}" for i in range(5)]
    nodes = {name: Node(id=name, kind=NodeKind.VERDICT, label=name) for name in (*names, "end")}
    edges = tuple(Edge(name, "end", "led to") for name in names)
    drawn = ElementTree.fromstring(lineage_svg(Lineage(subject="end", nodes=nodes, edges=edges)))  # noqa: S314  ours
    boxes = [[float(box.attrib[name]) for name in ("x", "y", "width", "height")] for box in drawn.iter(f"{SVG}rect")]
    downs = [re.match(r"M(\d+) (\d+)V(\d+)C", path.attrib["d"]) for path in drawn.iter(f"{SVG}path")]
    assert len(downs) == 5
    for down in filter(None, downs):
        x, begin, end = map(float, down.groups())
        assert not [each for each in boxes if each[0] <= x <= each[0] + each[2] and begin < each[1] + 1 < end]
    assert any(float(down[3]) > float(down[2]) for down in downs if down), "some lead past another row"


def test_names_are_text_and_nothing_else() -> None:
    drawn = ElementTree.fromstring(lineage_svg(graph("a", HOSTILE)))  # noqa: S314  our own text
    assert not drawn.findall(f".//{SVG}script")
    assert HOSTILE in {text.text for text in drawn.iter(f"{SVG}tspan")}


def test_a_long_chain_needs_no_recursion() -> None:
    assert lineage_svg(graph(*map(str, range(3000)))).count("<rect") == 3000


def test_nothing_is_drawn_as_nothing() -> None:
    assert "0 nodes" in lineage_svg(Lineage(subject="v1"))
