"""What stands in Halo after a write is compared with what was meant: count, price, and that no line vanished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from halo_kit import CALCULATED, LINE, Bench

from connectors.halopsa.lines import Standing, standing
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.entries import EntryState
from syncd.cycle import Cycle, run_cycle
from syncd.ledger import Ledger
from syncd.model import Absent, Found, Moved, Posting, Receipt


def planned(bench: Bench, posting: Posting, client: int = 1) -> Posting:
    """The posting as a plan makes it, with the version of the line that it saw."""
    return replace(posting, version=bench.line(posting.line_id, client).version)


def what(sight: object) -> str:
    assert isinstance(sight, Moved), sight
    return sight.what


def test_a_version_carries_price_and_number_of_lines(bench: Bench) -> None:
    lines = len(bench.double.tables["RecurringInvoice"][-91]["lines"])
    assert standing(bench.line().version) == Standing(Decimal(28), lines)
    bench.double.tables["SoftwareLicence"][3021]["price"] = 5.5
    assert standing(bench.line(CALCULATED, 2).version).price == Decimal("5.5")
    for old in ("", "0123456789abcdef"):  # what an older syncd wrote down
        assert standing(old) == Standing()


def test_a_quantity_that_landed_as_meant_is_found(bench: Bench, postings: dict[str, Posting]) -> None:
    posting = planned(bench, postings["set"])
    connection = bench.connect()
    assert isinstance(connection.find(posting), Absent)
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    assert connection.find(posting) == Found(str(LINE), Decimal(27))
    assert bench.connect().find(posting) == Found(str(LINE), Decimal(27))


def test_a_price_that_moved_with_the_quantity_is_no_success_also_after_a_restart(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    posting = planned(bench, postings["set"])
    bench.double.reprices = Decimal("30.00")
    connection = bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)  # the answer shows nothing of it

    for one in (connection, bench.connect()):
        seen = what(one.find(posting))
        assert f"the Halo line #{LINE} shows 27, and the price of one is 30 where it was 28" in seen
        assert "last changed by Halo on 2026-11-20" in seen


def test_a_price_that_moved_before_the_write_is_planned_anew(bench: Bench, postings: dict[str, Posting]) -> None:
    posting = planned(bench, postings["set"])
    bench.row()["unit_price"] = Decimal("30.00")
    assert "shows 25, and the price of one is 30" in what(bench.connect().find(posting))


def test_a_line_that_vanished_beside_it_is_no_success(bench: Bench, postings: dict[str, Posting]) -> None:
    posting = planned(bench, postings["set"])
    header = bench.double.tables["RecurringInvoice"][-91]
    connection = bench.connect()
    connection.send(posting, connection.wire(posting))
    there = len(header["lines"])
    header["lines"] = header["lines"][:-1]
    assert f"its recurring invoice has {there - 1} lines where it had {there}" in what(connection.find(posting))


def test_a_line_that_was_added_beside_it_is_nobodys_trouble(bench: Bench, postings: dict[str, Posting]) -> None:
    posting = planned(bench, postings["set"])
    connection = bench.connect()
    connection.send(postings["add"], connection.wire(postings["add"]))
    assert isinstance(connection.find(posting), Absent)


def test_a_licence_whose_price_moved_is_no_success(bench: Bench, postings: dict[str, Posting]) -> None:
    licence = bench.double.tables["SoftwareLicence"][3021]
    licence["price"] = Decimal("5.50")
    posting = planned(bench, postings["count"], client=2)
    connection = bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    assert connection.find(posting) == Found(CALCULATED, Decimal(4))
    bench.double.tables["SoftwareLicence"][3021]["price"] = Decimal("6.00")
    assert "shows 4, and the price of one is 6 where it was 5.5" in what(connection.find(posting))


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("add", {"qty_order": 3}, "the new Halo line #90001 shows 3 where 2 was meant"),
        ("add", {"unit_price": 25}, "the new Halo line #90001 costs 25 each where 20 was meant"),
        ("draft", {"qty_order": 3}, "the Halo invoice #90001 shows 3 where 2 was meant"),
        ("draft", {"unit_price": 25}, "the Halo invoice #90001 costs 25 each where 28 was meant"),
    ],
)
def test_a_new_record_that_is_not_as_sent_is_no_success(
    bench: Bench, postings: dict[str, Posting], name: str, changes: dict[str, Any], told: str
) -> None:
    posting, connection = postings[name], bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    assert isinstance(connection.find(posting), Found)
    if name == "add":
        bench.double.tables["RecurringInvoice"][-91]["lines"][-1].update(changes)
    else:
        bench.double.tables["Invoice"][90_001]["lines"][0].update(changes)

    assert told in what(connection.find(posting))
    # Whoever looks later finds the mark: somebody may have changed what is there exactly once.
    assert isinstance(bench.connect().find(posting), Found)


@pytest.mark.parametrize(("field", "value"), [("posted", True), ("reviewrequired", False)])
def test_a_draft_that_is_none_any_more_is_no_success(
    bench: Bench, postings: dict[str, Posting], field: str, value: bool
) -> None:
    posting, connection = postings["draft"], bench.connect()
    connection.send(posting, connection.wire(posting))
    bench.double.tables["Invoice"][90_001][field] = value
    assert "is no draft" in what(connection.find(posting))


def test_a_draft_with_a_line_of_somebody_else_is_no_success(bench: Bench, postings: dict[str, Posting]) -> None:
    posting, connection = postings["draft"], bench.connect()
    connection.send(posting, connection.wire(posting))
    made = bench.double.tables["Invoice"][90_001]
    made["lines"] = [*made["lines"], {**made["lines"][0], "id": 7}]
    assert "has 2 lines where one was meant" in what(connection.find(posting))


NOW = datetime.fromisoformat("2026-11-20T10:00:00-06:00")
FILES: Mapping[str, str] = {
    "config.toml": """
