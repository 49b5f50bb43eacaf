"""A bad network before every connector: what a proxy of bytes spoils at a write, through syncd's own machine (T3).

What the vendor itself answers badly is in `test_contract_once`; the same faults at every read, and every one of them at
the real process, are in tests/death/test_death_network.py. The judge is the double's own record.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import contract_kit
import pytest
from contract_book import Book, book
from contract_kit import ALL, BILLING, OFFERED, Stage, stage
from contract_postings import postings

from syncd.connect.http import PATIENCE_FACTOR
from syncd.core.entries import EntryState
from syncd.model import OWN_ACTIONS, Operation

sys.path.insert(0, str(Path(__file__).parents[1] / "death"))

from death_proxy import DELIVERED, Proxy, Strike

# Those that no double plays; the others differ from the faults of `test_contract_once` by little.
NETWORK = (
    "reset during", "silence before", "half open", "slow loris", "garbage", "too short", "not TLS", "late", "twice",
)  # fmt: skip
# Seconds of silence; a body that drips is given up after PATIENCE_FACTOR times as much.
PATIENCE = 0.4
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def named(kind: str, operation: Operation) -> bool:
    """Whether the vendor promises that the same bytes twice are one change: they set a value, or it knows the name."""
    delivery = ALL[kind].abilities.operations[operation]
    return delivery.vendor_class in ("S", "U") or bool(delivery.key_life)


@dataclass(frozen=True)
class Story:
    """How one operation's entry went: after the fault, at once again, and at the end; and what the double did."""

    states: tuple[EntryState, EntryState, EntryState]
    done_at_once: int
    done: int
    verified: bool


@contextmanager
def behind(kind: str) -> Iterator[tuple[Stage, Book, Proxy]]:
    """A kind that reaches its double through a proxy; its sign-in goes straight there."""
    proxy = Proxy("http://127.0.0.1:1")
    before, contract_kit.PATIENCE = contract_kit.PATIENCE, PATIENCE
    try:
        with stage(kind, base_url=proxy.url) as one, book(one) as ledger:
            proxy._to = ("127.0.0.1", urlsplit(one.running.url).port or 0)
            yield one, ledger, proxy
    finally:
        contract_kit.PATIENCE = before
        proxy.close()


@functools.cache
def stories(kind: str, fault: str) -> dict[Operation, Story]:
    """Every operation of a kind through the ledger, each struck once at its write."""
    found = {}
    with behind(kind) as (one, ledger, proxy):
        deliveries = one.connector.abilities.operations
        quiet = max(delivery.request_life for delivery in deliveries.values()) + timedelta(seconds=1)
        for operation, made in postings(one).items():
            if deliveries[operation].vendor_class == "D":
                continue
            one.settled()
            ledger.write_down(made)
            wire = ledger.entry(operation).intent.wire
            proxy.aim(Strike(fault, wire.method, re.escape("/" + wire.path.partition("?")[0].strip("/")) + "$"))
            ledger.send(operation)
            assert proxy.struck == 1, f"it never came to {fault}"
            first, at_once = ledger.entry(operation).state, one.writes()
            ledger.later(timedelta(seconds=1))
            again = ledger.entry(operation).state
            if fault == "late":  # it lands while syncd waits for it
                proxy.deliver()
            for _ in range(2):  # the second one finds everything at rest
                ledger.later(quiet)
            last = ledger.entry(operation).state
            found[operation] = Story((first, again, last), at_once, one.writes(), ledger.ledger.verify() == [])
    return found


CASES = [
    pytest.param(kind, fault, operation, id=f"{kind}-{fault}-{operation}")
    for fault in NETWORK
    for kind, operation in OFFERED
    if ALL[kind].abilities.operations[operation].vendor_class != "D" and (fault != "twice" or named(kind, operation))
]


@pytest.mark.parametrize(("kind", "fault", "operation"), CASES)
def test_one_posting_has_one_effect_on_a_bad_network(kind: str, fault: str, operation: Operation) -> None:
    story = stories(kind, fault)[operation]
    first, again, last = story.states
    assert last is EntryState.POSTED, story
    if fault == "twice" and ALL[kind].abilities.operations[operation].vendor_class == "S":
        assert story.done <= 2  # the same value twice
    else:
        assert story.done == 1, story
    if DELIVERED[fault]:
        assert first is EntryState.POSTED, story  # found by the look that follows at once, or answered
        assert story.done_at_once >= 1
    else:
        assert (first, again) == (EntryState.UNKNOWN, EntryState.UNKNOWN), story  # told, and not repeated
        assert story.done_at_once == 0
    assert story.verified


def test_every_fault_of_the_network_is_played_somewhere() -> None:
    """T3 names fourteen: those that are not here are the doubles', and GOAWAY needs an HTTP/2 that is not spoken."""
    doubles = {"reset before", "reset after", "silence after", "too long"}  # drop_before, drop_after, slow, truncate
    assert set(NETWORK) | doubles == set(DELIVERED)
    assert {kind for kind, _ in OFFERED} == set(BILLING)
    assert any(operation in OWN_ACTIONS for _, operation in OFFERED)
    assert PATIENCE_FACTOR > 1
