"""One Delta table on the local disk: its commits, made durable and once, and what lies in its log."""

import hashlib
import json
import os
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from anew.adapters._lake_frame import Schema
from anew.adapters._lake_mark import Bound, Change, StoredFile
from anew.domain.errors import IntegrityError, UnavailableError
from anew.ports.disk import Disk

__all__ = ["Standing", "TableLog", "digest_of"]

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def digest_of(content: bytes) -> str:
    """Return the sha256 of `content` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


class Standing(Enum):
    """How a commit in the log relates to a change that was begun."""

    OURS = "ours"
    BROKEN = "broken"
    FOREIGN = "foreign"


class TableLog:
    """The log of the table in `root`, whose reads select by the column `ranged_by`. One writer.

    deltalake writes files without syncing them; everything made here is synced before the call returns. Deltalake's own
    hooks are off, because what they write is not synced either.
    """

    def __init__(self, root: Path, *, ranged_by: str, disk: Disk) -> None:
        self.root = root
        self.ranged_by = ranged_by
        self._disk = disk

    @property
    def folder(self) -> Path:
        """Where the commits lie."""
        return self.root / "_delta_log"

    def path(self, version: int) -> Path:
        """Return where the commit of `version` lies."""
        return self.folder / f"{version:020d}.json"

    def content(self, version: int) -> bytes | None:
        """Return the bytes of a commit; None when it is missing."""
        try:
            return self.path(version).read_bytes()
        except FileNotFoundError:
            return None

    def present(self) -> Sequence[int]:
        """Return the versions that have a commit file, in order."""
        if not self.folder.is_dir():
            return ()
        return sorted(int(path.stem) for path in self.folder.glob("*.json") if path.stem.isdigit())

    def create(self, schema: Schema) -> bytes:
        """Make the empty table, version 0; returns its commit. What an interrupted making left behind is replaced.

        Raises
        ------
        IntegrityError
            There are commits already, of which no mark knows.
        """
        if any(self.present()):
            raise IntegrityError(
                f"table {self.root} has commits up to version {max(self.present())}, its high-water mark is lost; "
                "restore the file lake.db that belongs to it, or move the table away"
            )
        self.path(0).unlink(missing_ok=True)
        arrow = pl.DataFrame(schema=schema).to_arrow().schema
        with _writing(self.root):
            DeltaTable.create(self.root, schema=arrow, mode="error")
        for folder in (self.root.parent.parent, self.root.parent, self.root):
            self._disk.sync_folder(folder)
        return self._synced(0)

    def commit(self, change: Change) -> bytes:
        """Make the commit of `change`, unless its app transaction says that it is made; returns its bytes, synced.

        Raises
        ------
        IntegrityError
            The table does not stand at the version before.
        UnavailableError
            The disk is full or failed; the commit may be there or not, the same call finds out.
        """
        with self._reading():
            table = DeltaTable(self.root)
            done = table.transaction_version(change.app)
        if done is None or done < change.number:
            if table.version() != change.version - 1:
                raise IntegrityError(
                    f"table {self.root} stands at version {table.version()}, its mark at {change.version - 1}; "
                    "another program wrote to it, or commits are lost: see `verify`"
                )
            self._write(table, change)
        return self._synced(change.version)

    def _write(self, table: DeltaTable, change: Change) -> None:
        moves = sum(f.rows for f in change.added) != sum(f.rows for f in change.removed)
        now_ms = (datetime.now(UTC) - _EPOCH) // timedelta(milliseconds=1)
        add = [
            AddAction(f.path, f.size, {}, now_ms, data_change=moves, stats=self._stats(f)) for f in change.added
        ]  # fmt: skip
        remove = [RemoveAction(f.path, moves, now_ms, f.size, {}) for f in change.removed]
        properties = CommitProperties(
            app_transactions=[Transaction(change.app, change.number)],
            max_commit_retries=1,  # none means no attempt at all; a second one cannot succeed, there is one writer
        )
        with _writing(self.root):
            table.create_write_transaction(
                [*add, *remove],
                "append",
                table.schema(),
                commit_properties=properties,
                post_commithook_properties=_NO_HOOKS,
            )

    def _stats(self, file: StoredFile) -> str:
        low, high = (self._shown(bound) for bound in (file.low, file.high))
        return json.dumps({
            "numRecords": file.rows,
            "minValues": {self.ranged_by: low},
            "maxValues": {self.ranged_by: high},
            "nullCount": {self.ranged_by: 0},
        })  # fmt: skip

    def _shown(self, bound: Bound) -> str:
        if isinstance(bound, str):
            return bound
        return (_EPOCH + timedelta(microseconds=bound)).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _synced(self, version: int) -> bytes:
        content = self.content(version)
        if not content:
            raise IntegrityError(
                f"table {self.root} says that version {version} is made, its commit is missing or empty"
            )
        self.sync(self.path(version))
        return content

    def sync(self, path: Path) -> None:
        """Bring the file at `path` and its name onto the medium.

        Raises
        ------
        UnavailableError
            The disk failed.
        """
        try:
            descriptor = self._disk.open(path)
            try:
                self._disk.sync(descriptor)
            finally:
                self._disk.close(descriptor)
            self._disk.sync_folder(path.parent)
        except OSError as exc:
            raise UnavailableError(f"{path} could not be synced: {exc}; nothing is known to be stored") from exc

    def standing(self, version: int, change: Change | None) -> Standing:
        """Say whose the commit file of `version` is, when `change` was begun and not ended."""
        content = self.content(version) or b""
        try:
            actions = [json.loads(line) for line in content.split(b"\n") if line]
            added = {a["add"]["path"] for a in actions if "add" in a}
            apps = {(a["txn"]["appId"], a["txn"]["version"]) for a in actions if "txn" in a}
        except (ValueError, KeyError, TypeError):
            return Standing.BROKEN
        if change is None or version != change.version:
            return Standing.FOREIGN if actions else Standing.BROKEN
        ours = {f.path for f in change.added}
        if (change.app, change.number) in apps and added == ours:
            return Standing.OURS
        return Standing.BROKEN if added <= ours and not apps else Standing.FOREIGN

    def set_aside(self, path: Path) -> None:
        """Move a damaged file out of the table's sight, to be looked at by people."""
        if path.exists():
            aside = self.root / "_quarantine"
            aside.mkdir(exist_ok=True)
            taken = sum(1 for _ in aside.iterdir())
            self._disk.replace(path, aside / f"{taken:04d}-{path.name}")
            self._disk.sync_folder(path.parent)

    def put(self, path: Path, content: bytes) -> None:
        """Write `content` at `path` in one step, over what is there, synced."""
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_bytes(content)
            self.sync(fresh)
            self._disk.replace(fresh, path)
            self._disk.sync_folder(path.parent)
        except (OSError, UnavailableError) as exc:
            fresh.unlink(missing_ok=True)
            raise UnavailableError(f"{path} could not be written: {exc}; nothing was changed") from exc

    def state(self) -> tuple[int, Mapping[str, int]]:
        """Return what deltalake itself makes of the log: the version, and the rows of each live file.

        Raises
        ------
        IntegrityError
            It makes nothing of it.
        """
        with self._reading():
            table = DeltaTable(self.root)
            actions = pl.DataFrame(table.get_add_actions(flatten=True))
        return table.version(), dict(actions.select("path", "num_records").iter_rows())

    def checkpoints(self) -> Sequence[Path]:
        """Return the checkpoint files that are there."""
        return sorted(self.folder.glob("*.checkpoint*.parquet"))

    def make_checkpoint(self, version: int) -> str:
        """Write and sync the checkpoint of `version`, the present one; returns its sha256."""
        with _writing(self.root):
            DeltaTable(self.root).create_checkpoint()
        path = self.folder / f"{version:020d}.checkpoint.parquet"
        for made in (path, self.folder / "_last_checkpoint"):
            self.sync(made)
        return digest_of(path.read_bytes())

    def sweep(self, *, above: int, but: Container[str]) -> None:
        """Delete files that were stored for commits above a version and never named by one, `but` those."""
        for path in self.root.glob("*.parquet*"):
            version = path.name.lstrip(".")[:20]
            if version.isdigit() and path.name not in but and (int(version) > above or path.suffix == ".new"):
                self._disk.remove(path)

    def drop_checkpoints(self, *, above: int) -> None:
        """Delete the checkpoints above a version: they are copies, and may be cut when the power went."""
        late = [path for path in self.checkpoints() if int(path.name[:20]) > above]
        for path in late:
            self._disk.remove(path)
        if late:
            self._disk.remove(self.folder / "_last_checkpoint")
            self._disk.sync_folder(self.folder)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (DeltaError, OSError, ValueError) as exc:
            raise IntegrityError(f"the log of table {self.root} cannot be read: {_plain(exc)}; see `verify`") from exc


def _plain(exc: BaseException) -> str:
    """Return the message on one line; deltalake's come with line breaks and colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(exc)).split())


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as exc:
        raise UnavailableError(
            f"table {os.fspath(root)} cannot be written now: {_plain(exc)}; free space, then try again"
        ) from exc
    except BaseException as exc:
        # A panic in Rust is no Exception; as one it would end a thread without a word.
        if type(exc).__name__ != "PanicException":
            raise
        raise UnavailableError(
            f"table {os.fspath(root)} cannot be written now, deltalake gave up: {_plain(exc)}"
        ) from exc