[syncd]
mode = "post"
timezone = "America/Chicago"
[connections.halo]
kind = "halopsa"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "HALO_CLIENT_SECRET" }}
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
""",
    "counts.csv": "customer,sku,quantity\nAlder Dental Group,SPB,27\n",
    "mappings/first.toml": """
[[customer]]
name = "Alder"
halo = "Alder Dental Group"
files = "Alder Dental Group"
[[rule]]
name = "Premium"
count = {{ from = "files", sku = "SPB" }}
bill = {{ to = "halo", agreement = "MS-*", product = "M365-BP" }}
""",
}


def cycle(folder: Path, minutes: int) -> Cycle:
    config, mappings = load(folder / "config.toml", Kinds(), {"HALO_CLIENT_SECRET": "sandbox-secret"})
    now = NOW + timedelta(minutes=minutes)
    with Ledger.open(config.database, lambda: now, folder=config.folder) as ledger:
        ledger.claim("test")
        return run_cycle(config, mappings, Kinds(), ledger, lambda: now)


def test_a_whole_cycle_tells_it_and_never_writes_twice(bench: Bench, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HALO_CLIENT_SECRET", "sandbox-secret")
    (tmp_path / "mappings").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(url=bench.url))
    bench.double.reprices = Decimal("30.00")

    first = cycle(tmp_path, 0)
    (entry,) = first.entries
    assert (entry.state, first.in_doubt) == ("unknown", 1)
    assert f"answered as done, but the Halo line #{LINE} shows 27, and the price of one is 30" in entry.note

    (line,) = cycle(tmp_path, 1).plan.lines
    assert (line.billed, line.findings) == (Decimal(27), ("outcome unknown",))
    assert "the price of one is 30 where it was 28" in line.reason

    assert cycle(tmp_path, 10).in_doubt == 0  # nothing can land any more: planned anew from what stands there
    (line,) = cycle(tmp_path, 20).plan.lines
    assert (line.reason, line.findings) == ("as it should be", ())
    config, _ = load(tmp_path / "config.toml", Kinds(), {"HALO_CLIENT_SECRET": "sandbox-secret"})
    with Ledger.open(config.database, lambda: NOW + timedelta(hours=1), folder=config.folder) as ledger:
        assert [one.id for one in ledger.entries(states={EntryState.SUPERSEDED})] == [entry.id]  # never "posted"
    assert [one.what for one in bench.double.effects] == ["change_line"]
