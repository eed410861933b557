"""Sign in to the dashboard and see the promoted version on its pages; run within the tutorial's folder."""

import json
import subprocess
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

told = subprocess.run(["anew", "status", "rentals", "--json"], capture_output=True, text=True, check=True)
status = json.loads(told.stdout)["data"]
address, champion = status["dashboard"], status["champion"]["version"]
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))


def read(path: str, form: dict[str, str] | None = None) -> str:
    """Return a page as a browser asks for it, or what comes of a form."""
    data = None if form is None else urlencode(form).encode()
    asked = urllib.request.Request(f"{address}{path}", data, {"Accept": "text/html", "Origin": address})
    with browser.open(asked) as reply:
        text: str = reply.read().decode()
    assert reply.status == 200, (path, reply.status)
    return text


for path in ("/", "/runs"):
    page = read(path)
    assert 'id="token"' in page, f"whoever did not sign in is asked to, at {path}: {page[:500]}"
    assert champion not in page, path
token = Path("token.txt").read_text("utf-8").strip()
for path, page in (("/", read("/sign-in", {"token": token, "next": "/"})), ("/runs", read("/runs"))):
    assert 'id="token"' not in page, f"the token of token.txt does not sign in: {page[:500]}"
    assert f">{champion}<" in page, f"{champion} serves, and {path} does not say so"
loop, runs = (json.loads(read(path))["data"] for path in ("/loop.json", "/runs.json"))
assert loop["champion"]["version"] == champion, loop["champion"]
assert champion in [each["version"] for each in runs["runs"]], runs["runs"]
print(f"the dashboard answers at {address}, and {champion} serves there")
