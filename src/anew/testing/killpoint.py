"""Lists the boundaries at which a campaign can kill anew."""

import ast
from pathlib import Path

import anew

__all__ = ["boundaries"]


def boundaries(package: Path = Path(anew.__file__).parent) -> tuple[str, ...]:
    """Return the name of every boundary that the source under `package` reaches, sorted.

    Raises
    ------
    ValueError
        A name is not written as a literal, so that no campaign could find it; the message has its place.
    """
    names: set[str] = set()
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "reach(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach"):
                continue
            argument = node.args[0] if node.args else None
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise ValueError(f"{path}:{node.lineno}: write the name of the boundary as a literal")
            names.add(argument.value)
    return tuple(sorted(names))
