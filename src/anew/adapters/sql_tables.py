"""The tables of the control database, as the newest migration leaves them."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

__all__ = ["FACT", "INBOX", "LEASE", "METADATA"]

METADATA = MetaData()

# The sequence number is given by the one writer, so that it has no gaps; SQLite knows only INTEGER as a row id.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

FACT = Table(
    "fact",
    METADATA,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("schema", Integer, nullable=False),
    Column("at", String(32), nullable=False),
    Column("cause", String(64), nullable=False),
    Column("recorded_at", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("fact_cause", "cause"),
    Index("fact_model_seq", "model", "seq"),
)

LEASE = Table(
    "lease",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", _SEQUENCE, nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("clock_epoch", Text, nullable=False, server_default=""),
)

INBOX = Table(
    "inbox",
    METADATA,
    Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, unique=True),
    Column("model", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("schema", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("posted_at", String(32), nullable=False),
    Column("taken_at", String(32), nullable=False, server_default=""),
)
