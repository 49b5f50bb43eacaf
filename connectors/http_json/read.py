"""From records to counts: what the selectors find, judged, and added up by customer and SKU.

Pure. What always holds: every declared field is there in every record, or it is one VendorError that names the key;
a quantity is taken exactly as it was told, never rounded; no message repeats what might be a person's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

from connectors.http_json.config import RECORDS, HttpJsonSettings
from connectors.http_json.select import PLAIN, Selector
from syncd.errors import VendorError
from syncd.model import Count, RemoteCustomer, Subject
from syncd.money import number

# What a message may repeat of a quantity: digits and what people put between them.
_NUMERIC = re.compile(r"[0-9.,' eE+-]{1,30}")


@dataclass(frozen=True, slots=True)
class Row:
    """One record, as the declaration reads it. `customer` and `name` are "" where they are not declared."""

    customer: str
    name: str
    sku: str
    quantity: Decimal
    subject: str | None


@dataclass(slots=True)
class _Sum:
    quantity: Decimal = Decimal(0)
    subjects: dict[str, Subject] = field(default_factory=dict)
    repeated: int = 0


def rows(settings: HttpJsonSettings, records: Sequence[Any], where: str) -> list[Row]:
    """What each record that counts says. `where` names the answer in messages.

    Raises VendorError: `malformed`; `incomplete` where no record passes the declared filter, which is no zero either.
    """
    read = []
    for position, record in enumerate(records, start=1):
        place = f"{where}, record {position}"
        if settings.where is None or _passes(settings.where, record, place):
            read.append(_row(settings, record, place))
    if records and not read and settings.where:
        raise VendorError("incomplete", f"{where}: no record passes where ({settings.where.text}), which is no zero")
    return read


def _passes(selector: Selector, record: Any, where: str) -> bool:
    found = find(selector, record, "where", where, whole=True)
    if not isinstance(found, bool):
        raise VendorError("malformed", f"{where}: where ({selector.text}) finds neither true nor false")
    return found


def _row(settings: HttpJsonSettings, record: Any, where: str) -> Row:
    def text(key: str, selector: Selector | None) -> str:
        return key_text(selector.text, find(selector, record, key, where), key, where) if selector else ""

    return Row(
        text("customer", settings.customer),
        text("customer_name", settings.customer_name),
        text("sku", settings.sku),
        _quantity(settings.quantity, record, where),
        text("subject", settings.subject) if settings.subject else None,
    )


def find(selector: Selector, record: Any, key: str, where: str, *, whole: bool = False) -> Any:
    """What a selector finds in a record. Raises VendorError `malformed` where it finds nothing or does not fit.

    With `whole` also where a field that the selector comes to is not there.
    """
    try:
        found = selector.find(record, whole=whole)
    except ValueError as error:
        raise VendorError("malformed", f"{where}: {key} ({selector.text}) {error}") from None
    if found is None:
        raise VendorError("malformed", f"{where}: {key} ({selector.text}) finds nothing")
    return found


def key_text(selector: str, found: Any, key: str, where: str) -> str:
    """An id or name as text: text with something in it, or a whole number. Raises VendorError `malformed`."""
    if isinstance(found, str) and found.strip():
        return found.strip()
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    what = "is empty" if isinstance(found, str) else "is neither text nor a whole number"
    raise VendorError("malformed", f"{where}: {key} ({selector}) {what}")


def _quantity(selector: Selector | str, record: Any, where: str) -> Decimal:
    if not isinstance(selector, Selector):
        assert selector == RECORDS
        return Decimal(1)
    found = find(selector, record, "quantity", where)
    place = f"{where}: quantity ({selector.text})"
    if isinstance(found, str) and not PLAIN.fullmatch(found.strip()):
        shown = f'"{found}" is' if _NUMERIC.fullmatch(found) else "is text that is"
        raise VendorError("malformed", f"{place} {shown} no plain number, such as 1500 or 1.5")
    try:
        quantity = number(found)
    except ValueError:
        raise VendorError("malformed", f"{place} is no usable number") from None
    if quantity < 0:
        raise VendorError("malformed", f"{place} is below zero, which no count can be")
    return quantity


def add_up(read: Iterable[Row]) -> dict[str, tuple[Count, ...]]:
    """customer -> its counts, sorted by SKU. Subjects are there where they are declared."""
    sums: dict[str, dict[str, _Sum]] = {}
    with_subjects = False
    # A quantity has at most 15 digits before the point and 30 after it: 60 hold the sum of all that fit into an answer.
    with localcontext(prec=60):
        for row in read:
            entry = sums.setdefault(row.customer, {}).setdefault(row.sku, _Sum())
            entry.quantity += row.quantity
            if row.subject is not None:
                with_subjects = True
                if row.quantity:
                    entry.repeated += row.subject in entry.subjects
                    entry.subjects[row.subject] = Subject(row.subject, row.subject)
    return {
        customer: tuple(_count(sku, entry, with_subjects) for sku, entry in sorted(by_sku.items()))
        for customer, by_sku in sums.items()
    }


def _count(sku: str, entry: _Sum, with_subjects: bool) -> Count:
    subjects = tuple(entry.subjects.values()) if with_subjects else None
    note = f"{entry.repeated} more of the same name" if entry.repeated else ""
    return Count(sku, sku, entry.quantity, subjects=subjects, note=note)


def seen_customers(read: Iterable[Row]) -> list[RemoteCustomer]:
    """The customers that records name, in order of their ids. One whose records disagree about its name goes by id."""
    names: dict[str, set[str]] = {}
    for row in read:
        names.setdefault(row.customer, set()).add(row.name or row.customer)
    return [RemoteCustomer(id_, min(told) if len(told) == 1 else id_) for id_, told in sorted(names.items())]
