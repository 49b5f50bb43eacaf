"""What Alembic runs around the migrations: always on the connection that it was handed, inside its transaction."""

from __future__ import annotations

from alembic import context

from syncd.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite's DDL is transactional when the driver does not commit behind our back (engine.connect sees to that):
    # a migration is there whole or not at all.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
