"""Syncd's own documents: what their `Reference` says they stand for, held against the lines that they have now.

The charges stand in the order of the lines. A remark that a person adds does no harm; a line more or less leaves it
untold which line is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connectors.xero.payloads import Document, Invoice, Line, units
from syncd.connect.documents import FAMILY, Charge, charges, legible
from syncd.errors import VendorError


@dataclass(frozen=True, slots=True)
class Own:
    """One line of one of syncd's documents, and the charge that it stands for."""

    charge: Charge
    line: Line
    place: int

    @property
    def units(self) -> Decimal:
        """The units that it stands for now, also where a person changed the line's quantity."""
        return self.charge.shown(units(self.line.quantity))


def name(document: Document) -> str:
    """A document in words."""
    what = "invoice" if isinstance(document, Invoice) else "credit note"
    return f"the Xero {what} {document.number}"


def marked(document: Document) -> tuple[Charge, ...]:
    """The charges that a document names, of whatever installation; none for everybody else's."""
    return charges(document.reference or "")


def unaccounted(document: Document) -> list[Line]:
    """The lines that charge something, where a document has fewer marks than those: which of them lost theirs cannot be
    told. None of a whole one's. A mark that is quoted twice is one."""
    rows = [line for line in document.lines or () if not line.remark]
    return rows if len({one.mark for one in marked(document)}) < len(rows) else []


def own(document: Document) -> tuple[Own, ...]:
    """The lines of one of syncd's documents. Raises VendorError `malformed` where they cannot be told apart any more
    or a mark its units, `incomplete` where Xero shows none."""
    named = marked(document)
    legible(named, name(document), "reference")
    if document.lines is None:
        raise VendorError("incomplete", f"Xero shows no lines of {name(document)} although it was asked to")
    rows = [line for line in document.lines if not line.remark]
    if len(rows) != len(named):
        raise VendorError(
            "malformed",
            f"{name(document)} bears {len(named)} marks of syncd ({FAMILY}…) and has {len(rows)} lines; put additions "
            "of your own onto another document, and take away a line of syncd's by deleting the draft",
        )
    return tuple(Own(charge, line, place) for place, (charge, line) in enumerate(zip(named, rows, strict=True), 1))
