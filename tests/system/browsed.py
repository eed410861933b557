"""The dashboard in a real browser: its server in a process-like thread over a told record, and Chromium on it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from anew.adapters.page_server import page_server
from anew.dashboard.web import dashboard_app
from tests.dashboard.story import ToldSource, dashboard_over

__all__ = ["Seen", "Served", "browser", "served", "visiting"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


@dataclass
class Served:
    """A dashboard on a port of loopback, which can be stopped and started again."""

    source: ToldSource
    port: int = 0
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve; on the same port as before."""
        app = dashboard_app(dashboard_over(self.source))
        server = self._server = page_server(app, host="127.0.0.1", port=self.port, timeout_graceful_shutdown=0)
        self._thread = threading.Thread(target=server.run, daemon=True)
        self._thread.start()
        while not server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the dashboard did not start")
            self._thread.join(0.02)
        self.port = server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Stop at once, whoever is connected."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(10)


@contextmanager
def served(source: ToldSource) -> Iterator[Served]:
    """Serve pages over `source`."""
    made = Served(source)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the machine's own Chromium, without a window."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield made
        finally:
            made.close()


@dataclass
class Seen:
    """A page, and everything that it asked for or complained of."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"{self.page.url}: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def watch(self) -> "Seen":
        """Begin to note."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))
        self.page.on("dialog", lambda dialog: self.problems.append(f"{self.page.url}: dialog {dialog.message}"))
        self.page.on("request", self._asked)
        return self


@contextmanager
def visiting(browser: Browser, at: Served, role: str = "admin", **options: object) -> Iterator[Seen]:
    """Sign in as `role` in a context of its own."""
    context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]  # Playwright's own options
    context.set_default_timeout(15_000)
    seen = Seen(context.new_page()).watch()
    try:
        seen.page.goto(f"{at.url}/sign-in")
        seen.page.fill("#token", role)
        seen.page.click("button.main")
        seen.page.wait_for_url(f"{at.url}/")
        yield seen
    finally:
        context.close()
