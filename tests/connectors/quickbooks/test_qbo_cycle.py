"""Whole cycles against the double: two rules in one document, then rest, a rise, a fall; and a document through the
real ledger under faults.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from connector_kit import House, told
from qbo_kit import INVOICE, SECOND, Bench

from connectors.quickbooks import connector
from syncd.config import load
from syncd.connect.documents import charges
from syncd.connect.registry import Kinds
from syncd.core.entries import EntryState, Intent
from syncd.cycle.connections import Opened
from syncd.cycle.posting import post_all, recover
from syncd.cycle.undoing import Undone, posted_in, take_back
from syncd.ledger import Ledger
from syncd.model import Posting

NOW = datetime.fromisoformat("2026-11-20T10:00:00-06:00")
CONFIG = """
currency = "USD"
[connections.qbo]
kind = "quickbooks"
base_url = "{url}"
token_url = "{url}"
realm_id = "9341453000000007"
client_id = "sandbox-client"
client_secret = {{ env = "QBO_SECRET" }}
refresh_token = {{ env = "QBO_TOKEN" }}
"""
MAPPING = """
[[customer]]
name = "Alder Dental Group"
qbo = "Alder Dental Group"
files = "Alder Dental Group"
[[rule]]
name = "Backup"
count = {{ from = "files", sku = "BACKUP" }}
bill = {{ to = "qbo", item = "M365-BP"{document} }}
true_up = "line"
increase = "now"
decrease = "now"
price = {{ model = "unit", unit = 14.00, currency = "USD" }}
[[rule]]
name = "Storage"
count = {{ from = "files", sku = "STORAGE" }}
bill = {{ to = "qbo", item = "M365-BS"{document} }}
true_up = "line"
price = {{ model = "graduated", currency = "USD", tiers = [ {{ up_to = 10, unit = 1.25 }}, {{ unit = 0.333 }} ] }}
"""


class Shop(House):
    """A house whose books are QuickBooks', and what a cycle over it says."""

    def __init__(self, bench: Bench, folder: Path, document: str = "") -> None:
        chosen = f', document = "{document}"' if document else ""
        super().__init__(folder, CONFIG.format(url=bench.url), MAPPING.format(document=chosen))
        self.bench = bench

    def use(self, backup: int, storage: int) -> dict[str, tuple[str, str]]:
        self.count(("Alder Dental Group", "BACKUP", backup), ("Alder Dental Group", "STORAGE", storage))
        return told(self.cycle())

    def undo(self, rule: str) -> Undone:
        """A person takes back what was posted for a rule."""
        config, _ = load(self.folder / "config.toml", Kinds())
        with self.ledger() as ledger:
            chosen = posted_in(ledger, cycle=None, period=None, customer=None, rule=rule)
            return take_back(ledger, config, Kinds(), self.clock, chosen, by="Ada", why="wrong rule", strict=False)

    def made(self) -> list[tuple[str, Decimal]]:
        """(what, total without tax) of everything that was created, in order."""
        tables = self.bench.double.tables
        names = {"create_estimate": "Estimate", "create_invoice": "Invoice", "create_creditmemo": "CreditMemo"}
        records = dict.fromkeys((one.what, one.record) for one in self.bench.double.effects)
        rows = [(what, tables[names[what]][record]) for what, record in records]
        return [(what, row["TotalAmt"] - row["TxnTaxDetail"]["TotalTax"]) for what, row in rows]


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QBO_SECRET", "sandbox-secret")
    monkeypatch.setenv("QBO_TOKEN", "AB11-sandbox-refresh-token")


@pytest.mark.usefixtures("signed")
def test_two_rules_one_estimate_then_rest_then_a_rise_and_a_fall(bench: Bench, tmp_path: Path) -> None:
    shop = Shop(bench, tmp_path)
    first = shop.use(3, 27)
    assert {action for action, _ in first.values()} == {"post"}, first
    assert shop.made() == [("create_estimate", Decimal("60.16"))]  # 3 × 14.00 and 10 × 1.25 + 17 × 0.333
    [row] = bench.documents("Estimate")
    assert [one.units for one in charges(row["PrivateNote"])] == [3, 27]

    assert {action for action, _ in shop.use(3, 27).values()} == {"none"}
    assert len(shop.made()) == 1

    shop.use(5, 27)
    assert shop.made()[1:] == [("create_estimate", Decimal("28.00"))]  # a further document, the first is untouched
    assert bench.double.tables["Estimate"][row["Id"]]["SyncToken"] == "0"

    action, reason = shop.use(4, 27)["Backup"]
    assert action == "hold"
    assert f"QuickBooks estimate {row['DocNumber']} (#{row['Id']})" in reason
    assert len(shop.made()) == 2


