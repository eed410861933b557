"""Pages of nothing, of one, of much, and of names that are long, unbroken or written from right to left.

No text stands on another, and none leaves its page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from anew.dashboard.place import PLACES
from anew.dashboard.source import Bar, Shift
from anew.domain.fact import Fact
from anew.domain.facts import WindowClosed
from tests.dashboard.story import ToldSource, among_others, story
from tests.system.browsed import browser, served, visiting

pytestmark = [pytest.mark.system, pytest.mark.fault("U7")]

WIDTHS = (1400, 1000, 390)
OVERLAPS = """() => {
  const cut = (box, at) => {
    let [left, top, right, bottom] = box;
    for (; at && at !== document.documentElement; at = at.parentElement) {
      const flow = getComputedStyle(at);
      if (flow.overflowX === 'visible' && flow.overflowY === 'visible') continue;
      const edge = at.getBoundingClientRect();
      left = Math.max(left, edge.left); right = Math.min(right, edge.right);
      top = Math.max(top, edge.top); bottom = Math.min(bottom, edge.bottom);
    }
    return [left, top, right, bottom];
  };
  const boxes = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const at = node.parentElement;
    const unseen = at.closest('script, title, desc, option, .skip, [hidden], meter') || !at.checkVisibility();
    if (unseen || !node.data.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const each of range.getClientRects()) {
      const [left, top, right, bottom] = cut([each.left, each.top, each.right, each.bottom], at);
      const said = node.data.trim().slice(0, 40);
      if (right - left > 1 && bottom - top > 1) boxes.push({ left, top, right, bottom, at, said });
    }
  }
  boxes.sort((a, b) => a.top - b.top);
  const found = [];
  for (let i = 0; i < boxes.length; i++)
    for (let j = i + 1; j < boxes.length && boxes[j].top < boxes[i].bottom - 4; j++) {
      const [a, b] = [boxes[i], boxes[j]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 3 && high > 4 && a.at !== b.at) found.push([a.said, b.said]);
    }
  return found;
}"""
BEYOND = "document.documentElement.scrollWidth - innerWidth"


@dataclass
class Wide(ToldSource):
    """A source whose windows have 500 columns."""

    def shifts(self, window: WindowClosed, digest: str) -> Sequence[Shift]:  # noqa: ARG002  of the Protocol
        """500, of names as long as all others."""
        bars = tuple(Bar(name=f"{i}{self.text}", reference=0.1, current=0.1) for i in range(10))
        shift = Shift(column="", kind="numeric", psi=0.1, p_value=0.5, ks=0.1, bars=bars)
        return [replace(shift, column=f"{i} {self.text}", psi=1 / (i + 1)) for i in range(500)]


def many(text: str, runs: int) -> list[Fact]:
    """Return a record of many runs."""
    return [fact for i in range(runs // 3) for fact in story(f"{text}-{i}", days=2)]


SOURCES = {
    "nothing": (ToldSource([]), "v9"),
    "one": (ToldSource(story("x", days=1)[:1]), "v9"),
    "300 letters": (among_others("x" * 300), "v2" + "x" * 300),
    "300 letters in words": (among_others(" long" * 60), "v2" + " long" * 60),
    "right to left": (among_others("مرحبا بالعالم " * 10), "v2" + "مرحبا بالعالم " * 10),
    "300 runs, 500 columns": (Wide(many("some", 300), "some"), "v2some-99"),
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.mark.parametrize("size", SOURCES)
def test_no_text_stands_on_another_or_leaves_the_page(
    chromium: Browser, size: str, record_property: Callable[[str, object], None]
) -> None:
    source, version = SOURCES[size]
    with served(source) as at, visiting(chromium, at) as seen:
        for width in WIDTHS:
            seen.page.set_viewport_size({"width": width, "height": 900})
            found = {}
            for place in PLACES:
                seen.page.goto(at.url + place.path.replace("{version:path}", quote(version)))
                found[place.name] = seen.page.evaluate(OVERLAPS)[:3], max(0, seen.page.evaluate(BEYOND))
            assert {name: each for name, each in found.items() if each != ([], 0)} == {}, width
        assert [each for each in seen.problems if "404" not in each] == []
    if "runs" in size:
        record_property("figure", f"{size}: no text upon another on {len(PLACES)} pages, {len(WIDTHS)} widths")


def test_text_upon_text_would_be_seen(chromium: Browser) -> None:
    with served(ToldSource(story("x"), "x")) as at, visiting(chromium, at) as seen:
        assert seen.page.evaluate(OVERLAPS) == []
        seen.page.evaluate("document.querySelector('h1').style.marginBottom = '-2rem'")
        assert seen.page.evaluate(OVERLAPS) != []
        seen.page.evaluate("document.querySelector('h1').style.minWidth = '3000px'")
        assert seen.page.evaluate(BEYOND) > 0
