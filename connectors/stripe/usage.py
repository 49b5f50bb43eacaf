"""Usage events of meters: what is sent, and how an event is found again.

Stripe reads no event back. But it tells what a meter counted of a customer in any one minute; so every posting has a
minute of its own, drawn from its mark, on the second day of the period that it is dated into: a day that lies inside
the subscription's period whatever the hour at which that begins, and that is over when the usage is reported. An event
is there when its minute shows its value.

Only meters that add up can be posted to: a posting is the part that is not yet charged, not the level that was reached.
"""

from __future__ import annotations

import hashlib
from datetime import date
from zoneinfo import ZoneInfo

from connectors.stripe import times
from connectors.stripe.api import Api
from connectors.stripe.forms import Value
from connectors.stripe.payloads import Meter, Summary
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Posting, Sight
from syncd.money import ZERO, plain
from syncd.periods import DAY

METER = "meter"
CUSTOMER_KEY = "stripe_customer_id"
VALUE_KEY = "value"
# Older events are refused (docs.stripe.com, recording usage).
OLDEST_DAYS = 35
_MINUTES_OF_A_DAY = 1440


def day(posting: Posting) -> date:
    """The day under which usage is reported. Raises ValueError for a posting without days."""
    if posting.starts is None:
        raise ValueError("usage needs the days that it is dated into")
    return posting.starts if posting.ends == posting.starts else posting.starts + DAY


def minute(posting: Posting, zone: ZoneInfo) -> int:
    """The first second of the posting's own minute."""
    drawn = int(hashlib.sha256(posting.marker.encode()).hexdigest(), 16) % _MINUTES_OF_A_DAY
    first, after = times.instant(day(posting), zone), times.instant(day(posting) + DAY, zone)
    return first + drawn * 60 % (after - first)


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

    def __init__(self, api: Api, zone: ZoneInfo) -> None:
        self._api = api
        self._zone = zone
        self._active = Once(lambda: api.whole("v1/billing/meters", Meter, "meters", {"status": "active"}).rows)

    def find(self, posting: Posting) -> Sight:
        """Whether the event was counted. Raises VendorError, before anything leaves, where the meter cannot take it."""
        meter = self._meter(posting.options.get(METER, ""))
        start = minute(posting, self._zone)
        found = self._api.whole(
            f"v1/billing/meters/{meter.id}/event_summaries", Summary, "summaries",
            {"customer": posting.customer_id, "start_time": start, "end_time": start + 60},
        )  # fmt: skip
        if any(row.start_time < start or row.end_time > start + 60 for row in found.rows):
            raise VendorError("malformed", "Stripe told the usage of another minute than was asked for")
        counted = sum((row.aggregated_value for row in found.rows), ZERO)
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
        told = f"the Stripe meter {name!r}"
        if meter.default_aggregation.formula != "sum":
            raise VendorError(
                "unsupported",
                f"{told} takes the {meter.default_aggregation.formula} of its events; syncd reports parts that must be "
                "added up: name a meter with the formula sum",
            )
        if meter.event_time_window:
            raise VendorError(
                "unsupported", f"{told} keeps one event for each {meter.event_time_window} and would drop others"
            )
        if (meter.customer_mapping.event_payload_key, meter.value_settings.event_payload_key) != (
            CUSTOMER_KEY,
            VALUE_KEY,
        ):
            raise VendorError(
                "unsupported",
                f"{told} does not read {CUSTOMER_KEY} and {VALUE_KEY} from its events; make one that does",
            )
        return meter
