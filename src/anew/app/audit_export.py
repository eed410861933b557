"""The record in a file of its own, which the project's public key alone verifies."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from anew.adapters.fact_chain import GENESIS, link
from anew.adapters.fact_reader import StoredFact, read_stored
from anew.adapters.signing import Signer, Verifier
from anew.adapters.sql_eventlog import ChainHead
from anew.app.audit import SignedHead, told, verify
from anew.app.new_file import require_new
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import ConflictError, IntegrityError, NotFoundError

__all__ = ["export", "is_export", "verify_export"]


def export(project: Path, to: Path) -> SignedHead:
    """Write the verified record to a new file, one fact a line and its signed head last, and bring it to disk.

    Each line has what the chain's hash is made of, and the hash; the last a signature over all lines before it as well.

    Raises
    ------
    IntegrityError
        The record does not verify; nothing is written.
    ConflictError
        The file is there already: an export is never written over.
    NotFoundError
        There is no folder for it.
    """
    require_new(to)
    found = verify(project)
    signer = Signer.load(state_folder(project) / "keys")
    head = SignedHead.by(signer, found)
    try:
        with to.open("xb") as file:
            digest, previous = hashlib.sha256(), GENESIS
            for stored in read_stored(record_place(state_folder(project))):
                if stored.seq <= found.seq:
                    previous = _hash(stored, previous)
                    digest.update(line := _line(stored, previous))
                    file.write(line)
            if previous != found.hash:
                raise IntegrityError("the record of facts was altered while it was exported; anew audit verify says it")
            lines = digest.hexdigest()
            seal = {"lines": lines, "lines_signature": signer.sign(_sealed(found, lines))}
            file.write(json.dumps(json.loads(head.to_json()) | seal).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as exc:
        raise ConflictError(f"{to} is there already; an export is never written over: name another file") from exc
    except IntegrityError:
        to.unlink(missing_ok=True)
        raise
    return head


def is_export(file: Path) -> bool:
    """Has the file more lines than a head?"""
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip()) > 1


def verify_export(file: Path, verifier: Verifier, earlier: SignedHead | None = None) -> ChainHead:
    """Recompute the chain over an export, check that no line is another than was signed, and return the head.

    Parameters
    ----------
    earlier
        A head exported before: the export has to go on from it.

    Raises
    ------
    IntegrityError
        A line was changed, removed or added (the message names the first that does not continue the chain), the export
        does not go on from `earlier`, or the key signed neither.
    NotFoundError
        There is no such file.
    """
    if earlier is not None:
        verifier.verify(earlier.signed, earlier.signature)
    seq, previous, at_earlier = 0, GENESIS, ""
    digest, seal = hashlib.sha256(), dict[str, Any]()
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                plain = _parsed(line, f"{file}, line {number}")
                if seal:
                    raise IntegrityError(f"{file} was altered: line {number} follows the signed head")
                if "signature" in plain:
                    seal = plain
                    continue
                stored, seq = StoredFact(*(plain[name] for name in StoredFact._fields)), seq + 1
                previous = _hash(stored, previous)
                if (stored.seq, plain["hash"]) != (seq, previous):
                    raise IntegrityError(
                        f"{file} was altered: line {number}, fact {stored.seq}, does not continue the chain"
                    )
                digest.update(line)
                at_earlier = previous if earlier is not None and seq == earlier.head.seq else at_earlier
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no export {file}") from exc
    head, lines_digest = ChainHead(seq=seq, hash=previous), digest.hexdigest()
    if (seal.get("seq"), seal.get("hash"), seal.get("lines")) != (seq, previous, lines_digest):
        raise IntegrityError(f"{file} was altered: it does not end in the signed head of the lines that it has")
    verifier.verify(_sealed(head, lines_digest), str(seal.get("lines_signature")))
    try:
        verifier.verify(SignedHead(head=head, signature="").signed, str(seal.get("signature")))
    except IntegrityError as exc:
        raise IntegrityError(f"{file} was altered: the signature of its head is another") from exc
    if earlier is not None and at_earlier != earlier.head.hash:
        raise IntegrityError(
            f"{file}: at fact {earlier.head.seq} it is another record than the one whose head was exported, or it ends "
            f"before (at fact {seq})"
        )
    return head


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    """Return what a line of an export says: a fact, or the signed head."""
    try:
        plain = json.loads(line)
    except ValueError as exc:
        raise IntegrityError(f"{where}: it is no fact ({exc}); the file was altered, or is no export") from exc
    told_of = plain.keys() if isinstance(plain, dict) else set[str]()
    if "signature" not in told_of and "said" in told_of and "body" not in told_of:
        raise IntegrityError(
            f"{where}: it has no hash, as exports of an older anew: they cannot be verified, only their head can (tail "
            "-n 1 FILE > HEAD, then --head HEAD); export again"
        )
    if "signature" not in told_of and not {*StoredFact._fields, "hash"} <= told_of:
        raise IntegrityError(f"{where}: it is no fact; the file was altered, or is no export")
    return dict(plain)


def _line(stored: StoredFact, chained: str) -> bytes:
    plain = {**told(stored.recorded()), **stored._asdict(), "hash": chained}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _hash(stored: StoredFact, previous: str) -> str:
    return link(previous, **stored._asdict())


def _sealed(head: ChainHead, lines: str) -> bytes:
    return f"anew.audit.export/1\n{head.seq}\n{head.hash}\n{lines}\n".encode()
