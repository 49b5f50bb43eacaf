"""What an agreement's dates mean: its billing period, how far it is invoiced, why nothing can be posted to it.

Pure. A child agreement bills on its parent's invoice, and its own next invoice date can be stale, so the dates are
always those of the topmost parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from connectors.connectwise import payloads
from connectors.connectwise.dates import day
from syncd.model import Agreement
from syncd.periods import DAY, Period, period_on

# Billing cycles by their usual names, letters only; the MSP can rename them, and an unknown one tells no period.
_MONTHS = {
    "month": 1,
    "monthly": 1,
    "calendarmonth": 1,
    "quarter": 3,
    "quarterly": 3,
    "semiannual": 6,
    "semiannually": 6,
    "halfyearly": 6,
    "annual": 12,
    "annually": 12,
    "year": 12,
    "yearly": 12,
}
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """An agreement as read, with the dates that bill it. `row` is its own record, `dated` the topmost parent's."""

    row: payloads.Agreement
    dated: payloads.Agreement
    orphan: bool
    months: int | None
    bill_start: date | None
    next_invoice: date | None
    last_invoice: date | None

    @property
    def id(self) -> str:
        """The agreement's id as syncd writes it."""
        return str(self.row.id)

    def period(self, on: date) -> Period | None:
        """The billing period that holds a day; None where cycle or billing start are not told.

        Counted from the billing start. With the invoicing cycle CalendarYear it follows the calendar instead, unless
        the next invoice date is a first day of the former and not of the latter (by the fields' names, unconfirmed).
        """
        if self.months is None or self.bill_start is None:
            return None
        contract = period_on(on, self.bill_start, self.months)
        if self.dated.invoicing_cycle != "CalendarYear":
            return contract
        january = date(self.bill_start.year, 1, 1)
        calendar = period_on(on, january, self.months)
        if calendar != contract and (day_of := self.next_invoice) is not None:
            begins_contract = period_on(day_of, self.bill_start, self.months).first == day_of
            begins_calendar = period_on(day_of, january, self.months).first == day_of
            if begins_contract and not begins_calendar:
                return contract
        if calendar.first < self.bill_start <= calendar.last:
            return Period(self.bill_start, calendar.last)  # the first period is a part of one
        return calendar

    def in_advance(self, invoicing: Literal["advance", "arrears"]) -> bool:
        """Whether an invoice bills the period that it opens; period types Future and Both say so by name."""
        return self.dated.period_type in ("Future", "Both") or invoicing == "advance"

    def invoiced_through(self, invoicing: Literal["advance", "arrears"]) -> date | None:
        """Last day that is on an invoice, None where nothing was invoiced or nothing tells.

        In advance, the invoice of day N bills the period that holds N, so all before that period is invoiced. In
        arrears it bills the one just ended, so that one is not invoiced yet. The vendor documents neither
        (unconfirmed); in doubt the earlier day is taken, because a part of a period that is wrongly thought invoiced
        would be charged twice.
        """
        through: date | None = None
        advance = self.in_advance(invoicing)
        if self.next_invoice is not None:
            holding = self.period(self.next_invoice if advance else self.next_invoice - DAY)
            if holding is not None:
                through = holding.first - DAY
            elif advance:
                through = self.next_invoice - DAY
        elif self.last_invoice is not None:
            holding = self.period(self.last_invoice if advance else self.last_invoice - DAY)
            through = holding.last if holding else None
        if through is None or self.bill_start is None or through < self.bill_start:
            return None
        return through

    def last_day(self) -> date | None:
        """The last day of the agreement or of a parent, None where it is open."""
        ends = [_last_day(row) for row in (self.row, self.dated)]
        return min((end for end in ends if end is not None), default=None)

    def over(self, today: date) -> bool:
        """Whether it is cancelled or ended, by flag, status or date."""
        ended = self.last_day()
        return bool(
            {self.row.agreement_status, self.dated.agreement_status} & {"Cancelled", "Expired"}
            or self.row.cancelled_flag
            or self.dated.cancelled_flag
            or (ended is not None and ended < today)
        )

    def over_before(self, day_of: date) -> bool:
        """Whether its last day is known and before a day."""
        ended = self.last_day()
        return ended is not None and ended < day_of

    def living(self, today: date) -> bool:
        """Whether its additions can be billed: neither over nor inactive."""
        return not self.over(today) and "Inactive" not in (self.row.agreement_status, self.dated.agreement_status)

    def obstacle(self, today: date) -> str:
        """Why nothing can be posted to it, in words; "" where it can."""
        name = f'the ConnectWise agreement "{self.row.name}" (#{self.row.id})'
        ended = self.last_day()
        starts = day(self.row.start_date)
        if self.row.cancelled_flag or self.dated.cancelled_flag:
            when = day(self.row.date_cancelled) or day(self.dated.date_cancelled)
            return f"{name} is cancelled{f' since {when}' if when else ''}"
        if ended is not None and ended < today:
            return f"{name} ended on {ended}"
        for row in (self.row, self.dated):
            if row.agreement_status not in (None, "Active"):
                whose = name if row is self.row else f"the parent of {name}"
                return f"{whose} is {(row.agreement_status or '').lower()}, not active"
        if self.orphan:
            return f"the parent of {name} was not found, so its billing dates are not known"
        if starts is not None and starts > today:
            return f"{name} begins only on {starts}"
        if self.bill_start is not None and self.bill_start > today:
            return f"billing of {name} starts only on {self.bill_start}"
        return ""

    def agreement(self, today: date, invoicing: Literal["advance", "arrears"]) -> Agreement:
        """The agreement as syncd knows it on a day."""
        currency = self.row.currency or self.dated.currency
        code = (currency.currency_code or currency.currency_identifier or "") if currency else ""
        return Agreement(
            id=self.id,
            customer_id=str(self.row.company.id),
            name=self.row.name,
            period=self.period(today),
            invoiced_through=self.invoiced_through(invoicing),
            in_advance=self.in_advance(invoicing),
            prorates=bool(self.row.prorate_flag),
            currency=code.upper() if len(code) == 3 and code.isalpha() else "",
            obstacle=self.obstacle(today),
        )


def terms(
    row: payloads.Agreement, all_rows: Mapping[int, payloads.Agreement], recaps: Mapping[int, payloads.Recap]
) -> Terms:
    """The terms of one agreement among all; `recaps` may lack it (the endpoint is optional)."""
    dated, orphan = row, False
    for _ in range(_DEEPEST):
        parent = dated.parent_agreement.id if dated.parent_agreement else None
        if not parent:
            break
        if parent not in all_rows or parent == dated.id:
            orphan = True
            break
        dated = all_rows[parent]
    recap = recaps.get(dated.id)
    cycle = "".join(filter(str.isalpha, ((dated.billing_cycle and dated.billing_cycle.name) or "").casefold()))
    return Terms(
        row=row,
        dated=dated,
        orphan=orphan,
        months=None if orphan else _MONTHS.get(cycle),
        # Without a billing start of its own an agreement is billed from its first day (the vendor's guide does not
        # say; a quantity set on one that is not billed yet costs nobody anything).
        bill_start=None if orphan else day(dated.bill_start_date) or day(dated.start_date),
        next_invoice=day(recap.next_invoice_date if recap else None) or day(dated.next_invoice_date),
        last_invoice=day(recap.last_invoice_date) if recap else None,
    )


def _last_day(row: payloads.Agreement) -> date | None:
    ends = None if row.no_ending_date_flag else day(row.end_date)
    cancelled = day(row.date_cancelled) if row.cancelled_flag else None
    return min((one for one in (ends, cancelled) if one is not None), default=None)
