"""Lines of recurring invoices as billed lines. Pure; how a line's quantity comes about is decided here.

A line's quantity is either written by people, or calculated by Halo (from licences, users, assets, a meter). What is
written onto a calculated line is undone by Halo. The one calculated kind that syncd can move is a line that shows the
plain count of a single licence: its quantity here is that count, and its id names both, "24967/3301".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import msgspec

from connectors.halopsa.agreements import Terms
from connectors.halopsa.dates import day
from connectors.halopsa.payloads import Licence, Line, units
from syncd.errors import VendorError
from syncd.model import BilledLine, Moment
from syncd.money import number, plain
from syncd.periods import period_on

# Other installations of syncd mark with their own prefix after this one.
FAMILY = "sd-"


@dataclass(frozen=True, slots=True)
class LineId:
    """A line as syncd names it: the line's own id, and the licence that it is calculated from, if it is one."""

    line: int
    licence: int | None = None

    def __str__(self) -> str:
        return f"{self.line}/{self.licence}" if self.licence is not None else str(self.line)


def line_id(text: str) -> LineId:
    """The inverse of `str`. Raises ValueError."""
    line, _, licence = text.partition("/")
    return LineId(int(line), int(licence) if licence else None)


def quantity(line: Line) -> Decimal:
    """What the line shows, doubles rounded to what was meant. Raises VendorError `malformed` for none."""
    try:
        told = number(line.qty_order)
    except ValueError as error:
        raise VendorError("malformed", f"the Halo line #{line.id} shows no usable quantity: {error}") from None
    return units(told) or Decimal(0)


def calculated(line: Line) -> bool:
    """Whether Halo itself writes the line's quantity."""
    rules = (line.quantity_users, line.quantity_assets, line.quantity_licences, line.quantity_subscriptions)
    flags = (line.is_calculated_line, line.calculate_price_from_assets, line.calculate_price_from_users, line.is_meter)
    return any(rules) or any(flags)


def licence_behind(line: Line) -> int | None:
    """The licence whose plain count the line shows; None where it is calculated in any other way, or not at all."""
    rules = [*(line.quantity_licences or ()), *(line.quantity_subscriptions or ())]
    if line.quantity_users or line.quantity_assets or line.is_meter or len(rules) != 1:
        return None
    rule = rules[0]
    plain_count = not (rule.assigned_licences or rule.qty_free or rule.minimum_qty or rule.criteria)
    return rule.licence_id if plain_count and rule.licence_id and rule.licence_id > 0 else None


def pending(line: Line) -> int:
    """How many part-period rows wait for the next invoice; each raises the line's quantity when it is invoiced."""
    rows = [row for row in line.prorata_data or () if not row.isinvoiced]
    return len(rows) + bool(line.prorata_next_invoice)


def fixed(licence: Licence, today: date) -> str:
    """Why a licence's count cannot be written, in words; "" where it can."""
    ends = day(licence.end_date)
    name = f'the Halo licence "{licence.name}" (#{licence.id})'
    if licence.deleted or licence.is_active is False or (ends is not None and ends < today):
        return f"{name} is deleted, inactive or over"
    if (licence.status or "Active").casefold() not in ("active", "enabled"):
        return f"{name} has the status {licence.status}"
    if licence.tenant_id or (licence.azure_connection_id or 0) > 0:
        return f"{name} is imported from Microsoft, which owns its count: change the seats there"
    return ""


def obstacle(line: Line, licences: Mapping[int, Licence], moment: Moment) -> str:
    """Why the line's quantity cannot be changed, in words; "" where it can, by the line or by its licence."""
    name = f"the Halo line #{line.id}"
    if not calculated(line):
        if waiting := pending(line):
            return (
                f"{name} has {waiting} pending pro-rata row{'s' if waiting > 1 else ''} that somebody entered; Halo "
                "adds them to its quantity on the next invoice"
            )
        return ""
    behind = licence_behind(line)
    if behind is None:
        return f"{name} is calculated by Halo itself, which undoes what is written onto it"
    licence = licences.get(behind)
    if licence is None:
        return f"{name} is calculated from the licence #{behind}, which Halo does not show"
    return fixed(licence, moment.today)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands beside a line's quantity and must not move when that is written: the price of one, and how many lines
    the recurring invoice has. None where it is not told."""

    price: Decimal | None = None
    lines: int | None = None


def version(line: Line, licence: Licence | None, lines: int) -> str:
    """Changes whenever something that is read of the line changes; Halo tells none. It carries what `standing` reads
    back when a quantity was written, also after a restart."""
    digest = hashlib.sha256(msgspec.json.encode(line, order="sorted")).hexdigest()[:16]
    price = units(licence.price if licence is not None else line.unit_price)
    return f"{digest};{plain(price) if price is not None else ''};{lines}"


def standing(version: str) -> Standing:
    """What a version says of the line as it was planned; nothing of one that tells nothing."""
    _, _, told = version.partition(";")
    price, _, lines = told.partition(";")
    return Standing(Decimal(price) if price else None, int(lines) if lines else None)


def billed_line(
    line: Line, terms: Terms, licences: Mapping[int, Licence], moment: Moment, *, own: str, changed_by: str
) -> BilledLine | None:
    """The line as it stands today, None where it is none: inactive, ended, a heading.

    A line that begins later is given with its first day, so that nobody adds a second one. Lines of a renewal that was
    entered ahead often have no days of their own: they begin with their recurring invoice.
    Raises VendorError `malformed` where it shows no usable quantity or date.
    """
    starts, ends = day(line.startdate), day(line.enddate)
    once = bool(line.onetimecharge) or _in_one_period(starts, ends, terms, moment)
    if terms.starts is not None and terms.starts > moment.today:
        starts = max(starts or terms.starts, terms.starts)
    over = ends is not None and (ends < moment.today or (starts is not None and ends < starts))
    if line.isinactive or line.isgroupdesc or over:
        return None
    behind = licence_behind(line) if calculated(line) else None
    licence = licences.get(behind) if behind is not None else None
    shown = quantity(line)
    if licence is not None:
        shown = counted(licence)
    mark = (line.comment_2 or "").strip()
    return BilledLine(
        id=str(LineId(line.id, licence.id if licence else None)),
        agreement_id=terms.id,
        customer_id=str(terms.row.client_id),
        product_id=str(line.item_id or ""),
        product=line.item_code or "",
        name=line.short or line.item_code or f"line {line.id}",
        quantity=shown,
        unit_price=units(line.unit_price),
        unit_cost=units(line.unit_cost),
        starts=starts,
        ends=ends,
        once=once,
        marker=mark if mark.startswith((FAMILY, own)) else "",
        version=version(line, licence, len(terms.row.lines)),
        changed_by=changed_by,
        obstacle=obstacle(line, licences, moment),
    )


def _in_one_period(starts: date | None, ends: date | None, terms: Terms, moment: Moment) -> bool:
    if starts is None or ends is None:
        return False
    return ends <= (terms.period(starts) or period_on(starts, moment.period.first)).last


def counted(licence: Licence) -> Decimal:
    """A licence's count. Raises VendorError `malformed` for none."""
    if licence.count is None:
        raise VendorError("malformed", f"the Halo licence #{licence.id} shows no count")
    return units(licence.count) or Decimal(0)
