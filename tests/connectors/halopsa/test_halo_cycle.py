"""Whole cycles against the double: counts from a file, postings in every way that Halo takes them, then rest."""

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
    from conftest import LINE, Bench
else:
    Bench, LINE = Any, 24_010

NOW = datetime.fromisoformat("2026-11-20T10:00:00-06:00")
CONFIG = """
[syncd]
mode = "post"
timezone = "America/Chicago"
[connections.halo]
kind = "halopsa"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "HALO_CLIENT_SECRET" }}
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
Birchwood Legal LLP,EXO,3
Birchwood Legal LLP,SPB,16
Cedar & Sons Joinery,VISIO,2
"""
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "halo", agreement = "{agreement}", product = "{product}"{via} }}
"""
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", agreement="MS-*", product="M365-BP", via="")
    + 'true_up = "quantity"\nprorate = "daily"\n'
    + RULE.format(name="Burst", customer="Birch", sku="SPB", agreement="Managed*", product="M365-BP", via="")
    + 'true_up = "line"\n'
    + RULE.format(
        name="Exchange", customer="Birch", sku="EXO", agreement="Managed*", product="EXO-P1", via=', via = "licence"'
    )
    + 'true_up = "quantity"\n'
    + RULE.format(name="Visio", customer="Cedar", sku="VISIO", agreement="Managed*", product="VISIO-P2", via="")
    + 'true_up = "quantity"\ncreate = true\n'
)


def cycle(bench: Bench, folder: Path) -> Cycle:
    environ: Mapping[str, str] = {"HALO_CLIENT_SECRET": "sandbox-secret"}
    config, mappings = load(folder / "config.toml", Kinds(), environ)
    with Ledger.open(config.database, lambda: NOW, folder=config.folder) as ledger:
        ledger.claim("test")
        return run_cycle(config, mappings, Kinds(), ledger, lambda: NOW)


def told(done: Cycle) -> dict[str, tuple[str, str]]:
    return {line.rule: (str(line.action), line.reason) for line in done.plan.lines}


def test_every_way_of_posting_once_and_then_rest(bench: Bench, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HALO_CLIENT_SECRET", "sandbox-secret")
    (tmp_path / "config.toml").write_text(CONFIG.format(url=bench.url))
    (tmp_path / "counts.csv").write_text(COUNTS)
    (tmp_path / "mappings").mkdir()
    names = [company.name for company in bench.world.companies]
    customers = "".join(f'[[customer]]\nname = "{name}"\nhalo = "{name}"\nfiles = "{name}"\n' for name in names)
    (tmp_path / "mappings" / "first.toml").write_text(customers + RULES)

    first = cycle(bench, tmp_path)
    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    effects = [(one.what, one.record) for one in bench.double.effects]
    assert sorted(what for what, _ in effects) == [
        "add_line", "change_licence", "change_line", "create_invoice", "create_invoice",
    ]  # fmt: skip
    drafts = [row for row in bench.double.tables["Invoice"].values() if row["reviewrequired"]]
    assert sorted(row["total"] - row["tax_total"] for row in drafts) == [Decimal("20.53"), Decimal("56.00")]

    second = cycle(bench, tmp_path)
    assert {rule: action for rule, (action, _) in told(second).items()} == {
        "Premium": "none", "Burst": "none", "Exchange": "none", "Visio": "defer",
    }  # fmt: skip
    assert [(one.what, one.record) for one in bench.double.effects] == effects

    bench.double.rival(LINE, 30, by="Dana Admin")
    action, reason = told(cycle(bench, tmp_path))["Premium"]
    assert action == "hold"
    assert "the line was changed by Dana Admin to 30" in reason
