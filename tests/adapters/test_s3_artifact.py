"""Artifacts and snapshots in a bucket: the contracts of those on a disk, copies here, and a bucket that fails."""

import shutil
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

from anew.adapters.local_artifact import LocalArtifactStore
from anew.adapters.local_snapshot import LocalSnapshotStore
from anew.adapters.s3_artifact import S3ArtifactStore
from anew.adapters.s3_bucket import S3Bucket
from anew.adapters.s3_snapshot import S3SnapshotStore
from anew.adapters.signing import Signer
from anew.domain.errors import IntegrityError, NotFoundError, UnavailableError
from anew.testing.contract_artifact import ROWS, ArtifactContract, SnapshotContract, artifact_folder
from tests.s3_proxy import S3Proxy
from tests.s3_server import S3Server

pytestmark = pytest.mark.system


class Shelf:
    """See `ArtifactShelf`; every store that is opened is on a machine of its own."""

    def __init__(self, url: str, root: Path) -> None:
        self.bucket, self.root, self.machines = S3Bucket(url), root, 0

    def open(self, keys: str = "keys", *, signs: bool = True) -> S3ArtifactStore:
        """Open the store."""
        self.machines += 1
        signer = Signer.load_or_create(self.root / keys)
        return S3ArtifactStore(
            bucket=self.bucket,
            copies=LocalArtifactStore(
                root=self.root / str(self.machines) / "models",
                signer=signer if signs else None,
                verifier=signer.verifier,
            ),
        )

    def read(self, name: str) -> bytes:
        """Return the stored bytes."""
        found = self.bucket.read(name)
        assert found is not None
        return found

    def write(self, name: str, data: bytes | None) -> None:
        """Change what is stored."""
        if data is None:
            self.bucket.remove(name)
        else:
            self.bucket.put(name, data)


class SnapshotShelf:
    """Likewise."""

    def __init__(self, url: str, root: Path) -> None:
        self.bucket, self.root, self.machines = S3Bucket(url), root, 0

    def open(self) -> S3SnapshotStore:
        """Open the store."""
        self.machines += 1
        return S3SnapshotStore(self.bucket, LocalSnapshotStore(self.root / str(self.machines)))

    def write(self, digest: str, data: bytes) -> None:
        """Change what is stored."""
        self.bucket.put(f"{digest}.parquet", data)


@pytest.fixture
def shelf(s3: S3Server, tmp_path: Path) -> Shelf:
    return Shelf(f"{s3.bucket()}/some/models", tmp_path / "shelf")


class TestS3Artifacts(ArtifactContract):
    """The contract."""

    @pytest.fixture
    def shelf(self, s3: S3Server, tmp_path: Path) -> Shelf:
        """Return an empty one."""
        return Shelf(f"{s3.bucket()}/some/models", tmp_path / "shelf")


class TestS3Snapshots(SnapshotContract):
    """The contract."""

    @pytest.fixture
    def shelf(self, s3: S3Server, tmp_path: Path) -> SnapshotShelf:
        """Return an empty one."""
        return SnapshotShelf(f"{s3.bucket()}/some/snapshots", tmp_path / "shelf")


@pytest.mark.fault("R2")
def test_a_copy_that_was_changed_or_deleted_is_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    store = shelf.open()
    digest = store.put(artifact_folder(tmp_path / "out"))
    copy = store.get(digest) / "model.txt"
    whole = copy.read_bytes()
    copy.parent.chmod(0o700)
    copy.chmod(0o600)
    copy.write_bytes(whole[:-1] + b"!")
    assert (store.get(digest) / "model.txt").read_bytes() == whole
    shutil.move(store.copies.root, tmp_path / "lost")
    assert (store.get(digest) / "model.txt").read_bytes() == whole


@pytest.mark.fault("P14")
def test_what_is_here_is_served_while_the_bucket_is_away(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{s3.bucket()}/models"
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        shelf = Shelf(url, tmp_path / "shelf")
        store = shelf.open()
        digest = store.put(artifact_folder(tmp_path / "out"))
    store.get(digest)
    assert store.has(digest)
    with pytest.raises(UnavailableError, match=r"s3://"):
        shelf.open().get(digest)  # the control: a machine that has no copy


@pytest.mark.fault("D15")
@pytest.mark.parametrize(("what", "fault"), [("PUT", "slow_down"), ("PUT", "lost_answer"), ("GET", "reset_body")])
def test_what_is_unknown_is_read_back(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, fault: str
) -> None:
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        shelf = Shelf(f"{s3.bucket()}/models", tmp_path / "shelf")
        proxy.fail(what, fault, times=1)
        digest = shelf.open().put(artifact_folder(tmp_path / "out"))
        reader = shelf.open(signs=False)
        with suppress(UnavailableError):  # nothing half is left of it
            reader.get(digest)
        reader.get(digest)
        assert proxy.failed


@pytest.mark.fault("D17")
@pytest.mark.parametrize("order", ["list last", "control: list first"])
def test_an_artifact_whose_credentials_expire_on_the_way_is_not_there(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    with S3Proxy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        shelf = Shelf(f"{s3.bucket()}/models", tmp_path / "shelf")
        store = shelf.open()
        digest = store.copies.put(artifact_folder(tmp_path / "out"))
        if order == "control: list first":
            store.bucket.put(f"{digest}.json", store.copies.record(digest))
        proxy.fail("PUT", "expired", times=1000)
        with pytest.raises(UnavailableError, match="refused or have expired"):
            store.upload(digest)
        proxy.fail("", "", times=0)
        elsewhere = shelf.open()
        assert elsewhere.has(digest) is (order == "control: list first")
        with pytest.raises((NotFoundError, IntegrityError)):
            elsewhere.get(digest)
        store.upload(digest)  # the same, once they are renewed
        assert elsewhere.get(digest).is_dir()


def test_one_that_was_put_half_is_not_there(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, put = shelf.open(), S3Bucket.put

    def killed(bucket: S3Bucket, name: str, content: bytes) -> None:
        if name.endswith(".json") and "/" not in name:
            raise UnavailableError("the power went")
        put(bucket, name, content)

    source = artifact_folder(tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(S3Bucket, "put", killed)
        with pytest.raises(UnavailableError):
            store.put(source)
    (digest,) = store.copies.stored()
    assert not shelf.open().has(digest)
    assert store.put(source) == digest
    assert shelf.open().stored() == [digest]


def test_a_subject_is_not_called_gone_while_a_snapshot_cannot_be_read(s3: S3Server, tmp_path: Path) -> None:
    shelf = SnapshotShelf(f"{s3.bucket()}/snapshots", tmp_path)
    digest = shelf.open().put(ROWS)
    shelf.write(digest, b"damaged")
    with pytest.raises(IntegrityError, match=digest):
        shelf.open().purge("ann")
    shelf.open().put(ROWS)
    assert shelf.open().purge("nobody") == ()
    assert pl.read_parquet(shelf.open().get(digest)).equals(ROWS)
    assert shelf.open().purge("ann") == (digest,)
    with pytest.raises(NotFoundError):
        shelf.open().get(digest)
