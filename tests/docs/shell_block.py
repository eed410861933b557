"""The blocks of the documentation that are typed into a shell, and those of their lines that are not run, and why."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["APART", "ELSEWHERE", "ROOT", "Block", "apart", "blocks"]

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
_FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.S | re.M)
_INDENTED = re.compile(r"(?:^(?: {4}|\t).*\n?)+", re.M)
_TYPED = re.compile(r"(?:\$ )?(?:anew|curl|docker|export|kubectl|make|openssl|pip|python|sha256sum) ")

APART: Mapping[str, str] = {
    "docker": "needs a Docker daemon; tests/deploy holds the images' and Compose's files against their schemas",
    "export": "goes with `make feast`",
    "kubectl": "needs a cluster; tests/deploy holds the manifests against the schemas of Kubernetes",
    "make": "a job of continuous integration of its own",
    "openssl": "tests/supply signs and verifies a release with it",
    "pip": "asks a registry; the newcomer's path installs the built wheel",
    "sha256sum": "goes with `openssl`",
}
"""Programs whose lines are not run here, and why."""

ELSEWHERE: Mapping[str, str] = {
    "first-project": "`make newcomer` runs every block of it: tests/docs/newcomer.py",
    "anew replay desk": "tests/app/test_ready_project.py replays every template",
    "anew gateway fraud churn": "tests/system/test_shared_gateway.py starts two projects and one gateway before them",
    "anew gateway serving --from s3": "needs a bucket; tests/system/test_gateway_hosts.py serves from one",
    "anew up fraud & anew up churn": "goes with `anew gateway fraud churn`",
    "many-models": "needs a folder of projects; tests/app/test_installation.py brings one up, without its gateway",
    "anew migrate": "needs a PostgreSQL, or an older release; tests/system/test_loop_stores.py moves a project",
    "curl localhost:8080/log": "asks a project that is log_only; tests/system/test_log_only.py sends it",
    "anew data log": "tests/system/test_log_only.py brings log files along",
}
"""Pages and beginnings of lines that other tests run, and which."""


@dataclass(frozen=True, slots=True)
class Block:
    """What is typed at one place: `number` is its place among the shell blocks of its page."""

    page: str
    number: int
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """``page-number``."""
        return f"{self.page}-{self.number}"


def blocks() -> Iterator[Block]:
    """Yield the shell blocks of every page; what goes on in the next line is one."""
    for page in PAGES:
        number = 0
        for text in _texts(page.read_text("utf-8")):
            joined = re.sub(
                r"'\{.*?\}'", lambda found: found[0].replace("\n", " "), text.replace("\\\n", " "), flags=re.S
            )
            lines = tuple(line.strip().removeprefix("$ ") for line in joined.splitlines() if line.strip())
            if _TYPED.match(lines[0]) or lines[0].startswith("#"):
                number += 1
                yield Block(page.stem, number, tuple(each for each in lines if _TYPED.match(each)))


def _texts(text: str) -> Iterator[str]:
    """Yield what stands in blocks that may be a shell's, in the order of the page."""
    found = [(each.start(), each[2]) for each in _FENCED.finditer(text) if each[1] in ("", "sh", "console")]
    blank = _FENCED.sub(lambda each: "\n" * each[0].count("\n") + " " * 0, text)
    found += [(_place(text, each[0]), each[0]) for each in _INDENTED.finditer(blank)]
    yield from (each for _, each in sorted(found) if each.strip())


def _place(text: str, part: str) -> int:
    return text.index(part)


def apart(block: Block, line: str) -> str:
    """Say why a line is not run with the others; empty where it is."""
    if block.page in ELSEWHERE:
        return ELSEWHERE[block.page]
    beside = next((why for begin, why in ELSEWHERE.items() if line.startswith(begin)), "")
    return beside or APART.get(line.split(maxsplit=1)[0], "")
