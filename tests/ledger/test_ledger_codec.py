"""What is written down comes back as it was, and has one text only."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_kit import intent

from syncd.core.entries import EntryState, Intent
from syncd.errors import LedgerBroken
from syncd.ledger import codec
from syncd.model import Operation, Posting, Wire

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
perhaps = st.none() | numbers
days = st.none() | st.dates()
plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
postings = st.builds(
    Posting,
    operation=st.sampled_from(Operation),
    key=texts,
    marker=texts,
    customer_id=texts,
    quantity=numbers,
    agreement_id=texts,
    line_id=texts,
    product_id=texts,
    product=texts,
    before=perhaps,
    version=texts,
    unit_price=perhaps,
    unit_cost=perhaps,
    amount=perhaps,
    currency=texts,
    starts=days,
    ends=days,
    period=texts,
    description=texts,
    options=st.dictionaries(texts, texts, max_size=3),
)
wires = st.builds(
    Wire, method=texts, path=texts, body=st.binary(max_size=40), headers=st.lists(st.tuples(texts, texts)).map(tuple)
)
intents = st.builds(
    Intent,
    identity=texts,
    line=texts,
    customer=texts,
    rule=texts,
    connection=texts,
    period=texts,
    before=numbers,
    to=numbers,
    state=st.sampled_from([EntryState.HELD, EntryState.PLANNED]),
    decided_by=texts,
    posting=postings,
    wire=wires,
    fingerprint=texts,
    amount=perhaps,
    currency=texts,
    follows=texts,
    undo_of=texts,
    retry_of=texts,
    why=texts,
    derivation=st.dictionaries(texts, plain_json, max_size=3),
)


@given(intents)
def test_an_intent_comes_back_exactly(made: Intent) -> None:
    text = codec.canonical(codec.created(made, "c000001"))
    assert codec.intent_of(json.loads(text), "it") == made
    assert codec.canonical(json.loads(text)) == text


@given(numbers)
def test_equal_numbers_have_one_text(value: Decimal) -> None:
    text = codec.decimal_text(value)
    assert Decimal(text) == value
    longer = format(value, "f")
    assert codec.decimal_text(Decimal(longer + ("0" if "." in longer else ".0"))) == text
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    "value",
    [0.1, {"deep": [{"rate": 1.0}]}, Decimal("NaN"), Decimal("Infinity"), {1: "a"}, {"a", "b"}, object()],
    ids=["float", "deep float", "nan", "infinity", "number as key", "set", "object"],
)
def test_what_has_no_exact_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="kept"):
        codec.canonical(value)


def test_a_vendors_broken_text_never_stops_a_record() -> None:
    assert codec.canonical({"note": "bad \ud800 text"}) == '{"note":"bad ? text"}'


def test_instants_are_utc_text_that_sorts() -> None:
    local = datetime(2026, 11, 20, 10, 0, tzinfo=timezone(timedelta(hours=-6)))
    assert codec.instant_text(local) == "2026-11-20T16:00:00.000000+00:00"
    assert codec.instant(codec.instant_text(local)) == local
    assert codec.instant_text(datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)) > codec.instant_text(
        datetime(2026, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(ValueError, match="zone"):
        codec.instant_text(datetime(2026, 1, 1))  # noqa: DTZ001
    assert codec.canonical({"on": date(2026, 11, 1)}) == '{"on":"2026-11-01"}'


def test_bytes_that_no_longer_match_their_hash_are_found() -> None:
    kept = json.loads(codec.canonical(codec.created(intent(), "")))
    kept["intent"]["wire"]["body"] = "eyJxdWFudGl0eSI6OTl9"
    with pytest.raises(LedgerBroken, match="bytes to send do not match"):
        codec.intent_of(kept, "entry x")


def test_a_field_that_was_added_later_gets_its_default() -> None:
    kept = json.loads(codec.canonical(codec.created(intent(), "")))
    del kept["intent"]["retry_of"], kept["intent"]["posting"]["options"]
    assert codec.intent_of(kept, "entry x").retry_of == ""
    del kept["intent"]["posting"]["key"]
    with pytest.raises(LedgerBroken, match=r"entry x in the ledger is not as it was written .*posting"):
        codec.intent_of(kept, "entry x")
