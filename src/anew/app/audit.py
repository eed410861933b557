"""The audit of a project's record: verified and shown, with a head that others can hold it to."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from anew.adapters.fact_codec import encode
from anew.adapters.fact_reader import read_facts
from anew.adapters.signing import Signer, Verifier
from anew.adapters.sql_eventlog import ChainHead, SQLEventLog
from anew.adapters.system_clock import SystemClock
from anew.app.narration import narrate
from anew.app.record import open_record
from anew.app.record_place import record_place
from anew.app.status import state_folder
from anew.domain.errors import SettingsError
from anew.ports.eventlog import Recorded

__all__ = ["SignedHead", "entries", "read_head", "signed_head", "told", "verify"]

_PEOPLE = ("by",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """How far the record went at some instant, signed with the project's key; it belongs outside the project's folder.

    Attributes
    ----------
    head
        Number of the last fact and the hash of the chain up to it.
    signature
        Ed25519, hex, of ``seq`` and ``hash``.
    """

    head: ChainHead
    signature: str

    @classmethod
    def by(cls, signer: Signer, head: ChainHead) -> "SignedHead":
        """Sign a verified head."""
        return cls(head=head, signature=signer.sign(cls(head=head, signature="").signed))

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return f"anew.audit.head/1\n{self.head.seq}\n{self.head.hash}\n".encode()

    def to_json(self) -> str:
        """Write as one line of JSON."""
        return json.dumps({"seq": self.head.seq, "hash": self.head.hash, "signature": self.signature})


def verify(project: Path, earlier: SignedHead | None = None) -> ChainHead:
    """Recompute the chain over the whole record and return its head.

    Parameters
    ----------
    earlier
        A head exported before: the record has to go on from it.

    Raises
    ------
    IntegrityError
        A fact was changed, removed or put in between (the message names the first bad row), the record does not reach
        as far as `earlier`, or `earlier` was not signed by this project.
    NotFoundError
        The project was never brought up.
    """
    state = state_folder(project)
    if earlier is not None:
        Verifier.load(state / "keys").verify(earlier.signed, earlier.signature)
    with closing(open_record(state, migrate=False)) as database:
        return SQLEventLog(database, clock=SystemClock()).verify_chain(None if earlier is None else earlier.head)


def signed_head(project: Path, head: ChainHead) -> SignedHead:
    """Sign a verified head with the project's key."""
    return SignedHead.by(Signer.load(state_folder(project) / "keys"), head)


def read_head(file: Path) -> SignedHead:
    """Read an exported head: the file of ``audit head``, or the last line of an export, whose other lines may be any.

    Raises
    ------
    SettingsError
        The file holds none.
    """
    try:
        plain = json.loads(file.read_text("utf-8").splitlines()[-1])
        plain = plain.get("data", plain)
        head = ChainHead(seq=int(plain["seq"]), hash=str(plain["hash"]))
        return SignedHead(head=head, signature=str(plain["signature"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as exc:
        raise SettingsError(f"{file} holds no exported head ({exc!r}); `anew audit head` prints one") from exc


def entries(project: Path, *, after: int = 0, kinds: Collection[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the facts of the record with ``seq > after`` as plain values: who and when, in one sentence, and whole."""
    for recorded in read_facts(record_place(state_folder(project)), after, kinds):
        yield told(recorded)


def told(recorded: Recorded) -> Mapping[str, Any]:
    """Return a fact as plain values: its number, who and when, in one sentence, and whole."""
    fact = recorded.fact
    return {
        "seq": recorded.seq,
        "recorded_at": recorded.recorded_at.isoformat(),
        "at": fact.at.isoformat(),
        "kind": fact.kind,
        "by": next((getattr(fact, name) for name in _PEOPLE if getattr(fact, name, "")), ""),
        "said": narrate(fact),
        "fact": msgspec.json.decode(encode(fact)),
    }
