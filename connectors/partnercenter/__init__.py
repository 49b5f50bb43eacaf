"""Microsoft Partner Center: subscriptions the MSP bought for its customers, with their commitments. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from connectors.partnercenter.config import PartnerCenterSettings
from syncd.connect.contract import Abilities, Connection, Context, Measure
from syncd.connect.settings import ConnectionSettings

ABILITIES = Abilities(
    reads=frozenset({"bought"}),
    measures={"quantity": Measure("bought", "licences of the subscriptions that Microsoft bills, trials left out")},
    default_measure="quantity",
    per_customer=True,
)


@dataclass(frozen=True, slots=True)
class PartnerCenter:
    """The connector behind `kind = "partnercenter"`."""

    kind: str = "partnercenter"
    title: str = "Microsoft Partner Center"
    settings: type[ConnectionSettings] = PartnerCenterSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.partnercenter.sandbox:build"

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no I/O yet."""
        from connectors.partnercenter.connection import PartnerCenterConnection

        # It has the functions that its abilities promise, and no others: nothing can be posted to Partner Center.
        return cast(Connection, PartnerCenterConnection(settings, context))


connector = PartnerCenter()
