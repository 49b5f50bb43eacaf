"""The ledger: every intent, what was sent, what came of it, and what was read, durably and provably.

`store` is what others use; only `door` opens transactions. Alembic is imported only where a ledger is made or migrated.
"""

from __future__ import annotations

from syncd.ledger.backup import backup, restore
from syncd.ledger.lookup import Event, request_of
from syncd.ledger.moving import export, import_
from syncd.ledger.store import Ledger
from syncd.ledger.vault import LedgerVault

__all__ = ["Event", "Ledger", "LedgerVault", "backup", "export", "import_", "request_of", "restore"]
