"""What a form sends: its fields, and where to go back to."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from starlette.exceptions import HTTPException
from starlette.requests import Request

__all__ = ["fields_of", "local"]

_MOST = 50
_LONGEST = 2_000
"""Of a path as it is sent: a cookie with it stays below the 4096 bytes that browsers keep."""


async def fields_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form; the first of a name counts.

    Raises
    ------
    HTTPException
        There are more of them than any form of ours has.
    """
    found: dict[str, str] = {}
    try:
        parsed = parse_qsl(
            (await request.body()).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST
        )
    except ValueError as exc:
        raise HTTPException(400, f"a form here has at most {_MOST} fields") from exc
    for name, value in parsed:
        found.setdefault(name, value)
    return found


def local(path: str) -> str:
    """Return a path of this server to go to; the home page for anything else, or for one of unusual length."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and len(quote(path)) <= _LONGEST else "/"
