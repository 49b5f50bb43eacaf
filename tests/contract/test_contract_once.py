"""Exactly one effect for every operation that a connector declares, through syncd's own machine: the ledger writes the
intention down, the write meets one fault, and looking settles it, in this cycle or after the vendor's quiet time.

The judge is the double's own record of what it changed.
"""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
from contract_book import book
from contract_kit import ALL, BILLING, OFFERED, stage
from contract_lies import Stale, between
from contract_postings import postings
from test_contract_posting import aim, wait_until

from syncd.core.entries import EntryState
from syncd.model import Operation
from syncd.sandbox.kit import FAULTS

# The vendor did it, and says so badly.
DONE = ("drop_after", "500_after", "truncate")
# A single refusal; some kinds sign in anew and are then let in.
REFUSED = "unauthorized"
CASES = [*FAULTS, "stale"]
# What the quick run leaves out: these differ from their neighbours by little.
NIGHTLY = tuple("slow drop_before 500_before 500_after unavailable throttle html redirect truncate stale".split())
AUTOMATIC = [one for one in OFFERED if ALL[one[0]].abilities.operations[one[1]].vendor_class != "D"]


@dataclass(frozen=True)
class Story:
    """How one operation's entry went, and what the double did for it."""

    states: tuple[EntryState, ...]  # after the fault, at once again, and at the end
    done_at_once: int
    done: int
    writes: int
    bodies: frozenset[str]
    remote_id: str
    verified: bool


@functools.cache
def stories(kind: str, fault: str) -> dict[Operation, Story]:
    """Every operation of a kind through the ledger, each struck once by a fault."""
    found = {}
    with stage(kind) as one, book(one) as ledger:
        deliveries = one.connector.abilities.operations
        quiet = max(delivery.request_life for delivery in deliveries.values()) + timedelta(seconds=1)
        for operation, made in postings(one).items():
            if deliveries[operation].vendor_class == "D":
                continue
            one.settled()
            ledger.write_down(made)
            wire = ledger.entry(operation).intent.wire
            written = len(one.double.requests)
            states = []
            with ExitStack() as lie:
                stale = Stale()
                if fault == "stale":
                    lie.enter_context(between(one.double, stale))
                else:
                    aim(one, fault, wire.method, wire.path)
                ledger.send(operation)
                states.append(ledger.entry(operation).state)
                if fault == "slow":
                    wait_until(lambda: one.writes() == 1)
                at_once = one.writes()
                ledger.later(timedelta(seconds=1))
                states.append(ledger.entry(operation).state)
                assert fault != "stale" or stale.served, "no look met the stale copy"
            for _ in range(2):  # the second one finds everything at rest
                ledger.later(quiet)
            states.append(ledger.entry(operation).state)
            sent = [
                each for each in one.double.requests[written:]
                if each.method == wire.method and each.path.endswith(wire.path.partition("?")[0].strip("/"))
            ]  # fmt: skip
            found[operation] = Story(
                tuple(states),
                at_once,
                one.writes(),
                len(sent),
                frozenset(each.body for each in sent),
                ledger.entry(operation).remote_id,
                ledger.ledger.verify() == [],
            )
    return found


def cases(*faults: str) -> list[object]:
    return [
        pytest.param(kind, fault, operation, marks=[pytest.mark.slow] if fault in NIGHTLY else [])
        for fault in faults
        for kind, operation in AUTOMATIC
    ]


@pytest.mark.parametrize(("kind", "fault", "operation"), cases(*CASES))
def test_one_posting_has_one_effect(kind: str, fault: str, operation: Operation) -> None:
    story = stories(kind, fault)[operation]
    if fault == REFUSED and story.states[-1] is EntryState.FAILED:
        assert story.done == 0  # a refusal is told and not tried again by itself
        return
    assert story.states[-1] is EntryState.POSTED, story
    assert story.done == 1
    assert story.writes <= 2
    assert len(story.bodies) == 1  # every attempt sends the same bytes
    assert story.remote_id
    assert story.verified


@pytest.mark.parametrize(("kind", "fault", "operation"), cases(*CASES))
def test_nothing_is_repeated_while_a_lost_request_may_still_land(kind: str, fault: str, operation: Operation) -> None:
    story = stories(kind, fault)[operation]
    first, again, _ = story.states
    harmless = ALL[kind].abilities.operations[operation].throttled_is_harmless
    if fault in DONE:
        assert first is EntryState.POSTED  # found by the look that follows at once
        assert story.done_at_once == 1
    elif fault == "throttle" and harmless:
        assert first is EntryState.PLANNED
    elif fault == REFUSED:
        assert first in (EntryState.FAILED, EntryState.POSTED)
    else:
        assert first is EntryState.UNKNOWN, story
        assert again in (EntryState.UNKNOWN, EntryState.POSTED)
        if again is EntryState.POSTED:
            assert story.writes == 1
    if fault in ("stale", "slow", *DONE):
        assert story.writes == 1


def test_every_kind_with_a_double_that_posts_is_here() -> None:
    """The cases come from the declarations; an empty suite would prove nothing."""
    assert {kind for kind, _ in OFFERED} == set(BILLING)
    assert all(ALL[kind].abilities.operations for kind in BILLING)
    assert ("connectwise", Operation.CLOSE_TICKET) in OFFERED
