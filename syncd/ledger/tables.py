"""The ledger's tables, as they stand after the newest migration. No query lives here.

Storage is plain: Decimals, instants and enums are text (SQLite would make a binary float of a DECIMAL column), so what
is hashed is what is stored. `event` is the record, append-only and chained; `entry` is its projection, kept so that
one index can hold "one open entry per identity" and a lookup needs no replay. Triggers that refuse to alter the record
are made by the migration, together with the tables.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from syncd.core.entries import TERMINAL

# The migration that these tables correspond to; a test compares it with Alembic's own head.
SCHEMA = "0004"
# "sync" in ASCII, in the header of the file: tells a ledger from any other SQLite database.
APPLICATION_ID = 0x73796E63

metadata = MetaData()

TERMINAL_STATES = tuple(sorted(state.value for state in TERMINAL))
# Spelled as in the partial indexes: SQLite uses one only for a condition that it recognises.
IS_OPEN = text("state IN ('held', 'planned', 'sending', 'unknown')")
IS_RUNNING = text("state = 'running'")
IS_DATED = text("operation IN ('post_line', 'post_credit', 'report_usage')")


# Compared byte by byte in every database, whatever language it was made for.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _text(name: str, *, null: bool = False, key: bool = False) -> Column[str]:
    return Column(name, TEXT, nullable=null, primary_key=key)


# One row. `epoch` is the fencing token, `events` and `head` the length and the end of the chain, `restored` the length
# that the chain had when it was restored from a backup (null: the ledger remembers everything it did).
meta = Table(
    "meta",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _text("installation"),
    Column("epoch", Integer, nullable=False),
    Column("events", Integer, nullable=False),
    _text("head"),
    Column("restored", Integer, nullable=True),
    _text("created_at"),
    CheckConstraint("id = 1", name="meta_is_one_row"),
)

# `seq` is that of the entry's first event, which holds the whole intent: the order of entries, and the way to it.
entry = Table(
    "entry",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _text("id"),
    _text("key"),
    _text("identity"),
    _text("line"),
    _text("customer"),
    _text("rule"),
    _text("connection"),
    _text("operation"),
    _text("period"),
    _text("quantity"),
    _text("before"),
    _text("after"),
    _text("amount", null=True),
    _text("currency"),
    _text("fingerprint"),
    _text("follows"),
    _text("undo_of"),
    _text("cycle"),
    _text("created_at"),
    _text("state"),
    _text("decided_by"),
    Column("attempts", Integer, nullable=False),
    _text("remote_id"),
    _text("note"),
    _text("sent_at", null=True),
    _text("settled_at", null=True),
    _text("hash"),
    Index("entry_id", "id", unique=True),
    Index("entry_key", "key", unique=True),
    Index("entry_open", "identity", unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN),
    Index("entry_identity", "identity", "state", "seq"),
    Index("entry_state", "state", "seq"),
    Index("entry_customer", "customer", "rule", "seq"),
    Index("entry_cycle", "cycle"),
    Index("entry_period", "period"),
    Index("entry_follows", "follows"),
    # Covers the sums of syncd's own dated lines, so that planning reads no entry for them.
    Index(
        "entry_dated",
        "identity",
        "operation",
        "state",
        "quantity",
        sqlite_where=IS_DATED,
        postgresql_where=IS_DATED,
    ),
)

event = Table(
    "event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("entry_id", TEXT, ForeignKey("entry.id"), nullable=False),
    _text("at"),
    _text("from_state", null=True),
    _text("to_state"),
    _text("data"),
    _text("hash"),
    Index("event_entry", "entry_id", "seq"),
)

# state: running, done, aborted. `day` is the MSP's calendar day of `as_of`.
cycle = Table(
    "cycle",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _text("state"),
    _text("mode"),
    _text("as_of"),
    _text("day"),
    _text("started_at"),
    _text("ended_at", null=True),
    _text("summary", null=True),
    Index("cycle_running", "number", sqlite_where=IS_RUNNING, postgresql_where=IS_RUNNING),
)

# What was read, once for each change. `latest` points to the newest of each, so that an unchanged cycle compares
# digests without touching the history.
observation = Table(
    "observation",
    metadata,
    Column("seq", Integer, primary_key=True),
    _text("connection"),
    _text("customer_id"),
    _text("what"),
    _text("state"),
    _text("digest"),
    _text("cycle"),
    _text("at"),
    Column("body", LargeBinary, nullable=False),
    Index("observation_of", "connection", "customer_id", "what", "seq"),
)

latest = Table(
    "latest",
    metadata,
    _text("connection"),
    _text("customer_id"),
    _text("what"),
    _text("state"),
    _text("digest"),
    Column("seq", Integer, ForeignKey("observation.seq"), nullable=False),
    PrimaryKeyConstraint("connection", "customer_id", "what"),
)

# Subject lists and whatever else observations name by digest: SHA-256 of the content, zlib.
blob = Table(
    "blob",
    metadata,
    _text("digest", key=True),
    Column("body", LargeBinary, nullable=False),
)

sighting = Table(
    "sighting",
    metadata,
    _text("line", key=True),
    _text("fingerprint"),
    Column("times", Integer, nullable=False),
    _text("since"),
)

customer = Table(
    "customer",
    metadata,
    _text("connection"),
    _text("id"),
    _text("name"),
    _text("identifiers"),
    _text("totals"),
    PrimaryKeyConstraint("connection", "id"),
)

# The derivation of each plan line as it last was, for `explain`.
line = Table(
    "line",
    metadata,
    _text("id", key=True),
    _text("customer"),
    _text("rule"),
    _text("digest"),
    _text("changed_cycle"),
    Column("body", LargeBinary, nullable=False),
    Index("line_rule", "customer", "rule"),
    # Covers the comparison of every cycle.
    Index("line_digest", "id", "digest"),
)

freshness = Table(
    "freshness",
    metadata,
    _text("connection"),
    _text("day"),
    _text("cycle"),
    PrimaryKeyConstraint("connection", "day"),
)

# What was told on which channel: JSON of the episode as it was last told.
episode = Table(
    "episode",
    metadata,
    _text("channel"),
    _text("key"),
    _text("body"),
    PrimaryKeyConstraint("channel", "key"),
)

wait = Table(
    "wait",
    metadata,
    _text("connection"),
    _text("scope"),
    _text("until"),
    PrimaryKeyConstraint("connection", "scope"),
)

# Tokens that rotate, sealed (see `vault`). `seed` names the sign-in that they grew out of.
token = Table(
    "token",
    metadata,
    _text("connection", key=True),
    _text("seed"),
    Column("body", LargeBinary, nullable=False),
    _text("at"),
)
