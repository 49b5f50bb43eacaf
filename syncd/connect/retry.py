"""Two policies, and nothing else in syncd repeats a request.

`reading` repeats what may be repeated: transport failures, throttling, and the statuses that mean "not now".
There is no policy that repeats a sending: a write that may have been received is looked for, never sent again
(RELIABILITY, rule 6). `NotSent` goes back to the ledger, which sends it again under the same key.
"""

from __future__ import annotations

import email.utils
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

T = TypeVar("T")

ATTEMPTS = 6
NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504, 509, *range(520, 528)})


class Again(Exception):
    """A reading that may be repeated. `wait`: seconds the vendor named, None where it named none."""

    def __init__(self, error: Exception, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


# Made once: tenacity's predicates refer to themselves, and one for each request is work for the garbage collector.
_STOP = stop_after_attempt(ATTEMPTS)
_RETRY = retry_if_exception_type(Again)


def reading(attempt: Callable[[], T], *, first_wait: float, pause: Callable[[float], None]) -> T:
    """Runs `attempt` until it stops raising Again, at most ATTEMPTS times, then raises the last one's own error.

    Waits grow from `first_wait` seconds with jitter, up to 30 s; a wait that the vendor named is taken instead.
    """
    grow = wait_exponential(multiplier=first_wait, max=max(30.0, first_wait)) + wait_random(0, first_wait)

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        named = error.wait if isinstance(error, Again) else None
        return named if named is not None else float(grow(state))

    retrying = Retrying(
        stop=_STOP,
        wait=wait,
        retry=_RETRY,
        sleep=lambda seconds: pause(float(seconds)),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except Again as again:
        raise again.error from None


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header: whole, fractional (Graph sends 2.128) or an HTTP date; None where unusable."""
    if not value:
        return None
    try:
        seconds = Decimal(value.strip())
    except InvalidOperation:
        try:
            until = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max((until - now).total_seconds(), 0.0)
    return float(seconds) if seconds.is_finite() and seconds >= 0 else None
