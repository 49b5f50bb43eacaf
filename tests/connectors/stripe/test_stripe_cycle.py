"""Whole cycles against the double: counts from a file, postings in every way that Stripe takes them, then rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.cycle import Cycle, run_cycle
from syncd.ledger import Ledger

if TYPE_CHECKING:
    from conftest import Bench
else:
    Bench = Any

NOW = datetime.fromisoformat("2026-11-20T10:00:00-06:00")
CONFIG = """
[syncd]
mode = "post"
timezone = "America/Chicago"
[connections.stripe]
kind = "stripe"
base_url = "{url}"
api_key = {{ env = "STRIPE_API_KEY" }}
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
"""
COUNTS = """customer,sku,quantity
Alder Dental Group,SPB,27
Birchwood Legal LLP,SPB,16
Cedar & Sons Joinery,VISIO,2
"""
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "stripe", subscription = "Managed*", price = "{price}" }}
invoiced = {{ from = "stripe", item = "{price}" }}
"""
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", price="price_1SyncdM365BP")
    + 'true_up = "quantity"\nprorate = "daily"\n'
    + RULE.format(name="Burst", customer="Birch", sku="SPB", price="price_1SyncdM365BP")
    + 'true_up = "line"\n'
    + RULE.format(name="Visio", customer="Cedar", sku="VISIO", price="price_1SyncdVISIOP2")
    + 'true_up = "quantity"\ncreate = true\n'
)


def cycle(folder: Path) -> Cycle:
    environ: Mapping[str, str] = {"STRIPE_API_KEY": "rk_test_51SyncdSandbox0000000000"}
    config, mappings = load(folder / "config.toml", Kinds(), environ)
    with Ledger.open(config.database, lambda: NOW, folder=config.folder) as ledger:
        ledger.claim("test")
        return run_cycle(config, mappings, Kinds(), ledger, lambda: NOW)


def told(done: Cycle) -> dict[str, tuple[str, str]]:
    return {line.rule: (str(line.action), line.reason) for line in done.plan.lines}


def test_every_way_of_posting_once_and_then_rest(bench: Bench, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", bench.double.api_key)
    (tmp_path / "config.toml").write_text(CONFIG.format(url=bench.url))
    (tmp_path / "counts.csv").write_text(COUNTS)
    (tmp_path / "mappings").mkdir()
    names = [company.name for company in bench.world.companies]
    customers = "".join(f'[[customer]]\nname = "{name}"\nstripe = "{name}"\nfiles = "{name}"\n' for name in names)
    (tmp_path / "mappings" / "first.toml").write_text(customers + RULES)

    first = cycle(tmp_path)
    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    effects = [(one.what, one.record) for one in bench.double.effects]
    assert sorted(what for what, _ in effects) == ["add_item", "invoice_item", "set_quantity"]
    pending = list(bench.double.tables["invoiceitem"].values())
    assert [one["proration"] for one in pending].count(True) == 2  # the vendor's own part, for the next invoice
    assert [one["amount"] for one in pending if not one["proration"]] == [5600]
    assert bench.item()["quantity"] == 27
    [gap] = [line for line in first.plan.lines if line.rule == "Burst"]
    assert (gap.billed, gap.invoiced) == (Decimal(14), Decimal(13))

    second = cycle(tmp_path)
    assert {action for action, _ in told(second).values()} == {"none"}, told(second)
    assert [(one.what, one.record) for one in bench.double.effects] == effects

    bench.double.rival(bench.item()["id"], 30)
    action, reason = told(cycle(tmp_path))["Premium"]
    assert action == "hold"
    assert "30" in reason
