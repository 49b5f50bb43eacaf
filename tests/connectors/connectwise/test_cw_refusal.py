"""Each reason why a posting would be refused, or must not be sent, has its own sentence; none needs a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from cw_kit import Bench

from syncd.model import Operation, Posting


def reason(bench: Bench, posting: Posting) -> str:
    """The refusal, judged from what the double shows now; judging itself sends nothing."""
    connection = bench.connect()
    billing, products = bench.billing(connection=connection), connection.products()
    asked = len(bench.double.requests)
    found = connection.refusal(posting, billing, products, bench.moment)
    assert len(bench.double.requests) == asked
    assert found == "" or "\n" not in found
    return found


def test_what_fits_is_not_refused(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    billing, products = bench.billing(connection=connection), connection.products()
    daily = replace(postings["line"], starts=date(2026, 11, 17), options={"prorate": "daily"})
    for one in (*postings.values(), daily):
        assert connection.refusal(one, billing, products, bench.moment) == ""


def agreement(**changes: Any) -> Callable[[Bench], None]:
    return lambda bench: bench.double.tables["finance/agreements"][1001].update(changes)


def product(number: int, **changes: Any) -> Callable[[Bench], None]:
    return lambda bench: bench.double.tables["procurement/catalog"][number].update(changes)


def twin(bench: Bench) -> None:
    bench.double.tables["additions"][41_001] = {**bench.row(), "id": 41_001}


def later(bench: Bench) -> None:
    visio = {"product": {"id": 404, "identifier": "VISIO-P2"}, "effectiveDate": "2026-12-01T00:00:00Z"}
    bench.double.tables["additions"][41_001] = {**bench.row(), **visio, "id": 41_001}


def gone(bench: Bench) -> None:
    del bench.double.tables["additions"][30_100]


def quarterly(bench: Bench) -> None:
    agreement(billingCycle={"id": 3, "name": "Quarterly"}, nextInvoiceDate="2027-01-01T00:00:00Z")(bench)


def overdue(bench: Bench) -> None:
    agreement(nextInvoiceDate="2026-11-01T00:00:00Z")(bench)


def nothing(bench: Bench) -> None:
    """The double as it starts."""


DAILY = {"options": {"prorate": "daily", "beside": "quantity"}, "starts": date(2026, 11, 17)}

CASES: list[tuple[str, Callable[[Bench], object], dict[str, Any], str]] = [
    ("set", nothing, {"operation": Operation.REPORT_USAGE}, "cannot take the operation report_usage"),
    ("set", nothing, {"agreement_id": "4711"}, "no ConnectWise agreement #4711"),
    ("set", agreement(cancelledFlag=True, dateCancelled="2026-11-05T00:00:00Z"), {}, "is cancelled since 2026-11-05"),
    ("line", agreement(noEndingDateFlag=False, endDate="2026-11-10T00:00:00Z"), {}, "ended on 2026-11-10"),
    ("set", agreement(billStartDate="2027-01-01T00:00:00Z"), {}, "starts only on 2027-01-01"),
    ("set", gone, {}, "#30100 is no longer open"),
    ("set", lambda bench: bench.row().update(billCustomer="DoNotBill"), {}, "Bill Customer is DoNotBill"),
    ("set", lambda bench: bench.double.rival(1001, 30_100, 29), {}, "shows 29 where the plan saw 25"),
    ("set", twin, {}, "has 2 open additions for M365-BP (#30100, #41001)"),
    ("set", lambda bench: bench.double.integrate("Watchdog RMM", 400), {}, 'the integration "Watchdog RMM"'),
    ("add", lambda bench: bench.double.integrate("Visio sync", 404), {}, 'the integration "Visio sync"'),
    ("add", later, {}, "already has the open addition #41001"),
    ("set", nothing, {"quantity": Decimal(-1)}, "never negative"),
    ("end", nothing, {"ends": None}, "needs a last billed day"),
    ("end", nothing, {"ends": date(2024, 1, 1)}, "before it begins"),
    ("add", nothing, {"product_id": "9999"}, "no product #9999"),
    ("add", product(404, inactiveFlag=True), {}, "VISIO-P2 is inactive"),
    ("line", product(400, productClass="Bundle"), {}, "M365-BP is a bundle"),
    ("add", nothing, {"product_id": "400", "product": "M365-BP"}, "already has the open addition #30100"),
    ("add", nothing, {"starts": None}, "needs a first billed day"),
    ("add", nothing, {"starts": date(2024, 12, 31)}, "starts on 2025-01-01, and ConnectWise refuses an earlier"),
    ("add", nothing, {"marker": "sd-" + "x" * 48}, "1 to 50 plain characters"),
    ("add", nothing, {"quantity": Decimal(0)}, "takes more than none"),
    ("line", nothing, {"ends": None}, "needs a last billed day"),
    ("line", nothing, {"ends": date(2026, 12, 3)}, "reaches into the period after 2026-11-30"),
    ("line", agreement(prorateFlag=False), {}, "is invoiced through 2026-11-30 and does not prorate"),
    ("line", agreement(prorateFlag=False), DAILY, '"Prorate Agreement" is off'),
    ("line", quarterly, DAILY, "on monthly agreements only"),
    ("line", overdue, DAILY, "is not invoiced yet"),
    ("credit", nothing, {"amount": None, "unit_price": None}, "needs an amount"),
]


@pytest.mark.parametrize(
    ("what", "prepare", "changes", "words"), CASES, ids=[f"{case[0]}: {case[3]}" for case in CASES]
)
def test_reasons(
    bench: Bench,
    postings: dict[str, Posting],
    what: str,
    prepare: Callable[[Bench], object],
    changes: dict[str, Any],
    words: str,
) -> None:
    prepare(bench)
    assert words in reason(bench, replace(postings[what], **changes))


def test_a_line_to_come_is_no_twin_of_the_one_in_force(bench: Bench, postings: dict[str, Posting]) -> None:
    twin(bench)
    bench.double.tables["additions"][41_001]["effectiveDate"] = "2026-12-01T00:00:00Z"
    assert reason(bench, postings["set"]) == ""


def test_syncds_own_charges_are_no_duplicate_of_the_line(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    connection.send(postings["line"], connection.wire(postings["line"]))
    assert reason(bench, postings["set"]) == ""


@pytest.mark.parametrize(
    ("what", "prepare"),
    [
        ("line", agreement(prorateFlag=False)),
        ("add", product(404, inactiveFlag=True)),
        ("line", product(400, productClass="Bundle")),
    ],
)
def test_the_vendor_refuses_what_we_refuse(
    bench: Bench, postings: dict[str, Posting], what: str, prepare: Callable[[Bench], None]
) -> None:
    """The same case sent anyway: the double says no, too."""
    from syncd.model import Refused

    prepare(bench)
    connection = bench.connect()
    answer = connection.send(postings[what], connection.wire(postings[what]))
    assert isinstance(answer, Refused)
    assert "addition object is invalid" in answer.reason


def test_days_that_are_not_invoiced_may_be_charged_where_nothing_else_bills_them(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    overdue(bench)
    alone = {"options": {"prorate": "daily"}, "starts": date(2026, 11, 17)}
    assert reason(bench, replace(postings["line"], **alone)) == ""


def test_nothing_is_dated_behind_the_end_of_its_agreement(bench: Bench, postings: dict[str, Posting]) -> None:
    """A late line that no invoice would bring is a leak."""
    agreement(endDate="2026-11-30T00:00:00Z", noEndingDateFlag=False)(bench)
    late = replace(postings["line"], starts=date(2026, 12, 1), ends=date(2026, 12, 31))
    assert "ends on 2026-11-30, so no invoice would bring it; bill it by hand" in reason(bench, late)
    assert reason(bench, postings["line"]) == ""
