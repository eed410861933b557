"""The style sheet that pages hold, and the files that they ask for, under names that change with their content."""

import gzip
import hashlib
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from markupsafe import Markup

__all__ = ["Asset", "Assets"]

_MEDIA: Final = {"js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NAMES: Final = (
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
    """The files by the path under which they are served, and the path of each by its name.

    Attributes
    ----------
    style, icon
        What every page holds itself: nothing has to be asked for before it can be painted.
    style_source
        The style sheet's digest, as a policy of content names what is allowed.
    """

    def __init__(self) -> None:
        folder = files("anew.dashboard") / "static"
        style = (folder / "anew.css").read_text("utf-8")
        self.style = Markup(style)  # noqa: S704  our own style sheet
        self.style_source = f"'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
        self.icon = Markup((folder / "icon.svg").read_text("utf-8"))  # noqa: S704  our own drawing
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
