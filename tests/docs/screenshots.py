"""Pictures of every page of the dashboard, light and dark: ``python -m tests.docs.screenshots PROJECT FOLDER``.

PROJECT is a folder that the demo left, in which a backtest is made and things come to wait for people. The pictures
have a palette, which keeps each below `MOST_BYTES`.
"""

import base64
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from anew.app.access import create_token, revoke_access
from anew.app.dashboard_status import dashboard_address
from anew.app.status import project_status
from anew.dashboard.place import PLACES
from anew.domain.access import Role
from tests.docs.waiting import PATIENCE_S, anew, ask_people, bring_questions
from tests.system.browsed import browser

__all__ = ["MOST_BYTES", "THEMES", "pictures"]

MOST_BYTES = 60_000
THEMES = ("light", "dark")
_SIZE = {"width": 1000, "height": 760}
_ASKING = ("approvals", "review")
"""Pages that show what waits for people, of whom the demo asks nothing."""
_WEEKS = 104
"""Of the backtest's windows, which are a week like those of the demo's policy."""
_PALETTE = """async (png) => {
  const image = new Image();
  image.src = 'data:image/png;base64,' + png;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height), draw = canvas.getContext('2d');
  draw.drawImage(image, 0, 0);
  const pixels = new Uint32Array(draw.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  for (const each of pixels) counts.set(each, (counts.get(each) || 0) + 1);
  const palette = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 256).map((each) => each[0]);
  const parts = palette.map((each) => [each & 255, (each >> 8) & 255, (each >> 16) & 255]);
  const known = new Map(palette.map((each, i) => [each, i]));
  const nearest = (colour) => {
    const [r, g, b] = [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255];
    let best = 0, least = Infinity;
    parts.forEach(([x, y, z], i) => {
      const far = (x - r) ** 2 + (y - g) ** 2 + (z - b) ** 2;
      if (far < least) [best, least] = [i, far];
    });
    known.set(colour, best);
    return best;
  };
  const indices = Uint8Array.from(pixels, (each) => known.get(each) ?? nearest(each));
  let text = '';
  for (let i = 0; i < indices.length; i += 32768) text += String.fromCharCode(...indices.subarray(i, i + 32768));
  return [image.width, image.height, parts.flat(), btoa(text)];
}"""


def pictures(project: Path, folder: Path) -> list[Path]:
    """Take a picture of each page in each theme into `folder`, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    data = str(project / "bike_demand.parquet")
    anew("backtest", str(project), "--data", data, "--windows", str(_WEEKS))
    token, _ = create_token(project, "ann", Role.ADMIN)
    version = project_status(project)["champion"]["version"]
    paths = {place.name: place.path.replace("{version:path}", version) for place in PLACES}
    asking = {name: paths.pop(name) for name in _ASKING}
    with browser() as chromium:
        with _served(project) as url:
            made = _taken(chromium, url, token, paths, folder)
        approver = ask_people(project)
        with _served(project) as url:
            bring_questions(project, approver)
            made += _taken(chromium, url, token, asking, folder)
    for name in ("ann", "ada", "bob"):
        revoke_access(project, name)
    return made


def _taken(chromium: Browser, url: str, token: str, paths: Mapping[str, str], folder: Path) -> list[Path]:
    """Take pictures of pages, by name, as whoever holds the token sees them in each theme."""
    made = []
    for theme in THEMES:
        context = chromium.new_context(viewport=_SIZE, color_scheme=theme)  # type: ignore[arg-type]  # one of two words
        context.set_default_timeout(1_000 * PATIENCE_S)
        workshop = context.new_page()  # a page of its own, since ours let no script in
        page = context.new_page()
        page.goto(f"{url}/sign-in")
        page.fill("#token", token)
        page.click("button.main")
        page.wait_for_url(f"{url}/")
        for name, path in paths.items():
            _open(page, url + path)
            made.append(folder / f"{name}-{theme}.png")
            made[-1].write_bytes(_small(workshop, page.screenshot()))
        context.close()
    return made


def _open(page: Page, address: str) -> None:
    """Go to a page, and wait for what it says to be under way: it examines the project when it is first asked."""
    page.goto(address, wait_until="load")
    for _ in range(120 if address.endswith("/health") else 0):
        if "under way" not in page.inner_text("main"):
            break
        page.wait_for_timeout(500)
        page.goto(address, wait_until="load")


def _small(workshop: Page, png: bytes) -> bytes:
    """Return the same picture with the 256 colours that are most of it."""
    width, height, palette, text = workshop.evaluate(_PALETTE, base64.b64encode(png).decode())
    indices = base64.b64decode(text)
    rows = b"".join(b"\0" + indices[i * width : (i + 1) * width] for i in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (b"IHDR", head), (b"PLTE", bytes(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


@contextmanager
def _served(project: Path) -> Iterator[str]:
    """Bring a project up, and yield the address of its pages once its loop says how it stands."""
    loop = subprocess.Popen(
        [sys.executable, "-m", "anew.cli", "up", str(project), "--port", "0", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (project_status(project)["holder"] and (url := dashboard_address(project / ".anew"))):
            if loop.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the project did not come up")
            time.sleep(0.1)
        yield url
    finally:
        loop.terminate()
        try:
            loop.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    for each in pictures(Path(sys.argv[1]), Path(sys.argv[2])):
        print(f"{each}: {each.stat().st_size / 1000:.0f} KB")  # noqa: T201  a program
