"""What is counted: every measure, every filter, names, free products, trials and states, against the double."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from connector_kit import MOMENT
from m365_kit import Bench, count_of, known_world

from connectors.microsoft365 import connector
from connectors.microsoft365.names import Catalogue, own_table
from syncd.connect.contract import Ask
from syncd.errors import UserFault
from syncd.model import Query, State

VISIO = "c5928f49-12ba-48f7-ada3-0d743a3601d5"
SPB = "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"


def test_customers_are_the_partners_contracts_over_all_pages(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(page_size=2)
    found = bench.connect().customers()
    assert [(one.id, one.name, one.identifiers) for one in found] == [
        (company.tenant_id, company.name, (company.domain,)) for company in bench.world.companies
    ]
    assert len(bench.paths("contracts")) == 2


def test_a_partner_without_customers_is_no_error(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(world=dataclasses.replace(known_world(), companies=()))
    assert list(bench.connect().customers()) == []


def test_consumed_costs_one_request_and_obeys_no_filter(bench: Bench) -> None:
    reading = bench.one("consumed")
    count = count_of(reading, "SPB")
    assert (count.quantity, count.name, count.aliases) == (Decimal(27), "Microsoft 365 Business Premium", (SPB,))
    assert count.subjects is None
    assert bench.paths("v1.0") == ["/v1.0/$batch"]
    assert bench.one("consumed", where=(("enabled", (True,)),)).code == "unsupported"


def test_purchased_is_enabled_and_warning(bench: Bench) -> None:
    assert bench.quantity("purchased") == "28"
    bench.tenant().bought[0].status = "Warning"
    count = count_of(bench.one("purchased"), "SPB")
    assert (count.quantity, count.note) == (Decimal(28), "Microsoft calls it Warning")


@pytest.mark.parametrize("status", ["Suspended", "LockedOut", "Deleted"])
def test_what_cannot_be_used_is_not_bought(bench: Bench, status: str) -> None:
    bench.tenant().bought[0].status = status
    count = count_of(bench.one("purchased"), "SPB")
    assert (count.quantity, count.note) == (Decimal(0), f"Microsoft calls it {status}")
    assert bench.quantity("consumed") == "27"


def test_assigned_names_everybody_with_the_state_of_the_account(bench: Bench) -> None:
    count = count_of(bench.one("assigned"), "SPB")
    assert count.quantity == 27
    assert count.subjects is not None
    people = bench.world.companies[0].people
    states = {one.id: one.state for one in count.subjects}
    assert states[people[2].id] == "disabled"
    assert states[people[4].id] == "guest"
    assert sorted(states.values()).count("active") == 25
    assert {one.name for one in count.subjects} == {account.sign_in for account in bench.tenant().accounts}


def test_a_licence_held_directly_and_by_group_is_one_seat(bench: Bench) -> None:
    account = bench.tenant().accounts[0]
    account.by_group.add(SPB)
    assert bench.quantity("assigned") == "27"
    account.skus.discard(SPB)
    assert bench.quantity("assigned") == "27"


def test_a_product_nobody_holds_is_a_known_zero(bench: Bench) -> None:
    bench.tenant().dismiss(SPB, 27)
    count = count_of(bench.one("assigned"), "SPB")
    assert (count.quantity, count.subjects) == (Decimal(0), ())


def test_active_leaves_out_disabled_absent_and_those_who_never_came(bench: Bench) -> None:
    away = {5, 16} | {3, 10, 17, 24} | {2}  # never, 45 days ago, disabled
    count = count_of(bench.one("active"), "SPB")
    expected = {one.id for order, one in enumerate(bench.tenant().accounts) if order not in away}
    assert {one.id for one in count.subjects or ()} == expected
    assert count.quantity == 20
    assert count.note == "signed in within 30 days"
    assert bench.paths("reports") == []


def test_a_failed_attempt_does_not_make_an_account_active(bench: Bench) -> None:
    account = bench.tenant().accounts[0]
    # 31 days and half an hour ago successfully; the double shows a failed attempt an hour later.
    account.signed_in = datetime(2026, 10, 21, 15, 30, tzinfo=UTC)
    assert bench.quantity("active") == "19"


def test_active_without_premium_reads_the_usage_report_and_says_so(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = -1
    count = count_of(bench.one("active"), "SPB")
    assert count.quantity == 20
    assert count.note == "active within 30 days by the usage report of 2026-11-18"
    # asked twice, because Graph calls premium tenants non-premium now and then
    assert [one.status for one in bench.sandbox.double.requests if one.path.endswith("/users")] == [403, 403, 200]


def test_one_wrong_answer_about_premium_is_asked_again(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = 1
    assert bench.quantity("active") == "20"
    assert bench.paths("reports") == []


def test_somebody_newer_than_the_report_is_not_called_inactive(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = -1
    bench.tenant().hire(SPB, 1, datetime(2026, 11, 19, tzinfo=UTC))
    assert bench.quantity("active") == "21"


def test_concealed_names_are_unknown_and_never_inactive(bench: Bench) -> None:
    bench.tenant().faults |= {"no_premium": -1, "concealed": -1}
    active, assigned = bench.ask(Query("active"), Query("assigned"))
    assert (active.state, active.code) == (State.UNKNOWN, "forbidden")
    assert "conceals" in active.reason
    assert assigned.state == State.KNOWN


def test_a_licensed_person_missing_in_the_report_is_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = bench.tenant()
    tenant.faults["no_premium"] = -1
    whole = tenant.report(datetime(2026, 11, 20, tzinfo=UTC)).splitlines()
    monkeypatch.setattr(tenant, "report", lambda today: "\n".join(whole[:-2]) + "\n")
    reading = bench.one("active")
    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert reading.reason.startswith("of 2 licensed users")


def test_the_report_is_fetched_without_our_token(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = -1
    assert bench.quantity("active") == "20"
    assert [path.rpartition("/")[0] for path in bench.paths("report-files")] == ["/report-files"]
    assert [one for one in bench.sandbox.double.effects if one.what == "credential_leak"] == []


def test_users_are_distinct_people_with_a_paid_licence(bench: Bench) -> None:
    tenant = bench.tenant()
    for account in tenant.accounts[:4]:
        account.skus = {one for one in account.skus if one != SPB}  # three of them keep a free product only
    count = count_of(bench.one("users"), "users")
    assert count.quantity == 23
    assert len(count.subjects or ()) == 23
    assert count_of(bench.one("users", where=(("enabled", (False,)),)), "users").quantity == 0


def test_enabled_and_member_filter_both_ways(bench: Bench) -> None:
    assert bench.quantity("assigned", where=(("enabled", (True,)),)) == "26"
    assert bench.quantity("assigned", where=(("enabled", (False,)),)) == "1"
    assert bench.quantity("assigned", where=(("member", (True,)),)) == "26"
    assert bench.quantity("assigned", where=(("member", (False,)),)) == "1"
    assert bench.quantity("assigned", where=(("enabled", (True,)), ("member", (True,)))) == "25"


def test_domain_compares_the_whole_domain_without_case(bench: Bench) -> None:
    for account in bench.tenant().accounts[:6]:
        account.sign_in = account.sign_in.replace("@", "@East.")
    assert bench.quantity("assigned", where=(("domain", ("east.alderdental.example",)),)) == "6"
    assert bench.quantity("assigned", where=(("domain", ("alderdental.example",)),)) == "21"
    assert bench.quantity("assigned", where=(("domain", ("alderdental.example", "@east.alderdental.example")),)) == "27"


def test_department_and_excluded_users(bench: Bench) -> None:
    finance = sum(account.department == "Finance" for account in bench.tenant().accounts)
    assert 0 < finance < 27
    assert bench.quantity("assigned", where=(("department", ("finance",)),)) == str(finance)
    first = bench.tenant().accounts[0].sign_in
    assert bench.quantity("assigned", where=(("exclude_users", (first.upper(), "*5@*")),)) == "23"  # 5, 15, 25


def test_groups_by_name_by_id_and_nested(bench: Bench) -> None:
    tenant = bench.tenant()
    finance = next(group for group in tenant.groups if group.name == "Finance")
    field = next(group for group in tenant.groups if group.name == "Field")
    assert bench.quantity("assigned", where=(("group", ("Finance",)),)) == str(len(finance.accounts))
    assert bench.quantity("assigned", where=(("group", (finance.id,)),)) == str(len(finance.accounts))
    both = str(len(finance.accounts) + len(field.accounts))
    assert bench.quantity("assigned", where=(("group", ("Finance", field.id)),)) == both
    assert bench.quantity("assigned", where=(("group", ("All Staff",)),)) == "27"


def test_a_group_that_is_missing_or_ambiguous_spoils_only_its_query(bench: Bench) -> None:
    tenant = bench.tenant()
    tenant.groups[0].name = tenant.groups[1].name = "O'Brien's"
    nobody = "00000000-0000-4000-8000-000000000000"
    where = [Query("assigned", (("group", (name,)),)) for name in ("O'Brien's", "Nowhere", nobody)]
    twice, missing, unknown_id, plain = bench.ask(*where, Query("assigned"))
    assert (twice.code, missing.code, unknown_id.code) == ("invalid", "not_found", "not_found")
    assert "Name the one by its id" in twice.reason
    assert plain.state == State.KNOWN


def test_all_queries_share_one_reading_of_each_list(bench: Bench) -> None:
    readings = bench.ask(
        Query("assigned"),
        Query("assigned", (("enabled", (True,)),)),
        Query("active"),
        Query("users"),
        Query("consumed"),
        Query("purchased"),
    )
    assert {reading.state for reading in readings} == {State.KNOWN}
    assert bench.paths("v1.0") == ["/v1.0/$batch", "/v1.0/users", "/v1.0/subscribedSkus"]
    assert readings[0].proof == "tenant confirmed; 2 products in 1 page; 27 of 27 licensed users in 1 page"


def test_an_unknown_measure_or_filter_is_told_and_not_ignored(bench: Bench) -> None:
    assert bench.one("mailboxes").code == "unsupported"
    assert bench.one("assigned", where=(("colour", ("blue",)),)).code == "unsupported"


def test_free_products_are_known_by_the_list_by_size_and_by_being_trials(bench: Bench) -> None:
    tenant = bench.tenant()
    post = dict[str, object]
    for bought in (
        post(sku="VISIOCLIENT", quantity=25, trial=True),
        post(sku="HUGE", sku_id="11111111-2222-4333-8444-555555555555", quantity=10_000),
    ):
        _buy(bench, {"tenant": tenant.domain, **bought})
    free = {count.sku: count.free for count in bench.one("consumed").counts}
    assert free == {"SPB": False, "FLOW_FREE": True, "VISIOCLIENT": True, "HUGE": True}


def test_a_trial_beside_a_purchase_is_left_out_of_bought(bench: Bench) -> None:
    _buy(bench, {"tenant": bench.tenant().id, "sku": "SPB", "quantity": 25, "trial": True})
    count = count_of(bench.one("purchased"), "SPB")
    assert (count.quantity, count.free, count.note) == (Decimal(28), False, "25 trial seats left out")


def test_without_the_right_to_see_purchases_trials_are_not_taken_for_bought(bench: Bench) -> None:
    _buy(bench, {"tenant": bench.tenant().id, "sku": "SPB", "quantity": 25, "trial": True})
    bench.tenant().faults["no_purchases"] = -1
    consumed, purchased, users = bench.ask(Query("consumed"), Query("purchased"), Query("users"))
    assert count_of(consumed, "SPB").quantity == 27
    assert (purchased.state, purchased.code, purchased.counts) == (State.UNKNOWN, "forbidden", ())
    assert "must grant Organization.Read.All" in purchased.reason
    assert "trials are not known" in count_of(users, "users").note


def test_a_trial_that_is_not_shown_is_not_taken_for_bought(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    _buy(bench, {"tenant": bench.tenant().id, "sku": "SPB", "quantity": 25, "trial": True})
    tenant = bench.tenant()
    paid = [row for row in tenant.purchases() if not row["isTrial"]]
    monkeypatch.setattr(tenant, "purchases", lambda: paid)
    consumed, purchased = bench.ask(Query("consumed"), Query("purchased"))
    assert count_of(consumed, "SPB").quantity == 27
    assert (purchased.state, purchased.code, purchased.counts) == (State.UNKNOWN, "incomplete", ())
    assert "1 of 2 purchases of SPB are shown" in purchased.reason


def test_a_free_product_without_purchases_spoils_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = bench.tenant()
    paid = [row for row in tenant.purchases() if row["skuPartNumber"] != "FLOW_FREE"]
    monkeypatch.setattr(tenant, "purchases", lambda: paid)
    assert bench.quantity("purchased") == "28"
    monkeypatch.setattr(tenant, "purchases", list)
    assert bench.one("purchased").code == "incomplete"


def test_company_wide_products_are_no_seats(bench: Bench) -> None:
    _buy(
        bench,
        {
            "tenant": bench.tenant().id,
            "sku": "SHAREPOINTSTORAGE",
            "sku_id": "99049c9c-6011-4908-bf17-15f496e6519d",
            "quantity": 500,
            "company_wide": True,
        },
    )
    count = count_of(bench.one("assigned"), "SHAREPOINTSTORAGE")
    assert (count.quantity, count.free) == (Decimal(0), False)
    assert "whole company" in count.note


def test_a_held_product_that_the_tenant_does_not_list_is_shown(bench: Bench) -> None:
    bench.tenant().accounts[0].skus.add(VISIO)
    count = count_of(bench.one("assigned"), VISIO)
    assert (count.sku, count.name, count.quantity) == ("VISIOCLIENT", "Visio Plan 2", Decimal(1))
    assert "not among the tenant's products" in count.note


def test_where_the_list_and_microsofts_count_differ_both_are_shown(bench: Bench) -> None:
    bench.tenant().faults["lag"] = -1
    count = count_of(bench.one("assigned"), "SPB")
    assert (count.quantity, count.note) == (Decimal(26), "consumedUnits says 27")


def test_names_come_from_the_admins_list_then_ours_then_the_part_number(bench: Bench) -> None:
    (bench.folder / "names.csv").write_text(
        f"\ufeffSkuPartNumber,SkuId,ProductName\nSPB,{SPB.upper()},Premium of the admin\n", encoding="utf-8"
    )
    _buy(bench, {"tenant": bench.tenant().id, "sku": "VISIOCLIENT", "quantity": 1})
    _buy(
        bench,
        {"tenant": bench.tenant().id, "sku": "NEWEST", "sku_id": "11111111-2222-4333-8444-555555555555", "quantity": 1},
    )
    reading = bench.one("consumed", product_names="names.csv")
    names = {count.sku: count.name for count in reading.counts}
    assert names["SPB"] == "Premium of the admin"
    assert names["VISIOCLIENT"] == "Visio Plan 2"
    assert names["NEWEST"] == "NEWEST"
    assert Catalogue({}).name("11111111-2222-4333-8444-555555555555", "") == "11111111-2222-4333-8444-555555555555"


@pytest.mark.parametrize(
    "content", [None, b"\xff\xfe\x00", b"Part,Name\nSPB,x\n", b"SkuPartNumber,SkuId,ProductName\n"]
)
def test_an_unusable_list_of_names_is_the_users_fault(bench: Bench, content: bytes | None) -> None:
    if content is not None:
        (bench.folder / "names.csv").write_bytes(content)
    connection = bench.connect(product_names="names.csv")
    with pytest.raises(UserFault, match=r"connection microsoft365 › product_names: .*names\.csv"):
        connection.sign_in()
    with pytest.raises(UserFault):
        list(connection.counts([Ask(bench.customer(), (Query("consumed"),))], MOMENT))


def test_our_table_agrees_with_microsofts_list() -> None:
    """Every id and part number of ours is Microsoft's; the list itself stays outside the project."""
    published = Path(__file__).parents[4] / "shared" / "specs" / "m365-sku-names.csv"
    if not published.exists():
        pytest.skip("Microsoft's list is not beside the project (../shared/specs/m365-sku-names.csv)")
    lines = [line.split(",") for line in published.read_text(encoding="utf-8").splitlines()[1:]]
    pairs = {(parts[0], parts[1].lower()) for parts in lines}
    table = own_table()
    assert {(known.part, sku) for sku, known in table.items()} <= pairs
    assert 60 <= sum(not known.free for known in table.values()) < 70
    assert sum(known.free for known in table.values()) == 23


def test_the_connector_promises_what_its_readings_hold(bench: Bench) -> None:
    abilities = connector.abilities
    queries = [Query(name) for name in abilities.measures]
    assert abilities.default_measure in abilities.measures
    assert all(reading.state == State.KNOWN for reading in bench.ask(*queries))
    assert all(measure.filters <= set(abilities.filters) for measure in abilities.measures.values())
    assert abilities.operations == {}


def _buy(bench: Bench, wanted: dict[str, object]) -> None:
    bench.control("purchases", **wanted)
