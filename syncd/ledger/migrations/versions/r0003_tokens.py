"""Where tokens that rotate are kept, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Compared byte by byte, whatever language the database was made for.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """One more table; nothing that was there changes."""
    op.create_table(
        "token",
        sa.Column("connection", _TEXT, primary_key=True),
        sa.Column("seed", _TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("at", _TEXT, nullable=False),
    )
