"""Documents in the books: how several postings share one, and how their amounts survive the vendor's arithmetic.

A document bears its postings' marks in a field that no customer reads, one `Charge` each, in the order of its lines.
It is written once and never touched again: what is due later stands in a further document. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from syncd.errors import VendorError
from syncd.model import Absent, Moved, Posting
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
    """What one line of a document stands for: `units` in these `days`, written onto it as the quantity `sent`.

    `sent` is 0 where a person's change of the note made it impossible: then its mark alone can be told.
    """

    mark: str
    units: Decimal
    sent: Decimal
    days: Period

    @property
    def readable(self) -> bool:
        """Whether units and days can be told."""
        return self.sent > 0

    def shown(self, quantity: Decimal) -> Decimal:
        """The units that the line stands for, also where a person changed its quantity. Raises VendorError `malformed`
        where it is not readable."""
        if not self.readable:
            raise VendorError("malformed", f"it can no longer be told which units the mark {self.mark} stands for")
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
    """The charges that a note names, in order; a person's words around them do no harm. Never raises: one that a typo
    made impossible (a day that does not exist) keeps its mark and is not `readable`."""
    return tuple(map(_charge, _CHARGE.finditer(text)))


def legible(charges: Iterable[Charge], name: str, field: str) -> None:
    """Raises VendorError `malformed` where one of a document's charges is not readable.

    `name`: the document in words; `field`: where the marks stand ("memo").
    """
    for one in charges:
        if not one.readable:
            raise VendorError(
                "malformed",
                f"{name} bears syncd's mark {one.mark}, and its {field} no longer says for which units and days; put "
                f"the {field} back as it was: {one.mark}, the units, the first and the last day, as in "
                f'"{one.mark} 3 20261101-20261130"',
            )


def number(prefix: str, marks: Iterable[str], length: int) -> str:
    """A document's number, at most `length` characters: the same for the same marks, another for any others."""
    digest = hashlib.sha256("\n".join(sorted(marks)).encode()).hexdigest()
    return f"{prefix}{digest}"[:length].upper()


def lost_marks(bears: str, prefix: str, marks: Collection[str], length: int) -> str:
    """Where a document bears a number that `number` made, and not of the `marks` that are left on it: what it lost, in
    words. "" for a whole one, and for a person's."""
    made = re.fullmatch(rf"{re.escape(prefix)}[0-9A-F]{{{length - len(prefix)}}}", bears, re.IGNORECASE)
    if made is None or bears.upper() == number(prefix, marks, length):
        return ""
    return _left(marks)


def _left(marks: Collection[str]) -> str:
    return "not every mark of it any more" if marks else "no mark of it any more"


@dataclass(frozen=True, slots=True)
class Paper:
    """A document as the look for a posting sees it.

    `name`: in words ("the Xero invoice SD-4F…"); `record`: what the ledger calls it; `marks`: those of its charges;
    `ended`: what became of it ("was voided"), "" while it stands; `may_hold`: it has the posting's product, on whatever
    day: a person may date it anew; `alike`: it has a line with the posting's product, amount and words that none of its
    marks accounts for, which tells where the number is not syncd's. A mark accounts for one line, so that a document
    with as many marks as lines is whole and never alike.
    """

    name: str
    record: str
    number: str
    marks: frozenset[str]
    ended: str
    may_hold: bool
    alike: bool = False


def the_one(
    posting: Posting, papers: Sequence[Paper], *, prefix: str, length: int, field: str, remedy: str
) -> Paper | Absent | Moved:
    """The document among a customer's that bears a posting's mark and stands; or what became of it.

    One that lost marks is known by its number, as `number` makes it of `prefix` and `length`: where it holds the
    posting alone, for sure; where it is shared, the number tells of all its postings together, and a person looks.
    `field`: where the marks stand ("memo"); `remedy`: how a document is taken back ("void").
    """
    bearing = [one for one in papers if posting.marker in one.marks]
    standing = [one for one in bearing if not one.ended]
    if len(standing) > 1:
        which = ", ".join(one.name for one in standing)
        return Moved(f"{len(standing)} documents bear the mark {posting.marker}: {which}; {remedy} all but one")
    if standing:
        return standing[0]
    alone = number(prefix, (posting.marker,), length)
    for one in (*bearing, *(paper for paper in papers if paper.number == alone)):
        became = one.ended or f"no longer bears syncd's mark: its {field} was changed"
        return Moved(f"{one.name} {became}", arrived=one.record)
    for one in papers:
        lost = lost_marks(one.number, prefix, one.marks, length)
        shows = f"bears syncd's number, {lost}" if lost else f"bears syncd's words, {_left(one.marks)}"
        if one.may_hold and not one.ended and (lost or one.alike):
            return Moved(
                f"{one.name} {shows}, and "
                f"{posting.product or posting.product_id}: put its {field} back, or {remedy} it",
                perhaps=True,
            )
    return Absent()


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


def _charge(one: re.Match[str]) -> Charge:
    units, sent = Decimal(one["units"]), Decimal(one["sent"] or one["units"])
    try:
        days = Period(_day(one["first"]), _day(one["last"]))
    except ValueError:
        sent, days = Decimal(0), Period(date.min, date.min)
    return Charge(one["mark"], units, sent, days)


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
