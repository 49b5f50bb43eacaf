"""Whole cycles against the double: a charge waits for a person, leaves once, and never twice by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from altpay_kit import ITEM, NOW, Bench
from connector_kit import House

from syncd.cli.main import run
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.entries import EntryState
from syncd.cycle import Cycle
from syncd.cycle.undoing import try_again
from syncd.errors import UserFault

CONFIG = """
[connections.payments]
kind = "alternative_payments"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "ALTPAY_CLIENT_SECRET" }}
retry_wait = "0s"
timeout = "2s"
{keys}
"""
POSTING = 'posting = true\namount_unit = "major"\namount_basis = "per_unit"\nprimary_integration = "none"\n'
RULE = """
[[customer]]
name = "Alder Dental Group"
payments = "AlderDental"
files = "Alder Dental Group"

[[rule]]
name = "Premium"
count = {{ from = "files", sku = "SPB" }}
bill = {{ to = "payments", item = "{item}"{words} }}
true_up = "line"
price = {{ model = "unit", unit = 28.00 }}
"""

ALDER = "Alder Dental Group"

# Whole cycles through the ledger, several seconds each.
pytestmark = pytest.mark.slow


class Platform(House):
    """A house that bills by Alternative Payments, with a clock that both sides share."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        super().__init__(folder, "", "")
        self.bench, self.now = bench, NOW
        self.count((ALDER, "SPB", 3))
        self.write()

    def write(self, keys: str = POSTING, words: str = "") -> None:
        self.configure(CONFIG.format(url=self.bench.url, keys=keys))
        self.map(RULE.format(item=ITEM, words=words))

    def approve(self) -> None:
        with self.ledger() as ledger:
            ledger.approve([one.id for one in ledger.entries(states={EntryState.HELD})], by="Dana")

    def states(self) -> list[str]:
        with self.ledger() as ledger:
            return [str(one.state) for one in ledger.entries()]

    def later(self, **span: int) -> None:
        self.now += timedelta(**span)
        self.bench.double.advance(timedelta(**span).total_seconds())


