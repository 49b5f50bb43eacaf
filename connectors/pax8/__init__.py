"""Pax8: seats bought through the distributor, with their costs and commitments, and metered usage. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from connectors.pax8.config import Pax8Settings
from syncd.connect.contract import Abilities, Connection, Context, Measure
from syncd.connect.settings import ConnectionSettings

ABILITIES = Abilities(
    reads=frozenset({"bought", "used"}),
    measures={
        "quantity": Measure("bought", "seats of the subscriptions in force today by their dates, trials left out"),
        "usage": Measure(
            "used",
            "metered units of the month, as the vendor last told Pax8; a month that is over is whole from the 4th on",
            of_period=True,
        ),
    },
    default_measure="quantity",
    # Subscriptions come in one sweep over all companies: asking company by company would cost a call for each.
    per_customer=False,
)


@dataclass(frozen=True, slots=True)
class Pax8:
    """The connector behind `kind = "pax8"`."""

    kind: str = "pax8"
    title: str = "Pax8"
    settings: type[ConnectionSettings] = Pax8Settings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.pax8.sandbox:build"

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no I/O yet."""
        from connectors.pax8.connection import Pax8Connection

        # It has the functions that its abilities promise, and no others: nothing can be posted to Pax8.
        return cast(Connection, Pax8Connection(settings, context))


connector = Pax8()
