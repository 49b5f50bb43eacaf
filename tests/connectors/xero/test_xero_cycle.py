"""Whole cycles against the double: counts from a file, drafts of several rules, a credit note, then rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from syncd.config import load
from syncd.connect.documents import charges
from syncd.connect.registry import Kinds
from syncd.cycle import Cycle, run_cycle
from syncd.ledger import Ledger

if TYPE_CHECKING:
    from conftest import Bench
else:
    Bench = Any

CONFIG = """
[syncd]
mode = "post"
timezone = "America/Chicago"
[connections.books]
kind = "xero"
base_url = "{url}"
token_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "XERO_CLIENT_SECRET" }}
tenant_id = "{tenant}"
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
max_decrease = "100%"
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


class Office:
    """A folder with files, and the daemon's cycles in it."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.now = datetime.fromisoformat("2026-11-20T12:00:00-06:00")
        (folder / "mappings").mkdir()
        tenant = bench.double.books.tenant
        (folder / "config.toml").write_text(CONFIG.format(url=bench.running.url, tenant=tenant))
        names = [company.name for company in bench.world.companies]
        customers = "".join(f'[[customer]]\nname = "{name}"\nbooks = "{name}"\nfiles = "{name}"\n' for name in names)
        (folder / "mappings" / "first.toml").write_text(customers + RULES)

    def counts(self, **seats: int) -> None:
        rows = "".join(
            f"{'Birchwood Legal LLP' if sku == 'VISIO' else 'Alder Dental Group'},{sku},{seats}\n"
            for sku, seats in seats.items()
        )
        (self.folder / "counts.csv").write_text(f"customer,sku,quantity\n{rows}")

    def cycle(self) -> dict[str, str]:
        environ: Mapping[str, str] = {"XERO_CLIENT_SECRET": "sandbox-secret"}
        config, mappings = load(self.folder / "config.toml", Kinds(), environ)
        with Ledger.open(config.database, lambda: self.now, folder=config.folder) as ledger:
            ledger.claim("test")
            done: Cycle = run_cycle(config, mappings, Kinds(), ledger, lambda: self.now)
            assert ledger.verify() == []
        self.errors = done.plan.errors
        return {line.rule: str(line.action) for line in done.plan.lines}

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
    first = office.cycle()
    assert set(first.values()) == {"post"}, (first, office.errors)
    assert office.drafts() == [
        ("Alder Dental Group", Decimal("74.00"), 2),  # 2 × 28 beyond the repeating invoice, 3 × 6
        ("Birchwood Legal LLP", Decimal("79.70"), 1),  # 5 + 2 × 20 + 2 × 17.35
    ]

    effects = list(office.bench.double.effects)
    assert set(office.cycle().values()) == {"none"}
    assert office.bench.double.effects == effects


def test_a_rise_is_a_further_draft_and_a_fall_a_credit_note(office: Office) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.cycle()
    office.counts(SPB=29, EXO=2, VISIO=4)
    assert office.cycle() == {"Premium": "post", "Exchange": "post", "Visio": "none"}

    assert ("Alder Dental Group", Decimal("56.00"), 1) in office.drafts()
    assert office.drafts("CreditNotes") == [("Alder Dental Group", Decimal("6.00"), 1)]
    assert set(office.cycle().values()) == {"none"}


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "500_after", "truncate"])
def test_a_lost_answer_never_becomes_a_second_draft(office: Office, fault: str) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.bench.double.fail(fault, method="PUT")
    office.cycle()
    office.now = office.now.replace(hour=13)
    office.bench.double.advance(3600)
    office.cycle()

    assert [one[:2] for one in office.drafts()] == [
        ("Alder Dental Group", Decimal("74.00")), ("Birchwood Legal LLP", Decimal("79.70")),
    ]  # fmt: skip


def test_a_day_limit_leaves_the_rest_to_a_later_cycle(office: Office) -> None:
    office.counts(SPB=27, EXO=3, VISIO=4)
    office.bench.double.retry_after = "40000"
    office.bench.double.fail("throttle", path="/Contacts")
    assert set(office.cycle().values()) == {"blocked"}
    assert "deferred" in {error.code for error in office.errors}

    seen = len(office.bench.double.requests)
    office.now = office.now.replace(hour=14)
    office.cycle()
    assert len(office.bench.double.requests) == seen  # the wait is remembered over cycles
    office.now = datetime.fromisoformat("2026-11-21T12:00:00-06:00")
    assert set(office.cycle().values()) == {"post"}
