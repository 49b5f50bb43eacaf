"""The `http_json` kind: a vendor without code. What to ask and what the answer means stands in config.toml."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from connectors.http_json.config import HttpJsonSettings
from syncd.connect.contract import Abilities, Connection, Context, Measure
from syncd.connect.settings import ConnectionSettings

# One kind for all declarations: most have one list for everybody, which cannot be split by customer. With `each` the
# connection itself asks side by side.
ABILITIES = Abilities(
    reads=frozenset({"used", "bought"}),
    measures=MappingProxyType(
        {"quantity": Measure(number="used", help="Sum of the declared quantities, or the number of records.")}
    ),
    default_measure="quantity",
    per_customer=False,
)


@dataclass(frozen=True, slots=True)
class HttpJson:
    """The connector behind `kind = "http_json"`."""

    kind: str = "http_json"
    title: str = "Any vendor with a JSON API"
    settings: type[ConnectionSettings] = HttpJsonSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.http_json.sandbox:build"

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no I/O yet."""
        from connectors.http_json.connection import HttpJsonConnection

        # It has the functions that its abilities promise, and no others: nothing can be posted here.
        return cast(Connection, HttpJsonConnection(settings, context))


connector = HttpJson()
