"""One number of a period from its days, against published definitions; and which days count as read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from core_kit import count, ref
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.aggregate import Day, Seen, Track, aggregate, days_of, usage
from syncd.core.rules import Aggregate
from syncd.periods import Period

D = Decimal
FIRST = date(2026, 11, 1)
NOVEMBER = Period(FIRST, date(2026, 11, 30))


def days(*values: str) -> tuple[Day, ...]:
    """Days whose highest is also their closing reading."""
    return tuple(Day(FIRST + timedelta(days=number), D(value), D(value)) for number, value in enumerate(values))


CASES = [
    # Nearest rank: the smallest value that at least 95% do not exceed, its place rounded up
    # (en.wikipedia.org/wiki/Percentile, "The nearest-rank method": 15, 20, 35, 40, 50).
    (Aggregate.P95, ("15", "20", "35", "40", "50"), "50"),
    # 100 measurements: the 95th (bsi-mt.notion.site, "Calculating 95th Percentile Bandwidth Usage").
    (Aggregate.P95, tuple(str(value) for value in range(1, 101)), "95"),
    # 30 days of 288 five-minute samples: 432 of 8,640 are left out, the 8,208th counts (torchbyte.com/blog,
    # clarksys.com/blog: "95th percentile billing").
    (Aggregate.P95, tuple(str(value) for value in range(1, 8641)), "8208"),
    (Aggregate.P95, tuple(str(value) for value in range(1, 21)), "19"),  # exactly 95% of 20
    (Aggregate.P95, tuple(str(value) for value in range(1, 31)), "29"),  # one of 30 days may be higher
    (Aggregate.P95, ("7",), "7"),
    # getlago.com/docs/guide/billable-metrics/aggregation-types/max and …/sum: events of 20 and 10
    (Aggregate.PEAK, ("20", "10"), "20"),
    (Aggregate.SUM, ("20", "10"), "30"),
    # "the value from the last event in a time range" (docs.stripe.com/changelog/basil/2025-03-31, meters)
    (Aggregate.LAST, ("20", "10"), "10"),
    # The mean of values (docs.flexprice.io, aggregation overview: AVG): 10 days of 5 and 20 of 8.
    (Aggregate.AVERAGE, ("5",) * 10 + ("8",) * 20, "7"),
    (Aggregate.AVERAGE, ("1", "1", "2"), "1.333333"),
    (Aggregate.AVERAGE, ("0.000001", "0.000002"), "0.000002"),  # half-even, to six decimals
    (Aggregate.AVERAGE, ("0.1", "0.2"), "0.15"),
]


@pytest.mark.parametrize(("how", "values", "expected"), CASES)
def test_a_periods_number_is_what_its_name_says(how: Aggregate, values: Sequence[str], expected: str) -> None:
    assert aggregate(how, days(*values)) == D(expected)


def test_a_days_peak_counts_for_peak_and_p95_and_its_close_for_the_rest() -> None:
    spiky = (Day(FIRST, D(40), D(10)), Day(FIRST + timedelta(days=1), D(12), D(12)))
    made = {how: aggregate(how, spiky) for how in Aggregate}
    assert made == {
        Aggregate.PEAK: D(40), Aggregate.P95: D(40), Aggregate.LAST: D(12), Aggregate.SUM: D(22),
        Aggregate.AVERAGE: D(11),
    }  # fmt: skip


def test_nothing_read_is_no_number() -> None:
    assert usage(Aggregate.SUM, (), NOVEMBER) is None
    with pytest.raises(ValueError, match="nothing was read"):
        aggregate(Aggregate.SUM, ())


VALUES = st.lists(st.decimals(min_value=0, max_value=10**9, places=3), min_size=1, max_size=40)


@given(VALUES, st.randoms(use_true_random=False))
def test_the_order_of_days_changes_nothing(values: list[Decimal], random: object) -> None:
    made = list(days(*map(str, values)))
    mixed = made.copy()
    random.shuffle(mixed)  # type: ignore[attr-defined]
    for how in Aggregate:
        assert aggregate(how, mixed) == aggregate(how, made)
        assert type(aggregate(how, made)) is D


@given(VALUES, st.integers(0, 39), st.decimals(min_value=0, max_value=1000, places=3))
def test_a_higher_day_never_lowers_the_number(values: list[Decimal], at: int, more: Decimal) -> None:
    at %= len(values)
    raised = [*values[:at], values[at] + more, *values[at + 1 :]]
    for how in Aggregate:
        assert aggregate(how, days(*map(str, raised))) >= aggregate(how, days(*map(str, values)))


@given(VALUES)
def test_the_numbers_stand_in_their_order(values: list[Decimal]) -> None:
    made = {how: aggregate(how, days(*map(str, values))) for how in Aggregate}
    tiny = D("0.000001")
    assert made[Aggregate.AVERAGE] <= made[Aggregate.PEAK] + tiny
    assert made[Aggregate.P95] <= made[Aggregate.PEAK]
    assert made[Aggregate.PEAK] <= made[Aggregate.SUM]
    assert abs(made[Aggregate.AVERAGE] * len(values) - made[Aggregate.SUM]) <= tiny * len(values)


# Which days were read


def seen(cycle: int, day: int, quantity: str | None) -> Seen:
    return Seen(cycle, date(2026, 11, day), None if quantity is None else (count("SPB", quantity),))


def fresh(**marks: int) -> dict[date, int]:
    return {date(2026, 11, int(day[1:])): cycle for day, cycle in marks.items()}


def test_two_tenants_are_added_only_where_both_were_read() -> None:
    east = Track((seen(1, 1, "10"), seen(5, 3, None), seen(7, 4, "12")), fresh(d1=1, d2=3, d3=5, d4=6))
    west = Track((seen(1, 1, "5"), seen(4, 2, "7")), fresh(d1=1, d2=3, d3=5, d4=6))
    made = days_of(((ref(), east), (ref(), west)), FIRST, date(2026, 11, 4))
    assert made == (
        Day(date(2026, 11, 1), D(15), D(15)),
        Day(date(2026, 11, 2), D(17), D(17)),
        Day(date(2026, 11, 4), D(19), D(19)),
    )


def test_what_was_not_read_on_a_day_before_it_changed_is_not_that_days() -> None:
    """The first good cycle of the second already saw the new number: the old one is not that day's peak."""
    track = Track((seen(1, 1, "50"), seen(2, 2, "10")), fresh(d1=1, d2=2))
    assert days_of(((ref(), track),), date(2026, 11, 2), date(2026, 11, 2)) == (Day(date(2026, 11, 2), D(10), D(10)),)
    later = Track((seen(1, 1, "50"), seen(3, 2, "10")), fresh(d1=1, d2=2))  # read unchanged once, then it changed
    assert days_of(((ref(), later),), date(2026, 11, 2), date(2026, 11, 2)) == (Day(date(2026, 11, 2), D(50), D(10)),)


