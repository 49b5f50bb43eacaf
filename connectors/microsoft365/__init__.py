"""Microsoft 365: licences used and bought in the customers' tenants, read from Microsoft Graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from connectors.microsoft365.config import Microsoft365Settings
from connectors.microsoft365.people import FILTERS
from connectors.microsoft365.read import MEASURES
from syncd.connect.contract import Abilities, Connection, Context
from syncd.connect.settings import ConnectionSettings

# `consumed` by default: it costs one request for a tenant, `assigned` reads every user.
ABILITIES = Abilities(
    reads=frozenset({"used", "bought"}),
    measures=MEASURES,
    default_measure="consumed",
    filters=FILTERS,
    per_customer=True,
)


@dataclass(frozen=True, slots=True)
class Microsoft365:
    """The connector behind `kind = "microsoft365"`."""

    kind: str = "microsoft365"
    title: str = "Microsoft 365"
    settings: type[ConnectionSettings] = Microsoft365Settings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.microsoft365.sandbox:build"

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no I/O yet."""
        from connectors.microsoft365.connection import Microsoft365Connection

        # It has the functions that its abilities promise, and no others: nothing can be posted to Microsoft 365.
        return cast(Connection, Microsoft365Connection(settings, context))


connector = Microsoft365()
