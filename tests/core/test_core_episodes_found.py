"""What is a condition and what is none: one for each thing that a person must mend, with who, how much, what to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.entries import Entry, EntryState
from syncd.core.episodes import Condition, Conditions, Word, advance
from syncd.core.episodes_found import conditions
from syncd.core.plan import PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import Mode
from syncd.core.unmapped import Unmapped
from syncd.model import State

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))

from web_kit import NOW, intent, line, plan

CONTOSO = "Contoso Dental"


def entry(state: EntryState, customer: str = CONTOSO, **more: Any) -> Entry:
    """An entry of the customer's line."""
    made = replace(intent(customer=customer), line=f"line-{customer}")
    return Entry("k3f9a", made, "c000001", state, more.pop("attempts", 1), NOW, "hash", **more)


def found(
    *lines: PlanLine, waiting: Sequence[Entry] = (), ended: Sequence[Entry] = (), tags: Any = None, **more: Any
) -> Conditions:
    made = plan(*lines, **{"unmapped_products": (), **more})
    return conditions(made, waiting, ended, tags or {})


def one(*lines: PlanLine, **more: Any) -> Condition:
    [only] = found(*lines, **more).found
    return only


def of(action: Action, **more: Any) -> PlanLine:
    return line(action=action, **more)


@pytest.mark.parametrize(
    "quiet",
    [
        of(Action.NONE, billed="27", findings=()),
        of(Action.POST),  # syncd posts it
        of(Action.SETTLE, reason="seen in 1 of 2 cycles"),
        of(Action.DEFER),
        of(Action.IGNORE),
        of(Action.SETTLE, mode=Mode.OBSERVE),
        of(Action.NONE, findings=("shelfware",)),
    ],
)
def test_what_syncd_or_the_rule_takes_care_of_is_none(quiet: PlanLine) -> None:
    assert found(quiet).found == ()


def test_a_drift_that_is_only_observed() -> None:
    told = one(of(Action.POST, mode=Mode.OBSERVE))
    assert told.key == f"line:line-{CONTOSO}"
    assert (told.kind, told.size, told.money, told.currency) == ("drift", 2, Decimal("56.00"), "USD")
    assert told.what == (
        f"{CONTOSO} / M365 Business Premium: leakage, 25 billed and 27 due (+2, 56.00 USD a period); only observed"
    )


def test_overbilling_is_told_as_loudly() -> None:
    told = one(of(Action.POST, mode=Mode.OBSERVE, used="20", findings=("overbilling",), amount="-140.00"))
    assert told.what.endswith("overbilling, 25 billed and 20 due (−5, 140.00 USD a period); only observed")
    assert (told.size, told.money) == (5, Decimal("140.00"))


def test_what_is_only_reported() -> None:
    told = one(of(Action.ALERT, billed="0", reason="no open line bills 'M365-BP'; add it, or set `create = true`"))
    assert told.kind == "drift"
    assert "no open line bills" in told.what


def test_a_held_line_names_its_entries() -> None:
    told = one(of(Action.HOLD, reason="decrease is hold"), waiting=[entry(EntryState.HELD, attempts=0)])
    assert told.kind == "held"
    assert told.what.endswith("waits for a person: decrease is hold")
    assert told.mend == "Decide: `syncd approve k3f9a --by NAME`, or reject it."
    assert told.began == NOW
    assert one(of(Action.HOLD, mode=Mode.OBSERVE)).mend == "Correct it by hand; in observe nothing can be approved."


def test_an_entry_that_began_to_wait_in_this_cycle_is_named_once() -> None:
    held = entry(EntryState.HELD)
    assert one(of(Action.HOLD), waiting=[held], ended=[held]).mend.count(held.id) == 1


def test_a_held_line_that_was_approved_is_none() -> None:
    held = of(Action.HOLD, reason="decrease is hold")
    assert found(held, waiting=[entry(EntryState.PLANNED, attempts=0)]).found == ()
    assert found(held, ended=[entry(EntryState.POSTED)]).found == ()


def test_who_changed_a_line_is_not_named() -> None:
    told = one(of(Action.HOLD, reason="syncd wrote 27, the line was changed by dana.doe to 30"))
    assert told.what.endswith("syncd wrote 27, the line was changed to 30")


