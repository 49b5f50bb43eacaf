"""When money of a line of syncd's counts as changed: to the minor unit, whatever the vendor rounds and prorates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from syncd.core.changed_amounts import Changed, _shown, is_watched, worth_of
from syncd.core.entries import Sent
from syncd.model import Agreement, BilledLine
from syncd.periods import parse_period

NOVEMBER = parse_period("2026-11")
SENT = Sent(
    "e1", "lines:qbo:59:10:abc:2026-11", Decimal(3), Decimal("30.02"), "USD", datetime(2026, 11, 4, 3, tzinfo=UTC)
)
LINE = BilledLine(
    "estimate 145/1", "59", "59", "10", "M365-BP", "Premium", Decimal(3), Decimal("10.005"),
    starts=date(2026, 11, 21), ends=date(2026, 11, 30), once=True, marker="sd-t1-a", amount=Decimal("30.02"),
)  # fmt: skip
BOOKS = Agreement("59", "59", "Alder")
ZONE = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("amount", "price", "prorates", "shown"),
    [
        ("30.02", "10.005", False, None),
        ("30.03", "10.01", False, "30.03"),  # one cent is money
        ("30.03", "10.0085", False, "30.03"),
        (None, "10.005", False, None),  # 30.015: half-even and half-up both are roundings of it
        (None, "10.02", False, "30.06"),
        ("90.06", "30.02", False, "90.06"),
        ("90.06", "30.02", True, None),  # ten of thirty days, as the vendor will charge it
        ("93.06", "31.02", True, "31.02"),  # the share that is nearer to what was posted
        ("0", "0", False, "0.00"),
        (None, None, False, None),
    ],
)
def test_what_counts_as_changed(amount: str | None, price: str | None, prorates: bool, shown: str | None) -> None:
    line = replace(
        LINE,
        amount=None if amount is None else Decimal(amount),
        unit_price=None if price is None else Decimal(price),
    )
    found = _shown(line, replace(BOOKS, prorates=prorates), SENT, NOVEMBER)
    assert found == (None if shown is None else Decimal(shown))


def test_a_half_cent_that_the_vendor_rounds_up_is_no_change() -> None:
    even = replace(SENT, units=Decimal(1), amount=Decimal("10.00"))
    line = replace(LINE, quantity=Decimal(1), unit_price=Decimal("10.005"), amount=Decimal("10.01"))
    assert _shown(line, BOOKS, even, NOVEMBER) is None


def test_currencies_without_cents_are_held_to_whole_units() -> None:
    yen = replace(SENT, amount=Decimal(3000), currency="JPY")
    for amount, shown in (("3000.4", None), ("3001", Decimal(3001))):
        assert _shown(replace(LINE, amount=Decimal(amount), unit_price=None), BOOKS, yen, NOVEMBER) == shown


def test_what_is_told_and_what_it_is_worth() -> None:
    line = replace(LINE, changed_by="erin", changed_at=datetime(2026, 11, 19, 3, tzinfo=UTC))
    one = Changed(line, SENT, Decimal("25.02"), "2026-11")
    assert one.told(ZONE) == (
        "estimate 145/1 of 2026-11 charges 25.02 USD for 3 instead of the 30.02 that syncd posted on 2026-11-03; "
        "last changed by erin on 2026-11-18"
    )
    assert one.told(ZONE, who=False).endswith("; last changed on 2026-11-18")
    assert replace(one, line=LINE).told(ZONE).endswith("posted on 2026-11-03")
    assert one.difference == Decimal("-5.00")
    credit = replace(one, line=replace(line, quantity=Decimal(-3)))
    assert credit.difference == Decimal("5.00")  # less is credited: the customer pays more
    assert worth_of([one, credit], "qbo").amount == Decimal("10.00")  # one does not hide the other
    mixed = replace(one, sent=replace(SENT, currency="EUR"))
    assert worth_of([one, mixed], "qbo").amount is None


def test_the_period_before_is_still_looked_at() -> None:
    assert is_watched("2026-10", date(2026, 12, 1))
    assert not is_watched("2026-09", date(2026, 12, 5))
