"""The month-end checklist over a PSA and what was invoiced: `syncd report close`, over real HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from altpay_kit import ITEM, Bench

from connectors.connectwise.sandbox import build as build_psa
from syncd.cli.main import hoist, run
from syncd.sandbox.kit import serve

CONFIG = """
[syncd]
timezone = "America/Chicago"
[connections.cw]
kind = "connectwise"
company = "acme"
public_key = {{ env = "CW_PUBLIC_KEY" }}
private_key = {{ env = "CW_PRIVATE_KEY" }}
client_id = "sandbox"
base_url = "{psa}"
retry_wait = "0s"
[connections.payments]
kind = "alternative_payments"
base_url = "{books}"
client_id = "sandbox-client"
client_secret = {{ env = "ALTPAY_CLIENT_SECRET" }}
amount_unit = "major"
amount_basis = "per_unit"
primary_integration = "connectwise"
retry_wait = "0s"
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
"""
CUSTOMER = '[[customer]]\nname = "{0}"\ncw = "{1}"\npayments = "{1}"\nfiles = "{0}"\n'
RULE = """
[[rule]]
name = "Premium"
count = {{ from = "files", sku = "M365-BP" }}
bill = {{ to = "cw", agreement = "Managed*", product = "M365-BP" }}
invoiced = {{ from = "payments", item = "{item}" }}
"""


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Four customers whose counts are as billed; the fourth was invoiced two seats less."""
    environ = {
        "CW_PUBLIC_KEY": "public",
        "CW_PRIVATE_KEY": "private",
        "ALTPAY_CLIENT_SECRET": "sandbox-secret",
        "SYNCD_NOW": "2026-11-20T12:00:00-06:00",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with Bench(tmp_path) as bench:
        psa = serve(build_psa(bench.double.world))
        (tmp_path / "config.toml").write_text(CONFIG.format(psa=psa.url, books=bench.url))
        companies = [one for one in bench.double.world.companies if dict(one.billed).get("M365-BP")]
        (tmp_path / "mappings").mkdir()
        customers = "".join(CUSTOMER.format(one.name, one.identifier) for one in companies)
        (tmp_path / "mappings" / "first.toml").write_text(customers + RULE.format(item=ITEM))
        counts = [f"{one.name},M365-BP,{dict(one.billed)['M365-BP']}" for one in companies]
        (tmp_path / "counts.csv").write_text("\n".join(["customer,sku,quantity", *counts]) + "\n")
        # What the PSA bills beside the seats; no rule names it, so that its name is what makes it one thing.
        workstations = [["Managed workstation", companies[0].devices - 2, "45.00"]]
        made = "2026-11-01T15:00:00Z"
        bench.control("invoice", customer=companies[0].identifier, lines=workstations, created_at=made)
        yield bench
        psa.stop()


def close(bench: Bench, capsys: Any, *words: str) -> tuple[int, str, str]:
    status = run(hoist(["--config", str(bench.folder / "config.toml"), "report", "close", *words]))
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_difference_is_listed_with_its_lines(estate: Bench, capsys: Any) -> None:
    status, out, _ = close(estate, capsys, "--json")
    told = json.loads(out)
    by_customer = {one["customer"]: one for one in told["tie_out"]}

    assert status == 3
    assert told["period"] == "2026-11"
    assert {name: one["agrees"] for name, one in by_customer.items()} == {
        "Alder Dental Group": True,
        "Birchwood Legal LLP": True,
        "Dogwood Veterinary": False,
    }
    dogwood = by_customer["Dogwood Veterinary"]
    assert (dogwood["billed"], dogwood["invoiced"], dogwood["difference"]) == ("336.00", "280.00", "-56.00")
    (line,) = dogwood["lines"]
    assert line["product"] == ITEM
    assert line["billed"]["notes"][0].startswith("line ")
    assert line["invoiced"]["notes"] == ["INV-1008 open"]
    assert [one["name"] for one in told["checks"] if not one["green"]] == ["PSA and books agree"]


def test_the_table_says_it_in_words(estate: Bench, capsys: Any) -> None:
    status, out, _ = close(estate, capsys)
    flat = " ".join(out.split())

    assert status == 3
    assert "no PSA and books agree" in flat
    assert "12 billed, 10 invoiced" in flat
    assert "2 of 3 customers and books agree." in flat


def test_mended_books_are_green(estate: Bench, capsys: Any) -> None:
    row = next(one for one in estate.double.invoices if one["invoice_number"] == "INV-1008")
    row["line_items"][0]["quantity"] = 12
    row["sub_total"] = row["total"] = 336

    assert close(estate, capsys)[0] == 0


def test_the_rows_are_for_a_spreadsheet(estate: Bench, capsys: Any) -> None:
    _, out, err = close(estate, capsys, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))

    assert [(row["customer"], row["state"], row["difference"]) for row in rows] == [
        ("Alder Dental Group", "agrees", "0.00"),
        ("Birchwood Legal LLP", "agrees", "0.00"),
        ("Dogwood Veterinary", "differs", "-56.00"),
    ]
    assert "PSA and books agree? Dogwood Veterinary" in err


def test_books_that_cannot_be_read_are_said_and_are_no_agreement(estate: Bench, capsys: Any) -> None:
    estate.double.fail("unavailable", path="invoices$", times=1000)
    status, out, _ = close(estate, capsys, "--json")
    told = json.loads(out)

    assert status == 1
    assert {one["agrees"] for one in told["tie_out"]} == {None}
    assert told["green"] is False


def test_a_period_that_is_over_is_asked_of_the_books(estate: Bench, capsys: Any) -> None:
    status, out, _ = close(estate, capsys, "--period", "2026-10", "--json")
    told = json.loads(out)

    assert told["period"] == "2026-10"
    assert {one["period"] for one in told["tie_out"]} == {"2026-10"}
    names = [one["name"] for one in told["checks"]]
    assert names == ["every source is fresh", "every line is settled", "PSA and books agree"]
    assert status in (0, 3)
    assert {one["customer"] for one in told["tie_out"] if one["agrees"] is False} >= {"Dogwood Veterinary"}


@pytest.mark.parametrize(
    ("period", "why"),
    [
        ("2026-12", "not over yet"),
        ("October", "is no period"),
        ("2026-10-03/2026-10-05", "is no billing period here; 2026-10-05 is in 2026-10"),
    ],
)
def test_a_period_that_is_none_or_to_come_is_a_fault_of_the_arguments(
    estate: Bench, capsys: Any, period: str, why: str
) -> None:
    status, _, err = close(estate, capsys, "--period", period)

    assert status == 2
    assert why in err


def test_the_plan_of_the_day_lists_what_does_not_agree(estate: Bench, capsys: Any) -> None:
    status = run(hoist(["--config", str(estate.folder / "config.toml"), "plan", "--json"]))
    told = json.loads(capsys.readouterr().out)

    assert status == 0
    assert [one["customer"] for one in told["tie_out"]] == ["Dogwood Veterinary"]
    gaps = {one["customer"] for one in told["lines"] if "books gap" in one["findings"]}
    assert gaps == {"Dogwood Veterinary"}
