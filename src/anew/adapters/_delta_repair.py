"""Finds what is damaged in a lake of Delta tables, and repairs it bit for bit from what was kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from anew.adapters._delta_file import FileReader, damage_of
from anew.adapters._delta_log import Standing, TableLog, digest_of
from anew.adapters._lake_frame import frames
from anew.adapters._lake_mark import LakeMark, StoredFile
from anew.adapters.lake_batch import encode
from anew.domain.column import Columns
from anew.domain.errors import AnewError, IntegrityError
from anew.ports.journal import JournalReader

__all__ = ["LakeRepair", "in_order"]


def in_order(frame: pl.DataFrame, ranged_by: str) -> pl.DataFrame:
    """Order rows as a compacted file has them."""
    return frame.sort(ranged_by, "_id", maintain_order=True)


@dataclass(slots=True)
class LakeRepair:
    """Compares tables with the mark, and repairs them. For the one writer.

    A commit is repaired from its copy in the mark, kept until the next checkpoint; a file from the journal, as long as
    the journal has its rows, or from the smaller files that it was compacted from. A repair counts only when the
    result has the digest that was stored.
    """

    mark: LakeMark
    logs: Mapping[str, TableLog]
    readers: Mapping[str, FileReader]
    columns: Columns
    done: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def verify(self, seen: Callable[[], None] = lambda: None) -> list[str]:
        """Return one sentence per damage; call `seen` after each file."""
        problems = [f"the high-water mark itself is damaged: {found}"] if (found := self.mark.check()) else []
        for table, log in self.logs.items():
            problems += self._verified(table, log, seen)
        return problems

    def _verified(self, table: str, log: TableLog, seen: Callable[[], None]) -> Iterator[str]:
        version = self.mark.version(table)
        if version is None:
            if any(log.present()):
                yield f"table {table} has commits and no high-water mark"
            return
        bad = [v for v, *_ in self._bad_commits(table, log)]
        for at in bad:
            yield f"table {table}: the commit of version {at} {_commit_damage(log.content(at))}"
        for above, standing in self._tail(table, log):
            yield f"table {table}: the commit of version {above} is {standing.value}, the mark is at {version}"
        if self._checkpoint_is_bad(table, log):
            yield f"table {table}: the checkpoint of version {self.mark.checkpoint(table)[0]} is damaged"
        for file in self.mark.stored(table):
            if damage := damage_of(log.folder, file):
                yield f"table {table}: file {file.path} with {file.rows} rows {damage}"
            seen()
        if not bad:
            yield from self._beside(table, log, version)

    def _beside(self, table: str, log: TableLog, version: int) -> Iterator[str]:
        """Compare with what deltalake makes of the table, as every other reader does."""
        try:
            found, files = log.state()
        except IntegrityError as exc:
            yield str(exc)
            return
        marked = {file.path: file.rows for file in self.mark.live(table)}
        if found != version:
            yield f"table {table} reads as version {found}, its mark is at {version}"
        elif files != marked:
            odd = sorted(set(files.items()) ^ set(marked.items()))
            yield f"table {table} reads as other files than its mark has: {odd[:4]}"

    def _bad_commits(self, table: str, log: TableLog) -> Iterator[tuple[int, bytes | None]]:
        for version, digest, content in self.mark.commits(table):
            if digest_of(log.content(version) or b"") != digest:
                yield version, content

    def _tail(self, table: str, log: TableLog) -> Iterator[tuple[int, Standing]]:
        intent = self.mark.intent()
        begun = {c.table: c for c in intent.changes} if intent else {}
        for version in log.present():
            if version > (self.mark.version(table) or 0):
                standing = log.standing(version, begun.get(table))
                if standing is not Standing.OURS:
                    yield version, standing

    def _checkpoint_is_bad(self, table: str, log: TableLog) -> bool:
        version, digest = self.mark.checkpoint(table)
        if version < 0:
            return False
        return digest_of(log.checkpoint(version) or b"") != digest

    def rebuild(self, journals: JournalReader, seen: Callable[[], None] = lambda: None) -> None:
        """Repair what can be; `done` and `left` have one sentence each for what was, and what was not."""
        for table, log in self.logs.items():
            if self.mark.version(table) is None:
                continue
            self._rebuild_commits(table, log)
            if self._checkpoint_is_bad(table, log):
                log.drop_checkpoints(above=-1)
                self.mark.checkpointed(table, -1, "")
                self.done.append(f"table {table}: a damaged checkpoint was taken away, the commits have it all")
            self._rebuild_files(table, log, journals, seen)
            if not any(self._bad_commits(table, log)):
                self.left += self._beside(table, log, self.mark.version(table) or 0)

    def _rebuild_commits(self, table: str, log: TableLog) -> None:
        for version, content in list(self._bad_commits(table, log)):
            if content is None:
                self.left.append(
                    f"table {table}: the commit of version {version} is damaged and older than what is kept; "
                    "the present rows do not need it"
                )
                continue
            damage = _commit_damage(log.content(version))
            log.folder.set_aside(log.name(version))
            log.folder.put(log.name(version), content)
            self.done.append(f"table {table}: the commit of version {version} {damage}, and was put back")
        for version, standing in list(self._tail(table, log)):
            if standing is Standing.FOREIGN:
                self.left.append(f"table {table}: another program wrote version {version}; move its commit away")
            else:
                log.folder.set_aside(log.name(version))
                self.done.append(f"table {table}: a broken commit of version {version}, never marked, was set aside")

    def _rebuild_files(self, table: str, log: TableLog, journals: JournalReader, seen: Callable[[], None]) -> None:
        # Oldest first: a compacted file is repaired from files that were repaired before it.
        intent = self.mark.intent()
        begun = [f for c in (intent.changes if intent else ()) if c.table == table for f in c.added]
        for file in [*self.mark.stored(table), *begun]:
            damage = damage_of(log.folder, file)
            seen()
            if not damage:
                continue
            content, why = self._content(table, file, journals)
            named = f"table {table}: file {file.path} with {file.rows} rows {damage}"
            if digest_of(content) != file.sha256:
                self.left.append(f"{named} and cannot be made again: {why or 'its rows come out differently'}")
                continue
            log.folder.set_aside(file.path)
            log.folder.put(file.path, content)
            self.done.append(f"{named}, and was made again from {why or 'the journal'}")

    def _content(self, table: str, file: StoredFile, journals: JournalReader) -> tuple[bytes, str]:
        """Return the file made again; empty, with the reason, when that does not work."""
        try:
            if sources := self.mark.sources(table, file.path):
                rows = self.readers[table].read(sources)
                return encode(in_order(rows, self.logs[table].ranged_by)), "the files that it was compacted from"
            journal, after, observations = self.mark.origin(table, file.path)
            if journal not in journals.journals():
                return b"", f"its rows came from {journal or 'a compaction'}, which is no journal that is there"
            batch = journals.read(journal, after=after, most=observations)
            return encode(frames(self.columns, batch.observations)[table]), ""
        except AnewError as exc:
            return b"", str(exc)


def _commit_damage(content: bytes | None) -> str:
    if content is None:
        return "is missing"
    return "is not the one that was stored" if content else "is empty"
