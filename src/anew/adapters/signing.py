"""Ed25519 signatures: what the control plane wrote and nobody else."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from anew.domain.errors import ConflictError, IntegrityError, NotFoundError

__all__ = ["Signer", "Verifier"]

_PRIVATE, _PUBLIC = "signing.key", "signing.pub"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks signatures with the public key. Thread-safe."""

    key: Ed25519PublicKey

    @classmethod
    def load(cls, folder: Path) -> "Verifier":
        """Read the public key of a project's ``keys`` folder.

        Raises
        ------
        NotFoundError
            No key was ever made here.
        IntegrityError
            The file is not a key.
        """
        if not (folder / _PUBLIC).exists():
            raise NotFoundError(_no_key(folder))
        return cls.read(folder / _PUBLIC)

    @classmethod
    def read(cls, file: Path) -> "Verifier":
        """Read a public key wherever it is.

        Raises
        ------
        NotFoundError
            There is no such file.
        IntegrityError
            The file is not a key.
        """
        try:
            return cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(file.read_text("ascii").strip())))
        except FileNotFoundError as exc:
            raise NotFoundError(f"there is no public key {file}; the project has it as .anew/keys/{_PUBLIC}") from exc
        except ValueError as exc:
            raise IntegrityError(f"{file} is not an Ed25519 public key; restore it from a copy") from exc

    @classmethod
    def pin(cls, folder: Path, key: str) -> "Verifier":
        """Believe this public key, 64 hex digits, in a ``keys`` folder from now on.

        Raises
        ------
        IntegrityError
            It is no such key.
        ConflictError
            The folder believes another one, or has a private key: it is a project's own.
        """
        text = key.strip().lower()
        try:
            found = cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))
        except ValueError as exc:
            raise IntegrityError(
                f"no Ed25519 public key of 64 hex digits was given; it is in .anew/keys/{_PUBLIC} of the project"
            ) from exc
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / _PUBLIC
        if (folder / _PRIVATE).exists():
            raise ConflictError(f"{folder} has the key that signs: this is the project itself; give an empty folder")
        if not path.exists():
            _write(path, text)
        if path.read_text("ascii").strip() != text:
            raise ConflictError(f"{path} is the key of another project; give that one, or an empty folder")
        return found

    def verify(self, data: bytes, signature: str) -> None:
        """Do nothing if `signature` (hex) is the key's signature of `data`.

        Raises
        ------
        IntegrityError
            It is not: the data was altered, or signed with another key.
        """
        try:
            self.key.verify(bytes.fromhex(signature), data)
        except (InvalidSignature, ValueError) as exc:
            raise IntegrityError("the signature does not match: altered, or signed with another key") from exc


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """Signs with the private key. Thread-safe; shows the key in no representation."""

    key: Ed25519PrivateKey

    @classmethod
    def load_or_create(cls, folder: Path) -> "Signer":
        """Read the private key of a project's ``keys`` folder, making it (mode 0600) when there is none.

        Say so for a project that is new: what was signed before is refused under a new key. Process-safe: of several
        that make one at once, one wins and all use its key.

        Raises
        ------
        NotFoundError
            Only the public one is there: the private one was lost.
        IntegrityError
            The file is not a key, or others than its owner may read it.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / _PUBLIC).exists() and not (folder / _PRIVATE).exists():
            _create(folder / _PRIVATE)
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> "Signer":
        """Read the private key of a project's ``keys`` folder; never make one.

        Raises
        ------
        NotFoundError
            There is none.
        IntegrityError
            The file is not a key, or others than its owner may read it.
        """
        path = folder / _PRIVATE
        if not path.exists():
            raise NotFoundError(_no_key(folder))
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise IntegrityError(f"others than its owner may read {path}; if nobody did, run: chmod 600 {path}")
        try:
            signer = cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text("ascii").strip())))
        except ValueError as exc:
            raise IntegrityError(f"{path} is not an Ed25519 private key; restore it from a copy") from exc
        public = signer.key.public_key().public_bytes_raw().hex()
        if not (folder / _PUBLIC).exists():
            _write(folder / _PUBLIC, public)
        elif (folder / _PUBLIC).read_text("ascii").strip() != public:
            raise IntegrityError(f"{folder / _PUBLIC} does not belong to {path}; restore both from a copy")
        return signer

    @property
    def verifier(self) -> Verifier:
        """The other half."""
        return Verifier(self.key.public_key())

    def sign(self, data: bytes) -> str:
        """Return the signature of `data`, 128 hex digits."""
        return self.key.sign(data).hex()


def _no_key(folder: Path) -> str:
    return (
        f"there is no signing key in {folder}; anew up makes one for a new project, and one that was lost has to come "
        "back from a backup (state/keys there, or anew restore)"
    )


def _create(path: Path) -> None:
    _write(path, Ed25519PrivateKey.generate().private_bytes_raw().hex())


def _write(path: Path, text: str) -> None:
    """Make the file, durable and whole from its first instant, unless it is there."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        temporary.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