@pytest.fixture
def house(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    monkeypatch.setenv("ALTPAY_CLIENT_SECRET", "sandbox-secret")
    return Platform(bench, tmp_path)


def only(done: Cycle) -> Any:
    (line,) = done.plan.lines
    return line


def test_a_charge_waits_for_a_person_leaves_once_and_rests(house: Platform) -> None:
    first = only(house.cycle())
    assert (str(first.action), first.guards) == ("hold", ("no_draft",))
    assert first.effects[0].amount == Decimal("84")
    assert house.bench.double.effects == []

    house.approve()
    house.cycle()
    (effect,) = house.bench.double.effects
    assert (effect.what, effect.detail["sub_total"]) == ("invoice", "84")
    assert house.states() == ["posted"]

    again = only(house.cycle())
    assert (str(again.action), again.billed) == ("none", Decimal(3))
    assert len(house.bench.double.effects) == 1


def test_a_rise_charges_only_the_difference_and_waits_again(house: Platform) -> None:
    house.cycle()
    house.approve()
    house.cycle()
    house.count((ALDER, "SPB", 5))
    assert str(only(house.cycle()).action) == "hold"
    house.approve()
    house.cycle()

    assert [one.detail["sub_total"] for one in house.bench.double.effects] == ["84", "56"]
    assert str(only(house.cycle()).action) == "none"


def test_what_never_arrived_waits_for_a_person_again(house: Platform) -> None:
    house.cycle()
    house.approve()
    house.bench.double.fail("drop_before", method="POST", path="invoices$")
    assert house.cycle().in_doubt == 1
    assert house.states() == ["unknown"]

    house.later(minutes=20)
    assert house.cycle().waiting == 1
    assert house.states() == ["held"]
    assert house.bench.double.effects == []  # nothing is sent twice by itself

    assert house.cycle().waiting == 1  # nor later
    house.approve()
    house.cycle()
    assert house.states() == ["posted"]
    assert len(house.bench.double.effects) == 1


def test_what_arrived_without_an_answer_is_found_and_not_sent_again(house: Platform) -> None:
    house.cycle()
    house.approve()
    house.bench.double.fail("drop_after", method="POST", path="invoices$")
    house.cycle()

    assert house.states() == ["posted"]
    house.later(minutes=20)
    house.cycle()
    assert len(house.bench.double.effects) == 1


def test_an_answer_that_a_lagging_list_hides_is_not_sent_again_either(house: Platform) -> None:
    house.bench.double.lag = timedelta(minutes=10)
    house.cycle()
    house.approve()
    house.bench.double.fail("drop_after", method="POST", path="invoices$")
    house.cycle()
    assert house.states() == ["unknown"]

    house.later(minutes=20)
    house.cycle()
    assert house.states() == ["posted"]
    assert len(house.bench.double.effects) == 1


def test_what_waited_under_the_wrong_meaning_of_amounts_fails_and_is_tried_again_under_the_right_one(
    house: Platform,
) -> None:
    house.write(POSTING.replace("major", "minor"))
    house.cycle()
    house.write()  # corrected, while the charge waits for its approval with a hundred times the amount in its bytes
    house.approve()
    house.cycle()
    assert house.states() == ["failed"]
    assert house.bench.double.effects == []

    config, _ = load(house.folder / "config.toml", Kinds())
    with house.ledger() as ledger:
        try_again(ledger, config, Kinds(), house.clock, ledger.entries(), by="Dana")
    house.cycle()
    assert house.states() == ["failed", "posted"]
    assert [one.detail["sub_total"] for one in house.bench.double.effects] == ["84"]


def test_without_posting_a_rule_that_bills_here_is_a_fault_of_the_files(house: Platform) -> None:
    house.write(keys="")
    with pytest.raises(
        UserFault, match=r"posts nothing; it is only read. Set posting = true in \[connections.payments"
    ):
        house.cycle()


# Who owns the invoice


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """Every customer bears the id of a primary integration, which sends its invoices here by itself."""
    monkeypatch.setenv("ALTPAY_CLIENT_SECRET", "sandbox-secret")
    with Bench(tmp_path, primary="cw") as bench:
        yield Platform(bench, tmp_path)


def test_a_customer_of_a_primary_integration_is_not_billed_twice(kept: Platform, capsys: Any) -> None:
    line = only(kept.cycle())
    assert str(line.action) == "blocked"
    assert "Alder Dental Group would be billed twice in payments" in line.reason

    status = run(["--config", str(kept.folder / "config.toml"), "check"])
    assert status == 2
    assert "would be billed twice" in " ".join(capsys.readouterr().out.split())


def test_it_is_billed_where_the_rule_says_so_in_so_many_words(kept: Platform) -> None:
    kept.write(words=', not_invoiced_by = "payments"')
    assert str(only(kept.cycle()).action) == "hold"
    kept.approve()
    kept.cycle()
    assert len(kept.bench.double.effects) == 1


@pytest.mark.parametrize(
    ("word", "fault"),
    [('"paymets"', "no connection is called"), ('"files"', "sends no invoices to alternative_payments"), ("7", "name")],
)
def test_the_word_must_name_a_connection_that_could_invoice_it(kept: Platform, word: str, fault: str) -> None:
    kept.write(words=f", not_invoiced_by = {word}")
    with pytest.raises(UserFault, match=fault):
        kept.cycle()


def test_a_list_of_words_is_taken_too(kept: Platform) -> None:
    kept.write(words=', not_invoiced_by = ["payments"]')
    assert str(only(kept.cycle()).action) == "hold"


def test_a_feed_that_cannot_be_read_blocks_the_line(kept: Platform) -> None:
    kept.bench.double.fail("unavailable", path="customers$", times=100)
    done = kept.cycle()

    assert str(only(done).action) == "blocked"
    assert kept.bench.double.effects == []
