"""From Partner Center's wire to the plan: what waits for a commitment at what cost, and what is in paid grace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pc_kit import TODAY, Bench

from connectors.halopsa.sandbox import build
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.plan import PlanLine
from syncd.core.shown import line_json
from syncd.cycle import look
from syncd.ledger import Ledger
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import small_msp

NOW = datetime.fromisoformat("2026-11-20T10:00:00-06:00")
CONFIG = """
[syncd]
mode = "post"
timezone = "America/Chicago"
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
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
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


def line(bench: Bench, halo: Running, folder: Path, monkeypatch: pytest.MonkeyPatch, used: int) -> PlanLine:
    """Alder with so many seats used, 25 billed and 28 bought: 8 by the month (3 in a window), 20 by the year."""
    environ = {"HALO": "sandbox-secret", "REFRESH": "sandbox-refresh-token"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    tenant = bench.double.world.partner_tenant
    (folder / "config.toml").write_text(CONFIG.format(halo=halo.url, pc=bench.url, tenant=tenant))
    (folder / "counts.csv").write_text(f"customer,sku,quantity\nAlder,SPB,{used}\n")
    (folder / "mappings").mkdir()
    (folder / "mappings" / "first.toml").write_text(MAPPINGS)
    config, mappings = load(folder / "config.toml", Kinds(), environ)
    with Ledger.open(config.database, lambda: NOW, folder=config.folder) as ledger:
        plan = look(config, mappings, Kinds(), ledger, lambda: NOW, counting=True)
    assert plan.errors == ()
    (only,) = plan.lines
    return only


def test_a_fall_says_what_waits_until_when_at_what_cost(
    bench: Bench, halo: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = line(bench, halo, tmp_path, monkeypatch, used=17)

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


def test_a_commitment_that_is_over_is_paid_grace_with_its_cost(
    bench: Bench, halo: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = bench.double.stock.subscriptions[bench.customer().id]
    for row in [one for one in rows if one["offerId"].startswith("CFQ7TTC0LCHC:0002")]:
        bench.control("change", id=row["id"], commitmentEndDate="2026-11-09T00:00:00Z", autoRenewEnabled=False)
    made = line(bench, halo, tmp_path, monkeypatch, used=25)

    assert (made.action, made.findings) == ("none", ("shelfware", "paid grace"))
    shown: dict[str, Any] = line_json(made)["worth"]
    # 8 at 26.40 and 20 at 22.00; which of the 28 the three unused ones are, nobody knows, but Halo keeps a cost.
    assert shown["paid grace"] == {"amount": "651.20", "currency": "USD", "from": "pc"}
    assert shown["shelfware"] == {"amount": "66.00", "currency": "USD", "from": "halo"}
