"""Metered usage of one company in one month: summaries, then the lines of the last day that has any.

Vendors post a month's total again and again; the newest posting replaces the older ones, also within a day. So the
lines of the newest day are the total, and days are never added together. Until the 2nd (UTC) the month before may still
change, and Pax8 charges it three days after its end: it is settled on the 4th. A month that is over and not settled is
not whole, so that nothing is billed for it; the running month shows what was used so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from decimal import Decimal
from zoneinfo import ZoneInfo

from connectors.pax8.api import Api
from connectors.pax8.payloads import Subscription, UsageLine, UsageSummary
from connectors.pax8.values import day
from syncd.connect.values import quotient, units
from syncd.errors import VendorError
from syncd.model import Count, Moment
from syncd.money import ZERO, plain
from syncd.periods import DAY, Period, local_date, month_of

# From this day (UTC) on the month before cannot change any more.
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


@dataclass(frozen=True, slots=True)
class Asked:
    """The month that is asked for. `over`: it is no longer the MSP's running one. `settles`: the day (UTC) from which
    it can no longer change."""

    month: Period
    over: bool
    settles: date


def asked(moment: Moment, zone: ZoneInfo) -> Asked:
    """The month of a moment, which may be one that is over. Raises VendorError: `unsupported` for a period that is over
    and no calendar month, Unsettled for a month that may still change."""
    over = local_date(moment.now, zone) > moment.period.last
    month = month_of(moment.today)
    if over and moment.period != month:
        raise VendorError(
            "unsupported",
            f"Pax8 tells usage by calendar months, and {moment.period} is none; bill it in an agreement by the month",
        )
    settles = (month.last + DAY).replace(day=SETTLED_DAY)
    if over and moment.now.astimezone(UTC).date() < settles:
        raise Unsettled(
            f"usage of {month} may still change until {settles.replace(day=2)} (UTC) and is settled on {settles}"
        )
    return Asked(month, over, settles)


class Unsettled(VendorError):
    """The month is over, and vendors may still post to it: what can be read now is a part of it."""

    def __init__(self, message: str) -> None:
        super().__init__("incomplete", message)


def _of_month(rows: Sequence[Subscription], month: Period, today: date) -> list[Subscription]:
    """The subscriptions that can have usage in a month: those not ended before it and begun by its end, or today."""
    begun = min(month.last, today)
    chosen = []
    for row in rows:
        name = f"subscription {row.id}"
        first = day(row.start_date, f"{name} › startDate") or day(row.billing_start, f"{name} › billingStart")
        last = day(row.end_date, f"{name} › endDate")
        if first is not None and first <= begun and (last is None or last >= month.first):
            chosen.append(row)
    return chosen


def counts(
    api: Api, company_id: str, rows: Sequence[Subscription], moment: Moment, zone: ZoneInfo
) -> tuple[tuple[Count, ...], str]:
    """(one Count for each metered product of the month asked for, proof). Raises VendorError, see `asked`."""
    wanted = asked(moment, zone)
    month = wanted.month
    tallies: dict[str, _Tally] = {}
    summaries = days = 0
    for row in _of_month(rows, month, moment.today):
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
    note = f"all of {month}" if wanted.over else f"so far in {month}"
    made = tuple(_count(sku, tally, note) for sku, tally in sorted(tallies.items()))
    proof = f"{summaries} of {summaries} usage summaries, {days} with lines, of {len(rows)} subscriptions"
    return made, f"{proof}; {'settled' if wanted.over else f'{month} settles'} on {wanted.settles}"


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
