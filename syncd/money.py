"""Decimals: one door from text to number, one rounding of money, one way to write them."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext

ZERO = Decimal(0)

# ISO 4217 currencies whose minor unit is not 1/100 (list one of the standard's maintenance agency).
_MINOR_DIGITS = {
    **dict.fromkeys(["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"], 0),
    **dict.fromkeys(["VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
# A count of 10^15 or more, or with more than 30 digits after the point, is a fault of the sender. Exponents
# are judged before any arithmetic: "1e-999999999" would fill the memory once written out.
_LARGEST = 15
_FINEST = 30


def number(value: object) -> Decimal:
    """The only door from a foreign value to a Decimal: text, int or Decimal, finite and below 10^15.

    Raises ValueError with a sentence for anything else. Floats and booleans are refused: a float has already lost
    the digits that money needs, a boolean is not a count.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{value!r} is not a number")
    try:
        result = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a number") from None
    digits = result.as_tuple().exponent
    usable = isinstance(digits, int) and digits >= -_FINEST and (not result or result.adjusted() < _LARGEST)
    if not usable:
        raise ValueError(f"{value!r} is not a usable number")
    return result


def minor_digits(currency: str) -> int:
    """Digits after the point of a currency's minor unit (ISO 4217): 2 unless listed."""
    return _MINOR_DIGITS.get(currency.upper(), 2)


def round_money(amount: Decimal, currency: str) -> Decimal:
    """Half-even to the currency's minor unit. Called once, at the end of a calculation."""
    with localcontext(prec=60):
        return amount.quantize(Decimal(1).scaleb(-minor_digits(currency)), rounding=ROUND_HALF_EVEN)


def plain(value: Decimal) -> str:
    """A quantity as people write it: no exponent, no trailing zeros ("27", "12.5")."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def plain_money(amount: Decimal, currency: str) -> str:
    """Money with its minor units ("144.00"), rounded half-even."""
    rounded = round_money(amount, currency)
    return format(abs(rounded) if rounded == 0 else rounded, "f")
