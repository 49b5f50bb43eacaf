"""Documents in the books: how several postings share one, and how their amounts survive the vendor's arithmetic.

A document bears its postings' marks in a field that no customer reads, one `Charge` each, in the order of its lines.
It is written once and never touched again: what is due later stands in a further document. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from syncd.model import Posting
from syncd.money import plain
from syncd.periods import Period

# How every mark of every installation begins.
FAMILY = "sd-"

_CHARGE = re.compile(
    r"(?P<mark>sd-[0-9a-z]+-[0-9a-z]+) (?P<units>\d+(?:\.\d+)?)(?:/(?P<sent>\d+(?:\.\d+)?))? "
    r"(?P<first>\d{8})-(?P<last>\d{8})"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one line of a document stands for: `units` in these `days`, written onto it as the quantity `sent`."""

    mark: str
    units: Decimal
    sent: Decimal
    days: Period

    def shown(self, quantity: Decimal) -> Decimal:
        """The units that the line stands for, also where a person changed its quantity."""
        return self.units * quantity / self.sent

    def __str__(self) -> str:
        sent = f"/{plain(self.sent)}" if self.sent != self.units else ""
        return f"{self.mark} {plain(self.units)}{sent} {self.days.first:%Y%m%d}-{self.days.last:%Y%m%d}"


def charge(posting: Posting, places: int) -> Charge:
    """What a posting's line stands for; `places` as in `arithmetic`. Raises ValueError for a posting without days."""
    if posting.starts is None or posting.ends is None:
        raise ValueError("a document needs the days that it covers")
    return Charge(
        posting.marker, posting.quantity, arithmetic(posting, places)[0], Period(posting.starts, posting.ends)
    )


def note(charges: Iterable[Charge]) -> str:
    """The text that a document bears: "sd-test-4kq… 3 20261101-20261130; sd-test-9xa… 12.5/1 20261101-20261130"."""
    return "; ".join(map(str, charges))


def charges(text: str) -> tuple[Charge, ...]:
    """The charges that a note names, in order; a person's words around them do no harm."""
    return tuple(
        Charge(
            one["mark"],
            Decimal(one["units"]),
            Decimal(one["sent"] or one["units"]),
            Period(_day(one["first"]), _day(one["last"])),
        )
        for one in _CHARGE.finditer(text)
    )


def number(prefix: str, postings: Sequence[Posting], length: int) -> str:
    """A document's number, at most `length` characters: the same for the same postings, another for any others."""
    digest = hashlib.sha256("\n".join(sorted(posting.key for posting in postings)).encode()).hexdigest()
    return f"{prefix}{digest}"[:length].upper()


def numbered(prefix: str, text: str, length: int) -> bool:
    """Whether a number is one that `number` makes, for whatever postings."""
    return re.fullmatch(rf"{re.escape(prefix)}[0-9A-F]{{{length - len(prefix)}}}", text) is not None


def arithmetic(posting: Posting, places: int) -> tuple[Decimal, Decimal]:
    """(quantity, unit price) for a line, so that the vendor's multiplication gives exactly the amount: the posting's
    own units where the price of one fits into `places` decimals, else one unit at the whole amount.

    Raises ValueError where no price is known.
    """
    if posting.amount is None:
        if posting.unit_price is None:
            raise ValueError("a document needs a price")
        return posting.quantity, posting.unit_price
    if posting.unit_price is not None and posting.unit_price * posting.quantity == posting.amount:
        return posting.quantity, posting.unit_price
    if posting.quantity > 0:
        each = (posting.amount / posting.quantity).quantize(Decimal(1).scaleb(-places))
        if each * posting.quantity == posting.amount:
            return posting.quantity, each
    return Decimal(1), posting.amount


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
