"""What planning reads of the past: all of it as of one moment, made only where it is looked at."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from ledger_kit import intent

from syncd.core.entries import EntryState
from syncd.ledger import Ledger
from syncd.model import Operation


def ended(ledger: Ledger, name: str, how: str, *, generation: int = 0, before: str = "0", to: str = "2") -> None:
    """A dated line that was posted or refused."""
    wanted = intent(name, generation=generation, before=before, to=to, operation=Operation.POST_LINE)
    [entry] = ledger.write("c1", (), [wanted])
    claimed = ledger.sending(entry)
    assert claimed is not None
    ledger.settle(claimed, EntryState(how), remote_id="r1")


@pytest.fixture
def lived(ledger: Ledger) -> Ledger:
    """Lines of every kind of past."""
    ended(ledger, "once", "posted")
    ended(ledger, "refused", "failed")
    ended(ledger, "refused, then posted", "failed")
    ended(ledger, "refused, then posted", "posted", generation=1)
    for number in range(3):
        ended(ledger, "thrice", "posted", generation=number, before=str(number), to=str(number + 1))
    ledger.write("c1", (), [intent("new", before="0", to="5", operation=Operation.POST_LINE)])
    return ledger


@pytest.mark.parametrize(
    ("name", "generation", "closed", "recent", "own"),
    [
        ("once", 1, "posted", [2], 2),
        ("refused", 1, "failed", [], 0),
        ("refused, then posted", 2, "posted", [2], 2),
        ("thrice", 3, "posted", [2, 3], 3),
        ("new", 0, None, [], 5),
    ],
)
def test_each_past_is_told_as_it_was(
    lived: Ledger, name: str, generation: int, closed: str | None, recent: list[int], own: int
) -> None:
    for found in (lived.past().lines[name], lived.histories([name, "another"])[name]):
        assert found.generation == generation
        assert (found.closed.state if found.closed else None) == closed
        assert [one.to for one in found.recent] == recent
        assert (found.posted.to if found.posted else None) == (recent[-1] if recent else None)
        assert found.own_quantity == Decimal(own)
        assert (found.open is not None) is (name == "new")


def test_the_money_of_own_lines_is_summed_with_its_signs_or_not_known(ledger: Ledger) -> None:
    def posted(name: str, generation: int, operation: Operation, amount: str | None) -> None:
        before, to = ("2", "1") if generation else ("0", "2")
        wanted = intent(name, generation=generation, before=before, to=to, operation=operation)
        money = Decimal(amount) if amount is not None else None
        [entry] = ledger.write("c1", (), [replace(wanted, amount=money)])
        claimed = ledger.sending(entry)
        assert claimed is not None
        ledger.settle(claimed, EntryState.POSTED)

    for number, (operation, amount) in enumerate([(Operation.POST_LINE, "56.10"), (Operation.POST_CREDIT, "14.03")]):
        posted("both", number, operation, amount)
        posted("one without a price", number, operation, amount if number else None)
        posted("usage", number, Operation.REPORT_USAGE, amount)

    lines = ledger.past().lines
    assert lines["both"].own_amount == lines["usage"].own_amount == Decimal("42.07")
    assert lines["one without a price"].own_amount is None


def test_the_past_is_of_the_moment_at_which_it_was_read(lived: Ledger) -> None:
    before = lived.past().lines
    ended(lived, "once", "posted", generation=1, before="2", to="9")
    ended(lived, "later", "posted")
    assert "later" not in before
    assert set(before) == {"once", "refused", "refused, then posted", "thrice", "new"}
    assert (before["once"].own_quantity, before["once"].generation) == (2, 1)
    assert lived.past().lines["once"].own_quantity == 9
