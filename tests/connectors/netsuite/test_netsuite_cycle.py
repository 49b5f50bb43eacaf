"""Whole cycles against the double: counts from a file, posted into the books in both ways, then rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

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
[connections.books]
kind = "netsuite"
base_url = "{url}"
account = "1234567_SB1"
client_id = "sandbox-client"
certificate_id = "sandbox-certificate"
private_key = {{ env = "NETSUITE_KEY" }}
charge_type = "-19"
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
Alder Dental Group,EXO,3
Birchwood Legal LLP,SPB,16
Birchwood Legal LLP,EXO,3
"""
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "books", item = "{item}"{document} }}
true_up = "line"
price = {{ model = "unit", unit = {price} }}
"""
INVOICE = ', document = "invoice"'
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", item="M365-BP", document="", price="28.00")
    + RULE.format(name="Exchange", customer="Alder", sku="EXO", item="EXO-P1", document="", price="6.00")
    + RULE.format(name="Burst", customer="Birch", sku="SPB", item="M365-BP", document=INVOICE, price="28.00")
    + RULE.format(name="Mail", customer="Birch", sku="EXO", item="EXO-P1", document=INVOICE, price="6.00")
)
CUSTOMERS = """
[[customer]]
name = "Alder Dental Group"
books = "AlderDental"
files = "Alder Dental Group"
[[customer]]
name = "Birchwood Legal LLP"
books = "Birchwood"
files = "Birchwood Legal LLP"
"""


def cycle(bench: Bench, folder: Path) -> Cycle:
    environ: Mapping[str, str] = {"NETSUITE_KEY": "set"}
    config, mappings = load(folder / "config.toml", Kinds(), environ)
    with Ledger.open(config.database, lambda: NOW, folder=config.folder) as ledger:
        ledger.claim("test")
        return run_cycle(config, mappings, Kinds(), ledger, lambda: NOW)


def told(done: Cycle) -> dict[str, tuple[str, str]]:
    return {line.rule: (str(line.action), line.reason) for line in done.plan.lines}


@pytest.fixture
def folder(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETSUITE_KEY", bench.double.settings["private_key"])
    (tmp_path / "config.toml").write_text(CONFIG.format(url=bench.url))
    (tmp_path / "counts.csv").write_text(COUNTS)
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "first.toml").write_text(CUSTOMERS + RULES)
    return tmp_path


def test_the_whole_target_is_posted_once_a_period_and_then_rests(bench: Bench, folder: Path) -> None:
    first = cycle(bench, folder)

    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    charges = bench.double.records["charge"].values()
    assert sorted((one["billTo"], one["quantity"], one["amount"]) for one in charges) == [
        (101, 3, Decimal("18.00")), (101, 27, Decimal("756.00")),
    ]  # fmt: skip
    [invoice] = [one for one in bench.double.records["invoice"].values() if one["memo"]]
    assert [(one["item"], one["quantity"], one["amount"]) for one in invoice["lines"]] == [
        (501, 16, Decimal("448.00")), (503, 3, Decimal("18.00")),
    ]  # fmt: skip

    second = cycle(bench, folder)
    assert {action for action, _ in told(second).values()} == {"none"}, told(second)
    assert len({one.record for one in bench.double.effects}) == 3
    assert len(bench.double.effects) == 4  # one for each line


def test_a_rise_posts_its_difference_and_a_fall_is_held_while_it_can_be_amended(bench: Bench, folder: Path) -> None:
    cycle(bench, folder)
    (folder / "counts.csv").write_text(COUNTS.replace("SPB,27", "SPB,29"))

    assert told(cycle(bench, folder))["Premium"][0] == "post"
    assert [one["quantity"] for one in bench.double.records["charge"].values() if one["billingItem"] == 501] == [27, 2]

    (folder / "counts.csv").write_text(COUNTS.replace("SPB,27", "SPB,28"))
    action, _ = told(cycle(bench, folder))["Premium"]
    assert action != "post"
    assert bench.double.records["creditMemo"] == {}
