"""Create the tables of facts, leases and the inbox."""

import sqlalchemy as sa
from alembic import op

from anew.domain.boundary import reach

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0001"
down_revision: str | None = None

_SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create `fact`, `lease` and `inbox`."""
    op.create_table(
        "fact",
        sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("fact_cause", "fact", ["cause"])
    op.create_index("fact_model_seq", "fact", ["model", "seq"])
    reach("migration.between")
    op.create_table(
        "lease",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("epoch", _SEQUENCE, nullable=False),
        sa.Column("expires_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "inbox",
        sa.Column("seq", _SEQUENCE, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("posted_at", sa.String(32), nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Drop them; the facts are gone with it."""
    for table in ("inbox", "lease", "fact"):
        op.drop_table(table)
