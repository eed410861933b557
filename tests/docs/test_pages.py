"""The built documentation has every page, and loads nothing from elsewhere."""

from pathlib import Path

import pytest
import yaml

from tests.docs.offline import foreign
from tests.docs.reference import PAGES

ROOT = Path(__file__).parents[2]


def listed(entry: object) -> list[str]:
    """Return the pages in a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
    return [page for part in parts for page in listed(part)]


def test_every_page_stands_in_the_navigation() -> None:
    """Add yours to `nav` in mkdocs.yml; decisions are listed by themselves."""
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    written = {page for page in pages if not page.startswith("decisions/")}
    assert set(listed(yaml.safe_load(text)["nav"])) == written | {f"reference/{name}.md" for name in PAGES}


@pytest.mark.parametrize(
    ("text", "loads"),
    [
        ('<script src="https://elsewhere/x.js"></script>', True),
        ("<link rel=stylesheet href=//elsewhere/x.css>", True),
        ('<img alt="x" src="http://elsewhere/x.png">', True),
        ("<style>@import url(https://elsewhere/x.css)</style>", True),
        ('<a href="https://elsewhere/">there</a><script src="x.js"></script>', False),
        ('<link rel="canonical" href="https://elsewhere/">', False),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text: str, loads: bool, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(text)
    assert bool(list(foreign(tmp_path))) is loads
