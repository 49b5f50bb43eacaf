"""What Halo keeps of a client elsewhere feeds proposals, and nothing else: never a mapping, never a failure."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from halo_kit import Bench

from syncd.core.resolve import Directory, resolve
from syncd.core.rules import Mappings
from syncd.core.suggest_customers import suggest_customers
from syncd.errors import VendorError
from syncd.model import RemoteCustomer

XERO = "7a3f2a10-91b4-4c6e-8b1e-0d8f0c1f7a77"


def test_azure_tenants_and_ids_of_other_systems_are_links(bench: Bench) -> None:
    first, second, _ = bench.double.world.companies
    bench.double.tables["Client"][101] |= {"xeroid": XERO, "stripe_customer_id": "cus_9", "connectwiseid": 251}
    bench.double.tables["Client"][102] |= {"xeroid": " ", "stripe_customer_id": None, "connectwiseid": 0}
    more = bench.double.tables["AreaAzureTenant"]
    more[799] = {**more[701], "id": 799, "azure_tenant_id": "T-2", "azure_tenant_domain": ""}
    del more[703]

    found = bench.connect().customers()

    assert [one.links for one in found] == [
        (first.tenant_id, first.domain, "T-2", XERO, "cus_9", "251"),
        (second.tenant_id, second.domain),
        (),
    ]
    assert all(one.identifiers == () for one in found)
    assert Directory(found).find(first.tenant_id) == ()  # a link resolves no mapping


def proposals(bench: Bench, other: RemoteCustomer, connection: str) -> list[tuple[int, str]]:
    """What is proposed where nothing but the links agrees."""
    halo = [one for one in bench.connect().customers() if one.id == "101"]
    listed = {"halo": halo, connection: [other]}
    found, _ = suggest_customers(Mappings(), listed, resolve((), listed, {}, {}), ["halo"], bench.moment)
    return [(one.score, one.reason) for one in found]


def test_a_tenant_is_proposed_by_halos_tenant_map_with_that_reason(bench: Bench) -> None:
    tenant = bench.double.world.companies[0].tenant_id
    ((score, reason),) = proposals(bench, RemoteCustomer(tenant, "Quite Another Name"), "m365")
    assert score == 100
    assert f"halo keeps the same id {tenant}" in reason


def test_a_xero_contact_is_proposed_by_the_id_that_halo_keeps(bench: Bench) -> None:
    bench.double.tables["Client"][101]["xeroid"] = XERO
    ((score, reason),) = proposals(bench, RemoteCustomer(XERO.upper(), "Quite Another Name"), "xero")
    assert score == 100
    assert XERO in reason


def test_without_its_map_halo_still_tells_its_clients(make_bench: Callable[..., Bench]) -> None:
    for options in ({"forbidden": ["AreaAzureTenant"]}, {"hidden": ["AreaAzureTenant"]}):
        found = make_bench(**options).connect().customers()
        assert [(one.id, one.links) for one in found] == [("101", ()), ("102", ()), ("103", ())]


@pytest.mark.parametrize("fault", ["html", "unavailable"])
def test_a_map_that_cannot_be_read_costs_only_the_links(bench: Bench, fault: str) -> None:
    bench.double.fail(fault, path="AreaAzureTenant", times=100)
    assert [one.links for one in bench.connect().customers()] == [(), (), ()]


def test_a_small_list_without_a_wrapper_is_read_as_well(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(bare=["AreaAzureTenant"])
    assert all(one.links for one in bench.connect().customers())


def test_a_sign_in_that_ends_meanwhile_is_no_missing_map(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.fail("unauthorized", path="AreaAzureTenant", times=100)
    with pytest.raises(VendorError) as failed:
        connection.customers()
    assert failed.value.code == "unauthorized"
