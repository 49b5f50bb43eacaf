"""Billing in arrears: which period, how much, when; never twice, and nothing that rests on days nobody read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import NOW, World, agreement, billing, count, free, own_line, reading, reads, rule, told, world

from syncd.core.aggregate import Seen, Track
from syncd.core.entries import LOOKED, EntryState
from syncd.core.intents import write_down
from syncd.core.pricing import Commit, Graduated, Price, Tier, Unit
from syncd.core.resolve import View
from syncd.core.rules import Aggregate, Mode
from syncd.model import Agreement, Operation, State
from syncd.periods import DAY, Period, parse_period

D = Decimal
KEY = ("m365", "t1", "assigned")
DECEMBER_3 = datetime(2026, 12, 3, 18, tzinfo=UTC)  # noon in Chicago; November's grace is over
HOUSE = Price(Graduated((Tier(D(10), D(12), D(20)), Tier(D(50), D("10.5")), Tier(None, D(9)))))
THIS_MONTH = (agreement(period=None),)


def track(days: Mapping[date, Sequence[str | None]], *, unread: Sequence[date] = ()) -> Track:
    """What the ledger keeps when these readings came in, several a day; None is a reading that was not whole."""
    seen: list[Seen] = []
    fresh: dict[date, int] = {}
    cycle, last = 0, object()
    for day, readings in sorted(days.items()):
        if day in unread:
            continue
        for value in readings:
            cycle += 1
            fresh.setdefault(day, cycle)
            if value != last:
                counts = None if value is None else (count("SPB", value),)
                seen.append(Seen(cycle, day, counts))
                last = value
    return Track(tuple(seen), fresh)


def month(period: str, *values: str, unread: Sequence[int] = ()) -> dict[date, Sequence[str]]:
    """One reading a day; the last value stands to the end."""
    days = parse_period(period)
    made: dict[date, Sequence[str]] = {}
    for number in range(days.days):
        day = days.first + DAY * number
        if day.day not in unread:
            made[day] = (values[min(number, len(values) - 1)],)
    return made


def agreed(base: World, *agreements: Agreement) -> World:
    """The same world with these agreements and no line."""
    return base.but(billings=(billing(agreements=agreements),))


def arrears(track: Track, *, mode: Mode = Mode.POST, safety: Mapping[str, Any] | None = None, **fields: Any) -> World:
    """Contoso, whose seats are billed when the month is over."""
    given = {"true_up": "usage", "aggregate": "peak", "grace": timedelta(days=2), "decrease": "now", **fields}
    given["aggregate"] = Aggregate(given["aggregate"])
    base = free(9, safety=safety or {}, **given)
    base = base.but(house=replace(base.house, mode=mode))
    base = base.but(
        billings=tuple(one.__class__(one.customer_id, one.state, THIS_MONTH, (), one.proof) for one in base.billings)
    )
    return base.remembering(tracks={KEY: track})


def months(*some: Mapping[date, Sequence[str | None]], unread: Sequence[date] = ()) -> Track:
    together: dict[date, Sequence[str | None]] = {}
    for one in some:
        together |= one
    return track(together, unread=unread)


NOVEMBER = months(month("2026-11", "10", "27", "12"), month("2026-12", "9"))


def psa() -> Psa:
    return Psa(agreements=THIS_MONTH)


@pytest.mark.parametrize(
    ("how", "quantity"),
    [("peak", "27"), ("last", "12"), ("sum", "373"), ("average", "12.433333"), ("p95", "12")],
)
def test_one_line_bills_the_months_number_when_its_grace_is_over(how: str, quantity: str) -> None:
    line = arrears(NOVEMBER, aggregate=how).one_line(DECEMBER_3)
    assert told(line.action, line.target, line.billed, line.difference) == ("post", D(quantity), 0, D(quantity))
    (effect,) = line.effects
    posting = effect.posting
    assert told(posting.operation, posting.quantity, posting.period) == ("post_line", D(quantity), "2026-11")
    assert (posting.starts, posting.ends) == (date(2026, 11, 1), date(2026, 11, 30))
    assert posting.unit_price == D(20)  # the catalogue's
    assert posting.amount == (D(quantity) * 20).quantize(D("0.01"))
    assert posting.description.startswith(f"Business Premium, 2026-11: {quantity} used (")


@pytest.mark.parametrize(
    ("now", "action", "period"),
    [
        (datetime(2026, 11, 20, 16, tzinfo=UTC), "none", ""),  # nothing is over that anybody counted
        (datetime(2026, 12, 1, 6, 0, tzinfo=UTC), "none", ""),  # midnight in Chicago: over, and in its grace
        (datetime(2026, 12, 3, 5, 59, tzinfo=UTC), "none", ""),
        (datetime(2026, 12, 3, 6, 0, tzinfo=UTC), "post", "2026-11"),  # exactly two days after
    ],
)
def test_a_month_is_billed_when_its_grace_has_passed(now: datetime, action: str, period: str) -> None:
    line = arrears(NOVEMBER).one_line(now)
    assert told(line.action, line.period) == (action, period)


def test_a_source_that_is_down_today_does_not_stop_what_was_read_before() -> None:
    base = arrears(NOVEMBER)
    line = base.but(readings=reads(reading(state=State.UNKNOWN))).one_line(DECEMBER_3)
    assert told(line.action, line.target, line.used, line.states["used"]) == ("post", 27, None, "unknown")


def test_the_same_month_is_never_billed_twice() -> None:
    book, there, base = Book(), psa(), arrears(NOVEMBER)
    for hour in range(5):
        step(base, book, there, DECEMBER_3 + timedelta(hours=hour))
    assert [(one.operation, one.quantity, one.period) for one in there.done] == [
        (Operation.POST_LINE, D(27), "2026-11")
    ]
    line = base.but(past=book.past(base.past), billings=(there.billing(),)).one_line(DECEMBER_3)
    assert told(line.action, line.target, line.billed, line.difference) == ("none", 27, 27, 0)


def test_a_line_that_a_restored_ledger_forgot_is_not_billed_beside() -> None:
    """Books show the document that was posted after the backup: its mark is one that the ledger has yet to give."""
    base = arrears(NOVEMBER)
    (effect,) = base.one_line(DECEMBER_3).effects
    shown = own_line(27, marker=effect.posting.marker, agreement_id=effect.posting.agreement_id)
    base = base.but(billings=tuple(replace(one, lines=(shown,)) for one in base.billings))

    line = base.one_line(DECEMBER_3)

    assert told(line.action, line.effects) == ("hold", ())
    assert "was posted for 2026-11 after the backup" in line.reason


@pytest.mark.parametrize(
    ("forgot", "action", "guards"),
    [(date(2026, 11, 30), "post", ()), (date(2026, 12, 1), "hold", ("restored",))],  # restored on that day
)
def test_a_month_that_was_over_at_a_restore_waits_for_who_looked(
    forgot: date, action: str, guards: tuple[str, ...]
) -> None:
    """The list shows nothing of it, whatever was billed since the backup."""
    line = arrears(NOVEMBER).remembering(forgot=forgot).one_line(DECEMBER_3)

    assert told(line.action, line.guards, len(line.effects)) == (action, guards, 1)


def test_what_a_restored_ledger_was_about_to_bill_in_arrears_waits_for_who_looked() -> None:
    """It was approved before the backup; since then it may have been turned down, and another amount billed."""
    base, book = arrears(NOVEMBER), Book()
    base = base.remembering(forgot=date(2026, 12, 3))
    (intent,) = write_down(base.plan(DECEMBER_3), (), base.views, base.past).intents
    book.add(intent)
    book.approve("e1")
    base = base.but(past=book.past(base.past))

    made = write_down(base.plan(DECEMBER_3), book.open(), base.views, base.past, restored=True)
    assert [(one.id, "look, then approve it with --looked" in why) for one, why in made.hold] == [("e1", True)]
    assert intent.key not in made.sendable

    looked = replace(book.entries["e1"], note=LOOKED)
    assert write_down(base.plan(DECEMBER_3), [looked], base.views, base.past, restored=True).sendable == {intent.key}


def test_late_usage_is_a_correction_that_names_the_old_month() -> None:
    book, there, base = Book(), psa(), arrears(NOVEMBER, price=HOUSE)
    step(base, book, there, DECEMBER_3)
    late = months(month("2026-11", "10", "30", "12"), month("2026-12", "9"))
    step(base.remembering(tracks={KEY: late}), book, there, DECEMBER_3 + DAY)
    first, second = there.done
    assert told(first.quantity, first.amount) == (27, D("318.50"))
    assert told(second.operation, second.quantity, second.amount, second.period) == (
        "post_line",
        3,
        D("31.50"),
        "2026-11",
    )
    assert "2026-11" in second.description
    assert "350.00; 318.50 of it charged before" in second.description
    less = months(month("2026-11", "10", "29", "12"), month("2026-12", "9"))
    step(base.remembering(tracks={KEY: less}), book, there, DECEMBER_3 + DAY * 2)
    third = there.done[2]
    assert told(third.operation, third.quantity, third.amount) == ("post_credit", 1, D("10.50"))
    assert there.dated("2026-11") == 29


def test_amounts_of_a_month_sum_to_the_price_of_the_whole() -> None:
    book, there, base = Book(), psa(), arrears(NOVEMBER, price=HOUSE)
    for number, peak in enumerate(("27", "51", "60", "59")):
        moved = months(month("2026-11", "10", peak), month("2026-12", "9"))
        step(base.remembering(tracks={KEY: moved}), book, there, DECEMBER_3 + timedelta(hours=number))
    signs = {Operation.POST_LINE: 1, Operation.POST_CREDIT: -1}
    assert sum(one.amount * signs[one.operation] for one in there.done if one.amount is not None) == D("641.00")
    assert all(one.unit_price is None or one.unit_price * one.quantity == one.amount for one in there.done)


def test_a_rule_that_is_changed_does_not_bill_closed_months_anew() -> None:
    book, there, base = Book(), psa(), arrears(NOVEMBER)
    step(base, book, there, DECEMBER_3)
    other = arrears(NOVEMBER, included=5)
    plan = step(other, book, there, DECEMBER_3 + DAY)
    assert len(there.done) == 1
    assert plan.lines[0].action == "none"
    assert "as it stood then" in plan.lines[0].reason


def test_what_was_billed_by_hand_before_syncd_is_left_alone() -> None:
    """October was followed too, while syncd only observed: only the newest month is billed."""
    both = months(month("2026-10", "40"), month("2026-11", "27"), month("2026-12", "9"))
    book, there, base = Book(), psa(), arrears(both)
    for hour in range(4):
        step(base, book, there, DECEMBER_3 + timedelta(hours=hour))
    assert [one.period for one in there.done] == ["2026-11"]


def test_a_month_in_which_syncd_was_down_when_it_was_due_is_billed_afterwards() -> None:
    three = months(month("2026-09", "5"), month("2026-10", "40"), month("2026-11", "27"), month("2026-12", "9"))
    book, there, base = Book(), psa(), arrears(three)
    step(base, book, there, datetime(2026, 10, 5, 18, tzinfo=UTC))
    for hour in range(6):
        step(base, book, there, DECEMBER_3 + timedelta(hours=hour))
    assert [(one.period, one.quantity) for one in there.done] == [("2026-09", 5), ("2026-11", 27), ("2026-10", 40)]


def test_unread_days_are_named_and_too_many_of_them_hold_the_line() -> None:
    few = months(month("2026-11", "27", unread=(4, 5, 9)), month("2026-12", "9"))
    line = arrears(few).one_line(DECEMBER_3)
    assert line.action == "post"
    assert "3 of 30 days unread: 4, 5, 9 Nov" in line.reason
    assert line.derivation["usage"]["gaps"] == ["2026-11-04", "2026-11-05", "2026-11-09"]
    assert "3 of 30 days unread" in line.derivation["steps"][0]["text"]
    many = months(month("2026-11", "27", unread=(4, 5, 9, 10)), month("2026-12", "9"))
    line = arrears(many).one_line(DECEMBER_3)
    assert told(line.action, line.guards) == ("hold", ("unread_days",))
    assert "4 of 30 days unread: 4, 5, 9, 10 Nov" in line.reason


def test_a_month_of_which_no_day_was_read_is_not_a_zero() -> None:
    line = arrears(months(month("2026-10", "27"), month("2026-12", "9"))).one_line(DECEMBER_3)
    assert told(line.action, line.target) == ("blocked", None)
    assert "no day of 2026-11 was read whole" in line.reason
    fresh = arrears(months(month("2026-12", "9"))).one_line(DECEMBER_3)
    assert told(fresh.action, fresh.target) == ("none", None)


def test_nothing_used_is_nothing_billed_unless_the_price_has_a_fee() -> None:
    none = months(month("2026-11", "0"), month("2026-12", "9"))
    assert told(arrears(none).one_line(DECEMBER_3).action) == ("none",)
    commit = arrears(none, price=Price(Commit(D(50), D(10), D(14)))).one_line(DECEMBER_3)
    (effect,) = commit.effects
    assert told(effect.posting.quantity, effect.amount, effect.posting.unit_price) == (50, D("500.00"), D("10.00"))
    flat = arrears(none, price=HOUSE).one_line(DECEMBER_3)
    assert told(flat.effects[0].posting.quantity, flat.effects[0].amount) == (1, D("20.00"))


def test_the_first_month_is_judged_by_money_alone_and_later_ones_by_the_month_before() -> None:
    limits = {"max_increase": D(100), "max_step": D(3), "max_amount": D(10_000)}
    track = months(month("2026-11", "10"), month("2026-12", "21"), month("2027-01", "9"))
    book, there, base = Book(), psa(), arrears(track, safety=limits)
    step(base, book, there, DECEMBER_3)
    assert there.dated("2026-11") == 10
    line = step(base, book, there, datetime(2027, 1, 4, 18, tzinfo=UTC)).lines[0]
    assert told(line.action, line.guards, line.period) == ("hold", ("max_increase",), "2026-12")
    dear = arrears(NOVEMBER, safety={**limits, "max_amount": D(500)}).one_line(DECEMBER_3)
    assert told(dear.action, dear.guards) == ("hold", ("max_amount",))


def test_a_waiting_line_is_planned_anew_when_the_number_moves_and_kept_when_its_month_is_older() -> None:
    book, there, base = Book(), psa(), arrears(NOVEMBER, mode=Mode.PROPOSE)
    step(base, book, there, DECEMBER_3)
    moved = months(month("2026-11", "10", "30", "12"), month("2026-12", "9"), month("2027-01", "5"))
    base = base.remembering(tracks={KEY: moved})
    step(base, book, there, DECEMBER_3 + DAY)
    assert [one.intent.to for one in book.open(EntryState.HELD)] == [D(30)]
    step(base, book, there, datetime(2027, 1, 4, 18, tzinfo=UTC))
    assert sorted((one.intent.period, one.intent.to) for one in book.open(EntryState.HELD)) == [
        ("2026-11", D(30)), ("2026-12", D(9)),
    ]  # fmt: skip
    for entry in book.open(EntryState.HELD):
        book.approve(entry.id)
    step(base, book, there, datetime(2027, 1, 4, 19, tzinfo=UTC))
    assert {one.period: one.quantity for one in there.done} == {"2026-11": 30, "2026-12": 9}


def test_a_clock_that_fell_back_bills_no_earlier_month() -> None:
    both = months(month("2026-10", "40"), month("2026-11", "27"), month("2026-12", "9"))
    book, there, base = Book(), psa(), arrears(both)
    step(base, book, there, DECEMBER_3)
    line = step(base, book, there, datetime(2026, 11, 5, 18, tzinfo=UTC)).lines[0]
    assert told(line.action, line.guards) == ("hold", ("earlier_period",))


def test_a_month_that_is_invoiced_already_goes_into_the_first_open_one_under_its_name() -> None:
    billed = agreement(period=Period(date(2026, 12, 1), date(2026, 12, 31)), invoiced_through=date(2026, 12, 31))
    base = arrears(NOVEMBER)
    base = base.but(
        billings=tuple(one.__class__(one.customer_id, one.state, (billed,), (), one.proof) for one in base.billings)
    )
    (effect,) = base.one_line(DECEMBER_3).effects
    assert (effect.posting.starts, effect.posting.ends) == (date(2027, 1, 1), date(2027, 1, 31))
    assert effect.posting.period == "2026-11"
    assert effect.posting.description.startswith("for 2026-11: ")


def test_a_price_in_another_currency_is_not_sent() -> None:
    euro = arrears(NOVEMBER, price=Price(Unit(D(3)), currency="EUR")).one_line(DECEMBER_3)
    assert told(euro.action) == ("blocked",)
    assert "the rule's price is in EUR, and the agreement bills in USD" in euro.reason


def test_next_period_and_term_mean_what_they_can_mean_when_the_period_is_over() -> None:
    line = arrears(NOVEMBER, increase="next-period", decrease="term").one_line(DECEMBER_3)
    assert told(line.action, line.reason.split(";")[0]) == ("post", "increase is now")


def test_what_the_customer_reads_fits_and_keeps_the_amount() -> None:
    base = arrears(NOVEMBER, price=HOUSE)
    whole = base.one_line(DECEMBER_3).effects[0].posting.description
    assert whole == (
        "Business Premium, 2026-11: 27 used (peak of 30 days); 27 units; "
        "10 × 12.00, flat fee of tier 1 20.00, 17 × 10.50: 318.50"
    )


def test_what_can_be_read_again_of_a_month_before_syncd_came_is_not_billed() -> None:
    """Hours of October can be asked for in November; they were billed by hand."""
    began = arrears(months(month("2026-11", "7")), aggregate="last")
    october = {("m365", "t1", "assigned of 2026-10"): reading("t1", count("SPB", 40))}
    line = began.remembering(again=october).one_line(datetime(2026, 11, 20, 16, tzinfo=UTC))
    assert told(line.action, line.target) == ("none", None)
    november = {("m365", "t1", "assigned of 2026-11"): reading("t1", count("SPB", 8))}
    line = began.remembering(again=november).one_line(DECEMBER_3)
    assert told(line.action, line.target, line.derivation["usage"]["gaps"]) == ("post", 8, [])
    failed = {("m365", "t1", "assigned of 2026-11"): reading("t1", state=State.UNKNOWN, reason="no answer")}
    line = began.remembering(again=failed).one_line(DECEMBER_3)
    assert told(line.action, line.reason) == ("blocked", "2026-11 could not be read again: no answer")


class Narrow(World):
    """A billing system with little room for words."""

    @property
    def views(self) -> dict[str, View]:
        return {name: replace(view, description_length=70) for name, view in super().views.items()}


def test_where_there_is_little_room_the_steps_go_first_and_the_amount_last() -> None:
    base = arrears(NOVEMBER, price=HOUSE, description="{product} in {period} for {customer}, as agreed")
    narrow = Narrow(**{one.name: getattr(base, one.name) for one in fields(base)})
    text = narrow.one_line(DECEMBER_3).effects[0].posting.description
    assert text.endswith("…; 27 units; 318.50")
    assert text.startswith("Business Premium in")
    assert len("for 2026-11-15/2026-12-14: ") + len(text) <= 70


def test_a_world_without_arrears_needs_no_tracks() -> None:
    assert world().one_line(NOW).period == ""
    assert rule().price is None
