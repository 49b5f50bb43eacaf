"""JMESPath over exact numbers: no float anywhere, nothing left out, slips told when the file is read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http_json.select import NothingThere, compile_selector, decode
from syncd.connect.http import Reply
from syncd.errors import VendorError


def find(text: str, body: str) -> Any:
    return compile_selector(text).find(decode(Reply(200, {}, body.encode(), "GET /x")))


@pytest.mark.parametrize(
    ("text", "body", "told"),
    [
        ("sum(a)", '{"a": [0.1, 0.2]}', Decimal("0.3")),
        ("sum(a)", '{"a": [1, 2]}', 3),
        ("sum(a[].n)", '{"a": [{"n": 0.1}, {"n": 1}]}', Decimal("1.1")),
        ("avg(a)", '{"a": [1, 2]}', Decimal("1.5")),
        ("max(a)", '{"a": [0.1, 3, 2.5]}', 3),
        ("min(a)", '{"a": [0.1, 3, 2.5]}', Decimal("0.1")),
        ("length(a)", '{"a": [0.1]}', 1),
        ("ceil(a)", '{"a": 2.0000001}', 3),
        ("floor(a)", '{"a": 2.9999999}', 2),
        ("abs(a)", '{"a": -2.5}', Decimal("2.5")),
        ("to_number(a)", '{"a": "0.1"}', Decimal("0.1")),
        ("to_number(a)", '{"a": "1_000"}', None),
        ("to_number(a)", '{"a": "1,000"}', None),
        ("to_number(a)", '{"a": 0.1}', Decimal("0.1")),
        ("to_string(a)", '{"a": 0.10}', "0.1"),
        ("to_string(a)", '{"a": 12}', "12"),
        ("type(a)", '{"a": 0.1}', "number"),
        ("a[?n > `0.1`].n", '{"a": [{"n": 0.1}, {"n": 0.2}]}', [Decimal("0.2")]),
        ("a[?n == `0.1`].n", '{"a": [{"n": 0.1}]}', [Decimal("0.1")]),
        ("sort_by(a, &n)[-1].n", '{"a": [{"n": 0.5}, {"n": 0.25}]}', Decimal("0.5")),
        ("a || b", '{"b": 9007199254740993}', 9007199254740993),
        ('`[0.1, {"x": 0.2}]`', "{}", [Decimal("0.1"), {"x": Decimal("0.2")}]),
    ],
)
def test_numbers_stay_exact(text: str, body: str, told: Any) -> None:
    found = find(text, body)

    assert found == told
    assert type(found) is type(told)


@given(st.lists(st.decimals(0, 10**12, places=6), min_size=1, max_size=20))
def test_sums_are_exact_whatever_is_added(numbers: list[Decimal]) -> None:
    body = '{"a": [' + ", ".join(format(one, "f") for one in numbers) + "]}"

    assert find("sum(a)", body) == sum(numbers)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("a[].n", '{"a": [{"n": 1}, {"m": 2}]}'),
        ("a[*].n", '{"a": [{"n": 1}, {"n": null}]}'),
        ("a[?k=='x'].n", '{"a": [{"k": "x", "n": 1}, {"k": "x"}]}'),
        ("a.*.n", '{"a": {"x": {"n": 1}, "y": {}}}'),
        ("sum(a[].n)", '{"a": [{"n": 1}, {"m": 2}]}'),
        ("a[].b[].n", '{"a": [{"b": [{"n": 1}]}, {}]}'),
        ("a[*]", '{"a": [1, null]}'),
    ],
)
def test_a_projection_leaves_nothing_out(text: str, body: str) -> None:
    """The grammar would drop the record without the field, and the count with it."""
    with pytest.raises(NothingThere, match=r"finds nothing in the (1st|2nd) of 2 places"):
        find(text, body)


def test_what_may_be_absent_is_said() -> None:
    assert find("a[].not_null(n, `0`)", '{"a": [{"n": 1}, {}]}') == [1, 0]
    assert find("a[?n].n", '{"a": [{"n": 1}, {}]}') == [1]


@pytest.mark.parametrize("text", ["sum(a)", "a[?n < `3`]", "max_by(a, &n)", "ceil(b)", "join(',', a)", "avg(a)"])
def test_what_does_not_fit_the_answer_says_so_and_shows_none_of_it(text: str) -> None:
    with pytest.raises(ValueError, match="does not fit the answer") as failed:
        find(text, '{"a": [{"n": "Jordan Field"}, {"n": 2}], "b": "Jordan Field"}')
    assert "Jordan" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a JMESPath expression, not empty text"),
        ("items[?", 'is no JMESPath expression: "items[?" cannot be read at its end'),
        ("a b", 'is no JMESPath expression: "a b" cannot be read at character 3'),
        ("$.items", "at character 1; leave $ out"),
        ("a.'x", "is no JMESPath expression"),
        ("lenght(a)", "there is no function lenght(). Did you mean length()?"),
        ("sum()", "sum() takes 1 values, not 0"),
        ("a[?starts_with(b)]", "starts_with() takes 2 values, not 1"),
        ("not_null()", "not_null() takes 1 values, not 0"),
    ],
)
def test_slips_are_told_when_the_file_is_read(text: str, words: str) -> None:
    with pytest.raises(ValueError) as slip:  # noqa: PT011 - the words are what is tested
        compile_selector(text)
    assert words in str(slip.value)


@pytest.mark.parametrize(
    ("text", "home"),
    [("meta.next", "meta"), ("a.b.c", "a.b"), ("next", None), ("[-1].id", None), ("a[0].b", None), ("a || b", None)],
)
def test_where_a_chain_of_fields_looks(text: str, home: str | None) -> None:
    found = compile_selector(text).home

    assert (found.text if found else None) == home
    if found:
        assert found.find({"meta": {"next": 1}, "a": {"b": {"c": 2}}}) in ({"next": 1}, {"c": 2})


@pytest.mark.parametrize(
    "body", ["{", "NaN", "[1, -Infinity]", '{"a": 1}}', "1" * 5000, '{"a": 0x1}', '{"a": 1, "a": 2}']
)
def test_what_is_no_json_is_malformed(body: str) -> None:
    with pytest.raises(VendorError) as failed:
        decode(Reply(200, {}, body.encode(), "GET /x"))
    assert failed.value.code == "malformed"
