"""What was told on which channel: the memory of alerts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Compared byte by byte, whatever language the database was made for.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """One more table; nothing that was there changes."""
    op.create_table(
        "episode",
        sa.Column("channel", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("body", _TEXT, nullable=False),
        sa.PrimaryKeyConstraint("channel", "key"),
    )
