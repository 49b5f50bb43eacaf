"""What a recurring invoice's dates mean: its billing period, how far it is invoiced, why nothing can be posted to it.

Pure. The vendor does not publish its period codes, so the length of a period is taken from the period's name, else from
the days between the last invoice and the next one; where neither tells, no period is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from connectors.halopsa import payloads
from connectors.halopsa.dates import day
from syncd.model import Agreement
from syncd.periods import DAY, Period, add_months, period_on

_MONTHS = {
    "monthly": 1,
    "month": 1,
    "1month": 1,
    "bimonthly": 2,
    "2monthly": 2,
    "quarterly": 3,
    "3monthly": 3,
    "6monthly": 6,
    "halfyearly": 6,
    "semiannually": 6,
    "biannually": 6,
    "yearly": 12,
    "annually": 12,
    "annual": 12,
    "12monthly": 12,
    "2yearly": 24,
    "3yearly": 36,
}
# Lengths that are believed where only two dates tell them.
_USUAL = (1, 2, 3, 6, 12, 24, 36)


@dataclass(frozen=True, slots=True)
class Terms:
    """A recurring invoice as read, with its dates. `months`: length of its period, None where nothing tells."""

    row: payloads.Recurring
    months: int | None
    starts: date | None
    ends: date | None
    next_invoice: date | None
    last_invoice: date | None

    @property
    def id(self) -> str:
        """The id as syncd writes it: negative."""
        return str(self.row.id)

    @property
    def title(self) -> str:
        """What people call it."""
        return self.row.name or self.row.reference or self.row.contract_ref or f"recurring invoice {self.row.id}"

    def period(self, on: date) -> Period | None:
        """The billing period that holds a day, counted from the next invoice; None where nothing tells it."""
        if self.months is None or self.next_invoice is None:
            return None
        return period_on(on, self.next_invoice, self.months, self._anchor_day(self.next_invoice))

    def _anchor_day(self, next_invoice: date) -> int:
        """The day of the month on which periods begin. One of the 31st is invoiced on the last day of a shorter month:
        then the latest day that the dates name is meant, or its periods would overlap from month to month. Where the
        last invoice bore the same day in the midst of its month, the vendor stays on that day."""
        last = self.last_invoice
        stays = last is not None and last.day == next_invoice.day and not _ends_month(last)
        if stays or not _ends_month(next_invoice):
            return next_invoice.day
        return max(day.day for day in (next_invoice, last, self.starts) if day is not None)

    def invoiced_through(self, invoicing: Literal["advance", "arrears"]) -> date | None:
        """Last day that is on an invoice, None where nothing was invoiced or nothing tells.

        In advance the invoice of day N bills what begins on N, so all before N is invoiced; in arrears it bills the
        period that ended, so that one is not invoiced yet. The vendor documents neither (README); in doubt the earlier
        day is taken.
        """
        if self.next_invoice is None:
            return None
        through = self.next_invoice - DAY
        if invoicing == "arrears":
            if self.months is None:
                return None
            anchor_day = self._anchor_day(self.next_invoice)
            through = add_months(self.next_invoice, -self.months, anchor_day) - DAY
        began = self.starts or self.last_invoice
        return through if began is not None and through >= began else None

    def over(self, today: date) -> bool:
        """Whether it is switched off or ended."""
        return bool(self.row.disabled) or (self.ends is not None and self.ends < today)

    def obstacle(self, today: date) -> str:
        """Why nothing can be posted to it, in words; "" where it can."""
        name = f'the HaloPSA recurring invoice "{self.title}" (#{self.row.id})'
        if self.row.disabled:
            return f"{name} is disabled"
        if self.ends is not None and self.ends < today:
            return f"{name} ended on {self.ends}"
        if self.starts is not None and self.starts > today:
            return f"{name} begins only on {self.starts}"
        return ""

    def agreement(self, today: date, invoicing: Literal["advance", "arrears"]) -> Agreement:
        """It as the core sees it. It takes dated lines for days that are invoiced, because those are documents of their
        own (drafts), priced by syncd."""
        named = (self.row.name, self.row.reference, self.row.contract_ref)
        code = (self.row.currency or "").strip()
        return Agreement(
            id=self.id,
            customer_id=str(self.row.client_id),
            name=self.title,
            period=self.period(today),
            invoiced_through=self.invoiced_through(invoicing),
            in_advance=invoicing == "advance",
            prorates=True,
            currency=code.upper() if len(code) == 3 and code.isalpha() else "",
            labels=tuple(dict.fromkeys(one for one in named if one and one != self.title)),
            obstacle=self.obstacle(today),
        )


def _ends_month(day: date) -> bool:
    return (day + DAY).day == 1


def terms(row: payloads.Recurring) -> Terms:
    """The terms of one recurring invoice. Raises VendorError `malformed` for a date that cannot be read."""
    schedule = row.schedule or payloads.Schedule()
    following = day(row.nextcreationdate) or day(schedule.nextcreationdate)
    last = day(row.lastcreated) or day(schedule.lastcreated)
    return Terms(row, _months(row, last, following), day(row.startdate), day(row.enddate), following, last)


def _months(row: payloads.Recurring, last: date | None, following: date | None) -> int | None:
    name = "".join(filter(str.isalnum, (row.periodname or "").casefold()))
    if name:
        return _MONTHS.get(name)
    if last is None or following is None:
        return None
    return next((months for months in _USUAL if add_months(last, months, following.day) == following), None)
