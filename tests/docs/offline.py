"""``python -m tests.docs.offline FOLDER``: does any page of a built site load something from elsewhere?"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["foreign"]

_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?(https?:)?//|"
    r"<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|icon|preload|modulepreload|preconnect))[^>]*\bhref=[\"']?(https?:)?//|"
    r"@import\s+(?:url\()?[\"']?(https?:)?//|url\([\"']?(https?:)?//",
    re.IGNORECASE,
)


def foreign(site: Path) -> Iterator[str]:
    """Yield each place of a page or style sheet that loads from another host; links to follow are no loading."""
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        for found in _LOADS.finditer(path.read_text("utf-8")):
            yield f"{path.relative_to(site)}: {found[0]}"


if __name__ == "__main__":
    problems = list(foreign(Path(sys.argv[1])))
    sys.exit("\n".join(problems) or 0)
