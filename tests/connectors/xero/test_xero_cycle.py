"""Whole cycles against the double: counts from a file, drafts of several rules, a credit note, then rest."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from connector_kit import House, actions, customers
from xero_kit import Bench

from syncd.connect.documents import charges
from syncd.core.resolve import ReadError

CONFIG = """
[connections.books]
kind = "xero"
base_url = "{url}"
token_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "XERO_CLIENT_SECRET" }}
tenant_id = "{tenant}"
"""
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "books", item = "{item}" }}
true_up = "line"
decrease = "now"
"""
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", item="M365-BP")
    + RULE.format(name="Exchange", customer="Alder", sku="EXO", item="EXO-P1")
    + RULE.format(name="Visio", customer="Birch", sku="VISIO", item="VISIO-P2")
    + 'price = { model = "graduated", tiers = [ { up_to = 2, unit = 20.00, flat = 5.00 }, { unit = 17.35 } ] }\n'
)


class Office(House):
    """A house whose books are Xero's."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        connections = CONFIG.format(url=bench.url, tenant=bench.double.books.tenant)
        names = [company.name for company in bench.world.companies]
        super().__init__(folder, connections, customers("books", *names) + RULES, safety='max_decrease = "100%"\n')
        self.bench = bench
        self.now = self.now.replace(hour=12)
        self.errors: tuple[ReadError, ...] = ()

    def counts(self, **seats: int) -> None:
        self.count(
            *(
                ("Birchwood Legal LLP" if sku == "VISIO" else "Alder Dental Group", sku, number)
                for sku, number in seats.items()
            )
        )

    def act(self) -> dict[str, str]:
        """One cycle: rule -> what was decided."""
        done = self.cycle()
        self.errors = done.plan.errors
        return actions(done)

    def drafts(self, resource: str = "Invoices") -> list[tuple[str, Decimal, int]]:
        """(customer, money, charges) of syncd's own documents."""
        return sorted(
            (one["Contact"]["Name"], one["SubTotal"], len(charges(one["Reference"])))
            for one in self.bench.documents(resource)
        )


@pytest.fixture
def office(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("XERO_CLIENT_SECRET", "sandbox-secret")
    bench.double.books.template(
        bench.contact(), [{"ItemCode": "M365-BP", "Quantity": 25}], date(2026, 1, 1), Reference="Seats"
    )
    return Office(bench, tmp_path)


def test_what_is_missing_is_drafted_once_and_then_rests(office: Office) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    first = office.act()
    assert set(first.values()) == {"post"}, (first, office.errors)
    assert office.drafts() == [
        ("Alder Dental Group", Decimal("74.00"), 2),  # 2 × 28 beyond the repeating invoice, 3 × 6
        ("Birchwood Legal LLP", Decimal("79.70"), 1),  # 5 + 2 × 20 + 2 × 17.35
    ]

    effects = list(office.bench.double.effects)
    assert set(office.act().values()) == {"none"}
    assert office.bench.double.effects == effects


def test_a_rise_is_a_further_draft_and_a_fall_a_credit_note(office: Office) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.act()
    office.counts(SPB=29, EXO=2, VISIO=4)
    assert office.act() == {"Premium": "post", "Exchange": "post", "Visio": "none"}

    assert ("Alder Dental Group", Decimal("56.00"), 1) in office.drafts()
    assert office.drafts("CreditNotes") == [("Alder Dental Group", Decimal("6.00"), 1)]
    assert set(office.act().values()) == {"none"}


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "500_after", "truncate"])
def test_a_lost_answer_never_becomes_a_second_draft(office: Office, fault: str) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.bench.double.fail(fault, method="PUT")
    office.act()
    office.now = office.now.replace(hour=13)
    office.bench.double.advance(3600)
    office.act()

    assert [one[:2] for one in office.drafts()] == [
        ("Alder Dental Group", Decimal("74.00")), ("Birchwood Legal LLP", Decimal("79.70")),
    ]  # fmt: skip


def test_a_day_limit_leaves_the_rest_to_a_later_cycle(office: Office) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.bench.double.retry_after = "40000"
    office.bench.double.fail("throttle", path="/Contacts")
    assert set(office.act().values()) == {"blocked"}
    assert "deferred" in {error.code for error in office.errors}

    seen = len(office.bench.double.requests)
    office.now = office.now.replace(hour=14)
    office.act()
    assert len(office.bench.double.requests) == seen  # the wait is remembered over cycles
    office.now = office.now.replace(day=21, hour=12)
    assert set(office.act().values()) == {"post"}
