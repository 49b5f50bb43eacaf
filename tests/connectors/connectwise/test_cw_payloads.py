"""Recorded payloads: what the vendor's own records become, digit by digit and day by day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from connectors.connectwise import payloads
from connectors.connectwise.agreements import terms
from connectors.connectwise.conditions import among, both, compare, literal
from connectors.connectwise.dates import day, instant, written
from connectors.connectwise.lines import billed_line, version
from connectors.connectwise.marks import described, tail, units
from syncd.errors import VendorError
from syncd.model import Moment
from syncd.periods import Period

FOLDER = Path(__file__).parent / "payloads"
TODAY = date(2026, 11, 20)


def recorded_agreement() -> payloads.Agreement:
    return msgspec.json.decode((FOLDER / "agreement.json").read_bytes(), type=payloads.Agreement)


def recorded_addition() -> payloads.Addition:
    return msgspec.json.decode((FOLDER / "addition.json").read_bytes(), type=payloads.Addition)


def test_a_recorded_addition_keeps_every_digit() -> None:
    row = recorded_addition()
    agreement = recorded_agreement()
    moment = Moment(
        instant("2026-11-20T16:00:00Z") or pytest.fail("unreadable"),
        TODAY,
        Period(date(2026, 11, 1), date(2026, 11, 30)),
    )
    line = billed_line(
        row,
        terms(agreement, {77: agreement}, {}),
        moment,
        field="serialNumber",
        own="sd-",
        cancelled_day_billed=True,
    )
    assert line is not None
    assert (line.quantity, line.unit_price, line.unit_cost) == (Decimal("27.0"), Decimal("22.10"), Decimal("16.4567"))
    assert str(line.unit_cost) == "16.4567"
    assert (line.starts, line.ends, line.version) == (date(2025, 3, 1), None, "2026-10-02T08:11:54Z")
    assert (line.changed_by, line.product_id, line.product) == ("billing.api", "412", "M365-BP")


def test_a_recorded_agreement_of_the_fifteenth() -> None:
    found = terms(recorded_agreement(), {}, {}).agreement(TODAY, "advance")
    assert found.period == Period(date(2026, 11, 15), date(2026, 12, 14))
    assert found.invoiced_through == date(2026, 12, 14)
    assert (found.currency, found.obstacle, found.prorates) == ("USD", "", True)


@pytest.mark.parametrize(
    ("following", "expected"),
    [
        ("2026-12-15T00:00:00Z", Period(date(2026, 11, 15), date(2026, 12, 14))),  # only the contract begins then
        ("2026-12-01T00:00:00Z", Period(date(2026, 11, 1), date(2026, 11, 30))),
        ("soon", Period(date(2026, 11, 1), date(2026, 11, 30))),
    ],
)
def test_a_calendar_cycle_follows_the_calendar_unless_the_next_invoice_says_otherwise(
    following: str, expected: Period
) -> None:
    row = msgspec.structs.replace(recorded_agreement(), invoicing_cycle="CalendarYear", next_invoice_date=following)
    assert terms(row, {}, {}).period(TODAY) == expected


def test_the_first_calendar_period_begins_with_billing() -> None:
    row = msgspec.structs.replace(
        recorded_agreement(),
        invoicing_cycle="CalendarYear",
        bill_start_date="2026-11-10",
        next_invoice_date="2026-12-01",
    )
    assert terms(row, {}, {}).period(TODAY) == Period(date(2026, 11, 10), date(2026, 11, 30))
    assert terms(row, {}, {}).period(date(2026, 12, 5)) == Period(date(2026, 12, 1), date(2026, 12, 31))


def test_the_recap_is_believed_before_the_agreements_own_date() -> None:
    row = recorded_agreement()
    recap = payloads.Recap(id=77, next_invoice_date="2026-11-15")
    assert terms(row, {}, {77: recap}).invoiced_through("advance") == date(2026, 11, 14)
    row = msgspec.structs.replace(row, next_invoice_date=None)
    last = payloads.Recap(id=77, last_invoice_date="11/15/2026")
    assert terms(row, {}, {77: last}).invoiced_through("advance") == date(2026, 12, 14)
    assert terms(row, {}, {}).invoiced_through("advance") is None


def test_a_version_changes_with_the_record_where_the_vendor_tells_no_time() -> None:
    row = msgspec.structs.replace(recorded_addition(), info=None)
    assert version(row) == version(msgspec.structs.replace(recorded_addition(), info=None))
    assert version(row) != version(msgspec.structs.replace(row, unit_price=Decimal("22.11")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-17T00:00:00Z", date(2026, 3, 17)),
        ("2026-03-17", date(2026, 3, 17)),
        ("3/17/2026", date(2026, 3, 17)),
        ("17/3/2026", date(2026, 3, 17)),
        ("3/4/2026", None),  # could be March or April
        ("4/4/2026", date(2026, 4, 4)),
        ("0001-01-01T00:00:00Z", None),
        ("1900-01-01", None),
        ("9999-12-31T00:00:00Z", None),
        ("2026-02-30", None),
        ("", None),
        (None, None),
        ("tomorrow", None),
    ],
)
def test_days(text: str | None, expected: date | None) -> None:
    assert day(text) == expected


def test_a_day_is_written_without_any_shift() -> None:
    assert written(date(2026, 3, 1)) == "2026-03-01T00:00:00Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ACME", '"ACME"'),
        ("O'Neil & Sons", '"O\'Neil & Sons"'),
        ('The "Best" Ltd', "'The \"Best\" Ltd'"),
        ("Area [51]", '"Area [[]51]"'),
        (17, "17"),
        (True, "true"),
        (None, "null"),
        (date(2026, 1, 1), "[2026-01-01T00:00:00Z]"),
        (instant("2026-01-01T00:00:00-06:00"), "[2026-01-01T06:00:00Z]"),
    ],
)
def test_literals(value: str | int | None, expected: str) -> None:
    assert literal(value) == expected


def test_a_text_with_both_quotes_cannot_be_filtered_by() -> None:
    with pytest.raises(VendorError, match="both kinds of quotes"):
        literal("""Joe's "Diner\"""")


def test_conditions_are_joined_and_long_lists_are_portioned() -> None:
    assert both(compare("company/id", "=", 250), "", compare("id", ">", 3)) == "company/id=250 and id>3"
    portions = list(among("invoice/id", range(1_000_000, 1_000_500)))
    assert len(portions) > 1
    assert max(map(len, portions)) < 1_745
    assert sum(one.count(",") + 1 for one in portions) == 500


def test_units_of_own_charges_survive_a_persons_edits() -> None:
    row = msgspec.structs.replace(recorded_addition(), quantity=Decimal(1), unit_price=Decimal(-44))
    marked = msgspec.structs.replace(
        row, invoice_description=described("Two seats less", tail("sd-x", Decimal("2.50"), credit=True))
    )
    assert units(marked, "sd-x") == Decimal("-2.5")
    assert units(marked, "sd-other") == -1  # somebody else's tail: the price alone tells that it is a credit
    assert units(row, "") == 1  # a person's own line stays what it shows
    charge = msgspec.structs.replace(marked, invoice_description=described("x", tail("sd-x", Decimal(7), credit=False)))
    assert units(charge, "sd-x") == 7
