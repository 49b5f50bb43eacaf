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


def made_since(bench: Bench, count: int, dated: str) -> None:
    """All invoices that stand there are in a batch since long; so many new ones of a day are in none."""
    bench.double.export(77)
    invoices = bench.double.tables["finance/invoices"]
    newest = max(invoices)
    plain = {name: value for name, value in invoices[newest].items() if name != "glBatch"}
    for number in range(newest + 1, newest + 1 + count):
        invoices[number] = {**plain, "id": number, "invoiceNumber": str(number), "date": f"{dated}T00:00:00Z"}


@pytest.mark.parametrize("batched", ["2026-09-20", "2025-11-01"])
def test_only_the_newest_invoices_are_asked(bench: Bench, batched: str) -> None:
    """An export that was given up is on the old ones for ever."""
    for row in bench.double.tables["finance/invoices"].values():
        row["date"] = f"{batched}T00:00:00Z"
    made_since(bench, 100, "2026-11-01")

    assert bench.connect().feeds() == ()


@pytest.mark.parametrize("count", [99, 100, 1200])
def test_an_invoice_run_that_waits_for_its_batch_hides_no_export(bench: Bench, count: int) -> None:
    """On the first of a month hundreds are made at once, and batched days later."""
    for row in bench.double.tables["finance/invoices"].values():
        row["date"] = "2026-09-21T00:00:00Z"
    made_since(bench, count, "2026-11-20")

    assert {feed.kind for feed in bench.connect().feeds()} == FEEDS


def test_a_list_that_is_not_whole_does_not_say_that_nobody_is_fed(bench: Bench) -> None:
    made_since(bench, 100, "2026-11-20")
    bench.double.fail("html", path="finance/invoices$", after=1, times=100)

    with pytest.raises(VendorError):
        bench.connect().feeds()


def test_what_cannot_be_read_is_an_error_and_not_nobody(bench: Bench) -> None:
    bench.double.fail("html", path="finance/invoices$", times=100)
    with pytest.raises(VendorError):
        bench.connect().feeds()
