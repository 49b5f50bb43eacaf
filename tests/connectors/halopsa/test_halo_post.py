"""What is sent, what its answer means, and the look afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import LINE, Bench

from connectors.halopsa.post import charge, described
from connectors.halopsa.sandbox_front import SHAPES
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, NotSent, Operation, Posting, Receipt, Refused, Unknown


def sent(bench: Bench, posting: Posting) -> Any:
    connection = bench.connect()
    return connection.send(posting, connection.wire(posting))


def test_the_bodies(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    told = {name: connection.wire(one) for name, one in postings.items()}

    assert {name: (one.method, one.path) for name, one in told.items()} == {
        "set": ("POST", "RecurringInvoice/updatelines"),
        "count": ("POST", "SoftwareLicence"),
        "draft": ("POST", "Invoice"),
        "add": ("POST", "RecurringInvoice/Lines"),
    }
    assert json.loads(told["set"].body) == [{"id": LINE, "ihid": -91, "qty_order": 27}]
    assert json.loads(told["count"].body) == [{"id": 3021, "client_id": 102, "count": 4}]
    assert json.loads(told["add"].body) == [
        {
            "ihid": -91, "_itemid": 405, "qty_order": 2, "startdate": "2026-12-01T00:00:00", "comment_2": "sd-t1-add",
            "unit_price": 20, "unit_cost": 15,
            "item_shortdescription": "Microsoft 365 Business Premium, 2026-11: 2 seats more",
        }
    ]  # fmt: skip
    assert json.loads(told["draft"].body) == [
        {
            "client_id": 101, "invoice_date": "2026-11-01T00:00:00", "reference": "sd-t1-line", "reviewrequired": True,
            "internal_note": "syncd sd-t1-line: 2 units, sent as 2, for recurring invoice -91, "
            "2026-11-01 to 2026-11-30",
            "lines": [
                {
                    "_itemid": 401, "qty_order": 2, "unit_price": 28, "unit_cost": 22,
                    "item_shortdescription": "Microsoft 365 Business Premium, 2026-11: 2 seats more",
                }
            ],
        }
    ]  # fmt: skip


def test_a_quantity_is_written_and_nothing_else_of_the_line(bench: Bench, postings: dict[str, Posting]) -> None:
    before = dict(bench.row())
    assert isinstance(sent(bench, postings["set"]), Receipt)
    after = bench.row()

    assert after["qty_order"] == 27
    assert {name for name in after if after[name] != before[name]} == {"qty_order", "net_amount"}
    assert bench.connect().find(postings["set"]) == Found(str(LINE), Decimal(27))


def test_a_line_keeps_the_others_beside_it(bench: Bench, postings: dict[str, Posting]) -> None:
    there = [line["id"] for line in bench.double.tables["RecurringInvoice"][-91]["lines"]]
    sent(bench, postings["set"])
    sent(bench, postings["add"])

    assert [line["id"] for line in bench.double.tables["RecurringInvoice"][-91]["lines"]] == [*there, 90_002]


def test_a_licences_count_is_written_and_halo_does_the_rest(bench: Bench, postings: dict[str, Posting]) -> None:
    assert isinstance(sent(bench, postings["count"]), Receipt)
    assert bench.row(24_021)["qty_order"] == 2
    bench.double.nightly()

    assert bench.row(24_021)["qty_order"] == 4
    assert [row["quantity"] for row in bench.row(24_021)["prorata_data"]] == [Decimal(2)]
    assert bench.line("24021/3021", 2).quantity == 4
    assert bench.line("24021/3021", 2).obstacle == ""  # Halo's own rows are its own business


def test_what_is_written_onto_a_calculated_line_would_be_undone(bench: Bench, postings: dict[str, Posting]) -> None:
    """Why such a line is refused: the double does what Halo does."""
    wrong = replace(postings["count"], line_id="24021", options={})
    assert isinstance(sent(bench, wrong), Receipt)
    bench.double.nightly()

    assert bench.row(24_021)["qty_order"] == 2
    assert isinstance(bench.connect().find(replace(wrong, before=Decimal(9), quantity=Decimal(8))), Moved)


def test_a_draft_is_no_posted_invoice(bench: Bench, postings: dict[str, Posting]) -> None:
    assert isinstance(sent(bench, postings["draft"]), Receipt)
    made = bench.double.tables["Invoice"][90_001]

    assert made["reviewrequired"] is True
    assert made["posted"] is False
    assert made["total"] - made["tax_total"] == Decimal("56.00")
    assert bench.connect().find(postings["draft"]) == Found("invoice 90001", Decimal(2))


@pytest.mark.parametrize(
    ("amount", "price", "quantity", "expected"),
    [
        (None, "28.00", "2", ("2", "28.00")),
        ("56.00", "28.00", "2", ("2", "28.00")),
        ("20.54", "28.00", "2", ("2", "10.27")),  # a part of a period: the price of one has whole cents
        ("20.53", "28.00", "2", ("1", "20.53")),  # it has none: one unit at the whole amount
        ("20.53", None, "3", ("1", "20.53")),
    ],
)
def test_amounts_come_out_to_the_cent(
    postings: dict[str, Posting], amount: str | None, price: str | None, quantity: str, expected: tuple[str, str]
) -> None:
    posting = replace(
        postings["draft"],
        amount=Decimal(amount) if amount else None,
        unit_price=Decimal(price) if price else None,
        quantity=Decimal(quantity),
    )

    assert charge(posting) == tuple(map(Decimal, expected))


def test_one_unit_at_the_whole_amount_still_reads_as_its_units(bench: Bench, postings: dict[str, Posting]) -> None:
    part = replace(postings["draft"], amount=Decimal("20.53"), starts=date(2026, 11, 20))
    assert isinstance(sent(bench, part), Receipt)
    [line] = [one for one in bench.billing().lines if one.once]

    assert (line.quantity, line.unit_price) == (Decimal(2), Decimal("20.53"))
    assert bench.connect().find(part) == Found("invoice 90001", Decimal(2))
    assert bench.double.tables["Invoice"][90_001]["lines"][0]["unit_cost"] == Decimal(44)


@pytest.mark.parametrize("name", ["set", "count", "draft", "add"])
def test_a_warning_on_a_success_is_no_success(bench: Bench, postings: dict[str, Posting], name: str) -> None:
    posting = postings[name]
    bench.double.warning = "The record was locked"

    assert isinstance(sent(bench, posting), Unknown)
    assert isinstance(bench.connect().find(posting), Absent)
    assert bench.double.effects == []


@pytest.mark.parametrize("name", ["set", "count", "draft", "add"])
def test_an_answer_in_an_array_is_read_as_well(
    make_bench: Callable[..., Bench], postings: dict[str, Posting], name: str
) -> None:
    bench = make_bench(answers_array=True)

    assert isinstance(sent(bench, postings[name]), Receipt)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_refusal(make_bench: Callable[..., Bench], postings: dict[str, Posting], shape: str) -> None:
    bench = make_bench(error_shape=shape)
    outcome = sent(bench, replace(postings["set"], line_id="1"))

    if shape in ("plain", "html"):  # whoever said this, it was not surely Halo
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Refused)
        assert "the line was not found on this invoice" in outcome.reason
    assert bench.double.effects == []


def test_an_object_instead_of_an_array_is_what_halo_refuses(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    wire = connection.wire(postings["set"])

    assert isinstance(connection.send(postings["set"], replace(wire, body=wire.body[1:-1])), Refused)


def test_a_throttled_write_is_looked_for(make_bench: Callable[..., Bench], postings: dict[str, Posting]) -> None:
    bench = make_bench(retry_after="")
    bench.double.fail("throttle", method="POST", path="updatelines")

    assert isinstance(sent(bench, postings["set"]), Unknown)


def test_no_token_means_that_nothing_left(bench: Bench, postings: dict[str, Posting]) -> None:
    bench.double.granted = set()

    assert isinstance(sent(bench, postings["set"]), NotSent)
    assert bench.double.effects == []


def test_a_rival_between_plan_and_look_is_named(bench: Bench, postings: dict[str, Posting]) -> None:
    bench.double.rival(LINE, 30, by="Dana Admin")

    seen = bench.connect().find(postings["set"])
    assert isinstance(seen, Moved)
    assert seen.what.startswith(f"the Halo line #{LINE} shows 30, last changed by Dana Admin on 2026-11-20 at 18:")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"isinactive": True}, "made inactive"),
        ({"is_meter": True}, "calculated by Halo now"),
        ({"prorata_next_invoice": True}, "pending pro-rata row"),
    ],
)
def test_a_line_that_became_another_one_is_not_written(
    bench: Bench, postings: dict[str, Posting], changes: dict[str, Any], told: str
) -> None:
    bench.row().update(changes)

    seen = bench.connect().find(postings["set"])
    assert isinstance(seen, Moved)
    assert told in seen.what


def test_a_line_or_recurring_invoice_that_is_gone(bench: Bench, postings: dict[str, Posting]) -> None:
    header = bench.double.tables["RecurringInvoice"][-91]
    header["lines"] = header["lines"][1:]
    seen = bench.connect().find(postings["set"])
    assert isinstance(seen, Moved)
    assert "no longer on" in seen.what

    del bench.double.tables["RecurringInvoice"][-91]
    for name in ("set", "add"):
        seen = bench.connect().find(postings[name])
        assert isinstance(seen, Moved)
        assert "no longer exists" in seen.what


def test_a_recurring_invoice_that_went_to_another_client_is_not_touched(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    bench.double.tables["RecurringInvoice"][-91]["client_id"] = 102

    with pytest.raises(VendorError) as failed:
        bench.connect().find(postings["set"])
    assert failed.value.code == "wrong_tenant"


def test_a_licence_that_moved(bench: Bench, postings: dict[str, Posting]) -> None:
    licence = bench.double.tables["SoftwareLicence"][3021]
    licence["count"] = 7
    assert isinstance(bench.connect().find(postings["count"]), Moved)
    licence |= {"count": 2, "tenant_id": "1b2"}
    seen = bench.connect().find(postings["count"])
    assert isinstance(seen, Moved)
    assert "Microsoft" in seen.what
    del bench.double.tables["SoftwareLicence"][3021]
    assert isinstance(bench.connect().find(postings["count"]), Moved)


def test_two_records_with_one_mark_are_told_with_both_ids(bench: Bench, postings: dict[str, Posting]) -> None:
    for name, first, second in (("draft", "90001", "90002"), ("add", "90003", "90005")):
        sent(bench, postings[name])
        sent(bench, postings[name])
        seen = bench.connect().find(postings[name])
        assert isinstance(seen, Moved)
        assert f"#{first}" in seen.what
        assert f"#{second}" in seen.what


def test_the_invoice_run_bills_the_part_once_and_raises_a_manual_line_by_its_row(bench: Bench) -> None:
    """The double's own rule, on which the obstacle stands: 10 seats and a row of 2 make the next quantity 12."""
    bench.double.prorate(bench.row(), Decimal(2), by_hand=True)
    made = bench.double.tables["Invoice"][bench.double.invoice(-91)]

    assert [line["qty_order"] for line in made["lines"]] == [Decimal(2), Decimal(27)]
    assert bench.row()["prorata_data"] == []
    assert {line["recurring_invoice_line_id"] for line in made["lines"]} == {LINE}
    [agreement] = bench.billing().agreements
    assert agreement.invoiced_through == date(2026, 12, 31)


def test_descriptions_are_cut_between_words() -> None:
    assert described("one\ntwo") == "one two"
    text = described("word, " * 900)
    assert len(text) <= 4000
    assert text.endswith("word…")


def test_operations_that_halo_has_not_are_no_wire(bench: Bench, postings: dict[str, Posting]) -> None:
    with pytest.raises(ValueError, match="post_credit"):
        bench.connect().wire(replace(postings["draft"], operation=Operation.POST_CREDIT))
