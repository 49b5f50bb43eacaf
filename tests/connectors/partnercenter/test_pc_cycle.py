"""From Partner Center's wire to the plan: what waits for a commitment at what cost, and what is in paid grace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from connector_kit import TODAY, House
from pc_kit import Bench

from connectors.halopsa.sandbox import build
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.plan import PlanLine
from syncd.core.shown import line_json
from syncd.cycle import look
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import small_msp

CONFIG = """
[connections.halo]
kind = "halopsa"
base_url = "{halo}"
client_id = "sandbox-client"
client_secret = {{ env = "HALO" }}
[connections.pc]
kind = "partnercenter"
base_url = "{pc}"
token_url = "{pc}"
tenant_id = "{tenant}"
client_id = "sandbox-client"
client_secret = {{ env = "HALO" }}
refresh_token = {{ env = "REFRESH" }}
"""
MAPPINGS = """
[[customer]]
name = "Alder"
halo = "Alder Dental Group"
pc = "alderdental.example"
files = "Alder"
[[rule]]
name = "Premium"
count = { from = "files", sku = "SPB" }
bill = { to = "halo", agreement = "MS-*", product = "M365-BP" }
bought = { from = "pc", sku = "CFQ7TTC0LCHC:0002" }
decrease = "term"
"""


@pytest.fixture
def halo() -> Iterator[Running]:
    running = serve(build(small_msp(customers=3, today=TODAY)))
    yield running
    running.stop()


Seen = Callable[[int], PlanLine]


@pytest.fixture
def seen(bench: Bench, halo: Running, make_house: Callable[..., House]) -> Seen:
    """Alder's line with so many seats used, 25 billed and 28 bought: 8 by the month (3 in a window), 20 by the year."""
    connections = CONFIG.format(halo=halo.url, pc=bench.url, tenant=bench.double.world.partner_tenant)
    house = make_house(connections, MAPPINGS, HALO="sandbox-secret", REFRESH="sandbox-refresh-token")

    def line(used: int) -> PlanLine:
        house.count(("Alder", "SPB", used))
        config, mappings = load(house.folder / "config.toml", Kinds())
        with house.ledger() as ledger:
            plan = look(config, mappings, Kinds(), ledger, house.clock, counting=True)
        assert plan.errors == ()
        (only,) = plan.lines
        return only

    return line


def test_a_fall_says_what_waits_until_when_at_what_cost(seen: Seen) -> None:
    made = seen(17)

    assert made.action == "defer"  # 25 are billed, and 25 of the 28 are committed
    assert made.reason == (
        "decrease is term: committed until 2026-12-10; "
        "5 wait until 2026-12-10, 26.40 USD each a month, 132.00 USD for 1 period, and renew by themselves on "
        "2026-12-11, free to be lowered until 2026-12-17; "
        "3 wait until 2027-01-13, 22.00 USD each a month, 132.00 USD for 2 periods, and renew by themselves on "
        "2027-01-14, free to be lowered until 2027-01-20; "
        "3 of the bought may be given back free until 2026-11-24 20:39 UTC, then they are committed until 2026-12-10"
    )
    worth: dict[str, Any] = line_json(made)["worth"]
    assert worth["overbilling"] == {"amount": "224.00", "currency": "USD", "from": "halo"}


def test_a_commitment_that_is_over_is_paid_grace_with_its_cost(bench: Bench, seen: Seen) -> None:
    rows = bench.double.stock.subscriptions[bench.customer().id]
    for row in [one for one in rows if one["offerId"].startswith("CFQ7TTC0LCHC:0002")]:
        bench.control("change", id=row["id"], commitmentEndDate="2026-11-09T00:00:00Z", autoRenewEnabled=False)
    made = seen(25)

    assert (made.action, made.findings) == ("none", ("shelfware", "paid grace"))
    shown: dict[str, Any] = line_json(made)["worth"]
    # 8 at 26.40 and 20 at 22.00; which of the 28 the three unused ones are, nobody knows, but Halo keeps a cost.
    assert shown["paid grace"] == {"amount": "651.20", "currency": "USD", "from": "pc"}
    assert shown["shelfware"] == {"amount": "66.00", "currency": "USD", "from": "halo"}
