"""The one door to a Decimal, the one rounding of money, the one way to write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.money import minor_digits, number, plain, plain_money, round_money


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("5", "5"),
        (" 5 ", "5"),
        ("\t5\n", "5"),
        ("+5", "5"),
        ("-5", "-5"),
        ("0", "0"),
        ("0.10", "0.10"),
        ("1e3", "1000"),
        ("999999999999999", "999999999999999"),
        (7, "7"),
        (-7, "-7"),
        (Decimal("12.5"), "12.5"),
    ],
)
def test_door_lets_exact_numbers_in(given_: object, expected: str) -> None:
    assert number(given_) == Decimal(expected)


@pytest.mark.parametrize(
    "given_",
    [
        True, False, 0.1, 5.0, float("nan"), None, [], {}, b"5", "", "   ", "five", "1,5", "1 000", "0x10", "5 seats",
        "NaN", "nan", "sNaN", "Infinity", "-Infinity", "inf", Decimal("NaN"), Decimal("Infinity"), "1e999", "-1e999",
        "1e15", 10**15, -(10**15),
    ],
)  # fmt: skip
def test_door_refuses_everything_else_in_words(given_: object) -> None:
    with pytest.raises(ValueError, match=r"is not a (usable )?number"):
        number(given_)


@pytest.mark.parametrize("given_", ["1e1000000", "-1e99999999", "1e-999999999"])
def test_door_refuses_exponents_without_end(given_: str) -> None:
    with pytest.raises(ValueError, match="is not a usable number"):
        number(given_)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=6))
@settings(max_examples=80)
def test_what_is_written_is_read_again(value: Decimal) -> None:
    assert number(plain(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14, places=9))
@settings(max_examples=80)
def test_plain_has_no_exponent_and_no_trailing_zeros(value: Decimal) -> None:
    text = plain(value)

    assert "E" not in text.upper()
    assert not ("." in text and text.endswith(("0", ".")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("27", "27"), ("27.0", "27"), ("12.50", "12.5"), ("1E+2", "100"), ("100", "100"), ("0.00", "0"), ("-0", "0"),
        ("-0.0", "0"), ("-3.10", "-3.1"), ("1E-7", "0.0000001"), ("0E+3", "0"),
    ],
)  # fmt: skip
def test_quantities_are_plain_decimals(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("144", "USD", "144.00"),
        ("0.005", "USD", "0.00"),  # half-even
        ("0.015", "USD", "0.02"),
        ("0.025", "usd", "0.02"),
        ("0.0250001", "USD", "0.03"),
        ("-0.015", "EUR", "-0.02"),
        ("-0.001", "EUR", "0.00"),
        ("2.5", "JPY", "2"),
        ("3.5", "JPY", "4"),
        ("-2.5", "JPY", "-2"),
        ("1.0005", "KWD", "1.000"),
        ("1.0015", "KWD", "1.002"),
        ("12345678901234567890.125", "USD", "12345678901234567890.12"),
    ],
)
def test_money_is_rounded_half_even_to_its_minor_unit(amount: str, currency: str, text: str) -> None:
    assert plain_money(Decimal(amount), currency) == text


@pytest.mark.parametrize(("currency", "digits"), [("USD", 2), ("JPY", 0), ("krw", 0), ("TND", 3), ("XYZ", 2)])
def test_minor_digits(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6),
    st.sampled_from(["USD", "JPY", "BHD"]),
)
@settings(max_examples=80)
def test_rounding_moves_at_most_half_a_minor_unit_and_only_once(amount: Decimal, currency: str) -> None:
    rounded = round_money(amount, currency)

    assert abs(rounded - amount) * 2 <= Decimal(1).scaleb(-minor_digits(currency))
    assert round_money(rounded, currency) == rounded
