"""The lake and its folder in a bucket: the same contract, and a store that fails, lies or overwrites."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from anew.adapters._lake_s3 import S3Folder
from anew.adapters.delta_lake import DeltaLake
from anew.adapters.s3_bucket import S3Bucket
from anew.app.doctor.examined import Examined
from anew.app.doctor.store import STORE
from anew.app.settings import load
from anew.app.stores import open_stores
from anew.domain.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    SchemaError,
    SettingsError,
    UnavailableError,
)
from anew.domain.health import Health
from anew.domain.observation import Observation
from anew.feedback.address import rows_address
from anew.testing.contract_lake import COLUMNS, DAY, EVER, START, LakeContract
from tests.adapters.test_delta_upkeep import fill, timed
from tests.app.small_project import YAML, write_project
from tests.s3_proxy import S3Proxy
from tests.s3_server import S3Server

pytestmark = pytest.mark.system


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """Return the URL of an empty folder."""
    return f"{s3.bucket()}/some/folder"


def opened(url: str, folder: Path) -> DeltaLake:
    """Open a lake whose files are in a bucket, whose mark is here."""
    return DeltaLake(
        lambda table: S3Folder(S3Bucket(f"{url}/{table}"), folder / "cache" / table), COLUMNS, "m", folder / "lake.db"
    )


@pytest.fixture
def lake(bucket: str, tmp_path: Path) -> Iterator[DeltaLake]:
    with closing(opened(bucket, tmp_path)) as made:
        yield made


class TestS3Lake(LakeContract):
    """The contract."""

    @pytest.fixture
    def lake(self, bucket: str, tmp_path: Path) -> Iterator[DeltaLake]:
        """Return an empty one."""
        with closing(opened(bucket, tmp_path)) as made:
            yield made


def test_another_machine_with_the_mark_reads_the_same(lake: DeltaLake, bucket: str, tmp_path: Path) -> None:
    fill(lake)
    before = rows_address(lake.labelled(EVER))
    lake.close()
    for path in sorted((tmp_path / "cache").rglob("*.parquet")):
        path.unlink()  # what is here are copies
    with closing(opened(bucket, tmp_path)) as again:
        assert rows_address(again.labelled(EVER)) == before
        assert list(again.verify()) == []


@pytest.mark.fault("O8")
def test_compaction_retention_and_vacuum_keep_what_is_pinned(lake: DeltaLake) -> None:
    versions = fill(lake, days=10, per_day=2)
    digests = [rows_address(lake.labelled(EVER, versions=each)) for each in versions]
    assert lake.compact()
    lake.expire(START + 2 * DAY)
    lake.vacuum({table: {versions[3][table]} for table in versions[0]})
    assert rows_address(lake.labelled(EVER, versions=versions[3])) == digests[3]
    with pytest.raises(NotFoundError):
        lake.labelled(EVER, versions=versions[9])
    assert list(lake.verify()) == []


@pytest.mark.fault("D13")
def test_a_replaced_object_is_found(lake: DeltaLake, bucket: str, tmp_path: Path) -> None:
    fill(lake)
    table = S3Bucket(f"{bucket}/predictions")
    first, second = [name for name in table.names() if name.endswith(".parquet")][:2]
    other = table.read(second)
    assert other is not None
    table.put(first, other)
    with pytest.raises(IntegrityError, match=r"bytes"):
        lake.labelled(EVER)
    assert any(first in problem for problem in lake.verify())


@pytest.mark.fault("D15")
@pytest.mark.parametrize(
    ("what", "fault"), [("PUT", "slow_down"), ("PUT", "lost_answer"), ("GET", "no_answer"), ("GET", "reset_body")]
)
def test_what_is_unknown_is_read_back_and_nothing_is_stored_twice(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, what: str
) -> None:
    with S3Proxy(s3.endpoint) as proxy:
        url = f"{s3.bucket()}/lake"
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with closing(opened(url, tmp_path)) as lake:
            batches = [[each for i in range(3) for each in timed(i, day)] for day in range(4)]
            lake.append("w0", 6, batches[0])
            for number, batch in enumerate(batches[1:], 2):
                proxy.fail(what, fault, times=1)
                store(lake, number * 6, batch)
            proxy.fail("", "", times=0)
            assert lake.labelled(EVER).height == 12
            assert dict(lake.counts())["predictions"] == dict(lake.counts())["labels"] == 12
            assert list(lake.verify()) == []
            assert proxy.failed


@pytest.mark.fault("D15")
def test_control_what_is_not_read_back_is_written_twice(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{s3.bucket()}/commits"
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        careless = S3Bucket(url)
        monkeypatch.setattr(careless, "read", lambda _: None)
        proxy.fail("PUT", "lost_answer", times=1)
        with suppress(UnavailableError):
            assert not careless.create("1.json", b"rows")  # it was: only reading it back tells
        assert careless.create("2.json", b"rows")
        assert proxy.failed
        assert len(careless.names()) == 2


def store(lake: DeltaLake, position: int, batch: Sequence[Observation]) -> None:
    """Store a batch as the drainer does: again, when it is unknown whether it was."""
    for _ in range(5):
        if lake.drained("w0") >= position:
            return
        with suppress(UnavailableError, ConflictError):
            lake.append("w0", position, batch)
    assert lake.drained("w0") >= position


@pytest.mark.fault("D16")
def test_a_store_that_overwrites_is_found_by_a_probe(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = s3.bucket()
    assert S3Bucket(url).refuses_overwriting()
    with S3Proxy(s3.endpoint) as proxy:
        proxy.forget_conditions = True  # an older store, which does not know the header
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert not S3Bucket(url).refuses_overwriting()
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert S3Bucket(url).names() == []


@pytest.mark.fault("D16")
def test_control_on_a_store_that_overwrites_one_of_two_commits_is_lost(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = s3.bucket()
    with S3Proxy(s3.endpoint) as proxy:
        proxy.forget_conditions = True
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert [S3Bucket(url).create("1.json", each) for each in (b"first", b"second")] == [True, True]
        assert S3Bucket(url).read("1.json") == b"second"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    assert not S3Bucket(url).create("1.json", b"third")


@pytest.mark.fault("D16")
@pytest.mark.parametrize("forgets", [True, False], ids=["overwrites", "control: keeps its promise"])
def test_a_store_that_overwrites_is_refused_for_the_lake_and_for_replicas(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgets: bool
) -> None:
    url = s3.bucket()
    stores = {"lake": f"{{lake: '{url}/lake'}}", "replicas": f"{{artifacts: '{url}/a', replicas: '{url}/r'}}"}
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        proxy.forget_conditions = forgets
        for name, said in stores.items():
            settings = load(write_project(tmp_path / name, f"{YAML}stores: {said}\n"))
            finding = STORE[{"lake": "bucket", "replicas": "replica bucket"}[name]](Examined(settings=settings))
            assert finding.health is (Health.BAD if forgets else Health.GOOD)
            with ExitStack() as stack:
                if forgets:
                    stack.enter_context(pytest.raises(IntegrityError, match=f"stores.{name}: .* overwrites"))
                stack.enter_context(open_stores(settings))


@pytest.mark.fault("D17")
def test_credentials_that_expire_are_said_and_nothing_is_halved(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3Proxy(s3.endpoint) as proxy:
        url = f"{s3.bucket()}/lake"
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with closing(opened(url, tmp_path)) as lake:
            first, second = ([each for i in range(3) for each in timed(i, day)] for day in range(2))
            lake.append("w0", 6, first)
            proxy.fail("PUT", "expired", times=1000)
            with pytest.raises(UnavailableError, match="refused or have expired"):
                lake.append("w0", 12, second)
            proxy.fail("", "", times=0)
            assert lake.labelled(EVER).height == 3
            store(lake, 12, second)  # the same lake, once they are renewed
            assert lake.labelled(EVER).height == 6
            assert list(lake.verify()) == []


def test_copies_make_room_for_others(bucket: str, tmp_path: Path) -> None:
    folder = S3Folder(S3Bucket(bucket), tmp_path, most_bytes=250)
    for number in range(4):
        folder.put(f"{number}.parquet", bytes(100))
        folder.local(f"{number}.parquet", bytes(100))
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert folder.stamp("0.parquet") is None
    assert folder.read("0.parquet") == bytes(100)
    with pytest.raises(IntegrityError, match="try again"):
        folder.local("0.parquet")


@pytest.mark.parametrize("url", ["https://b/x", "s3://", "s3://ada:secret@b/x", "s3://b/x?token=secret"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"is no s3://BUCKET/PREFIX"):
        S3Bucket(url)


def test_a_lake_is_not_taken_for_another(lake: DeltaLake, s3: S3Server, tmp_path: Path) -> None:
    fill(lake)
    lake.close()
    with pytest.raises(SchemaError, match="made for another place"):
        DeltaLake(tmp_path / "lake", COLUMNS, "m", tmp_path / "lake.db")
