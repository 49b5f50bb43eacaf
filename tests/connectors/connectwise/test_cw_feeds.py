"""Whether ConnectWise hands its own invoices on to accounting."""

from __future__ import annotations

import pytest
from cw_kit import Bench

from connectors.connectwise import connector
from connectors.connectwise.feeds import FEEDS
from syncd.errors import VendorError


def test_what_is_declared_is_what_is_found(bench: Bench) -> None:
    assert connector.abilities.feeds == FEEDS


def test_invoices_that_are_in_no_batch_feed_nobody(bench: Bench) -> None:
    assert bench.double.tables["finance/invoices"]
    assert bench.connect().feeds() == ()


def test_an_invoice_in_an_accounting_batch_may_be_in_any_books(bench: Bench) -> None:
    bench.double.export(77)
    feeds = bench.connect().feeds()

    assert {feed.kind for feed in feeds} == FEEDS
    assert all("is in the accounting batch GL-77" in feed.how for feed in feeds)


def test_only_the_newest_invoices_are_asked(bench: Bench) -> None:
    """An export that was given up is on the old ones for ever."""
    bench.double.export(77)
    invoices = bench.double.tables["finance/invoices"]
    newest = max(invoices)
    plain = {name: value for name, value in invoices[newest].items() if name != "glBatch"}
    for number in range(newest + 1, newest + 101):
        invoices[number] = {**plain, "id": number, "invoiceNumber": str(number)}

    assert bench.connect().feeds() == ()


def test_what_cannot_be_read_is_an_error_and_not_nobody(bench: Bench) -> None:
    bench.double.fail("html", path="finance/invoices$", times=100)
    with pytest.raises(VendorError):
        bench.connect().feeds()
