"""Which record a posting made: told by its mark, and by what it says where the mark is gone.

Voided, inactive and never-billed records charge nothing: they tell that the posting arrived, not that it stands. A mark
can be typed over, or not be kept by Halo; then the record stands there all the same, and a second one would bill twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar

from connectors.halopsa.dates import day
from connectors.halopsa.lines import FAMILY
from connectors.halopsa.payloads import Invoice, Line, Record, units
from syncd.model import Moved, Posting

R = TypeVar("R", bound=Record)


def marked(text: str | None, own: str) -> bool:
    """Whether a field bears a mark of syncd's, this or another installation's."""
    return (text or "").strip().startswith((FAMILY, own))


def line_ended(line: Line) -> str:
    """Why a line bills nothing, in words; "" while it stands."""
    if line.isinactive:
        return "was made inactive"
    starts, ends = day(line.startdate), day(line.enddate)
    return "was ended before it began" if starts is not None and ends is not None and ends < starts else ""


def invoice_ended(invoice: Invoice) -> str:
    """Why an invoice charges nothing, in words; "" while it stands."""
    return "was voided" if invoice.voided else ""


def the_one(
    marker: str, bearing: Sequence[R], ended: Callable[[R], str], *, kind: str, record: str, remedy: str
) -> R | Moved | None:
    """The one record that bears a mark and stands, or what became of it; None where none bears it.

    `kind`: what it is, in words; `record`: how the ledger names one, before its number; `remedy`: what a person does
    about several.
    """
    standing = [row for row in bearing if not ended(row)]
    if len(standing) > 1:
        return Moved(f"{len(standing)} Halo {kind}s bear the mark {marker} ({numbers(standing)}); {remedy}")
    if standing:
        return standing[0]
    if not bearing:
        return None
    became = "; ".join(f"the Halo {kind} #{row.id} {ended(row)}" for row in bearing)
    return Moved(became, arrived=f"{record}{min(row.id for row in bearing)}")


def alike(line: Line, posting: Posting, meant: tuple[Decimal, Decimal | None]) -> bool:
    """Whether a line shows a posting's product, with the quantity and price that are sent for it (no price: any)."""
    wanted, price = meant
    return (
        str(line.item_id) == posting.product_id
        and units(line.qty_order) == wanted
        and (price is None or units(line.unit_price) == price)
    )


def unmarked(posting: Posting, some: Sequence[Record], *, kind: str, field: str, remedy: str) -> Moved:
    """What is said of records that may be the one: a person must tell. It blocks nothing that was never sent."""
    return Moved(
        f"the Halo {kind} {numbers(some)} shows this charge's product, days, quantity and price, and no mark of "
        f"syncd's: put its {field} back to {posting.marker}, or {remedy} it",
        perhaps=True,
    )


def numbers(some: Sequence[Record]) -> str:
    """Records by their numbers, "#90001, #90002"."""
    return ", ".join(f"#{row.id}" for row in some)
