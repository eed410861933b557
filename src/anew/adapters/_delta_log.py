"""One Delta table on the local disk: its commits, made durable and once, and what lies in its log."""

import hashlib
import json
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from anew.adapters._lake_folder import LakeFolder
from anew.adapters._lake_frame import Schema
from anew.adapters._lake_mark import Bound, Change, StoredFile
from anew.adapters.rust_panic import RustPanicError, without_panic
from anew.domain.errors import IntegrityError, UnavailableError

__all__ = ["Standing", "TableLog", "digest_of"]

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_LOG = "_delta_log"
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
    """The log of the table in `folder`, whose reads select by the column `ranged_by`. One writer.

    Everything made here is durable before the call returns. Deltalake's own hooks are off, because what they write is
    not.
    """

    def __init__(self, folder: LakeFolder, *, ranged_by: str) -> None:
        self.folder = folder
        self.ranged_by = ranged_by

    @staticmethod
    def name(version: int) -> str:
        """Return the name of the commit of `version`."""
        return f"{_LOG}/{version:020d}.json"

    def content(self, version: int) -> bytes | None:
        """Return the bytes of a commit; None when it is missing."""
        return self.folder.read(self.name(version))

    def present(self) -> Sequence[int]:
        """Return the versions that have a commit file, in order."""
        named = (name.removesuffix(".json") for name in self.folder.names(_LOG) if name.endswith(".json"))
        return sorted(int(name) for name in named if name.isdigit())

    def create(self, schema: Schema) -> bytes:
        """Make the empty table, version 0; returns its commit. What an interrupted making left behind is replaced.

        Raises
        ------
        IntegrityError
            There are commits already, of which no mark knows.
        """
        if any(self.present()):
            raise IntegrityError(
                f"table {self.folder.url} has commits up to version {max(self.present())}, its mark is lost; "
                "restore the file lake.db that belongs to it, or move the table away"
            )
        self.folder.remove(self.name(0))
        arrow = pl.DataFrame(schema=schema).to_arrow().schema
        with _writing(self.folder):
            DeltaTable.create(self.folder.url, schema=arrow, mode="error", storage_options=self._options)
        self.folder.prepare()
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
            table = self._table()
            done = table.transaction_version(change.app)
        if done is None or done < change.number:
            if table.version() != change.version - 1:
                raise IntegrityError(
                    f"table {self.folder.url} stands at version {table.version()}, its mark at {change.version - 1}; "
                    "another program wrote to it, or commits are lost: `anew doctor` says what to do"
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
        with _writing(self.folder):
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
                f"table {self.folder.url} says that version {version} is made, its commit is missing or empty"
            )
        self.folder.sync(self.name(version))
        return content

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

    def state(self) -> tuple[int, Mapping[str, int]]:
        """Return what deltalake itself makes of the log: the version, and the rows of each live file.

        Raises
        ------
        IntegrityError
            It makes nothing of it.
        """
        with self._reading():
            table = self._table()
            actions = pl.DataFrame(table.get_add_actions(flatten=True))
        return table.version(), dict(actions.select("path", "num_records").iter_rows())

    def checkpoints(self) -> Sequence[str]:
        """Return the names of the checkpoint files that are there."""
        return [name for name in self.folder.names(_LOG) if ".checkpoint" in name and name.endswith(".parquet")]

    def checkpoint(self, version: int) -> bytes | None:
        """Return the bytes of the checkpoint of `version`; None when it is missing."""
        return self.folder.read(f"{_LOG}/{version:020d}.checkpoint.parquet")

    def make_checkpoint(self, version: int) -> str:
        """Write the checkpoint of `version`, the present one, durably; returns its sha256."""
        with _writing(self.folder):
            self._table().create_checkpoint()
        for made in (f"{version:020d}.checkpoint.parquet", "_last_checkpoint"):
            self.folder.sync(f"{_LOG}/{made}")
        return digest_of(self.checkpoint(version) or b"")

    def sweep(self, *, above: int, but: Container[str]) -> None:
        """Delete files that were stored for commits above a version and never named by one, `but` those."""
        for name in self.folder.names():
            version = name.lstrip(".")[:20]
            if not (version.isdigit() and ".parquet" in name and name not in but):
                continue
            if int(version) > above or name.endswith(".new"):
                self.folder.remove(name)

    def drop_checkpoints(self, *, above: int) -> None:
        """Delete the checkpoints above a version: they are copies, and may be cut when the power went."""
        late = [name for name in self.checkpoints() if int(name[:20]) > above]
        for name in late:
            self.folder.remove(f"{_LOG}/{name}")
        if late:
            self.folder.remove(f"{_LOG}/_last_checkpoint")

    @property
    def _options(self) -> dict[str, str]:
        return dict(self.folder.options)

    def _table(self) -> DeltaTable:
        return DeltaTable(self.folder.url, storage_options=self._options)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with without_panic():
                yield
        except (DeltaError, OSError, ValueError, RustPanicError) as exc:
            raise IntegrityError(
                f"the log of {self.folder.url} cannot be read: {_plain(exc)}; `anew doctor` says what to do"
            ) from exc


def _plain(exc: BaseException) -> str:
    """Return the message on one line; deltalake's come with line breaks and colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(exc)).split())


@contextmanager
def _writing(folder: LakeFolder) -> Iterator[None]:
    try:
        with without_panic():
            yield
    except (DeltaError, OSError) as exc:
        raise UnavailableError(
            f"table {folder.url} cannot be written now: {_plain(exc)}; free space, then try again"
        ) from exc
    except RustPanicError as exc:
        raise UnavailableError(f"table {folder.url} cannot be written now: {_plain(exc)}") from exc
