"""What the dashboard keeps of a record: pages are the same with it as without, and it is never believed blindly."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from anew.dashboard.asking import Asking
from anew.dashboard.at_hand import AtHand
from anew.dashboard.catalogue import Catalogue
from anew.dashboard.digest import packed
from anew.dashboard.place import PLACES
from anew.dashboard.record import KnownFacts, Record
from anew.dashboard.records import Records
from anew.dashboard.view import plain_json
from anew.domain.errors import AnewError, UnavailableError
from anew.domain.fact import Fact
from anew.domain.facts import GateJudged, RolledBack, RolloutObserved, RolloutStarted, VersionPromoted
from anew.ports.eventlog import Recorded
from tests.dashboard.story import AT, TOKENS, ToldSource, story
from tests.laws.telling import Teller, warmed
from tests.loop.recorded_run import FOLDER
from tests.loop.recorded_run import kept as recorded_run
from tests.many_runs import many_runs


def told(seed: int) -> Sequence[Fact]:
    return Teller().tell(warmed(seed)).facts


DEMO = recorded_run(FOLDER / "2026-11-demo.jsonl.gz")[0]
MANY = list(many_runs(60))
TOLD = {"story": story("x"), "demo": DEMO, "many": MANY, **{f"told {seed}": told(seed) for seed in range(8)}}


@dataclass
class Reckoned(ToldSource):
    """A source that counts what is read of it."""

    read: list[int] = field(default_factory=list)

    @contextmanager
    def reading(self) -> Iterator[AtHand]:
        """Whose facts are counted as they are read one after the other."""
        yield _Counted(self)


class _Counted(AtHand):
    def __init__(self, source: Reckoned) -> None:
        super().__init__(source.told, AT)
        self._source = source

    def after(self, seq: int, most: int) -> Sequence[Recorded]:
        found = super().after(seq, most)
        self._source.read += [each.seq for each in found]
        return found


def pages(records: Records, source: ToldSource) -> dict[str, str]:
    """Return every page, those of a version for three of them."""

    def made(record: Record) -> dict[str, str]:
        found = {}
        newest = [each.version for each in record.versions(0, record.runs)]
        for place in PLACES:
            for version in dict.fromkeys([*newest[:1], *newest[-2:]]) if "version" in place.path else ("",):
                asking = Asking(
                    record=record,
                    records=records,
                    source=source,
                    who=TOKENS["admin"],
                    policy=source.in_force(),
                    params={"version": version},
                    query={},
                )
                found[f"{place.name} {version}"] = _said(place.name, place.build, asking)
        return found

    return records.read("", source, made)


def _said(name: str, build: Callable[[Asking], object], asking: Asking) -> str:
    try:
        return plain_json(name, build(asking)).decode()
    except AnewError as exc:
        return str(exc)


def fresh(facts: Sequence[Fact]) -> dict[str, str]:
    return pages(Records(), ToldSource(facts))


def kept(facts: Sequence[Fact], file: Path) -> Reckoned:
    return Reckoned(facts, kept=file)


@contextmanager
def opened() -> Iterator[Records]:
    with closing(Records()) as records:
        yield records


@pytest.mark.parametrize("name", TOLD)
def test_a_record_heard_bit_by_bit_by_many_processes_gives_the_pages_of_one_heard_at_once(
    name: str, tmp_path: Path
) -> None:
    facts, file = TOLD[name], tmp_path / "own.db"
    cuts = [len(facts) * i // 6 for i in range(7)]
    for before, cut in pairwise(cuts):
        source = kept(facts[:cut], file)
        with opened() as records:
            assert pages(records, source) == fresh(facts[:cut])
            assert source.read == list(range(before + 1, cut + 1))
            assert pages(records, source) == fresh(facts[:cut])
            assert len(source.read) == cut - before


def test_what_was_told_reaches_what_moves_versions() -> None:
    kinds = [fact.kind for facts in TOLD.values() for fact in facts]
    for kind in (VersionPromoted, RolledBack, RolloutStarted, RolloutObserved, GateJudged):
        assert kinds.count(kind.__name__) >= 10, kind


@pytest.mark.parametrize(
    "instead",
    [MANY[:50], story("y"), story("x")[:40] + story("y")[40:], []],
    ids=["shorter", "another", "another from some fact on", "empty"],
)
@pytest.mark.parametrize("running", [True, False], ids=["while it runs", "while nobody looks"])
def test_a_record_that_was_replaced_is_read_again(instead: list[Fact], *, running: bool, tmp_path: Path) -> None:
    file, records = tmp_path / "own.db", Records()
    source = kept(MANY[:80] if instead == MANY[:50] else story("x"), file)
    pages(records, source)
    if not running:
        records.close()
        records = Records()
    source.told, source.read = instead, []
    assert pages(records, source) == fresh(instead)
    assert source.read == list(range(1, len(instead) + 1))
    records.close()


def damaged(file: Path, how: str) -> None:
    data = file.read_bytes()
    match how:
        case "no database":
            file.write_bytes(b"these are no pages" * 1_000)
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "empty":
            file.write_bytes(b"")
        case "torn":
            file.write_bytes(data[:4_096] + b"\xff" * (len(data) - 4_096))
        case _:
            with closing(sqlite3.connect(file)) as database:
                database.execute(how)
                database.commit()


@pytest.mark.parametrize(
    ("how", "anew"),
    [
        ("no database", True),
        ("cut", True),
        ("empty", True),
        ("torn", True),
        ("DROP TABLE link", True),
        ("DROP TABLE kept", True),
        ("UPDATE kept SET state = 'x' || substr(state, 2)", True),
        ("UPDATE kept SET maker = 'an older release'", True),
        ("UPDATE kept SET mark = 'of another record'", True),
        ("UPDATE kept SET head = 10000", True),
        ("UPDATE version SET standing = 'nowhere'", True),
        ("UPDATE version SET since = 'never'", True),
        ("UPDATE fact SET seq = seq + 10000", True),
        ("DELETE FROM kept", True),
        ("VACUUM", False),
    ],
)
def test_a_file_that_cannot_be_believed_is_thrown_away(how: str, *, anew: bool, tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    with opened() as records:
        pages(records, kept(MANY, file))
    damaged(file, how)
    source = kept(MANY, file)
    with opened() as records:
        assert pages(records, source) == fresh(MANY)
    assert set(source.read) == (set(range(1, len(MANY) + 1)) if anew else set())
    source.read.clear()
    with opened() as records:
        assert pages(records, source) == fresh(MANY)
    assert source.read == []


def test_a_file_that_breaks_while_it_is_open_is_thrown_away(tmp_path: Path) -> None:
    source = kept(MANY, tmp_path / "own.db")
    with opened() as records:
        pages(records, source)
        records._heard[""].catalogue._db.execute("DROP TABLE fact")
        assert pages(records, source) == fresh(MANY)


@pytest.mark.parametrize("how", ["no folder", "a folder", "locked"])
def test_where_nothing_can_be_kept_pages_are_made_all_the_same(how: str, tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    match how:
        case "no folder":
            file = tmp_path / "none" / "own.db"
        case "a folder":
            file.mkdir()
        case _:
            with opened() as records:
                pages(records, kept(MANY[:20], file))
    with closing(sqlite3.connect(file if how == "locked" else ":memory:", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        source = kept(MANY, file)
        with opened() as records:
            assert pages(records, source) == fresh(MANY)
            assert pages(records, source) == fresh(MANY)
        assert source.read == list(range(1, len(MANY) + 1))
    assert file.exists() == (how != "no folder")


@pytest.mark.parametrize("how", ["no database", "UPDATE kept SET maker = 'x'", "UPDATE kept SET mark = 'x'"])
def test_what_can_be_neither_believed_nor_deleted_is_left_alone(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_path: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError("not yours")

    file = tmp_path / "own.db"
    with opened() as records:
        pages(records, kept(MANY, file))
    damaged(file, how)
    before = file.read_bytes()
    monkeypatch.setattr(Path, "unlink", refused)
    with opened() as records:
        assert pages(records, kept(MANY, file)) == fresh(MANY)
    assert file.read_bytes() == before


def test_what_can_be_found_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anew.dashboard.records.hear", lambda catalogue, *_: catalogue._numbers("SELECT nothing"))
    with pytest.raises(UnavailableError):
        pages(Records(), ToldSource(MANY))


_KILLED = """
import os, signal, sys
from pathlib import Path
from anew.dashboard import catalogue, records
from tests.dashboard.test_records import MANY, kept, pages
records._AT_ONCE, left, add = 100, [int(sys.argv[2])], catalogue.Catalogue.add
def killed(self, *given):
    add(self, *given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
catalogue.Catalogue.add = killed
pages(records.Records(), kept(MANY, Path(sys.argv[1])))
"""


@pytest.mark.parametrize("hearings", [1, 4])
def test_killed_in_the_middle_it_goes_on_where_it_was(hearings: int, tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    done = subprocess.run([sys.executable, "-c", _KILLED, str(file), str(hearings)], check=False)
    assert done.returncode == -signal.SIGKILL
    source = kept(MANY, file)
    with opened() as records:
        assert pages(records, source) == fresh(MANY)
    assert source.read == list(range(100 * (hearings - 1) + 1, len(MANY) + 1))


def test_what_is_heard_halfway_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("broken")

    source = kept(MANY, tmp_path / "own.db")
    with opened() as records:
        with monkeypatch.context() as patched:
            patched.setattr(Catalogue, "keep", broken)
            with pytest.raises(OSError, match="broken"):
                pages(records, source)
        assert pages(records, source) == fresh(MANY)


def test_who_asks_waits_only_so_long_and_finds_more_heard_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anew.dashboard.records._AT_ONCE", 400)
    source = kept(MANY, tmp_path / "own.db")
    with closing(Records(patience_s=0)) as records:
        with pytest.raises(UnavailableError, match=r"400 of 1,081 facts so far \(37%\)"):
            pages(records, source)
        monkeypatch.setattr("anew.dashboard.records.monotonic", lambda: 0.0)
        assert pages(records, source) == fresh(MANY)
    assert source.read.count(1) == 1


def test_only_so_many_facts_are_known() -> None:
    known, facts = KnownFacts(10), AtHand(MANY).at(range(1, 101))
    for each in facts:
        known.add(each)
        known.get(1)
    assert [each.seq for each in facts if known.get(each.seq)] == [1, *range(92, 101)]
    assert [each.seq for each in facts if known.named(each.fact.id)] == [1, *range(92, 101)]


def test_the_state_that_is_kept_does_not_grow_with_runs(tmp_path: Path) -> None:
    def size(runs: int) -> int:
        with opened() as records:
            pages(records, kept(list(many_runs(runs)), tmp_path / f"{runs}.db"))
            return len(packed(records._heard[""].digest))

    assert size(2_000) < size(1_000) + 1_000


class _Away(ToldSource):
    """A source whose record is away while `away`."""

    away = False

    @contextmanager
    def reading(self) -> Iterator[AtHand]:
        """Nothing, or what was told."""
        yield AtHand() if self.away else AtHand(self.told, AT)


def test_a_record_that_is_away_for_a_moment_is_not_forgotten() -> None:
    source, records = _Away(story("x"), "x"), Records()
    before = pages(records, source)
    kept = records._heard[""].catalogue
    source.away = True
    assert records.read("", source, lambda record: record.head) == 0
    source.away = False
    assert pages(records, source) == before
    assert records._heard[""].catalogue is kept


def test_a_file_that_could_not_be_had_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place: list[Path | None] = [None]

    class Late(ToldSource):
        def catalogue(self) -> Path | None:
            """None at first."""
            return place[0]

    now = [100.0]
    monkeypatch.setattr("anew.dashboard.records.monotonic", lambda: now[0])
    source, records = Late(story("x"), "x"), Records()
    before = pages(records, source)
    held = records._heard[""].catalogue
    now[0] += 601
    assert pages(records, source) == before
    assert records._heard[""].catalogue is held  # there is no file yet: nothing is read again for nothing
    file = place[0] = tmp_path / "own.db"
    assert pages(records, source) == before
    assert not file.exists()  # in memory as yet
    now[0] += 601
    assert pages(records, source) == before
    records.close()
    assert file.exists()
