"""The first shape of the ledger, with the triggers that keep the record append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('held', 'planned', 'sending', 'unknown')")
_DATED = sa.text("operation IN ('post_line', 'post_credit')")
_RUNNING = sa.text("state = 'running'")
# Compared byte by byte, whatever language the database was made for.
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, _TEXT, nullable=False) for name in names]


def _perhaps(name: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=True)


def upgrade() -> None:
    """Makes everything; there is nothing before it."""
    _entries()
    _readings()
    _triggers()


def _entries() -> None:
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        *_texts("installation"),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        *_texts("head"),
        sa.Column("restored", sa.Integer, nullable=True),
        *_texts("created_at"),
        sa.CheckConstraint("id = 1", name="meta_is_one_row"),
    )
    op.create_table(
        "entry",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        *_texts("id", "key", "identity", "line", "customer", "rule", "connection", "operation", "period"),
        *_texts("quantity", "before", "after"),
        _perhaps("amount"),
        *_texts("currency", "fingerprint", "follows", "undo_of", "cycle", "created_at", "state", "decided_by"),
        sa.Column("attempts", sa.Integer, nullable=False),
        *_texts("remote_id", "note"),
        _perhaps("sent_at"),
        _perhaps("settled_at"),
        *_texts("hash"),
    )
    op.create_index("entry_id", "entry", ["id"], unique=True)
    op.create_index("entry_key", "entry", ["key"], unique=True)
    op.create_index("entry_open", "entry", ["identity"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index("entry_identity", "entry", ["identity", "state", "seq"])
    op.create_index("entry_state", "entry", ["state", "seq"])
    op.create_index("entry_customer", "entry", ["customer", "rule", "seq"])
    op.create_index("entry_cycle", "entry", ["cycle"])
    op.create_index("entry_period", "entry", ["period"])
    op.create_index("entry_follows", "entry", ["follows"])
    op.create_index(
        "entry_dated",
        "entry",
        ["identity", "operation", "state", "quantity"],
        sqlite_where=_DATED,
        postgresql_where=_DATED,
    )
    op.create_table(
        "event",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("entry_id", _TEXT, sa.ForeignKey("entry.id"), nullable=False),
        *_texts("at"),
        _perhaps("from_state"),
        *_texts("to_state", "data", "hash"),
    )
    op.create_index("event_entry", "event", ["entry_id", "seq"])


def _readings() -> None:
    op.create_table(
        "cycle",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *_texts("state", "mode", "as_of", "day", "started_at"),
        _perhaps("ended_at"),
        _perhaps("summary"),
    )
    op.create_index("cycle_running", "cycle", ["number"], sqlite_where=_RUNNING, postgresql_where=_RUNNING)
    op.create_table(
        "observation",
        sa.Column("seq", sa.Integer, primary_key=True),
        *_texts("connection", "customer_id", "what", "state", "digest", "cycle", "at"),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("observation_of", "observation", ["connection", "customer_id", "what", "seq"])
    op.create_table(
        "latest",
        *_texts("connection", "customer_id", "what", "state", "digest"),
        sa.Column("seq", sa.Integer, sa.ForeignKey("observation.seq"), nullable=False),
        sa.PrimaryKeyConstraint("connection", "customer_id", "what"),
    )
    op.create_table(
        "blob",
        sa.Column("digest", _TEXT, primary_key=True, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "sighting",
        sa.Column("line", _TEXT, primary_key=True, nullable=False),
        *_texts("fingerprint"),
        sa.Column("times", sa.Integer, nullable=False),
        *_texts("since"),
    )
    op.create_table(
        "customer",
        *_texts("connection", "id", "name", "identifiers", "totals"),
        sa.PrimaryKeyConstraint("connection", "id"),
    )
    op.create_table(
        "line",
        sa.Column("id", _TEXT, primary_key=True, nullable=False),
        *_texts("customer", "rule", "digest", "changed_cycle"),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("line_rule", "line", ["customer", "rule"])
    op.create_index("line_digest", "line", ["id", "digest"])
    op.create_table(
        "freshness",
        *_texts("connection", "day", "cycle"),
        sa.PrimaryKeyConstraint("connection", "day"),
    )
    op.create_table(
        "wait",
        *_texts("connection", "scope", "until"),
        sa.PrimaryKeyConstraint("connection", "scope"),
    )


_REFUSAL = "the record of what was posted is never altered"


def _triggers() -> None:
    kept = ("seq", "id", "key", "identity", "quantity")
    alters = {"sqlite": "NEW.{0} IS NOT OLD.{0}", "postgresql": "NEW.{0} IS DISTINCT FROM OLD.{0}"}
    dialect = op.get_bind().dialect.name
    ends_once = " OR ".join(
        ["OLD.state IN ('rejected', 'posted', 'failed', 'superseded')", *(alters[dialect].format(one) for one in kept)]
    )
    refusals = {
        "event_never_changes": ("UPDATE ON event", ""),
        "event_never_leaves": ("DELETE ON event", ""),
        "entry_never_leaves": ("DELETE ON entry", ""),
        "meta_never_leaves": ("DELETE ON meta", ""),
        "entry_ends_once": ("UPDATE ON entry", ends_once),
    }
    if dialect == "sqlite":
        for name, (occasion, when) in refusals.items():
            condition = f"WHEN {when} " if when else ""
            refused = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            op.execute(f"CREATE TRIGGER {name} BEFORE {occasion} {condition}{refused}")
        return
    op.execute(
        "CREATE FUNCTION record_is_never_altered() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    for name, (occasion, when) in refusals.items():
        condition = f"WHEN ({when}) " if when else ""
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {occasion} FOR EACH ROW {condition}"
            "EXECUTE FUNCTION record_is_never_altered()"
        )
    for table in ("event", "entry", "meta"):
        op.execute(
            f"CREATE TRIGGER {table}_is_never_emptied BEFORE TRUNCATE ON {table} FOR EACH STATEMENT "
            "EXECUTE FUNCTION record_is_never_altered()"
        )
