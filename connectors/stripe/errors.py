"""Turns Stripe's errors into one sentence, and says which answers to a write are refusals. Decides no retry.

Stripe stores the answer under an idempotency key once it began to work, a 500 as well, and gives it again for a day
(`Idempotent-Replayed`). So an answer under a key that was used before says what became of the first request, and a
complaint about the key itself says nothing about it.
"""

from __future__ import annotations

import re

from connectors.stripe.payloads import Failure, Problem
from syncd.connect.http import Reply, explain_plainly
from syncd.model import Refused

_LONGEST = 400
# Parts of keys come back in Stripe's own words ("Invalid API Key provided: sk_test_****1234").
_KEY = re.compile(r"\b(?:sk|rk|pk|whsec)_[\w*]+")
# They speak of another request under the same key, or of one that is under way: nothing is known of this one.
_ABOUT_THE_KEY = frozenset({"idempotency_key_in_use", "lock_timeout", "idempotency_error"})


def problem(reply: Reply) -> Problem | None:
    """Stripe's own error; None where the body has not its shape."""
    body = reply.try_parse(Failure)
    return body.error if body is not None else None


def words(told: Problem) -> str:
    """What Stripe says, on one line and without any part of a key."""
    said = " ".join((told.message or told.code or told.type).split()).rstrip(" .")
    code = f" ({told.code})" if told.code and told.code not in said else ""
    return _KEY.sub("…", said)[:_LONGEST] + code


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    told = problem(reply)
    if told is None:
        code, sentence = explain_plainly(reply)
        return code, f"{sentence}, and not with Stripe's own error (a proxy in between?)"
    says = words(told)
    request = reply.headers.get("request-id", "")
    trace = f" [{request}]" if request else ""
    match reply.status:
        case 401:
            return "unauthorized", f"Stripe refuses api_key: {says}. Make a new key in Stripe › Developers › API keys"
        case 403:
            return "forbidden", (
                f"the key may not {reply.where}: {says}. Give it this permission in Stripe › Developers › API keys"
            )
        case 404:
            return "not_found", f"Stripe does not find it: {says}{trace}"
        case 429:
            return "throttled", f"Stripe throttles: {says}{trace}"
        case status if status >= 500 or status == 409:
            return "unavailable", f"Stripe failed at {reply.where} with status {status}: {says}{trace}"
        case _:
            return "invalid", f"Stripe rejected {reply.where}: {says}{trace}"


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else answered, or where it speaks of another request."""
    told = problem(reply)
    if told is None or reply.status == 409 or told.type == "idempotency_error" or told.code in _ABOUT_THE_KEY:
        return None
    if told.param == "identifier" or "identifier" in (told.message or ""):
        return None  # the event's identifier was taken before: by this very event, most likely
    code, sentence = explain(reply)
    return Refused(code, sentence)


def harmless(reply: Reply) -> bool:
    """Whether a 429 comes from the rate limiters, which stand before everything else."""
    told = problem(reply)
    return told is not None and told.code not in _ABOUT_THE_KEY
