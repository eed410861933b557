"""Let a lease say which clock its end is read from."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "downgrade", "revision", "upgrade"]

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Add the clock's epoch; a lease of before has none and has expired, but its number goes on."""
    op.add_column("lease", sa.Column("clock_epoch", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take it away; `expires_at` is by the wall clock again, for which every end so far lies long past."""
    op.drop_column("lease", "clock_epoch")
