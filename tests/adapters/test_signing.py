"""Signatures: made once, readable by the owner alone, worth nothing after a change."""

import threading
from pathlib import Path

import pytest

from anew.adapters.signing import Signer, Verifier
from anew.domain.errors import IntegrityError, NotFoundError


def test_a_signature_verifies_and_a_changed_byte_does_not(tmp_path: Path) -> None:
    signer = Signer.load_or_create(tmp_path / "keys")
    signature = signer.sign(b"order")
    verifier = Verifier.load(tmp_path / "keys")
    verifier.verify(b"order", signature)
    for data, text in ((b"Order", signature), (b"order", "00" * 64), (b"order", "no hex"), (b"order", "")):
        with pytest.raises(IntegrityError, match="does not match"):
            verifier.verify(data, text)


def test_the_key_is_kept_private_and_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with pytest.raises(NotFoundError):
        Verifier.load(folder)
    first = Signer.load_or_create(folder)
    assert (folder / "signing.key").stat().st_mode & 0o777 == 0o600
    assert Signer.load_or_create(folder).sign(b"x") == first.sign(b"x")
    assert sorted(path.name for path in folder.iterdir()) == ["signing.key", "signing.pub"]
    assert (folder / "signing.key").read_text().strip() not in repr(first)


def test_a_key_that_others_may_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    Signer.load_or_create(tmp_path)
    (tmp_path / "signing.key").chmod(0o640)
    with pytest.raises(IntegrityError, match="chmod 600"):
        Signer.load_or_create(tmp_path)
    (tmp_path / "signing.key").chmod(0o600)
    (tmp_path / "signing.key").write_text("not a key")
    with pytest.raises(IntegrityError, match="not an Ed25519"):
        Signer.load_or_create(tmp_path)


def test_a_key_that_was_lost_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no signing key"):
        Signer.load(tmp_path / "keys")
    assert not (tmp_path / "keys").exists()
    Signer.load_or_create(tmp_path)
    (tmp_path / "signing.key").unlink()
    with pytest.raises(NotFoundError, match="back from a backup"):
        Signer.load_or_create(tmp_path)
    assert not (tmp_path / "signing.key").exists()


def test_keys_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    Signer.load_or_create(tmp_path / "a")
    Signer.load_or_create(tmp_path / "b")
    (tmp_path / "a" / "signing.pub").write_bytes((tmp_path / "b" / "signing.pub").read_bytes())
    with pytest.raises(IntegrityError, match="does not belong"):
        Signer.load_or_create(tmp_path / "a")


def test_of_many_makers_one_wins(tmp_path: Path) -> None:
    signatures: list[str] = []
    threads = [
        threading.Thread(target=lambda: signatures.append(Signer.load_or_create(tmp_path).sign(b"x"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(signatures) == 8
    assert len(set(signatures)) == 1
