"""A prefix of an S3 bucket: whole objects, read back when it is unknown whether they were written."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from anew.domain.errors import MissingExtraError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["S3Bucket"]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_PATIENCE, _HASTE = ("5s", "30s", 5), ("2s", "5s", 0)
"""How long it takes to connect and to answer, and how often it is tried again."""


class S3Bucket:
    """Objects under ``s3://BUCKET/PREFIX``. Thread-safe.

    Who may is what the environment says (``AWS_ACCESS_KEY_ID`` and the like, a role, a web identity); temporary
    credentials of a role are renewed by the client itself. ``AWS_ENDPOINT_URL`` names a store that is not Amazon's.

    Parameters
    ----------
    hasty
        For whoever asks again soon in any case: a call fails within seconds rather than wait and try again.

    Raises
    ------
    SettingsError
        The URL is none.
    MissingExtraError
        The extra ``s3`` is not installed.
    """

    def __init__(self, url: str, *, hasty: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.username:
            raise SettingsError(f"{url.partition('?')[0]!r} is no s3://BUCKET/PREFIX")
        self.url = url.rstrip("/")
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._level = logging.DEBUG if hasty else logging.WARNING  # who asks again soon says itself what that comes to
        self._store = self._opened(*(_HASTE if hasty else _PATIENCE))

    def _opened(self, connect: str, answer: str, tries: int) -> "S3Store":
        try:
            # Who keeps everything on a disk needs no client.
            from obstore.exceptions import BaseError  # noqa: PLC0415 - see above
            from obstore.store import S3Store  # noqa: PLC0415 - see above
        except ImportError as exc:
            raise MissingExtraError("obstore", "s3") from exc
        self._errors = (BaseError, OSError)
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            client_options={"allow_http": plain, "timeout": answer, "connect_timeout": connect},
            retry_config={"max_retries": tries},
        )

    @property
    def options(self) -> Mapping[str, str]:
        """What deltalake is told besides the environment: a commit is a put that only succeeds if none is there."""
        plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        return {"aws_conditional_put": "etag", "allow_http": "true"} if plain else {"aws_conditional_put": "etag"}

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object; None when there is none."""
        return self._asked(name, lambda: bytes(self._store.get(name).bytes()))

    def tag(self, name: str) -> str | None:
        """Return the tag of an object's contents; None when there is none."""
        return self._asked(name, lambda: str(self._store.head(name)["e_tag"]))

    def names(self, under: str = "") -> Sequence[str]:
        """Return the names of the objects right under a folder, without it, in order."""
        folder = f"{under}/" if under else ""
        found = self._asked(under, lambda: self._store.list_with_delimiter(under or None)["objects"])
        return sorted(each["path"].removeprefix(folder) for each in found or ())

    def tree(self, under: str) -> Mapping[str, str]:
        """Return the names of all objects under a folder, however deep, in order, each with its tag; empty for none."""
        pages = self._asked(under, lambda: [*self._store.list(under)])
        return dict(sorted((each["path"], each["e_tag"] or "") for page in pages or () for each in page))

    def put(self, name: str, content: bytes) -> None:
        """Write an object over what is there.

        An answer that did not come leaves open whether it was written: then it is read back.

        Raises
        ------
        UnavailableError
            It was not written, or nobody can say.
        """
        try:
            self._store.put(name, content, mode="overwrite")
        except self._errors as exc:
            if self.read(name) != content:
                raise self._unavailable(name, exc) from exc

    def create(self, name: str, content: bytes) -> bool:
        """Write an object where there is none; returns whether it was this call that did, or one of the same bytes."""
        from obstore.exceptions import AlreadyExistsError  # noqa: PLC0415 - with the store

        try:
            self._store.put(name, content, mode="create")
        except AlreadyExistsError:
            return self.read(name) == content
        except self._errors as exc:
            found = self.read(name)
            if found is None:
                raise self._unavailable(name, exc) from exc
            return found == content
        return True

    def remove(self, name: str) -> None:
        """Delete an object; without effect when it is gone."""
        self._asked(name, lambda: self._store.delete(name))

    def refuses_overwriting(self) -> bool:
        """Does the store keep the promise that a second `create` fails? Asked with a small object, deleted again.

        Where it does not, two writers would overwrite each other's commits unnoticed.
        """
        name = f".probe-{os.urandom(8).hex()}"
        try:
            return self.create(name, b"first") and not self.create(name, b"second") and self.read(name) == b"first"
        finally:
            self.remove(name)

    def _asked(self, name: str, ask: Callable[[], _T]) -> _T | None:
        from obstore.exceptions import NotFoundError  # noqa: PLC0415 - with the store

        try:
            return ask()
        except (NotFoundError, FileNotFoundError):
            return None
        except self._errors as exc:
            raise self._unavailable(name, exc) from exc

    def _unavailable(self, name: str, exc: Any) -> UnavailableError:
        kind = type(exc).__name__
        _log.log(self._level, "s3_failed object=%s/%s error=%s", self.url, name, kind)
        what = {
            "PermissionDeniedError": "the credentials are refused or have expired; renew them, work goes on by itself",
            "UnauthenticatedError": "the credentials are refused or have expired; renew them, work goes on by itself",
        }.get(kind, str(exc).strip().split("\n", 1)[0][:200])
        return UnavailableError(f"{self.url}/{name} does not answer ({kind}): {what}")
