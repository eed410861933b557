"""Every Python block of the documentation runs, in the order of its page."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    pytest.param("\n".join(blocks), id=page.stem)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if (blocks := re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.S | re.M))
]


@pytest.mark.parametrize("code", PAGES)
def test_the_python_of_a_page_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), {})  # noqa: S102  our own pages