@pytest.mark.parametrize(
    ("state", "note", "what", "mend"),
    [
        (EntryState.FAILED, "no such line", "refused: no such line", "Mend it, then `syncd retry k3f9a --by NAME`."),
        (
            EntryState.UNKNOWN,
            "the answer was lost",
            "sent, and the outcome is not known yet",
            "syncd keeps looking: `syncd ledger --state unknown`.",
        ),
        (EntryState.PLANNED, "not sent: refused", "not sent: refused", "syncd tries again in the next cycle."),
    ],
)
def test_a_posting_that_failed(state: EntryState, note: str, what: str, mend: str) -> None:
    told = one(of(Action.POST), waiting=[entry(state, note=note)])
    assert (told.kind, told.mend) == ("failed", mend)
    assert told.what.endswith(what)
    gone = one(waiting=[entry(state, note=note)])  # nobody maps the line any more
    assert (gone.key, gone.kind) == (told.key, "failed")


def test_a_refused_posting_stays_one_episode_over_its_cycles() -> None:
    first = found(of(Action.POST), ended=[entry(EntryState.FAILED, note="no such line")])
    later = found(of(Action.BLOCKED, reason="refused: no such line (entry k3f9a)"))
    known, _ = advance({}, first, NOW, timedelta(hours=24))
    assert advance(known, later, NOW, timedelta(hours=24)) == (known, ())


def test_a_blocked_line_is_told_once_with_its_source() -> None:
    error = ReadError("m365", CONTOSO, "consent", "the tenant has not agreed")
    blocked = of(
        Action.BLOCKED, used=None, amount=None, findings=(), reason="used is unknown: the tenant has not agreed"
    )
    told = one(blocked, errors=(error,))
    assert (told.key, told.kind) == ("source:m365:consent", "source")
    assert told.what == f"m365 could not be read for {CONTOSO}: the tenant has not agreed"
    assert told.mend.startswith("Let the customer's admin consent again")
    other = of(Action.BLOCKED, reason="two lines bill the same")
    assert one(other).kind == "failed"


def test_a_whole_source_is_one_whoever_it_concerns() -> None:
    error = ReadError("m365", "", "unauthorized", "the sign-in was refused")
    lines = [
        line(name, action=Action.BLOCKED, used=None, amount=None, reason="used is unknown: the sign-in was refused")
        for name in ("Alder", "Birch")
    ]
    told = one(*lines, errors=(error,), tags={"Alder": ("pilot",)})
    assert (told.customers, told.size) == ((), 1)
    assert told.tags == ("pilot",)  # the pilot's lines stand still with it
    assert told.what == "m365 could not be read: the sign-in was refused"


def test_an_outcome_that_only_a_person_can_tell_says_what_the_record_shows() -> None:
    says = "the outcome of entry {} stays unknown"
    errors = [ReadError("books", CONTOSO, "in_doubt", says.format(entry)) for entry in "ba"]
    told = one(errors=errors)
    assert (told.kinds, told.customers) == (("failed", "source"), (CONTOSO,))
    assert told.what == f"{says.format('a')}; {says.format('b')}"
    assert told.mend.startswith("Do what it says")


def test_a_customer_that_is_gone_is_one() -> None:
    lines = [
        replace(
            line(CONTOSO, id=name, action=Action.HOLD, findings=("gone", "overbilling"), amount="-10.00"),
            states={"used": State.GONE, "billed": State.KNOWN},
        )
        for name in ("a", "b")
    ]
    error = ReadError("m365", CONTOSO, "gone", "'contoso' is gone from m365")
    told = one(*lines, errors=(error,))
    assert (told.key, told.kinds, told.size, told.money) == (f"gone:{CONTOSO}", ("held", "source"), 2, Decimal(20))
    assert told.what == f"{CONTOSO} is gone from m365; 2 lines of it wait, 20.00 USD a period"


def test_a_suspect_source_is_one() -> None:
    sentence = "m365 fell by 66.7% (assigned: 45 to 15), more than source_drop 25%"
    lines = [line(name, action=Action.HOLD, reason=f"decrease is hold; {sentence}") for name in ("Alder", "Birch")]
    told = one(*lines, suspects={"m365": sentence}, waiting=[entry(EntryState.HELD, "Alder", attempts=0)])
    assert (told.key, told.kinds) == ("suspect:m365", ("source", "held"))
    assert told.what == f"{sentence}; 2 lines held back, 112.00 USD a period"
    assert told.customers == ("Alder", "Birch")


