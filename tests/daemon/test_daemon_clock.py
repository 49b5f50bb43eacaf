"""When the wall clock is believed (RELIABILITY, "Time"): jumps, a mark of the past, corrections, sleep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncd.clock import ClockWatch, running_seconds

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Looks:
    """A watch, and the two clocks that it compares."""

    def __init__(self, mark: datetime | None = None) -> None:
        self.passed = 0.0
        self.wall = START
        self.watch = ClockWatch(mark, lambda: self.passed)

    def believed(self, *, hours: float = 1, shows: float | None = None) -> bool:
        """Looks again after `hours`, in which the wall clock moved by `shows` hours."""
        self.passed += hours * 3600
        self.wall += timedelta(hours=hours if shows is None else shows)
        return not self.watch.doubt(self.wall)


def test_time_that_passes_is_believed_also_after_a_long_pause() -> None:
    looks = Looks()

    assert [looks.believed(hours=hours) for hours in (0, 1, 1, 72, 24 * 40)] == [True] * 5


@pytest.mark.parametrize("shows", [0.1, 1.9, 0.0])
def test_small_corrections_are_believed(shows: float) -> None:
    looks = Looks()
    looks.believed()

    assert looks.believed(shows=shows)


@pytest.mark.parametrize("shows", [2.1, 26, 24 * 31])
def test_a_jump_ahead_is_not_believed_for_one_cycle(shows: float) -> None:
    looks = Looks()
    looks.believed()

    assert [looks.believed(shows=shows), looks.believed(), looks.believed()] == [False, True, True]


def test_a_jump_ahead_that_is_taken_back_leaves_no_mark() -> None:
    looks = Looks()
    looks.believed()

    assert [looks.believed(shows=24 * 31), looks.believed(shows=1 - 24 * 31 + 1)] == [False, True]


def test_a_clock_that_keeps_jumping_is_never_believed() -> None:
    looks = Looks()
    looks.believed()

    assert [looks.believed(shows=hours) for hours in (5, 9, 4, 30)] == [False] * 4


def test_a_clock_that_fell_back_is_not_believed_until_it_has_caught_up() -> None:
    looks = Looks()
    looks.believed()

    # The mark is 13:00; the clock shows 10:00, 11:00, and from 12:00 on it is near enough.
    assert [looks.believed(shows=-3), *(looks.believed() for _ in range(3))] == [False, False, True, True]


def test_the_past_of_the_ledger_counts_from_the_first_look_on() -> None:
    late = Looks(mark=START + timedelta(hours=5))
    fine = Looks(mark=START + timedelta(minutes=30))

    assert (late.believed(hours=0), fine.believed(hours=0)) == (False, True)
    assert late.watch.doubt(START + timedelta(hours=4, minutes=30)) == ""


def test_the_sentence_says_what_the_clock_did() -> None:
    looks = Looks()
    looks.believed(hours=0)
    looks.passed += 3600

    assert looks.watch.doubt(START + timedelta(days=31)) == (
        "the clock moved from 2026-11-20 12:00 to 2026-12-21 12:00 UTC while 1:00:00 passed"
    )
    assert Looks(START).watch.doubt(START - timedelta(hours=2)) == (
        "the clock shows 2026-11-20 10:00 UTC, earlier than the last cycle (2026-11-20 12:00)"
    )


def test_the_running_clock_runs_forward() -> None:
    first = running_seconds()

    assert running_seconds() >= first
