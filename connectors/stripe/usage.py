"""Usage events of meters: what is sent, and how an event is found again.

Stripe reads no event back. But it tells what a meter counted of a customer in any one minute; so every posting has a
minute of its own, by the part of the period's usage that it is, on the second day of the period that it is dated into:
a day that lies inside the subscription's period whatever the hour at which that begins, and that is over when the usage
is reported. An event is there when its minute shows its value.

Only meters that add up can be posted to: a posting is the part that is not yet charged, not the level that was reached.
An event that adds less than nothing takes something off ("recording negative quantities", Stripe › Configure meters),
as long as its period runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from connectors.stripe import times
from connectors.stripe.api import Api
from connectors.stripe.forms import Value
from connectors.stripe.payloads import Meter, Summary
from syncd.clock import Clock
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Posting, Sight
from syncd.money import ZERO, plain
from syncd.periods import DAY

METER = "meter"
# Names a part of a period's usage, and its number: "k3f9a7/2".
PART = "part"
CUSTOMER_KEY = "stripe_customer_id"
VALUE_KEY = "value"
# Older events are refused (docs.stripe.com, recording usage).
OLDEST_DAYS = 35
_MINUTES_OF_A_DAY = 1440
# Sums are told as binary floats; so many decimals of them are exact for any number of units that is ever billed.
PLACES = 6


def day(posting: Posting) -> date:
    """The day under which usage is reported. Raises ValueError for a posting without days."""
    if posting.starts is None:
        raise ValueError("usage needs the days that it is dated into")
    return posting.starts if posting.ends == posting.starts else posting.starts + DAY


def minute(posting: Posting, zone: ZoneInfo) -> int:
    """The first second of the posting's own minute: parts of one period have minutes side by side, from one on that is
    drawn for the period."""
    name, _, number = posting.options.get(PART, posting.marker).partition("/")
    drawn = int(hashlib.sha256(name.encode()).hexdigest(), 16) + int(number or 0)
    first, after = times.instant(day(posting), zone), times.instant(day(posting) + DAY, zone)
    return first + drawn % _MINUTES_OF_A_DAY * 60 % (after - first)


def fields(posting: Posting, zone: ZoneInfo) -> dict[str, Value]:
    """The event's fields. Raises ValueError for a posting without a meter."""
    meter = posting.options.get(METER, "")
    if not meter:
        raise ValueError("usage needs the name of its meter")
    return {
        "event_name": meter,
        "identifier": posting.marker,
        "timestamp": minute(posting, zone),
        "payload": {CUSTOMER_KEY: posting.customer_id, VALUE_KEY: plain(posting.quantity)},
    }


class Meters:
    """The account's meters, and what they counted. Thread-safe."""

    def __init__(self, api: Api, zone: ZoneInfo, clock: Clock) -> None:
        self._api = api
        self._zone = zone
        self._clock = clock
        self._active = Once(lambda: api.whole("v1/billing/meters", Meter, "meters", {"status": "active"}).rows)

    def active(self) -> Mapping[str, Meter]:
        """The meters that take events, by id. Raises VendorError."""
        return {one.id: one for one in self._active.get()}

    def counted(self, meter: str, customer: str, start: int, end: int) -> Decimal:
        """What a meter, by id, counted of a customer from one second to another; both are taken down to the minute, and
        of minutes to come there is nothing. Raises VendorError."""
        start, end = start - start % 60, min(end, int(self._clock().timestamp())) // 60 * 60
        if end <= start:
            return ZERO
        found = self._api.whole(
            f"v1/billing/meters/{meter}/event_summaries", Summary, "summaries",
            {"customer": customer, "start_time": start, "end_time": end},
        )  # fmt: skip
        if any(row.start_time < start or row.end_time > end for row in found.rows):
            raise VendorError("malformed", "Stripe told the usage of another time than was asked for")
        return Decimal(plain(round(sum((row.aggregated_value for row in found.rows), ZERO), PLACES)))

    def find(self, posting: Posting) -> Sight:
        """Whether the event was counted. Raises VendorError, before anything leaves, where the meter cannot take it."""
        meter = self._meter(posting.options.get(METER, ""))
        start = minute(posting, self._zone)
        if start + 60 > self._clock().timestamp():
            raise VendorError("invalid", f"Stripe takes no usage of days to come: {day(posting)} is not over yet")
        counted = self.counted(meter.id, posting.customer_id, start, start + 60)
        if counted == posting.quantity:
            return Found(posting.marker, counted)
        if counted == 0:
            return Absent()
        return Moved(
            f"the minute in which syncd reports this usage to the Stripe meter {meter.event_name!r} holds "
            f"{plain(counted)} units instead of {plain(posting.quantity)}; look at the customer's meter events"
        )

    def _meter(self, name: str) -> Meter:
        named = [one for one in self._active.get() if one.event_name == name]
        if len(named) != 1:
            raise VendorError("invalid", f"Stripe has {len(named)} active meters with the event name {name!r}")
        [meter] = named
        if why := unfit(meter):
            raise VendorError("unsupported", why)
        return meter


def unfit(meter: Meter) -> str:
    """Why parts cannot be reported to a meter, "" where they can."""
    told = f"the Stripe meter {meter.event_name!r}"
    if meter.default_aggregation.formula != "sum":
        return (
            f"{told} takes the {meter.default_aggregation.formula} of its events; syncd reports parts that must be "
            "added up: name a meter with the formula sum"
        )
    if meter.event_time_window:
        return f"{told} keeps one event for each {meter.event_time_window} and would drop others"
    keys = (meter.customer_mapping.event_payload_key, meter.value_settings.event_payload_key)
    if keys != (CUSTOMER_KEY, VALUE_KEY):
        return f"{told} does not read {CUSTOMER_KEY} and {VALUE_KEY} from its events; make one that does"
    return ""