def test_unmapped_is_one_for_each_source() -> None:
    several = tuple(Unmapped("m365", f"SKU{number}", f"Product {number}", Decimal(number)) for number in range(1, 8))
    told = one(unmapped_products=several, unmapped_customers=(Unmapped("m365", "t9", "Stranger"),))
    assert (told.key, told.size) == ("unmapped:m365", 8)
    assert told.what == (
        "m365 shows 8 things that nobody mapped: Product 7 (7), Product 6 (6), Product 5 (5), Product 4 (4), "
        "Product 3 (3) and 3 more"
    )


OBSERVED = of(Action.POST, mode=Mode.OBSERVE)


@pytest.mark.parametrize(
    ("line_now", "errors", "over"),
    [
        (None, (), True),  # no longer mapped
        (of(Action.NONE, billed="27", findings=()), (), True),
        (of(Action.IGNORE), (), True),  # a person said no
        (of(Action.SETTLE, mode=Mode.OBSERVE), (), False),  # it moved a moment ago
        (of(Action.DEFER), (), False),
        (
            of(Action.BLOCKED, used=None, amount=None, reason="used is unknown: down"),
            (ReadError("m365", "", "timeout", "down"),),
            False,
        ),
    ],
)
def test_when_a_line_is_over(line_now: PlanLine | None, errors: tuple[ReadError, ...], over: bool) -> None:
    known, _ = advance({}, found(OBSERVED), NOW, timedelta(hours=24))
    _, news = advance(known, found(*([line_now] if line_now else []), errors=errors), NOW, timedelta(hours=24))
    assert [Word.OVER for one in news if one.word is Word.OVER] == ([Word.OVER] if over else [])


CONSENT = ReadError("m365", CONTOSO, "consent", "no consent")


@pytest.mark.parametrize(
    ("errors", "over"),
    [
        ((), True),
        ((ReadError("m365", "Fabrikam", "timeout", "slow"),), True),
        ((ReadError("m365", CONTOSO, "timeout", "slow"),), False),
        ((ReadError("m365", "", "unavailable", "down"),), False),
        ((ReadError("pax8", "", "unavailable", "down"),), True),
    ],
)
def test_when_a_source_is_over(errors: tuple[ReadError, ...], over: bool) -> None:
    known, _ = advance({}, found(errors=(CONSENT,)), NOW, timedelta(hours=24))
    _, news = advance(known, found(errors=errors), NOW, timedelta(hours=24))
    assert (Word.OVER in [one.word for one in news]) == over


@pytest.mark.parametrize("key", ["unmapped", "suspect", "gone"])
def test_a_source_that_failed_ends_nothing_of_it(key: str) -> None:
    first = {
        "unmapped": found(unmapped_products=(Unmapped("m365", "VISIO", "Visio"),)),
        "suspect": found(suspects={"m365": "m365 fell by 66.7%"}),
        "gone": found(errors=(ReadError("m365", CONTOSO, "gone", "gone from m365"),)),
    }[key]
    known, _ = advance({}, first, NOW, timedelta(hours=24))
    blind = found(errors=(ReadError("m365", "", "timeout", "down"),))
    _, news = advance(known, blind, NOW, timedelta(hours=24))
    assert Word.OVER not in [one.word for one in news]
    _, news = advance(known, found(), NOW, timedelta(hours=24))
    assert [one.word for one in news] == [Word.OVER]


_ACTIONS = st.sampled_from(list(Action))
_LINES = st.lists(
    st.tuples(st.sampled_from("ABCD"), _ACTIONS, st.sampled_from(list(Mode))), unique_by=lambda one: one[0]
)


@given(_LINES, st.permutations(range(4)), st.booleans())
def test_no_order_matters_and_no_key_stands_twice(
    chosen: list[tuple[str, Action, Mode]], order: list[int], down: bool
) -> None:
    lines = [line(name, action=action, mode=mode) for name, action, mode in chosen]
    errors = (ReadError("m365", "A", "timeout", "slow"), *([ReadError("m365", "", "timeout", "slow")] if down else []))
    turned = [lines[number] for number in order if number < len(lines)]
    first, second = found(*lines, errors=errors), found(*turned, errors=tuple(reversed(errors)))
    assert first.found == second.found
    assert len({one.key for one in first.found}) == len(first.found)
    now = datetime(2026, 11, 20, tzinfo=UTC)
    known, _ = advance({}, first, now, timedelta(hours=1))
    assert advance(known, second, now, timedelta(hours=1)) == (known, ())
