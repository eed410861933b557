"""Style sheets and scripts, held in memory under names that change with their content."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["Asset", "Assets"]

_MEDIA: Final = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NAMES: Final = (
    "anew.css",
    "anew.js",
    "icon.svg",
    "vendor/htmx.min.js",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file."""

    media: str
    plain: bytes
    packed: bytes


class Assets:
    """The files by the path under which they are served, and the path of each by its name."""

    def __init__(self) -> None:
        folder = files("anew.dashboard") / "static"
        self.paths: dict[str, str] = {}
        self.files: dict[str, Asset] = {}
        for name in _NAMES:
            plain = (folder / name).read_bytes()
            stem, _, suffix = name.rpartition("/")[2].rpartition(".")
            path = f"/static/{stem}.{hashlib.sha256(plain).hexdigest()[:12]}.{suffix}"
            self.paths[name] = path
            self.files[path] = Asset(media=_MEDIA[suffix], plain=plain, packed=_packed(plain))


@cache
def _packed(plain: bytes) -> bytes:
    return gzip.compress(plain, 9, mtime=0)
