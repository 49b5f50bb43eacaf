"""Money that a person changes in syncd's own document is told, for every system that shows it: what, how much, since
when and what to do; nothing is posted for it, and what is put back is over.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.changed_amounts import FINDING
from syncd.core.entries import OPEN, EntryState
from syncd.core.episodes_found import conditions
from syncd.core.shown import line_json
from syncd.cycle import Cycle, run_cycle
from syncd.cycle.undoing import posted_in, take_back
from syncd.demo import connection_toml
from syncd.ledger import Ledger
from syncd.sandbox.kit import Double, serve
from syncd.sandbox.world import small_msp

NOW = datetime(2026, 11, 20, 10, tzinfo=ZoneInfo("America/Chicago"))
CUSTOMER = "Birchwood Legal LLP"
FILES = """
[syncd]
mode = "post"
timezone = "America/Chicago"
{connection}

[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
{safety}
"""
MAPPINGS = """
[[customer]]
name = "Birchwood Legal LLP"
files = "Birchwood Legal LLP"
sold = "{key}"
[[rule]]
name = "Burst"
count = {{ from = "files", sku = "SPB" }}
bill = {{ to = "sold", {bill} }}
true_up = "line"
decrease = "now"
{price}
"""
UNIT = "price = { model = 'unit', unit = 28.00 }"
# The whole is no multiple of a price in cents: it goes as one unit, where the vendor keeps no finer price.
TIERS = "price = { model = 'graduated', tiers = [ { up_to = 10, unit = 3.00 }, { unit = 0.3333 } ] }"


class Shop:
    """One vendor's double, and the admin's folder in which cycles run."""

    def __init__(
        self, folder: Path, kind: str, bill: str, price: str, *, safety: str = "", key: str = CUSTOMER
    ) -> None:
        module = importlib.import_module(f"connectors.{kind}.sandbox")
        self.double: Double = module.build(small_msp(customers=3, today=NOW.date()))
        self.running = serve(self.double)
        self.folder, self.now = folder, NOW
        settings = {**self.double.settings}
        table = connection_toml(kind, self.running.url, settings, "sold")
        (folder / "config.toml").write_text(FILES.format(connection=table, safety=safety), encoding="utf-8")
        (folder / "mappings").mkdir()
        written = MAPPINGS.format(key=key, bill=bill, price=price)
        (folder / "mappings" / "first.toml").write_text(written, encoding="utf-8")
        self.count(24)

    def count(self, seats: int) -> None:
        (self.folder / "counts.csv").write_text(f"customer,sku,quantity\n{CUSTOMER},SPB,{seats}\n", encoding="utf-8")

    def ledger(self, config: Any) -> Ledger:
        return Ledger.open(config.database, lambda: self.now, folder=self.folder)

    def cycle(self) -> Cycle:
        config, mappings = load(self.folder / "config.toml", Kinds())
        with self.ledger(config) as ledger:
            ledger.claim("test")
            done = run_cycle(config, mappings, Kinds(), ledger, lambda: self.now)
            self.waiting = ledger.entries(states=OPEN)
        return done

    def approve(self) -> None:
        config, _ = load(self.folder / "config.toml", Kinds())
        with self.ledger(config) as ledger:
            ledger.claim("test")
            ledger.approve([one.id for one in ledger.entries(states={EntryState.HELD})], by="person:Ada")

    def undo(self) -> None:
        config, _ = load(self.folder / "config.toml", Kinds())
        with self.ledger(config) as ledger:
            chosen = posted_in(ledger, cycle=None, period=None, customer=None, rule="Burst")
            take_back(ledger, config, Kinds(), lambda: self.now, chosen, by="Ada", why="wrong", strict=False)

    def told(self, done: Cycle) -> list[str]:
        found = conditions(done.plan, self.waiting, done.entries, {})
        return [one.what for one in found.found if one.key.startswith("amount:")]


def _qbo(double: Any, price: Decimal) -> None:
    for entity in ("Estimate", "Invoice"):
        for row in [one for one in double.tables[entity].values() if "sd-" in one.get("PrivateNote", "")]:
            line = {**row["Line"][0]}
            detail = line["SalesItemLineDetail"] = {**line["SalesItemLineDetail"], "UnitPrice": price}
            line["Amount"] = (price * detail["Qty"]).quantize(Decimal("0.01"))
            kept = {"Id": row["Id"], "SyncToken": row["SyncToken"], "sparse": True}
            double.update(entity, {**kept, "Line": [line]})


def _xero(double: Any, price: Decimal) -> None:
    [row] = [one for one in double.books.tables["Invoices"].values() if "sd-" in (one.get("Reference") or "")]
    lines = [{**line, "UnitAmount": price, "LineAmount": price * line["Quantity"]} for line in row["LineItems"]]
    double.edit("Invoices", row["InvoiceID"], LineItems=lines)


def _netsuite(double: Any, price: Decimal) -> None:
    [row] = double.records["charge"].values()
    row |= {"rate": price, "amount": price * row["quantity"]}


def _payments(double: Any, price: Decimal) -> None:
    [row] = [one for one in double.invoices if "sd-" in (one["line_items"][0]["description"] or "")]
    line = row["line_items"][0]
    line["amount"] = price
    row["sub_total"] = price * line["quantity"]


def _stripe(double: Any, price: Decimal) -> None:
    [row] = double.tables["invoiceitem"].values()
    row["amount"] = int(price * 100 * row["quantity"])


def _halo(double: Any, price: Decimal) -> None:
    [row] = [one for one in double.tables["Invoice"].values() if (one.get("reference") or "").startswith("sd-")]
    row["lines"][0]["unit_price"] = price


def _psa(double: Any, price: Decimal) -> None:
    row = max(double.tables["additions"].values(), key=lambda one: int(one["id"]))
    row["unitPrice"] = price
    row["_info"] = {**row["_info"], "updatedBy": "erin", "lastUpdated": "2026-11-22T10:00:00Z"}


# Vendor: where it bills, the price of one, how a person changes it.
VENDORS: dict[str, tuple[str, str, Callable[[Any, Decimal], None]]] = {
    "quickbooks": ('item = "M365-BP"', UNIT, _qbo),
    "xero": ('item = "M365-BP"', UNIT, _xero),
    "netsuite": ('item = "M365-BP"', UNIT, _netsuite),
    "alternative_payments": ('item = "Premium"', UNIT, _payments),
    "stripe": ('subscription = "Managed*", price = "price_1SyncdM365BP"', "", _stripe),
    "halopsa": ('agreement = "Managed*", product = "M365-BP"', "", _halo),
    "connectwise": ('agreement = "Managed*", product = "M365-BP"', "", _psa),
}
QUICK = ("quickbooks",)


@pytest.mark.parametrize(
    "kind", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in VENDORS]
)
def test_money_changed_in_a_document_of_ours_is_told_and_nothing_is_posted(tmp_path: Path, kind: str) -> None:
    bill, price, change = VENDORS[kind]
    shop = Shop(tmp_path, kind, bill, price, key="Birchwood" if kind == "connectwise" else CUSTOMER)
    try:
        shop.cycle()
        if kind == "alternative_payments":
            shop.approve()
            shop.cycle()
        made = len(shop.double.effects)
        assert made

        shop.now += timedelta(days=2)
        quiet = shop.cycle()
        [line] = quiet.plan.lines
        assert (str(line.action), FINDING in line.findings) == ("none", False), line.reason

        change(shop.double, Decimal("25.50"))
        made = len(shop.double.effects)
        done = shop.cycle()
        [line] = done.plan.lines
        posted = "672.00" if price else "280.00"  # 24 of 28.00 in the books, the 10 beyond the recurring line elsewhere
        units, off = (24, "60.00") if price else (10, "25.00")
        assert (str(line.action), line.findings.count(FINDING)) == ("none", 1), line.reason
        shown = Decimal(posted) - Decimal(off)
        assert f"charges {shown} USD for {units} instead of the {posted} that syncd posted on 2026-11-20" in line.reason
        assert line_json(line)["worth"][FINDING] == {"amount": off, "currency": "USD", "from": "sold"}
        [told] = shop.told(done)
        assert f"{shown} USD for {units} instead of the {posted}" in told
        if kind == "connectwise":
            assert line.reason.endswith("last changed by erin on 2026-11-22")
            assert "erin" not in told + json.dumps(line.derivation)
        assert len(shop.double.effects) == made
        assert not [one for one in done.entries if one.state is EntryState.POSTED]

        change(shop.double, Decimal("28.00"))
        over = shop.cycle()
        assert FINDING not in over.plan.lines[0].findings
        assert shop.told(over) == []
    finally:
        shop.running.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["quickbooks", "xero", "netsuite", "alternative_payments"])
def test_a_line_that_went_as_one_unit_is_held_against_its_whole_amount(tmp_path: Path, kind: str) -> None:
    bill, _, change = VENDORS[kind]
    shop = Shop(tmp_path, kind, bill, TIERS)
    try:
        shop.cycle()
        if kind == "alternative_payments":
            shop.approve()
        assert FINDING not in shop.cycle().plan.lines[0].findings
        change(shop.double, Decimal("30.00"))
        [line] = shop.cycle().plan.lines
        assert FINDING in line.findings
        assert "instead of the 34.67 that syncd posted" in line.reason
    finally:
        shop.running.stop()


@pytest.mark.slow
def test_where_edits_are_accepted_and_after_an_undo_nothing_is_told(tmp_path: Path) -> None:
    bill, price, change = VENDORS["quickbooks"]
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    meant = Shop(tmp_path / "one", "quickbooks", bill, price, safety='foreign_edit = "accept"')
    invoiced = Shop(tmp_path / "two", "quickbooks", f'{bill}, document = "invoice"', price)
    try:
        meant.cycle()
        change(meant.double, Decimal("25.50"))
        assert FINDING not in meant.cycle().plan.lines[0].findings

        invoiced.cycle()
        change(invoiced.double, Decimal("25.50"))
        assert FINDING in invoiced.cycle().plan.lines[0].findings
        invoiced.undo()
        invoiced.approve()
        invoiced.count(0)
        invoiced.cycle()
        [line] = invoiced.cycle().plan.lines
        assert FINDING not in line.findings, line.reason
    finally:
        meant.running.stop()
        invoiced.running.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["connectwise", "halopsa"])
def test_a_part_of_a_period_is_held_against_what_was_posted_for_it(tmp_path: Path, kind: str) -> None:
    """ConnectWise prorates the line itself, at the whole price; Halo's draft holds the part."""
    bill, _, change = VENDORS[kind]
    shop = Shop(tmp_path, kind, bill, "", key="Birchwood" if kind == "connectwise" else CUSTOMER)
    rules = tmp_path / "mappings" / "first.toml"
    rules.write_text(rules.read_text().replace('true_up = "line"', 'true_up = "quantity"\nprorate = "daily"'))
    try:
        shop.cycle()
        shop.now += timedelta(days=1)
        [line] = shop.cycle().plan.lines
        assert (str(line.action), FINDING in line.findings) == ("none", False), line.reason
        parts = [one for one in shop.double.effects if one.what.startswith(("add", "create"))]
        assert parts, [one.what for one in shop.double.effects]
        shop.now = shop.now.replace(month=12, day=2)  # the period is over, and the part still stands as it was
        assert all(FINDING not in one.findings for one in shop.cycle().plan.lines)

        shop.now = NOW + timedelta(days=1)
        change(shop.double, Decimal("31.00"))
        [line] = shop.cycle().plan.lines
        assert FINDING in line.findings, line.reason
        # Ten from the 20th to the 30th: 280.00 × 11/30, and 310.00 × 11/30; in Halo they stand as one unit.
        shown = {"connectwise": "113.67", "halopsa": "31.00"}[kind]
        assert f"of 2026-11 charges {shown} USD for 10 instead of the 102.67 that syncd posted" in line.reason
    finally:
        shop.running.stop()
