"""No descriptors, no inodes left: a typed error, nothing acknowledged is lost, and it goes on when there are some."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from anew.adapters.delta_lake import DeltaLake
from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.segment_journal import SegmentJournal
from anew.adapters.segment_reader import SegmentReader
from anew.adapters.signing import Signer
from anew.domain.errors import AnewError, UnavailableError
from anew.testing.contract_artifact import artifact_folder
from anew.testing.contract_lake import COLUMNS, EVER, prediction
from anew.testing.faulty_disk import FaultyDisk

pytestmark = [pytest.mark.system, pytest.mark.fault("D19")]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Take every descriptor that this process may still have, and give them back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        with ExitStack() as stack:
            while True:
                try:
                    descriptor = os.open(os.devnull, os.O_RDONLY)
                except OSError as exc:
                    assert exc.errno == errno.EMFILE
                    break
                stack.callback(os.close, descriptor)
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_the_journal_refuses_and_goes_on_later(tmp_path: Path) -> None:
    journal = SegmentJournal(tmp_path / "journal" / "0", most_bytes=1 << 20, segment_bytes=1 << 12)
    acknowledged = refused = number = 0
    with no_descriptors():
        while not refused:  # the segment that is open takes some; the next one cannot be opened
            try:
                journal.append([prediction(number)])
                acknowledged += 1
            except UnavailableError as exc:
                assert "Too many open files" in str(exc)
                refused += 1
            number += 1
            assert number < 1000
    journal.append([prediction(number)])
    journal.close()
    read = SegmentReader(tmp_path / "journal").read("0", after=0, most=10_000).observations
    assert len(read) == acknowledged + 1
    assert refused == 1


def test_without_descriptors_an_artifact_is_refused_and_put_later(tmp_path: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    store = LocalArtifactStore(root=tmp_path / "models", signer=signer, verifier=signer.verifier)
    source = artifact_folder(tmp_path / "out")
    with no_descriptors(), pytest.raises(AnewError, match="cannot be stored"):
        store.put(source)
    store.get(store.put(source))
    assert len(list(store.root.iterdir())) == 2


def test_without_descriptors_the_lake_refuses_and_stores_once_later(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
    lake.append("0", 1, [prediction(0)])
    with no_descriptors(), pytest.raises(AnewError):
        lake.append("0", 2, [prediction(1)])
    if lake.drained("0") < 2:
        lake.append("0", 2, [prediction(1)])
    assert lake.predictions(EVER).height == 2
    assert list(lake.verify()) == []
    lake.close()


def test_without_inodes_no_segment_begins_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = SegmentJournal(tmp_path / "0", most_bytes=1 << 20, segment_bytes=1 << 11, disk=disk)
    journal.append([prediction(2000)])
    acknowledged = 1
    disk.fails["create"] = errno.ENOSPC  # what a file system without inodes says: there is room in the files that are
    with pytest.raises(UnavailableError, match=r"Errno 28.* count as not written"):
        for number in range(1000):
            journal.append([prediction(number)])
            acknowledged += 1
    assert acknowledged > 1
    del disk.fails["create"]
    journal.append([prediction(1000)])
    journal.close()
    assert len(SegmentReader(tmp_path).read("0", after=0, most=10_000).observations) == acknowledged + 1
