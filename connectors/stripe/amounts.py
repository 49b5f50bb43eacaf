"""Stripe's money: whole minor units, and decimal texts of minor units. Pure.

Stripe's minor units are not ISO 4217's everywhere: ISK and UGX are written with two decimals that must be zero, MGA
with none, and amounts with three decimals end in 0 (docs.stripe.com/currencies).
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from syncd.money import number

_NONE = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_THREE = frozenset("BHD JOD KWD OMR TND".split())
_WHOLE_IN_TWO = frozenset({"ISK", "UGX"})


def digits(currency: str) -> int:
    """Decimals of Stripe's minor unit."""
    code = currency.upper()
    return 0 if code in _NONE else 3 if code in _THREE else 2


def places(currency: str) -> int:
    """Decimals that a price of one unit may have so that its line is a usable amount."""
    code = currency.upper()
    return 0 if code in _WHOLE_IN_TWO else 2 if code in _THREE else digits(code)


def minor(amount: Decimal, currency: str) -> Decimal:
    """Money in minor units, with all its decimals."""
    return amount.scaleb(digits(currency))


def major(units: int | Decimal, currency: str) -> Decimal:
    """Minor units as money."""
    return Decimal(units).scaleb(-digits(currency))


def price(text: str | None, currency: str) -> Decimal | None:
    """A price of one unit from Stripe's decimal text. Raises ValueError for what is no number."""
    return None if text is None else major(number(text), currency)


def usable(amount: Decimal, currency: str) -> bool:
    """Whether Stripe can hold it exactly."""
    return amount == amount.quantize(Decimal(1).scaleb(-places(currency)))


def charged(quantity: Decimal, unit_price: Decimal, currency: str) -> int:
    """What Stripe makes of a line, in minor units."""
    return int(minor(quantity * unit_price, currency).quantize(Decimal(1), rounding=ROUND_HALF_UP))
