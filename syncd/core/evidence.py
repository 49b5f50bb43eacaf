"""What is kept of a reading: canonical JSON, with the subjects behind it as content-addressed blobs. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from sys import intern
from typing import Any

import msgspec

from syncd.core.entries import Observation
from syncd.core.rules import Rule
from syncd.model import Billing, Count, Reading, State, Subject, Term
from syncd.money import plain

_ENCODE = msgspec.json.Encoder(order="sorted", enc_hook=str).encode


def canonical(value: Any) -> bytes:
    """JSON that is equal for equal values: sorted keys, no spaces, UTF-8. Our frozen dataclasses are objects with their
    fields, Decimals and days are text."""
    return _ENCODE(value)


def sha256(body: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(body).hexdigest()


def keep_reading(
    connection: str, reading: Reading, *, subjects: str, salt: str, names: bool
) -> tuple[Reading, Observation]:
    """(the reading without its subjects, what the ledger keeps of it).

    `subjects`: "names" keeps who holds each seat, "hashed" a salted digest of each name, "none" nothing. With `names`
    the reading keeps its subjects too, for lines whose description lists them. Hundreds of tenants name the same
    products: each name is held once.
    """
    blobs: dict[str, bytes] = {}
    counts = []
    slim = []
    for count in reading.counts:
        evidence = ""
        if count.subjects is not None and subjects != "none":
            body = canonical([_subject(one, subjects == "hashed", salt) for one in count.subjects])
            evidence = sha256(body)
            blobs[evidence] = body
        slim.append(
            replace(
                count,
                sku=intern(count.sku),
                name=intern(count.name),
                aliases=tuple(map(intern, count.aliases)),
                subjects=count.subjects if names else None,
                evidence=evidence,
            )
        )
        counts.append(_count(count, evidence))
    said = {"state": reading.state, "counts": counts, "code": reading.code, "why": reading.reason}
    # The proof is kept but not compared: "57 of 57 rows" may become "58 of 58" without this customer's help.
    observation = Observation(
        connection,
        reading.customer_id,
        str(reading.query),
        reading.state,
        sha256(canonical(said)),
        canonical({**said, "proof": reading.proof}),
        blobs,
    )
    return replace(reading, counts=tuple(slim)), observation


def keep_silence(connection: str, customer_id: str, what: str) -> Observation:
    """That a source which was read well was not asked for this any more: it is not known from here on."""
    body = canonical({"state": State.UNKNOWN, "counts": [], "code": "", "why": "not asked for any more"})
    return Observation(connection, customer_id, what, State.UNKNOWN, sha256(body), body)


class _Kept(msgspec.Struct):
    """A count as `keep_reading` wrote it, as far as it can be counted again."""

    sku: str
    quantity: Decimal
    name: str = ""
    aliases: tuple[str, ...] = ()


class _KeptReading(msgspec.Struct):
    counts: tuple[_Kept, ...]


_DECODE = msgspec.json.Decoder(_KeptReading).decode


def kept_counts(body: bytes) -> tuple[Count, ...]:
    """The counts of a reading that `keep_reading` wrote. Raises ValueError where it is not one."""
    return tuple(Count(one.sku, one.name, one.quantity, one.aliases) for one in _DECODE(body).counts)


def keep_billing(connection: str, billing: Billing) -> Observation:
    """What the ledger keeps of a customer's agreements and lines."""
    body = canonical(
        {
            "state": billing.state,
            "why": billing.reason,
            "agreements": billing.agreements,
            "lines": billing.lines,
        }
    )
    return Observation(connection, billing.customer_id, "billed", billing.state, sha256(body), body)


def keep_rule(rule: Rule) -> Observation:
    """The rule as it stands, under the digest that lines and entries name."""
    body = canonical(replace(rule, place=""))
    return Observation("", rule.content, "rule", State.KNOWN, rule.content, body)


def _subject(subject: Subject, hashed: bool, salt: str) -> list[str]:
    if hashed:
        return [sha256(f"{salt}\x1f{part}".encode())[:16] for part in (subject.id, subject.name)] + [subject.state]
    return [subject.id, subject.name, subject.state]


def _count(count: Count, evidence: str) -> dict[str, Any]:
    kept: dict[str, Any] = {"sku": count.sku, "name": count.name, "quantity": plain(count.quantity)}
    if count.aliases:
        kept["aliases"] = list(count.aliases)
    if evidence:
        kept["subjects"] = evidence
    if count.free:
        kept["free"] = True
    if count.note:
        kept["note"] = count.note
    if count.unit_cost is not None:
        kept["unit_cost"], kept["currency"] = plain(count.unit_cost), count.currency
    if count.terms:
        kept["terms"] = [_term(term) for term in count.terms]
    return kept


def _term(term: Term) -> list[Any]:
    """Quantity and last day, as ever; what else is known of it follows as an object, where there is something."""
    known: dict[str, Any] = {}
    if term.unit_cost is not None:
        known |= {"unit_cost": plain(term.unit_cost), "currency": term.currency, "months": term.months}
    if term.renews is not None:
        known["renews"] = term.renews
    if term.free_until is not None:
        known["free_until"] = term.free_until.isoformat()
    if term.lower_until is not None:
        known["lower_until"] = term.lower_until.isoformat()
    return [plain(term.quantity), term.last.isoformat(), *([known] if known else [])]
