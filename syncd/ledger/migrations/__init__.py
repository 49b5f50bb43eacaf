"""Brings a ledger to the newest schema. Alembic is imported only when there is something to do: it is heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Runs every missing migration inside the connection's open transaction; the caller commits or rolls back."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    # Alembic expands % in options as configparser does.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
