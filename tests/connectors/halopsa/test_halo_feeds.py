"""Into which books Halo pushes its own invoices."""

from __future__ import annotations

from typing import Any

import pytest
from halo_kit import Bench

from connectors.halopsa import connector
from connectors.halopsa.feeds import FEEDS
from syncd.errors import VendorError


def kinds(bench: Bench) -> list[str]:
    return [feed.kind for feed in bench.connect().feeds()]


def test_what_is_declared_is_what_is_found(bench: Bench) -> None:
    assert connector.abilities.feeds == FEEDS


def test_a_halo_without_accounting_sync_feeds_nobody(bench: Bench) -> None:
    assert kinds(bench) == []


@pytest.mark.parametrize(("field", "kind", "name"), [("xeroid", "xero", "Xero"), ("qboid", "quickbooks", "QuickBooks")])
def test_an_invoice_that_bears_an_id_of_the_books_betrays_the_sync(
    bench: Bench, field: str, kind: str, name: str
) -> None:
    bench.double.push(field)
    (feed,) = bench.connect().feeds()

    assert feed.kind == kind
    assert f"bears a {name} id" in feed.how
    assert feed.customers == frozenset()


@pytest.mark.parametrize("nothing", [None, "", 0, "0", -1, "00000000-0000-0000-0000-000000000000"])
def test_an_id_that_is_none_is_none(bench: Bench, nothing: Any) -> None:
    bench.double.push("xeroid")
    for row in bench.double.tables["Invoice"].values():
        row["xeroid"] = nothing
    assert kinds(bench) == []


def test_a_voided_invoice_tells_nothing(bench: Bench) -> None:
    bench.double.push("xeroid")
    for row in bench.double.tables["Invoice"].values():
        row["voided"] = True
    assert kinds(bench) == []


def test_before_the_first_invoice_is_pushed_the_linked_clients_tell(bench: Bench) -> None:
    bench.double.tables["Invoice"].clear()
    client = next(iter(bench.double.tables["Client"].values()))
    client["qbo_company_id"] = "42"
    (feed,) = bench.connect().feeds()

    assert (feed.kind, feed.how) == ("quickbooks", f"the Halo client #{client['id']} is linked with QuickBooks")


def test_what_cannot_be_read_is_an_error_and_not_nobody(bench: Bench) -> None:
    bench.double.fail("html", path="Invoice$", times=100)
    with pytest.raises(VendorError):
        bench.connect().feeds()