def test_a_sum_counts_from_when_the_last_part_was_read_on_that_day() -> None:
    """East peaked before anybody had read West: whether the two ever stood so together is not known."""
    east = Track((seen(1, 1, "10"), seen(2, 2, "50"), seen(3, 2, "12")), fresh(d1=1, d2=2))
    west = Track((seen(1, 1, "5"),), fresh(d1=1, d2=5))
    made = days_of(((ref(), east), (ref(), west)), date(2026, 11, 2), date(2026, 11, 2))
    assert made == (Day(date(2026, 11, 2), D(17), D(17)),)


def test_factors_and_skus_are_the_rules_own() -> None:
    track = Track((Seen(1, FIRST, (count("SPB", 10), count("E5", 4))),), {FIRST: 1})
    both = ref(("SPB", "E5"), factor=D(2))
    (day,) = days_of(((both, track),), FIRST, FIRST)
    assert day.close == 28
    (none,) = days_of(((ref("VISIO"), track),), FIRST, FIRST)  # read whole, and not there: a known zero
    assert none.close == 0


def test_a_customer_of_no_source_has_no_days() -> None:
    assert days_of((), FIRST, NOVEMBER.last) == ()


@pytest.mark.parametrize(
    ("read", "thin", "told"),
    [
        (range(1, 31), False, ""),
        (range(4, 31), False, "3 of 30 days unread: 1, 2, 3 Nov"),  # exactly a tenth
        (range(5, 31), True, "4 of 30 days unread: 1, 2, 3, 4 Nov"),
        (range(20, 31), True, "19 of 30 days unread: 1, 2, 3, 4, 5, 6 Nov and 13 more"),
    ],
)
def test_gaps_are_named_and_more_than_a_tenth_is_too_much(read: Sequence[int], thin: bool, told: str) -> None:
    found = usage(Aggregate.PEAK, tuple(Day(date(2026, 11, day), D(1), D(1)) for day in read), NOVEMBER)
    assert found is not None
    assert (found.thin, found.unread) == (thin, told)


def test_gaps_over_a_months_end_name_both_months() -> None:
    period = Period(date(2026, 11, 29), date(2026, 12, 28))
    read = tuple(Day(date(2026, 12, day), D(1), D(1)) for day in range(2, 29))
    found = usage(Aggregate.PEAK, read, period)
    assert found is not None
    assert found.unread == "3 of 30 days unread: 29, 30 Nov, 1 Dec"
