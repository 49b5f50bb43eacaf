"""Draws scenes of documents that several rules share: all of a customer's move together, and then something strikes.

What strikes does so between the steps of one line of the group, or changes the group between two attempts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from sim_estate import WRITE_FAULTS
from sim_files import BOOKED, Setup

Step = tuple[Any, ...]
Dice = random.Random

_DOUBTFUL = ("lost", "error_after", "error_before", "late", "late", "ignored", "throttled_unclear", "unlisted")
_TOGETHER = [f"ledger.sending_together{part}" for part in ("", ".commit", ".after")]
BOOKS_DEATHS = [*_TOGETHER, "books.find", "books.find.after", "books.send", "books.send.after"]


def booked_names(dice: Dice) -> list[str]:
    """Rules whose lines share documents."""
    return dice.sample(BOOKED, dice.choice((2, 2, 3, 3)))


def group(dice: Dice, setup: Setup, *, up: bool = True) -> list[Step]:
    """Most rules of one customer move, so that a document is due for them together."""
    who = dice.randint(0, 1)
    steps: list[Step] = [
        ("hire", who, place, dice.choice((1, 2, 5)) * (1 if up else -1))
        for place, name in enumerate(setup.names)
        if name in BOOKED and dice.random() < 0.85
    ]
    return steps + [_cycle(dice)] * (setup.settle - 1)


def _cycle(dice: Dice, death: Any = None, *meanwhile: tuple[Any, Step]) -> Step:
    return ("cycle", dice.choice((0, 1, 3, 6, 20, 60)), death, meanwhile)


def _death(dice: Dice) -> Any:
    """Between two lines of a group, mostly."""
    if dice.random() < 0.4:  # what happens once for all lines of a document
        return (dice.choice([*_TOGETHER, "books.send", "books.send.after"]), 1)
    settled = [f"ledger.settle({state}){part}" for state in ("posted", "unknown", "planned") for part in ("", ".after")]
    return (dice.choice([*settled, "books.find", "books.find.after"]), dice.choice((1, 2, 2, 3, 4)))


def _person(dice: Dice) -> Step:
    what = dice.choice(("send on", "send on", "void", "delete", "edit", "remove"))
    if what in ("edit", "remove"):
        return ("rival", "books", dice.randint(0, 5), what, dice.randint(0, 12))
    return ("bookkeeper", dice.randint(0, 3), what)


def _lost(dice: Dice, setup: Setup) -> list[Step]:
    """The answer to a document is lost; some of its lines can be looked up and others cannot."""
    kind = dice.choice((*_DOUBTFUL, *WRITE_FAULTS))
    steps = [*group(dice, setup), ("write_fault", "books", *[kind] * dice.choice((1, 1, 2, 4)))]
    if dice.random() < 0.4:
        steps.append(("find_fault", "books", dice.randint(1, 6)))
    steps.append(_cycle(dice, _death(dice) if dice.random() < 0.5 else None))
    if dice.random() < 0.5:
        steps.append(dice.choice((_person(dice), ("forget",), ("hire", 0, dice.randint(0, 2), dice.choice((1, -2))))))
    steps.append(_cycle(dice, _death(dice) if dice.random() < 0.4 else None))
    return [*steps, _cycle(dice)]


def _regrouped(dice: Dice, setup: Setup) -> list[Step]:
    """What did not arrive is due again, and meanwhile the group is another one."""
    kind = dice.choice(("error_before", "error_before", "unsent", "throttled", "dies_on_line", "refused", "late"))
    steps = [*group(dice, setup), ("write_fault", "books", kind), _cycle(dice)]
    change = dice.choice((("hire", 0, dice.randint(0, 2), dice.choice((1, -1, -9))), ("month",), ("mode", "propose")))
    steps += [change, _cycle(dice, None if dice.random() < 0.7 else _death(dice))]
    if change == ("mode", "propose"):
        steps += [("reject", dice.randint(0, 2)), ("mode", "post")] if dice.random() < 0.4 else [("approve", 0)]
    return [*steps, _cycle(dice), _cycle(dice)]


def _refused_line(dice: Dice, setup: Setup) -> list[Step]:
    """The books do not take one line, so that each goes alone."""
    steps: list[Step] = [*group(dice, setup), ("withdraw", dice.randint(0, 2))]
    if dice.random() < 0.4:  # and one of those that go alone meets a fault
        steps.append(("write_fault", "books", "ok", dice.choice(_DOUBTFUL)))
    dies = (dice.choice(("ledger.settle(planned)", "ledger.settle(failed)", "ledger.sending", "books.send")), 1)
    after = (f"{dies[0]}.after", dice.choice((1, 2)))
    steps.append(_cycle(dice, dice.choice((None, dies, after, _death(dice)))))
    steps.append(dice.choice((_cycle(dice), ("offer",), *group(dice, setup)[:1])))
    return [*steps, _cycle(dice), ("offer",), ("retry", -1), _cycle(dice)]


def _desk_work(dice: Dice, setup: Setup) -> list[Step]:
    """People go on with a document between the list, the looks and the sending; then the counts fall."""
    at = (dice.choice(("books.lines", "books.find", "books.find.after", "books.send", "books.send.after")), 1)
    steps = [*group(dice, setup), _cycle(dice), *group(dice, setup), _cycle(dice, None, (at, _person(dice)))]
    if dice.random() < 0.6:
        steps += [("bookkeeper", number, "send on") for number in range(dice.choice((1, 4)))]
    return [*steps, *group(dice, setup, up=False), _cycle(dice, _death(dice) if dice.random() < 0.5 else None)]


def _closed(dice: Dice, setup: Setup) -> list[Step]:
    """The books are closed between the plan and the sending, or while an answer is missing."""
    turn: Step = dice.choice((("month",), ("invoice",)))
    steps = group(dice, setup)
    if dice.random() < 0.5:
        at = (dice.choice(("books.lines", "books.find", "books.find.after", "books.send")), dice.choice((1, 2)))
        steps.append(_cycle(dice, None, (at, turn)))
    else:
        fault = ("write_fault", "books", dice.choice(_DOUBTFUL))
        steps += [fault, _cycle(dice, ("ledger.settle(unknown)", dice.choice((1, 2)))), turn]
    return [*steps, _cycle(dice), *group(dice, setup), _cycle(dice)]


def _forgotten(dice: Dice, setup: Setup) -> list[Step]:
    """A ledger of before comes back: it knows some lines of a document, or none."""
    steps: list[Step] = [*group(dice, setup), _cycle(dice)] if dice.random() < 0.5 else []
    steps += [("backup",), *group(dice, setup), _cycle(dice)]
    steps += [_person(dice)] if dice.random() < 0.3 else []
    steps.append(("restore", 0, dice.choice(("tool", "hand"))))
    return [*steps, *group(dice, setup), _cycle(dice), ("approve", -1), _cycle(dice, _death(dice))]


BOOKS_SCENES: Sequence[Callable[[Dice, Setup], list[Step]]] = (
    _lost, _lost, _lost, _regrouped, _regrouped, _refused_line, _refused_line, _desk_work, _closed, _forgotten,
)  # fmt: skip
