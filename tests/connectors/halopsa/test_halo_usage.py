"""Counts: what Halo's own billing leaves out is left out, what belongs to others or cannot be told is no number."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import Bench

from syncd.model import Filters, Reading, State


def counted(reading: Reading) -> dict[str, Decimal]:
    assert reading.state is State.KNOWN, reading.reason
    return {one.sku: one.quantity for one in reading.counts}


def test_devices_are_the_active_assets_by_type(bench: Bench) -> None:
    """29 of the story, one of them inactive."""
    assert counted(bench.reading("devices")) == {"Server": 2, "Workstation": 26}
    where: Filters = (("type", ("serv*",)),)
    assert counted(bench.reading("devices", where)) == {"Server": 2}
    assert counted(bench.reading("devices", (("site", ("1010",)),))) == {"Server": 2, "Workstation": 26}
    assert counted(bench.reading("devices", (("status", ("Spare",)),))) == {}


def test_users_leave_out_whom_automated_billing_leaves_out(bench: Bench) -> None:
    """Not the inactive ones, the scanner (a service account), the kiosk (ignored), the general user."""
    active = sum(1 for one in bench.world.companies[0].people if one.enabled)
    reading = bench.reading("users")

    assert counted(reading) == {"users": active}
    [count] = reading.counts
    assert count.subjects is not None
    assert not {"Scanner", "Shared Kiosk", "General User"} & {one.name for one in count.subjects}
    assert "left out of automated billing" in count.note


def test_flags_that_a_list_leaves_out_are_asked_of_each_user(make_bench: Callable[..., Bench]) -> None:
    bench, calm = make_bench(list_billing_flags=False), make_bench()

    assert counted(bench.reading("users")) == counted(calm.reading("users"))
    assert any(one.path.startswith("/api/Users/") for one in bench.double.requests)


def test_a_user_of_whom_nobody_knows_whether_he_is_billed_makes_no_number(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(list_billing_flags=False)
    del bench.double.tables["Users"][101_000]["isserviceaccount"]

    reading = bench.reading("users")
    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")


def test_licences_are_the_active_ones(bench: Bench) -> None:
    assert counted(bench.reading("licences")) == {"SPB": 28}
    assert counted(bench.reading("licences", who=2)) == {"SPB": 14, "EXCHANGESTANDARD": 2}
    assert counted(bench.reading("licences", (("vendor", ("contoso*",)),), who=2)) == {"EXCHANGESTANDARD": 2}


def test_one_sku_under_two_terms_is_one_count_that_tells_both(bench: Bench) -> None:
    table = bench.double.tables["SoftwareLicence"]
    table[3999] = {**table[3010], "id": 3999, "count": 3, "billing_cycle": "Annual"}
    [count] = bench.reading("licences").counts

    assert count.quantity == 31
    assert "licence #3010: 28 (Monthly, P1Y); licence #3999: 3 (Annual, P1Y)" in count.note
    assert counted(bench.reading("licences", (("term", ("annual",)),))) == {"SPB": 3}


@pytest.mark.parametrize(
    "ended", [{"deleted": True}, {"is_active": False}, {"end_date": "2026-11-19T00:00:00"}], ids=str
)
def test_ended_licences_do_not_count(bench: Bench, ended: dict[str, Any]) -> None:
    bench.double.tables["SoftwareLicence"][3010].update(ended)

    assert counted(bench.reading("licences")) == {}


@pytest.mark.parametrize(
    ("first", "expected"),
    [("2026-11-21", 28), ("2027-01-01", 28), ("2026-11-20", 78), ("1901-01-01", 78), (None, 78)],
)
def test_a_licence_counts_from_its_first_day(bench: Bench, first: str | None, expected: int) -> None:
    """A renewal or a rise that was entered ahead is nobody's count yet; a sentinel is no day."""
    table = bench.double.tables["SoftwareLicence"]
    starts = f"{first}T00:00:00" if first else None
    table[3999] = {**table[3010], "id": 3999, "count": 50, "start_date": starts}

    assert counted(bench.reading("licences")) == {"SPB": expected}


