"""Metered usage of one company in the running month: summaries, then the lines of the last day that has any.

Vendors post a month's total again and again; the newest posting replaces the older ones, also within a day. So the
lines of the newest day are the total, and days are never added together. Until the 2nd (UTC) the month before may still
change, and Pax8 charges it three days after its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from decimal import Decimal

from connectors.pax8.api import Api
from connectors.pax8.payloads import Subscription, UsageLine, UsageSummary
from connectors.pax8.values import day, quotient, units
from syncd.errors import VendorError
from syncd.model import Count, Moment
from syncd.money import ZERO, plain
from syncd.periods import DAY, Period, month_of

# From this day on the month before cannot change any more.
SETTLED_DAY = 4


@dataclass
class _Tally:
    """One metered product while its lines are added."""

    name: str
    unit: str
    quantity: Decimal = ZERO
    cost: Decimal | None = ZERO
    currencies: set[str] = field(default_factory=set)
    days: set[date] = field(default_factory=set)


def running_month(rows: Sequence[Subscription], moment: Moment) -> list[Subscription]:
    """The subscriptions that can have usage this month: those not ended before it and begun by today."""
    month = month_of(moment.today)
    chosen = []
    for row in rows:
        name = f"subscription {row.id}"
        first = day(row.start_date, f"{name} › startDate") or day(row.billing_start, f"{name} › billingStart")
        last = day(row.end_date, f"{name} › endDate")
        if first is not None and first <= moment.today and (last is None or last >= month.first):
            chosen.append(row)
    return chosen


def counts(api: Api, company_id: str, rows: Sequence[Subscription], moment: Moment) -> tuple[tuple[Count, ...], str]:
    """(one Count for each metered product, proof). Raises VendorError."""
    month = month_of(moment.today)
    tallies: dict[str, _Tally] = {}
    summaries = days = 0
    for row in running_month(rows, moment):
        found = api.whole(
            f"subscriptions/{row.id}/usage-summaries",
            UsageSummary,
            what="usage summaries",
            params={"companyId": company_id, "sort": "resourceGroup,asc"},
            key=lambda summary: summary.id,
        )
        for summary in found.rows:
            if summary.company_id != company_id:
                raise VendorError(
                    "wrong_tenant", f"usage of company {company_id} was asked for, {summary.company_id} came"
                )
            summaries += 1
            lines = _newest(api, summary, month, moment)
            days += bool(lines)
            for line in lines:
                if not (line.is_trial or summary.is_trial):
                    _add(tallies, line)
    note = _settling(moment)
    made = tuple(_count(sku, tally, note) for sku, tally in sorted(tallies.items()))
    return made, f"{summaries} of {summaries} usage summaries, {days} with lines, of {len(rows)} subscriptions"


def _newest(api: Api, summary: UsageSummary, month: Period, moment: Moment) -> list[UsageLine]:
    """The lines of the newest day of this month that has any. Raises VendorError, `incomplete` where charges are told
    and no line is there."""
    today = moment.now.astimezone(UTC).date()
    asked = min(today, month.last)
    while asked >= month.first:
        found = api.whole(
            f"usage-summaries/{summary.id}/usage-lines",
            UsageLine,
            what="usage lines",
            params={"usageDate": asked.isoformat()},
        )
        for line in found.rows:
            if line.usage_summary_id not in (None, summary.id):
                raise VendorError(
                    "wrong_tenant", f"lines of summary {summary.id} were asked for, {line.usage_summary_id} came"
                )
            if day(line.usage_date, "usageDate") != asked:
                raise VendorError("malformed", f"usage of {asked} was asked for, {line.usage_date[:40]} came")
        if found.rows:
            return list(found.rows)
        asked -= DAY
    charged = summary.current_charges or summary.partner_total
    if charged and today in month and today.day >= SETTLED_DAY:
        raise VendorError("incomplete", f"usage summary {summary.id} tells charges, but no day of {month} has lines")
    return []


def _add(tallies: dict[str, _Tally], line: UsageLine) -> None:
    unit = line.unit_of_measure or ""
    tally = tallies.setdefault(line.product_id, _Tally(line.product_name or line.product_id, unit))
    if tally.unit != unit:
        raise VendorError(
            "malformed", f"usage of product {line.product_id} comes in {tally.unit!r} and {unit!r}: not to be added"
        )
    tally.quantity += units(line.quantity, f"usage of product {line.product_id}")
    if tally.cost is None or line.partner_total is None:
        tally.cost = None
    else:
        tally.cost += line.partner_total
    tally.currencies.add(line.currency_code or "")
    found = day(line.usage_date, "usageDate")
    if found is not None:
        tally.days.add(found)


def _count(sku: str, tally: _Tally, note: str) -> Count:
    cost = quotient(tally.cost, tally.quantity) if tally.cost is not None and len(tally.currencies) == 1 else None
    newest = f"as of {max(tally.days)}" if tally.days else ""
    total = ""
    if cost is None and tally.cost is not None and len(tally.currencies) == 1:
        total = f"costs {plain(tally.cost)} {next(iter(tally.currencies))} in all".replace("  ", " ")
    return Count(
        sku=sku,
        name=f"{tally.name} ({tally.unit})" if tally.unit else tally.name,
        quantity=tally.quantity,
        aliases=() if tally.name == sku else (tally.name,),
        note="; ".join(part for part in (newest, total, note) if part),
        unit_cost=cost,
        currency=next(iter(tally.currencies)) if cost is not None else "",
    )


def _settling(moment: Moment) -> str:
    """What is not settled yet: in the first days of a month the one before may still change."""
    today = moment.now.astimezone(UTC).date()
    if today.day >= SETTLED_DAY:
        return ""
    before = today.replace(day=1) - timedelta(days=1)
    return f"{before:%Y-%m} may still change until the 2nd and is settled on the {SETTLED_DAY}th"
