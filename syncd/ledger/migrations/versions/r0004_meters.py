"""Usage that was reported to a meter counts into the sums of syncd's own dated lines."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_DATED = sa.text("operation IN ('post_line', 'post_credit', 'report_usage')")


def upgrade() -> None:
    """The index over the sums takes one more operation; no row changes."""
    op.drop_index("entry_dated", table_name="entry")
    op.create_index(
        "entry_dated",
        "entry",
        ["identity", "operation", "state", "quantity"],
        sqlite_where=_DATED,
        postgresql_where=_DATED,
    )
