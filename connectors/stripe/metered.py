"""What meters counted, as lines: for each metered item its usage of the running period, and of the one before it.

The running period's is what a rule with `meter` keeps at its target; the one before is what the newest invoice charged.
A meter counts by customer, not by item: two items on one meter would both charge every event, so that nothing is
reported there. Whoever's key may not read meters has no usage told, and nothing more is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from connectors.stripe import times
from connectors.stripe.payloads import Item, Meter
from connectors.stripe.usage import Meters, unfit
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine
from syncd.money import ZERO


@dataclass(frozen=True, slots=True)
class Metered:
    """A metered item as read: its line, its subscription, the seconds of its running period."""

    line: BilledLine
    item: Item
    agreement: Agreement
    period: tuple[int, int]

    @property
    def meter(self) -> str:
        """The meter's id."""
        return (self.item.price.recurring.meter if self.item.price.recurring else None) or ""


def usage_lines(metered: Sequence[Metered], meters: Meters, zone: ZoneInfo) -> Iterator[BilledLine]:
    """The lines of one customer's metered items. Raises VendorError where asking on is useless; what else could not be
    read is the line's obstacle."""
    beside: dict[str, list[str]] = defaultdict(list)
    for one in metered:
        beside[one.meter].append(one.item.id)
    for one in metered:
        try:
            meter = meters.active().get(one.meter)
        except VendorError as error:
            yield _told(one, one.period, zone, obstacle=_unread(error))
            continue
        if why := _unusable(one, meter, beside[one.meter]):
            yield replace(_told(one, one.period, zone, obstacle=why), meter=meter.event_name if meter else one.meter)
            continue
        assert meter is not None
        yield _counted(one, one.period, meter, meters, zone)
        every = one.item.price.recurring
        before = times.preceding(one.period[0], every.interval, every.interval_count) if every else None
        if before is not None and not (line := _counted(one, before, meter, meters, zone)).obstacle:
            yield line


def _unread(error: VendorError) -> str:
    if error.code in FATAL:
        raise error
    return f"what the meter counted could not be read: {error}"


def _unusable(one: Metered, meter: Meter | None, items: Sequence[str]) -> str:
    """Why nothing can be reported for an item, "" where it can."""
    if meter is None:
        return f"the Stripe meter {one.meter} of the item {one.item.id} is not active"
    if why := unfit(meter):
        return why
    if len(items) > 1:
        return (
            f"{len(items)} Stripe items of the customer ({', '.join(items)}) bill the meter {meter.event_name!r}, and "
            "each would charge every event; let one bill it"
        )
    if one.agreement.period is None:
        return f"the items of the Stripe subscription {one.agreement.id} have several periods; meters need one"
    return ""


def _counted(one: Metered, period: tuple[int, int], meter: Meter, meters: Meters, zone: ZoneInfo) -> BilledLine:
    try:
        units = meters.counted(meter.id, one.agreement.customer_id, *period)
    except VendorError as error:
        return replace(_told(one, period, zone, obstacle=_unread(error)), meter=meter.event_name)
    return replace(_told(one, period, zone), quantity=units, meter=meter.event_name)


def _told(one: Metered, period: tuple[int, int], zone: ZoneInfo, *, obstacle: str = "") -> BilledLine:
    days = times.days(*period, zone)
    return replace(
        one.line, id=f"{one.item.id}/{one.meter}/{days.first}", quantity=ZERO, starts=days.first, ends=days.last,
        once=True, marker="", version="", obstacle=obstacle, meter=one.meter,
    )  # fmt: skip