def test_a_date_of_one_clients_licence_is_no_other_clients_trouble(bench: Bench) -> None:
    bench.double.tables["SoftwareLicence"][3010]["start_date"] = "31/12/2026"

    assert bench.reading("licences").code == "malformed"
    assert counted(bench.reading("licences", who=2)) == {"SPB": 14, "EXCHANGESTANDARD": 2}


def test_a_licence_without_a_count_is_no_zero(bench: Bench) -> None:
    del bench.double.tables["SoftwareLicence"][3010]["count"]

    assert bench.reading("licences").code == "malformed"


def test_hours_by_how_they_are_billed(bench: Bench) -> None:
    """Those of the period alone; the third entry is of October."""
    assert counted(bench.reading("hours")) == {"chargeable": Decimal("1.5"), "contract": Decimal("0.75")}

    bench.double.tables["Actions"][10_100] |= {"timetaken": Decimal("2.00"), "actionchargehours": Decimal("0.50")}
    bench.double.tables["Actions"][10_101] |= {"actionnonchargehours": Decimal("0.25"), "timetaken": Decimal("1")}
    assert counted(bench.reading("hours")) == {
        "chargeable": Decimal("0.5"), "contract": Decimal("0.75"), "non-chargeable": Decimal("0.25"),
        "open": Decimal("1.5"),
    }  # fmt: skip
    assert counted(bench.reading("hours", (("agent", ("Technician 2",)),))) == {}
    assert counted(bench.reading("hours", (("billable", (False,)),))) == {}
    assert sum(counted(bench.reading("hours", (("charge_rate", ("1",)),))).values()) == 3


def test_an_entrys_number_is_only_its_tickets(bench: Bench) -> None:
    """All entries of the double are number 1 of their ticket."""
    assert {row["id"] for row in bench.double.tables["Actions"].values()} == {1}
    assert len(counted(bench.reading("hours"))) == 2


def test_the_end_of_a_month_is_the_msps_own(bench: Bench) -> None:
    """Chicago is six hours behind: what is written down as 1 December 03:00 is still November."""
    bench.double.tables["Tickets"][10_100]["dateoccurred"] = "2026-12-01T03:00:00"
    bench.double.tables["Tickets"][10_101]["dateoccurred"] = "2026-11-01T03:00:00"  # 31 October there

    assert counted(bench.reading("tickets")) == {"Incident": 1}


def test_tickets_of_the_period(bench: Bench) -> None:
    assert counted(bench.reading("tickets")) == {"Incident": 2}
    assert counted(bench.reading("tickets", (("team", ("Billing",)),))) == {}
    assert bench.reading("tickets", (("when", ("closed",)),)).code == "unsupported"


@pytest.mark.parametrize(
    ("measure", "resource"), [("devices", "Asset"), ("users", "Users"), ("licences", "SoftwareLicence")]
)
def test_an_empty_list_everywhere_is_a_missing_right_and_no_zero(
    make_bench: Callable[..., Bench], measure: str, resource: str
) -> None:
    reading = make_bench(hidden=(resource,)).reading(measure)

    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert "probably lacks" in reading.reason


def test_a_client_that_really_has_none_is_zero(bench: Bench) -> None:
    for number in [one for one, row in bench.double.tables["Asset"].items() if row["client_id"] == 103]:
        del bench.double.tables["Asset"][number]

    assert counted(bench.reading("devices", who=3)) == {}


@pytest.mark.parametrize("measure", ["devices", "users", "licences", "hours", "tickets"])
def test_a_forbidden_list_is_unknown_and_the_others_go_on(make_bench: Callable[..., Bench], measure: str) -> None:
    bench = make_bench(forbidden=("Asset", "Users", "SoftwareLicence", "Tickets"))

    assert (bench.reading(measure).state, bench.reading(measure).code) == (State.UNKNOWN, "forbidden")


def test_measures_and_filters_that_there_are_not(bench: Bench) -> None:
    assert bench.reading("seats").code == "unsupported"
    assert bench.reading("devices", (("agent", ("x",)),)).code == "unsupported"
