"""Opens pages cold in the machine's own Chromium, and says what each took."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext

__all__ = ["Opened", "opened", "violations"]

_AXE = (Path(__file__).parents[1] / "tests" / "dashboard" / "vendor" / "axe.min.js").read_text("utf-8")
_SEEN = """() => {
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const files = performance.getEntriesByType('resource').filter((each) => !each.name.includes('/events'));
  const page = performance.getEntriesByType('navigation')[0];
  return [paint ? paint.startTime : null, page.transferSize + files.reduce((sum, each) => sum + each.transferSize, 0),
          1 + files.length, window.blocked || 0];
}"""
_PATIENCE = 60
_BLOCKED = """new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.blocked = (window.blocked || 0) + Math.max(0, each.duration - 50);
}).observe({ type: 'longtask', buffered: true });"""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A page opened with nothing cached a few times: the median of each but of what blocked.

    Attributes
    ----------
    paint_ms
        Until something of it was first painted.
    blocked_ms
        What tasks of scripts and layout took beyond 50 ms each, the least of all openings: whatever else the machine
        does only adds to it.
    foreign
        Hosts that are not its own and were asked for something.
    policy
        Its Content-Security-Policy, empty for none.
    """

    kb: float
    requests: int
    paint_ms: float
    blocked_ms: float
    foreign: frozenset[str]
    policy: str


def opened(browser: Browser, url: str, *, cookies: Sequence[object] = (), times: int = 5, settle_ms: int) -> Opened:
    """Open a page a few times, each in a context of its own."""
    found, foreign, policy = [], set[str](), ""
    for _ in range(times):
        context = browser.new_context()
        context.add_init_script(_BLOCKED)
        context.add_cookies(list(cookies))  # type: ignore[arg-type]  # as Playwright gave them
        page, asked = context.new_page(), list[str]()
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        answer = page.goto(url, wait_until="load", timeout=120_000)
        for _ in range(_PATIENCE):
            page.wait_for_timeout(settle_ms)
            seen = page.evaluate(_SEEN)
            if seen[0] is not None:
                break
        found.append(seen)
        policy = (answer.headers.get("content-security-policy", "") if answer else "") or policy
        foreign |= {urlsplit(each).netloc for each in asked} - {urlsplit(url).netloc, ""}
        context.close()
    paints, sizes, asks, blocks = zip(*found, strict=True)
    return Opened(
        kb=statistics.median(sizes) / 1000,
        requests=round(statistics.median(asks)),
        paint_ms=statistics.median(paints),
        blocked_ms=min(blocks),
        foreign=frozenset(foreign),
        policy=policy,
    )


def violations(context: BrowserContext, url: str, settle_ms: int) -> int:
    """Return how many elements of a page break a rule of axe."""
    page = context.new_page()
    page.goto(url, wait_until="load", timeout=120_000)
    page.wait_for_timeout(settle_ms)
    page.add_script_tag(content=_AXE)
    found = page.evaluate("axe.run().then((done) => done.violations.reduce((sum, each) => sum + each.nodes.length, 0))")
    page.close()
    return int(found)
