"""What a write's answer means: RELIABILITY's closed table, once, for every connector."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from syncd.connect.http import Reply
from syncd.connect.limits import LONGEST_HOLD
from syncd.connect.retry import retry_after
from syncd.model import NotSent, Outcome, Receipt, Refused, Unknown

# Statuses that mean "refused" when they come with the vendor's own error shape.
_REFUSING = frozenset({400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422})


def outcome(
    reply: Reply | NotSent | Unknown,
    *,
    receipt: Callable[[Reply], Receipt | None],
    refused: Callable[[Reply], Refused | None],
    throttled_is_harmless: bool,
) -> Outcome:
    """Maps an answer to one of the four outcomes; whatever the table does not name is Unknown.

    `receipt` reads a 2xx and returns None where its body does not show what was asked. `refused` reads a 4xx and
    returns None where the body is not the vendor's own error shape (a proxy's page says nothing about the vendor).
    """
    if isinstance(reply, NotSent | Unknown):
        return reply
    if 200 <= reply.status < 300:
        return receipt(reply) or Unknown(f"{reply.where} answered {reply.status} but does not show what was asked")
    if reply.status in _REFUSING and (refusal := refused(reply)):
        return refusal
    if reply.status == 429 and throttled_is_harmless:
        named = retry_after(reply.headers.get("retry-after"), datetime.now(UTC)) or 0.0
        wait = Decimal(math.ceil(min(named, LONGEST_HOLD)))
        return NotSent("the vendor throttles; it documents that a throttled call does nothing", wait)
    return Unknown(f"{reply.where} answered with status {reply.status}, which does not tell whether it was done")
