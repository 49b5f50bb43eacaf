"""`syncd price`: the files alone, no sign-in, no ledger; every step, and one clear line where there is no price."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from syncd.cli.main import hoist, run

CONFIG = """
[syncd]
timezone = "America/Chicago"
[connections.m365]
kind = "microsoft365"
tenant_id = "t"
client_id = "c"
client_secret = { env = "NOT_SET_ANYWHERE" }
"""
RULES = """
[[customer]]
name = "Contoso"
m365 = "contoso.onmicrosoft.com"
[[rule]]
name = "Seats"
count = { from = "m365", sku = "SPB" }
true_up = "alert"
price = { model = "graduated", tiers = [ { up_to = 10, unit = 12.00, flat = 20.00 }, { up_to = 50, unit = 10.50 } ] }
[[rule]]
name = "Marked up"
count = { from = "m365", sku = "SPB" }
true_up = "alert"
included = 10
round = "up"
to = 5
price = { model = "unit", markup = "15%", currency = "EUR" }
[[rule]]
name = "The PSA's own"
count = { from = "m365", sku = "SPB" }
true_up = "alert"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "m.toml").write_text(RULES, encoding="utf-8")
    return tmp_path


def price(folder: Path, *arguments: str) -> int:
    return run(hoist(["--config", str(folder / "config.toml"), "price", *arguments]))


def test_the_json_is_as_promised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert price(folder, "Seats", "27", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "rule": "Seats",
        "quantity": "27",
        "amount": "318.50",
        "currency": "USD",
        "steps": [
            {"text": "10 × 12.00", "amount": "120.00"},
            {"text": "flat fee of tier 1", "amount": "20.00"},
            {"text": "17 × 10.50", "amount": "178.50"},
        ],
    }
    assert not (folder / "state").exists()


@pytest.mark.parametrize(
    ("quantity", "cost", "steps", "amount"),
    [
        ("27", "18.701", ["0.00", "0.00", "430.123", "-0.003"], "430.12"),
        ("10", "18.70", ["0.00", "0.00", "0.00"], "0.00"),
        ("12.5", "1", ["0.00", "0.00", "5.75"], "5.75"),
    ],
)
def test_steps_go_from_included_to_the_last_cent_and_sum_up(
    folder: Path, capsys: pytest.CaptureFixture[str], quantity: str, cost: str, steps: list[str], amount: str
) -> None:
    assert price(folder, "Marked up", quantity, "--cost", cost, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [step["amount"] for step in told["steps"]] == steps
    assert (told["quantity"], told["amount"], told["currency"]) == (quantity, amount, "EUR")
    assert sum(Decimal(step["amount"]) for step in told["steps"]) == Decimal(amount)


def test_people_read_a_column_of_money(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert price(folder, "Seats", "27") == 0
    assert capsys.readouterr().out == (
        "Seats: 27\n  120.00  10 × 12.00\n   20.00  flat fee of tier 1\n  178.50  17 × 10.50\n  318.50  USD\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Seat", "27"], 'syncd price: no rule is called "Seat". Did you mean "Seats"?'),
        (["Nothing like it", "27"], 'syncd price: no rule is called "Nothing like it". '
         'Known: "Seats", "Marked up", "The PSA\'s own".'),
        (["Seats", "many"], 'syncd price QUANTITY: "many" is not a number. Write it like 27 or 12.5.'),
        (["Seats", "NaN"], 'syncd price QUANTITY: "NaN" is not a number. Write it like 27 or 12.5.'),
        (["Seats", "--", "-1"], "syncd price QUANTITY: -1 is negative. A count and a cost are not."),
        (["Seats", "51"], 'mappings/m.toml › rule "Seats": a count of 51 cannot be priced: 51 units are beyond the '
         "last tier (up_to 50): add a tier."),
        (["Marked up", "27"], 'mappings/m.toml › rule "Marked up": a count of 27 cannot be priced: the price is a '
         "markup on the vendor's cost, and the cost is not known. Give it with --cost."),
        (["The PSA's own", "27"], "mappings/m.toml › rule \"The PSA's own\": a count of 27 cannot be priced: the rule "
         "has no price: the billing system owns it."),
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_one_line_and_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert price(folder, *arguments) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err == f"syncd: {said}\n"
