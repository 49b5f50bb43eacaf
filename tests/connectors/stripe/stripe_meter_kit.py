"""An admin's folder with one rule that reports to a meter, and the double that has it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from connector_kit import ZONE, House, customers, told
from stripe_kit import Bench

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.entries import Entry, EntryState
from syncd.cycle.undoing import take_back

HOURS = "price_1SyncdHours"
NAME = "Alder Dental Group"
STRIPE = """
[connections.stripe]
kind = "stripe"
base_url = "{url}"
api_key = "{key}"
retry_wait = "0s"
timeout = "1s"
"""
RULE = f"""
[[rule]]
name = "Support"
count = {{{{ from = "files", sku = "HOURS" }}}}
bill = {{{{ to = "stripe", price = "{HOURS}", meter = "support_hours" }}}}
invoiced = {{{{ from = "stripe", item = "{HOURS}" }}}}
true_up = "line"
decrease = "{{decrease}}"
"""
LOOSE = 'max_increase = "10000%"\nmax_decrease = "100%"\nto_zero = "settle"\n'


class Metering(House):
    """The admin's folder, a double with a metered item, and one clock for both."""

    def __init__(self, folder: Path, bench: Bench, decrease: str = "now", safety: str = LOOSE) -> None:
        self.bench = bench
        self.double = bench.double
        settings = STRIPE.format(url=bench.url, key=bench.double.api_key)
        super().__init__(folder, settings, customers("stripe", NAME) + RULE.format(decrease=decrease), safety)
        self.settings = settings
        subscription, first = bench.subscription()["id"], bench.item()
        period = (first["current_period_start"], first["current_period_end"])
        for item in list(self.double.items_of(subscription)):
            del self.double.tables["item"][item["id"]]
        self.item = self.double.add_item(subscription, HOURS, None, period)
        self.item["created"] = period[0]
        self.double.advance(self.now.timestamp() - self.double.now().timestamp())

    def at(self, day: str, hour: int = 10) -> None:
        """Moves both clocks to a day."""
        self.now = datetime.fromisoformat(f"{day}T{hour:02}:00").replace(tzinfo=ZONE)
        self.double.advance(self.now.timestamp() - self.double.now().timestamp())

    def use(self, hours: str | int) -> tuple[str, str]:
        """So many hours, and one cycle: what was decided, and why."""
        self.count((NAME, "HOURS", hours))  # type: ignore[arg-type]
        return told(self.cycle())["Support"]

    def again(self) -> tuple[str, str]:
        """One more cycle."""
        return told(self.cycle())["Support"]

    @property
    def reported(self) -> list[Decimal]:
        """What each event of the meter added."""
        return [Decimal(one["payload"]["value"]) for one in self.double.events]

    def entries(self, *states: EntryState) -> list[Entry]:
        with self.ledger() as ledger:
            return ledger.entries(states=set(states) or None)

    def states(self) -> list[str]:
        return [str(one.state) for one in self.entries()]

    def event(self, value: str, **fields: Any) -> None:
        """Somebody else reports to the meter, or takes some off."""
        self.double.events.append(
            {
                "object": "billing.meter_event", "created": self.double.seconds() - 3600, "event_name": "support_hours",
                "identifier": f"by hand {len(self.double.events)}", "livemode": False,
                "timestamp": self.item["current_period_start"] + 90_000,
                "payload": {"stripe_customer_id": self.double.customer(1), "value": value}, **fields,
            }
        )  # fmt: skip

    def approve(self) -> None:
        with self.ledger() as ledger:
            held = ledger.entries(states={EntryState.HELD})
            ledger.approve([one.id for one in held], by="Dana")

    def undo(self, *chosen: Entry) -> None:
        """Writes the compensation down and approves it."""
        config, _ = load(self.folder / "config.toml", Kinds())
        with self.ledger() as ledger:
            done = take_back(ledger, config, Kinds(), self.clock, chosen, by="Dana", why="wrong", strict=True)
            ledger.approve([one.id for one in done.entries], by="Dana")
