"""Schedules that once failed, shrunk, by the fault that they found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sim_files import Rules, Setup
from sim_run import play
from sim_steps import Step

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


PART = Setup(names=("kset",), foreign_edit="overwrite", rules=Rules("post", (("kset", "decrease", "now"),)))
AT_ONCE: Step = ("cycle", 0, None, ())


@pytest.mark.parametrize(
    "steps",
    [
        [("write_fault", "kb", "refused"), ("cycle", 0, ("ledger.settle(failed).after", 1), ())],
        [("write_fault", "kb", "refused"), ("cycle", 0, ("ledger.settle(failed).after", 1), ()), ("retry", -1)],
        [("cycle", 0, ("ledger.settle(superseded).after", 1), ((("kb.find", 1), ("rival", "kb", 0, "edit", 1)),))],
    ],
    ids=["refused", "refused, tried again", "overtaken"],
)
def test_a_part_of_a_period_does_not_outlive_the_change_that_it_belongs_to(steps: list[Step]) -> None:
    """The process died between the end of a raised quantity and the end of its part. The part stood for that of the
    next try: it ended with the first one, or was held for an approval that could not be given, and was never billed."""
    outcome = play(PART, [("hire", 0, 0, 9), *steps, AT_ONCE, ("retry", -1), AT_ONCE])
    assert outcome.wrong == "", outcome
    assert outcome.hits["write ok"] == 2
    assert outcome.ended["none"] == 1


def test_a_part_of_an_invoiced_period_that_waits_for_a_person_does_not_move_on() -> None:
    """It was written down anew for the next month in the cycle after, though its days were invoiced from the start."""
    rules = Rules("propose", PART.rules.keys)
    outcome = play(replace(PART, rules=rules), [("hire", 0, 0, 9), AT_ONCE, AT_ONCE, ("approve", -1), AT_ONCE])
    assert outcome.wrong == "", outcome
    assert outcome.hits["write ok"] == 2


def test_a_held_line_with_nothing_to_approve_says_what_must_be_mended() -> None:
    """A colleague raised syncd's own dated line. "decrease is hold" was all that was told, and nothing was held."""
    outcome = play(
        Setup(names=("line",), foreign_edit="overwrite", rules=Rules("post", (("line", "decrease", "hold"),))),
        [("hire", 0, 0, 3), AT_ONCE, ("rival", "psa", 1, "edit", 20)],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["rival edit"] == 1
    assert outcome.ended["hold"] == 1


def test_an_alert_names_the_edit_that_nothing_else_tells() -> None:
    """A colleague raised syncd's own line while syncd took it back: more is billed than the recurring line, and only
    that one was told."""
    edited = ("cycle", 0, None, ((("psa.find", 1), ("rival", "psa", 1, "edit", 20)),))
    outcome = play(
        Setup(names=("line",), rules=LINE), [("hire", 0, 0, 3), AT_ONCE, ("hire", 0, 0, -20), ("sleep", 20), edited]
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["write ok"] == 2
    assert outcome.ended["alert"] == 1


def test_a_late_line_of_a_forgotten_period_is_not_counted_by_its_days() -> None:
    """November was invoiced, so its line stood in December. Restored, the ledger did not know November any more, took
    the line for December's own, and December was never billed."""
    outcome = play(
        Setup(names=("line",), rules=LINE, start=datetime(2026, 11, 30, 16, tzinfo=UTC)),
        [("backup",), ("hire", 0, 0, 3), AT_ONCE, ("sleep", 3 * 24 * 60), ("restore", 0, "hand")],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["write ok"] == 2
    assert outcome.ended["none"] == 1


@pytest.mark.parametrize(("later", "sent"), [([], 1), ([("month",)], 2)], ids=["at once", "in the next month"])
def test_a_line_that_was_removed_while_its_answer_was_lost_is_made_again(later: list[Step], sent: int) -> None:
    """No defect, and the judge called it a double effect: that the line was made and taken away cannot be told from
    that it never was. One line of the period stands in the end."""
    unlooked = ("cycle", 0, ("ledger.settle(unknown)", 1), ())
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [("hire", 0, 0, 3), ("write_fault", "psa", "error_after"), unlooked, ("rival", "psa", 1, "remove", 0), *later],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["rival remove"] == 1
    assert outcome.hits["write ok"] == sent
    assert outcome.ended["none"] == 1


def test_what_a_ledger_forgot_that_it_wrote_is_not_accepted_as_an_edit() -> None:
    """Restored, the ledger took the last quantity that it wrote itself for a colleague's, and `foreign_edit = "accept"`
    let it stand for ever: one seat too many was billed, and the line was ignored."""
    rules = Rules("post", (("set", "decrease", "now"),))
    outcome = play(
        Setup(names=("set",), foreign_edit="accept", rules=rules),
        [
            *[("hire", 0, 0, 9), AT_ONCE, ("backup",), ("hire", 0, 0, 1), AT_ONCE],
            *[("restore", 0, "tool"), ("hire", 0, 0, -1), AT_ONCE],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["approved"] == 1
    assert outcome.ended["none"] == 1


def test_lines_that_a_ledger_forgot_are_not_accepted_as_an_edit() -> None:
    """The same with dated lines, of which nothing can be held for approval: a person must mend them, and is told so for
    as long as they are billed."""
    outcome = play(
        Setup(names=("line",), foreign_edit="accept", invoiced=False, rules=LINE),
        [AT_ONCE, ("backup",), ("hire", 0, 0, 3), AT_ONCE, ("restore", 0, "tool"), ("hire", 0, 0, -3)],
    )
    assert outcome.wrong == "", outcome
    assert outcome.ended["hold"] == 1


def test_a_planned_line_does_not_leave_where_a_colleague_removed_what_it_adds_to() -> None:
    """A look failed, so the line was still planned in the next cycle; the edit was taken for what is on its way."""
    outcome = play(
        Setup(names=("line",), rules=LINE),
        [
            *[("hire", 0, 0, 3), AT_ONCE, ("hire", 0, 0, 3), ("find_fault", "psa", 2), AT_ONCE],
            *[("rival", "psa", 1, "remove", 0), AT_ONCE],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["find down"] >= 1
    assert outcome.hits["rival remove"] == 1


def test_a_forgotten_credit_is_not_given_once_more() -> None:
    """The credit was planned from the sum without it, superseded by its mark, and then given under another one."""
    outcome = play(
        Setup(names=("line",), foreign_edit="overwrite", max_postings=1, rules=LINE),
        [
            *[("hire", 0, 0, 9), AT_ONCE, ("backup",), ("hire", 0, 0, -2), AT_ONCE],
            *[("restore", 0, "tool"), ("hire", 0, 0, -1), AT_ONCE, ("approve", -1), AT_ONCE, AT_ONCE],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.ended["hold"] == 1


def test_what_waited_in_a_backup_for_a_period_that_is_over_is_not_billed_beside_what_was_posted_since() -> None:
    """No list shows a month that is over any more, so nothing could tell that it was billed after the backup."""
    rules = Rules("post", (("line", "decrease", "now"), ("set", "decrease", "now"), ("set", "increase", "next-period")))
    last_evening = datetime(2026, 12, 1, 5, 0, tzinfo=UTC)  # of November, where the MSP is
    names = ("line", "set")
    setup = Setup(seed=1_002_034, names=names, foreign_edit="overwrite", max_postings=1, invoiced=False, locks=True)
    outcome = play(
        replace(setup, start=last_evening, rules=rules),
        [
            *[("backup",), ("cycle", 0, ("ledger.write.after", 1), ()), ("restore", 0, "hand"), AT_ONCE, ("backup",)],
            *[("hire", 0, 2, 1), AT_ONCE, ("sleep", 44_640), ("restore", 1, "tool")],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["restored by tool"] == 1


def test_what_a_restored_ledger_forgot_may_still_be_on_its_way() -> None:
    """The backup came back within minutes of a lost answer, a person approved at once what was due again, it was named
    alike and sent, and then the first request landed too."""
    outcome = play(
        Setup(names=("line",), seed=1_004_480, versions=True, rules=LINE),
        [
            *[("write_fault", "psa", "late", "late"), ("backup",), AT_ONCE, ("restore", 0, "tool")],
            *[("cycle", 0, ("ledger.trust", 1), ()), ("approve", -1), AT_ONCE],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["a late request landed"] == 1
    assert outcome.hits["approved"] >= 1


def test_what_a_ledger_forgot_is_not_accepted_as_an_edit_once_it_trusts_itself_again() -> None:
    """While it was careful the count was what the line showed. Then the count fell to what the ledger remembered, and
    its own forgotten number was taken for a colleague's and accepted."""
    rules = Rules("post", (("set", "decrease", "now"),))
    outcome = play(
        Setup(names=("set",), seed=5_000_847, foreign_edit="accept", rules=rules),
        [
            *[("hire", 0, 0, 9), AT_ONCE, ("backup",), ("hire", 0, 0, 2), ("cycle", 60, None, ())],
            *[("restore", 0, "hand"), AT_ONCE, ("cycle", 20, None, ()), ("hire", 0, 0, -2)],
        ],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["approved"] == 1
    assert outcome.ended["none"] == 1


def test_a_part_waits_while_it_is_not_known_whether_the_change_it_belongs_to_arrived() -> None:
    """The count fell back to what the list showed, the part was no longer needed, and then the change landed: the day
    on which more was used was never billed."""
    evening = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    rules = Rules("post", (("kset", "decrease", "hold"),))
    setup = Setup(seed=1_007_069, names=("kset",), foreign_edit="overwrite", tells_period=False, start=evening)
    outcome = play(
        replace(setup, rules=rules),
        [("write_fault", "kb", "late"), ("hire", 0, 0, 3), AT_ONCE, ("hire", 0, 0, -1), AT_ONCE],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["a late request landed"] == 1


# Documents that several rules share

BOOKS = Setup(
    names=("doca", "docb"), drafts=True, rules=Rules("post", (("doca", "decrease", "now"), ("docb", "decrease", "now")))
)


def test_a_document_that_was_voided_while_it_was_sent_is_no_riddle() -> None:
    """Its mark tells that it arrived. Its outcome stayed unknown for ever: first the count fell to what stands, and the
    line said "as it should be" and nothing of it; then a month went by, and nothing said it at all."""
    voided = ("cycle", 0, None, ((("books.send.after", 1), ("bookkeeper", 2, "void")),))
    outcome = play(
        replace(BOOKS, seed=5_000_431),
        [AT_ONCE, ("hire", 0, 1, 1), AT_ONCE, ("hire", 1, 1, 2), voided, ("hire", 0, 1, -2)],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["bookkeeper void"] == 1
    assert outcome.ended["none"] == 2

    later = play(replace(BOOKS, seed=1_000_582), [AT_ONCE, ("hire", 1, 1, 2), voided, ("month",), AT_ONCE])
    assert later.wrong == "", later
    assert later.hits["bookkeeper void"] == 1


def test_a_document_that_a_restored_ledger_forgot_and_a_person_deleted_is_made_again() -> None:
    """The judge called it a double: nothing tells a document that was deleted from one that never was, a person
    approved it, and one stands."""
    outcome = play(
        replace(BOOKS, seed=1_000_804),
        [("backup",), AT_ONCE, ("bookkeeper", 1, "delete"), ("restore", 0, "tool"), AT_ONCE, ("approve", -1), AT_ONCE],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["bookkeeper delete"] == 1


@pytest.mark.parametrize("customers", [("birch",), ("birch", "cedar")])
def test_a_line_that_was_taken_off_while_its_answer_was_lost_keeps_its_document(customers: tuple[str, ...]) -> None:
    """The entry ended as posted and named no record, so that nobody could look at the document it had arrived in."""
    outcome = play(
        replace(BOOKS, seed=1_008_184, customers=customers, drafts=False),
        [
            ("write_fault", "books", "late"), AT_ONCE, ("find_fault", "books", 3), ("cycle", 6, None, ()),
            ("rival", "books", 2, "remove", 5),
        ],
    )  # fmt: skip
    assert outcome.wrong == "", outcome
    assert outcome.hits["a late request landed"] == 1


def test_a_document_that_lands_after_its_ledger_was_put_back_is_no_effect_without_an_entry() -> None:
    """The judge knew of a request under way by the first of its lines alone."""
    outcome = play(
        replace(BOOKS, seed=1_005_393, drafts=False),
        [("write_fault", "books", "late"), ("backup",), AT_ONCE, ("restore", 0, "hand")],
    )
    assert outcome.wrong == "", outcome
    assert outcome.hits["a late request landed"] == 1


@pytest.mark.parametrize("how", ["hand", "tool"])
def test_a_line_whose_name_was_given_again_is_not_taken_for_a_colleagues(how: str) -> None:
    """With `foreign_edit = "accept"`, a line that the restored ledger forgot stood for a colleague's, once another
    change had been planned under the same name and was superseded: the rest of the month was billed short, unasked."""
    setup = Setup(
        seed=1_005_518, names=("kline",), foreign_edit="accept", rules=Rules("post", (("kline", "decrease", "now"),))
    )
    steps = [
        ("write_fault", "kb", "late"), ("backup",), AT_ONCE, ("restore", 1, how), ("hire", 0, 0, -1),
        ("cycle", 0, ("ledger.trust", 1), ()),
    ]  # fmt: skip
    outcome = play(setup, steps)
    assert outcome.wrong == "", outcome
    assert outcome.hits[f"restored by {how}"] == 1
    assert not outcome.ended["ignore"]


@pytest.mark.parametrize("at", ["ledger.sending_together.commit", "books.send.after"])
def test_a_shared_document_is_made_once_whatever_dies(at: str) -> None:
    """No defect; each line has its effect in one document, which was never written again."""
    outcome = play(replace(BOOKS, seed=1), [("cycle", 0, (at, 1), ()), AT_ONCE])
    assert outcome.wrong == "", outcome
    assert outcome.kills[at] == 1
    assert outcome.hits["a shared document"] == 1
    assert outcome.ended["none"] == 2


@pytest.mark.parametrize("at", ["ledger.sending_together", "ledger.sending_together.after", "books.send.after"])
def test_a_shared_document_is_made_once_whoever_takes_over(at: str) -> None:
    """Between the claim of a document and its first byte nobody can stop the older process, and the newer one waits for
    it; the judge knew that of single changes alone (seed 1,010,347)."""
    overtaken = ("cycle", 0, None, (((at, 1), ("takeover",)),))
    outcome = play(replace(BOOKS, seed=1_010_347), [overtaken, AT_ONCE])
    assert outcome.wrong == "", outcome
    assert outcome.hits["a take-over"] == 1
    assert outcome.hits["a shared document"] == 1
    assert outcome.ended["none"] == 2
