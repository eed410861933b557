"""The documentation has a small picture of each page of the dashboard in both themes, and shows no other."""

import re
import struct
from pathlib import Path

from anew.dashboard.place import PLACES
from tests.docs.screenshots import MOST_BYTES, THEMES

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"


def test_each_page_has_its_pictures_and_they_are_small() -> None:
    expected = {f"{place.name}-{theme}.png" for place in PLACES for theme in THEMES}
    assert {each.name for each in IMAGES.iterdir()} == expected
    for each in IMAGES.iterdir():
        data = each.read_bytes()
        assert len(data) < MOST_BYTES
        assert data.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", data[16:24])
        assert (width, height) == (1000, 760)


def test_each_is_shown() -> None:
    shown = (ROOT / "docs" / "how-to" / "dashboard.md").read_text("utf-8")
    found = set(re.findall(r"\(\.\./images/([\w-]+\.png)#only-(?:light|dark)\)", shown))
    assert found == {each.name for each in IMAGES.iterdir()}
