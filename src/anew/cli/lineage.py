"""Show where a version, a prediction or a decision came from, and what it led to: text, JSON or an SVG graph."""

from pathlib import Path
from typing import Annotated

import typer

from anew.app.alias import version_of
from anew.app.lineage import find_lineage
from anew.cli._output import emit_json, minute, say
from anew.dashboard.lineage_svg import lineage_svg
from anew.lineage import Lineage, Node

__all__ = ["run"]


def run(
    subject: Annotated[str, typer.Argument(help="a version (v3, champion, …), or the id of a prediction or of a fact")],
    project: Annotated[Path, typer.Option(help="the project's folder")] = Path(),
    svg: Annotated[Path | None, typer.Option(help="write the graph into this file as well")] = None,
    json: Annotated[bool, typer.Option("--json", help="print anew.lineage/1")] = False,
) -> None:
    """Walk the causes of the subject back, and its effects on."""
    found = find_lineage(project, version_of(project, subject))
    if svg is not None:
        svg.write_text(lineage_svg(found), "utf-8")
    if json:
        emit_json("anew.lineage/1", _plain(found))
        return
    before: dict[str, list[str]] = {}
    for edge in found.edges:
        before.setdefault(edge.target, []).append(f"{found.nodes[edge.source].label} ({edge.role})")
    for node in found.nodes.values():
        say(f"{minute(node.at):<16}  {node.kind:<10}  {node.label}")
        for line in _behind(node, before.get(node.id, [])):
            say(f"{'':<30}{line}")


def _behind(node: Node, sources: list[str]) -> list[str]:
    lines = [f"from {', '.join(sources)}"] if sources else []
    return [*lines, *(f"{name}: {value}" for name, value in node.detail if name != "fact")]


def _plain(found: Lineage) -> dict[str, object]:
    return {
        "subject": found.subject,
        "nodes": [
            {"id": node.id, "kind": node.kind.value, "label": node.label, "at": node.at, "detail": dict(node.detail)}
            for node in found.nodes.values()
        ],
        "edges": [{"source": edge.source, "target": edge.target, "role": edge.role} for edge in found.edges],
    }
