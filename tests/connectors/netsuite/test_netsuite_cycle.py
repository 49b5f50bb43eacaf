"""Whole cycles against the double: counts from a file, posted into the books in both ways, then rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import House, told
from netsuite_kit import Bench

from connectors.netsuite.post import Poster
from syncd.errors import VendorError
from syncd.model import Posting, Sight, Wire

CONFIG = """
[connections.books]
kind = "netsuite"
base_url = "{url}"
account = "1234567_SB1"
client_id = "sandbox-client"
certificate_id = "sandbox-certificate"
private_key = {{ env = "NETSUITE_KEY" }}
charge_type = "-19"
"""
COUNTS = (
    ("Alder Dental Group", "SPB", 27),
    ("Alder Dental Group", "EXO", 3),
    ("Birchwood Legal LLP", "SPB", 16),
    ("Birchwood Legal LLP", "EXO", 3),
)
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


@pytest.fixture
def house(bench: Bench, make_house: Callable[..., House]) -> House:
    connections = CONFIG.format(url=bench.url)
    house = make_house(connections, CUSTOMERS + RULES, NETSUITE_KEY=bench.double.settings["private_key"])
    house.count(*COUNTS)
    return house


def test_the_whole_target_is_posted_once_a_period_and_then_rests(bench: Bench, house: House) -> None:
    first = house.cycle()

    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    charges = bench.double.records["charge"].values()
    assert sorted((one["billTo"], one["quantity"], one["amount"]) for one in charges) == [
        (101, 3, Decimal("18.00")), (101, 27, Decimal("756.00")),
    ]  # fmt: skip
    [invoice] = [one for one in bench.double.records["invoice"].values() if one["memo"]]
    assert [(one["item"], one["quantity"], one["amount"]) for one in invoice["lines"]] == [
        (501, 16, Decimal("448.00")), (503, 3, Decimal("18.00")),
    ]  # fmt: skip

    second = house.cycle()
    assert {action for action, _ in told(second).values()} == {"none"}, told(second)
    assert len({one.record for one in bench.double.effects}) == 3
    assert len(bench.double.effects) == 4  # one for each line


def test_a_rise_posts_its_difference_and_a_fall_is_held_while_it_can_be_amended(bench: Bench, house: House) -> None:
    house.cycle()
    house.count(("Alder Dental Group", "SPB", 29), *COUNTS[1:])

    assert told(house.cycle())["Premium"][0] == "post"
    assert [one["quantity"] for one in bench.double.records["charge"].values() if one["billingItem"] == 501] == [27, 2]

    house.count(("Alder Dental Group", "SPB", 28), *COUNTS[1:])
    action, _ = told(house.cycle())["Premium"]
    assert action != "post"
    assert bench.double.records["creditMemo"] == {}


def test_a_price_that_was_changed_on_the_invoice_of_a_charge_is_told_by_the_tie_out(bench: Bench, house: House) -> None:
    """The charge keeps what was sent; the invoice that came of it is a record of its own."""
    premium = RULES.partition("\n[[rule]]\n")[2].partition("\n[[rule]]\n")[0]
    house.map(f'{CUSTOMERS}\n[[rule]]\n{premium}\ninvoiced = {{ from = "books", item = "M365-BP" }}\n')
    bench.double.records["invoice"].clear()
    house.cycle()
    [charge] = bench.double.records["charge"].values()
    bench.double.release(charge["id"])
    [invoice] = bench.double.bill_run(house.now.date())

    [agreed] = [one for one in house.cycle().plan.tie_outs if one.customer == "Alder Dental Group"]
    assert (agreed.agrees, agreed.billed, agreed.invoiced) == (True, Decimal("756.00"), Decimal("756.00"))

    invoice["lines"][0] |= {"rate": Decimal("25.00"), "amount": Decimal("675.00")}
    changed = house.cycle().plan
    [gap] = [one for one in changed.tie_outs if one.customer == "Alder Dental Group"]
    assert (gap.agrees, gap.difference) == (False, Decimal("-81.00"))
    assert [str(line.action) for line in changed.lines] == ["none"]  # nothing is posted for it


def test_a_lost_answer_whose_memo_is_rewritten_before_the_look_is_billed_once(
    bench: Bench, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared invoice was made, NetSuite went down, and a bookkeeper wrote over its memo before it could be seen."""
    bench.double.fail("drop_after", method="POST", path="record/v1/invoice$")
    send, find = Poster.send, Poster.find
    sent: list[Wire] = []

    def sending(self: Poster, posting: Posting, wire: Wire) -> Any:
        sent.append(wire)
        return send(self, posting, wire)

    def finding(self: Poster, posting: Posting) -> Sight:
        if any(wire.path.endswith("invoice") for wire in sent) and posting.options.get("document") == "invoice":
            raise VendorError("unavailable", "NetSuite is down")
        return find(self, posting)

    monkeypatch.setattr(Poster, "send", sending)
    monkeypatch.setattr(Poster, "find", finding)
    house.cycle()
    [made] = [one for one in bench.double.records["invoice"].values() if one["memo"]]
    made["memo"] = "November true-up, checked by Dana"
    monkeypatch.setattr(Poster, "find", find)

    for _ in range(3):
        house.now += timedelta(minutes=20)
        assert house.cycle().in_doubt == 2

    assert len([one for one in sent if one.path.endswith("invoice")]) == 1
    assert [one for one in bench.double.records["invoice"].values() if one["memo"]] == [made]
