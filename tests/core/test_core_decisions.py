"""What stays as it was left: hand edits, decisions of people, refusals of vendors, lists that lag (RELIABILITY 9)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from core_kit import NOW, World, billing, identity, line, units, world

from syncd.core.entries import Closed, EntryState, LineHistory, Settled

# Somebody changed by hand what syncd last wrote.


def edited(shown: int, wrote: int, used: int = 26, *, minutes: int = 60, was: int = 0, **safety: Any) -> World:
    found = world(used, shown, decrease="now", safety=safety)
    posted = Settled("e1", units(was), units(wrote), NOW - timedelta(minutes=minutes), "l1")
    name = identity(world(99, shown, safety={"max_increase": units(9999)}))
    return found.remembering(lines={name: LineHistory(generation=1, posted=posted)})


@pytest.mark.parametrize(
    ("policy", "shown", "wrote", "used", "expected"),
    [
        ("hold", 25, 26, 26, "hold"),
        ("overwrite", 25, 26, 26, "post"),
        ("accept", 25, 26, 26, "ignore"),  # the hand's number stands, as long as the target is what syncd wrote
        ("accept", 25, 26, 27, "post"),
        ("hold", 25, 25, 26, "post"),  # what syncd wrote still stands
        ("hold", 26, 25, 26, "none"),  # edited to what it should be
    ],
)
def test_a_foreign_edit(policy: str, shown: int, wrote: int, used: int, expected: str) -> None:
    made = edited(shown, wrote, used, foreign_edit=policy).one_line()

    assert made.action == expected
    assert ("foreign edit" in made.findings) is (shown != wrote and expected != "none")


def test_a_foreign_edit_names_who_and_what() -> None:
    found = edited(25, 26)
    found = found.but(billings=(billing(line(25, changed_by="jdoe")),))

    assert all(word in found.one_line().reason for word in ("26", "25", "jdoe"))


def test_a_line_that_syncd_added_is_watched_too() -> None:
    found = world(3, None, create=True)
    added = identity(found)
    posted = Settled("e1", units(0), units(3), NOW - timedelta(hours=1), "l1")
    by_hand = world(3, 7, create=True, decrease="now", safety={"max_decrease": units(100)})

    made = by_hand.remembering(lines={added: LineHistory(generation=1, posted=posted)}).one_line()

    assert made.action == "hold"
    assert "foreign edit" in made.findings


@pytest.mark.parametrize(("policy", "expected"), [("hold", "hold"), ("overwrite", "post"), ("accept", "ignore")])
def test_a_line_that_syncd_added_and_somebody_removed_is_a_foreign_edit(policy: str, expected: str) -> None:
    found = world(3, None, create=True, safety={"foreign_edit": policy})
    posted = Settled("e1", units(0), units(3), NOW - timedelta(hours=1), "l7")

    made = found.remembering(lines={identity(found): LineHistory(generation=1, posted=posted)}).one_line()

    assert made.action == expected
    assert {"foreign edit", "missing line"} <= set(made.findings)
    assert ("l7" in made.reason) is (expected != "post")


@pytest.mark.parametrize(("minutes", "expected"), [(0, "settle"), (15, "settle"), (16, "hold")])
def test_a_list_may_lag_a_quarter_of_an_hour_behind_syncds_own_write(minutes: int, expected: str) -> None:
    """RELIABILITY 9: until then the old value is stale, not drift."""
    made = edited(25, 27, 27, was=25, minutes=minutes).one_line()

    assert (made.action, bool(made.effects)) == (expected, expected == "hold")


def test_only_the_value_before_is_stale() -> None:
    assert edited(24, 27, 27, was=25, minutes=1).one_line().action == "hold"


# What was decided stays decided, until counts, line or rule move.


def decided(state: EntryState, *, undo_of: str = "", **moved: Any) -> World:
    found = world(27, 25)
    seen = found.one_line()
    closed = Closed("e9", state, seen.fingerprint, "because of this", "person:Ada", undo_of)
    then = world(moved.pop("used", 27), moved.pop("billed", 25), **moved)
    return then.remembering(lines={seen.effects[0].identity: LineHistory(generation=1, closed=closed)})


@pytest.mark.parametrize(
    ("state", "undo_of", "expected", "word"),
    [
        (EntryState.REJECTED, "", "ignore", "Ada"),
        (EntryState.REJECTED, "", "ignore", "because of this"),
        (EntryState.FAILED, "", "blocked", "because of this"),
        (EntryState.POSTED, "e1", "ignore", "undone"),
        (EntryState.POSTED, "", "post", ""),
        (EntryState.SUPERSEDED, "", "post", ""),
    ],
)
def test_a_decision_stays(state: EntryState, undo_of: str, expected: str, word: str) -> None:
    made = decided(state, undo_of=undo_of).one_line()

    assert made.action == expected
    assert word in made.reason


@pytest.mark.parametrize("state", [EntryState.REJECTED, EntryState.FAILED])
@pytest.mark.parametrize(
    "moved", [{"used": 28}, {"billed": 26}, {"included": 1, "used": 28}, {"increase": "hold"}, {"tolerance": 1}]
)
def test_a_decision_ends_when_something_moves(state: EntryState, moved: dict[str, Any]) -> None:
    assert decided(state, **moved).one_line().action in ("post", "hold")


def test_a_decision_does_not_end_with_time() -> None:
    assert decided(EntryState.FAILED).one_line(NOW + timedelta(days=9)).action == "blocked"
    assert decided(EntryState.REJECTED).one_line(NOW + timedelta(days=9)).action == "ignore"