@pytest.mark.usefixtures("signed")
def test_an_estimate_is_not_taken_back_by_a_credit(bench: Bench, tmp_path: Path) -> None:
    """A credit memo would be taken off what was never billed: the person who undoes it is told what to amend."""
    shop = Shop(bench, tmp_path)
    shop.use(3, 0)

    done = shop.undo("Backup")

    assert done.entries == ()
    ((_, why),) = done.left
    assert "QuickBooks estimate" in why
    assert "by hand" in why


@pytest.mark.usefixtures("signed")
def test_an_invoice_is_taken_back_by_a_credit_that_waits(bench: Bench, tmp_path: Path) -> None:
    shop = Shop(bench, tmp_path, document="invoice")
    shop.use(3, 0)

    done = shop.undo("Backup")

    assert done.left == ()
    (entry,) = done.entries
    assert (entry.state, entry.intent.operation, entry.intent.posting.quantity) == (EntryState.HELD, "post_credit", 3)


@pytest.mark.slow
@pytest.mark.usefixtures("signed")
def test_a_fall_of_invoices_becomes_a_credit_memo(bench: Bench, tmp_path: Path) -> None:
    shop = Shop(bench, tmp_path, document="invoice")
    shop.use(5, 0)
    shop.use(4, 0)
    assert shop.made() == [("create_invoice", Decimal("70.00")), ("create_creditmemo", Decimal("14.00"))]
    assert {action for action, _ in shop.use(4, 0).values()} == {"none"}


# --- one document through the ledger ----------------------------------------------------------------------------------


class Book:
    """A ledger with two planned lines that share a document."""

    def __init__(self, bench: Bench, ledger: Ledger, *postings: Posting) -> None:
        self.ledger, self.now = ledger, NOW
        connection = bench.connect()
        self.opened = {"qbo": Opened("qbo", connector, connection, 1, lambda: 0)}
        cycle = ledger.begin_cycle("post", NOW)
        intents = [
            Intent(
                identity=f"test:{one.key}", line=f"line {one.key}", customer="Alder", rule=one.key, connection="qbo",
                period=one.period, before=Decimal(0), to=one.quantity, state=EntryState.PLANNED, decided_by="policy",
                posting=one, wire=connection.wire(one), fingerprint="seen",
            )
            for one in postings
        ]  # fmt: skip
        ledger.write(cycle, (), intents)
        self.keys = {one.key for one in postings}

    def send(self) -> None:
        post_all(self.ledger, self.opened, self.keys)

    def later(self) -> None:
        self.now += timedelta(minutes=6)
        recover(self.ledger, self.opened, self.now)
        self.send()

    def states(self) -> set[EntryState]:
        found = [self.ledger.by_key(key) for key in self.keys]
        return {one.state for one in found if one is not None}


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger.open("sqlite:///syncd.db", lambda: NOW, folder=tmp_path) as opened:
        opened.claim("test")
        yield opened


OTHER = replace(SECOND, options={"document": "invoice"})


@pytest.mark.parametrize("fault", ["", "drop_after", "500_after", "truncate", "drop_before", "500_before", "html"])
def test_a_shared_document_is_written_once_under_any_fault(bench: Bench, ledger: Ledger, fault: str) -> None:
    book = Book(bench, ledger, INVOICE, OTHER)
    if fault:
        bench.double.fail(fault, method="POST", path="invoice$")
    book.send()
    for _ in range(3):
        book.later()

    assert book.states() == {EntryState.POSTED}
    [row] = bench.documents("Invoice")
    assert len(charges(row["PrivateNote"])) == 2
    assert [bench.double.times(one) for one in (INVOICE, OTHER)] == [1, 1]


def test_one_line_that_is_refused_does_not_keep_the_other_from_being_billed(bench: Bench, ledger: Ledger) -> None:
    book = Book(bench, ledger, INVOICE, OTHER)
    bench.double.tables["Item"][OTHER.product_id]["Active"] = False
    book.send()

    assert book.states() == {EntryState.POSTED, EntryState.FAILED}
    [row] = bench.documents("Invoice")
    assert [one.mark for one in charges(row["PrivateNote"])] == [INVOICE.marker]
