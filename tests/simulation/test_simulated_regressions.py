"""Schedules that once failed, shrunk, by the fault that they found."""

from __future__ import annotations

import pytest
from sim_draw import Step
from sim_files import Rules, Setup
from sim_run import play

LINE = Rules("post", (("line", "decrease", "now"),))


@pytest.mark.parametrize("at", ["ledger.sending.after", "psa.send"])
def test_a_process_that_slept_between_its_promise_and_the_sending_repeats_nothing_early(at: str) -> None:
    """The quiet time counted from the promise: over already when the answer was lost, while the request was still on
    its way. It was repeated, and both landed."""
    asleep = ("cycle", 0, None, (((at, 1), ("sleep", 120)),))
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [("hire", 0, 0, 3), ("write_fault", "psa", "late"), asleep, ("cycle", 0, None, ())],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["a late request landed"] == 1
    assert outcome.ended["none"] == 1


def test_a_restored_ledger_posts_nothing_beside_lines_that_it_forgot() -> None:
    """Two postings were forgotten. The plan counted syncd's lines from the ledger alone, and a person who approved
    what it showed let the whole period be billed again."""
    cycle: Step = ("cycle", 60, None, ())
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [
            *[("backup",), ("hire", 0, 0, 3), cycle, ("hire", 0, 0, 3), cycle, ("restore", 0, "hand")],
            *[("hire", 0, 0, 1), cycle, ("hire", 0, 0, -2), cycle, ("approve", -1), cycle],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["restored by hand"] == 1
    assert outcome.hits["write ok"] == 2


def test_a_jump_of_the_clock_is_no_quiet_time() -> None:
    """A request was on its way when the clock jumped by a day: two looks agreed that it never arrived, the entry was
    planned anew and superseded when the line showed up, and its units were in no record."""
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [
            *[("cycle", 0, None, ()), ("hire", 0, 0, 3), ("write_fault", "psa", "late"), ("cycle", 20, None, ())],
            *[("jump", 25), ("cycle", 1, None, ()), ("cycle", 1, None, ())],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["clock doubted"] >= 1
    assert outcome.hits["a late request landed"] == 1


def test_a_change_of_two_postings_fits_into_a_limit_of_one() -> None:
    """A quantity with the part of the period beside it is two postings: under `max_postings = 1` it waited for ever."""
    outcome = play(
        Setup(names=("kset",), max_postings=1, rules=Rules("post", (("kset", "decrease", "now"),))),
        [("hire", 0, 0, 9), ("cycle", 0, None, ())],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["write ok"] >= 2


def test_a_second_try_is_not_refused_for_the_line_as_it_once_was() -> None:
    """A colleague touched the line between the plan and the sending; the second try sent the version of then."""
    touched = ("cycle", 0, None, ((("psa.send", 1), ("rival", "psa", 0, "touch", 0)),))
    outcome = play(
        Setup(names=("set",), versions=True, rules=Rules("post", (("set", "decrease", "now"),))),
        [("hire", 0, 0, 9), touched, ("retry", -1), ("cycle", 0, None, ())],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["a version refused"] == 1
    assert outcome.ended["none"] == 1


def test_a_mark_with_another_quantity_is_not_taken_for_the_change() -> None:
    """A restored ledger names the next change as one that it forgot, for other units: noted as posted in full."""
    cycle: Step = ("cycle", 60, None, ())
    stale = ("lines_fault", "psa", "stale", 0, 3, (3, 3, 3, 3))
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [
            *[("hire", 0, 0, 5), ("backup",), cycle, ("restore", 0, "tool"), ("hire", 0, 0, 1)],
            *[stale, cycle, ("approve", -1), cycle],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["approved"] >= 1
    assert outcome.hits["write ok"] == 1
    assert outcome.ended["hold"] == 1
