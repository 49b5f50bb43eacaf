"""Draws schedules: a setup, and scenes in which something is sure to be at stake. Pure; all by the dice it is given.

A scene brings money into motion and then a fault, a death, a colleague, a jump of the clock, a lie or a restore where
it hurts. Between the scenes anything may happen.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sim_draw_books import BOOKS_DEATHS, BOOKS_SCENES, booked_names
from sim_estate import LINE_FAULTS, WRITE_FAULTS
from sim_files import BOOKED, SHAPES, Rules, Setup
from sim_sources import COUNT_FAULTS, LIES

Step = tuple[Any, ...]
Dice = random.Random

# Where a process may die by name; everywhere else it may by number.
_READING = (
    "src.customers src.customers.after src.counts src.counts.row psa.customers psa.products psa.lines psa.lines.row"
)
_LEDGER = (
    "ledger.claim.commit ledger.claim.after ledger.begin_cycle ledger.begin_cycle.commit ledger.begin_cycle.after "
    "ledger.past ledger.past.after ledger.entries.after ledger.end_cycle ledger.end_cycle.commit ledger.end_cycle.after"
)
_POSTING = (
    "ledger.write ledger.write.commit ledger.write.after psa.find psa.find.after ledger.sending ledger.sending.commit "
    "ledger.sending.after psa.send psa.send.after ledger.settle(posted) ledger.settle(posted).commit "
    "ledger.settle(posted).after kb.find kb.find.after kb.send kb.send.after"
)
_RARE = {
    state: [f"ledger.settle({state}){part}" for part in ("", ".commit", ".after")]
    for state in ("unknown", "planned", "failed", "superseded", "held")
}
_TRUST = ["ledger.trust", "ledger.trust.commit", "ledger.trust.after"]
_OFTEN = (*_READING.split(), *_LEDGER.split(), *_POSTING.split())
DEATHS = [*_OFTEN, *(one for three in _RARE.values() for one in three), *_TRUST, *BOOKS_DEATHS]
_DOUBTFUL = ("lost", "error_after", "error_before", "late", "late", "ignored", "dies_on_line", "throttled_unclear")


def draw_setup(dice: Dice, seed: int) -> Setup:
    """What an MSP and its vendors are like."""
    strict = dice.random() < 0.35
    elsewhere = sorted(set(SHAPES) - set(BOOKED))
    booked = dice.random() < 0.35
    chosen = dice.sample(elsewhere, dice.choice((0, 0, 0, 1) if booked else (1, 1, 2, 2, 3)))
    names = tuple(sorted(chosen + (booked_names(dice) if booked else [])))
    keys: list[tuple[str, str, Any]] = [
        (name, "decrease", dice.choice(("now", "now", "now", "now", "now", "hold", "hold", "next-period")))
        for name in names
    ]
    keys += [(name, "increase", dice.choice(("next-period", "hold"))) for name in names if dice.random() < 0.08]
    start = datetime(2026, 11, dice.choice((1, 14, 20, 28, 30)), 16, tzinfo=UTC) + timedelta(hours=dice.randint(0, 13))
    return Setup(
        seed=seed,
        customers=("birch", "cedar")[: dice.choice((1, 1, 2))],
        names=names,
        strict=strict,
        settle=2 if strict else dice.choice((1, 1, 1, 2)),
        foreign_edit="hold" if strict else dice.choice(("hold", "overwrite", "overwrite", "accept")),
        max_postings=dice.choice((200, 200, 200, 1)),
        together=dice.random() < 0.5,
        tells_period=dice.random() < 0.5,
        versions=dice.random() < 0.3,
        invoiced=dice.random() < 0.6,
        locks=dice.random() < 0.3,
        drafts=booked and dice.random() < 0.5,
        numbers=booked and dice.random() < 0.5,
        most=dice.choice((2, 40, 40)) if booked else 40,
        start=start,
        rules=Rules(dice.choice(("post", "post", "post", "post", "post", "propose")), tuple(keys)),
    )


def draw_steps(dice: Dice, setup: Setup) -> list[Step]:
    """One to three scenes, with a first cycle before most, and little things between."""
    steps: list[Step] = [cycle(dice)] * setup.settle if dice.random() < 0.5 else []
    for _ in range(dice.choice((1, 2, 2, 3))):
        scenes = BOOKS_SCENES if setup.booked and dice.random() < 0.6 else _SCENES
        steps += dice.choice(scenes)(dice, setup)
        if dice.random() < 0.5:
            steps.append(_little(dice, setup))
    return steps


def cycle(dice: Dice, death: Any = None, *meanwhile: tuple[Any, Step]) -> Step:
    """A cycle after some minutes."""
    return ("cycle", dice.choice((0, 1, 3, 6, 20, 60, 60)), death, meanwhile)


def _vendors(setup: Setup) -> list[str]:
    return sorted({shape.connection for _, shape in setup.shapes})


def _at(dice: Dice) -> Any:
    """A death somewhere, or none."""
    kind = dice.random()
    if kind < 0.45:
        return None
    if kind < 0.6:
        return dice.randint(1, 70)
    return (dice.choice((_POSTING if kind < 0.85 else " ".join(DEATHS)).split()), dice.choice((1, 1, 1, 2)))


def _hire(dice: Dice, up: bool | None = None) -> Step:
    number = dice.choice((1, 1, 2, 3)) if up or (up is None and dice.random() < 0.6) else -dice.choice((1, 1, 2, 4))
    return ("hire", dice.randint(0, 1), dice.randint(0, 2), number)


def _moves(dice: Dice, setup: Setup, up: bool | None = None) -> list[Step]:
    """Something is due: settled when it was seen often enough."""
    steps = [_hire(dice, up) for _ in range(dice.choice((1, 1, 2)))]
    return steps + [cycle(dice)] * (setup.settle - 1)


def _rival(dice: Dice, setup: Setup) -> Step:
    what = dice.choice(("edit", "edit", "edit", "touch", "remove", "twin"))
    return ("rival", dice.choice(_vendors(setup)), dice.randint(0, 5), what, dice.randint(0, 12))


# Scenes


def _plain(dice: Dice, setup: Setup) -> list[Step]:
    return [*_moves(dice, setup), cycle(dice, _at(dice))]


def _fault(dice: Dice, setup: Setup) -> list[Step]:
    """An answer is lost, and the process may die before it looked."""
    kind = dice.choice((*WRITE_FAULTS, *_DOUBTFUL))
    vendor = dice.choice(_vendors(setup))
    steps = [*_moves(dice, setup), ("write_fault", vendor, *[kind] * dice.choice((1, 1, 2, 3)))]
    if kind == "refused":
        death: Any = (dice.choice(_RARE["failed"]), 1) if dice.random() < 0.5 else None
    elif kind in ("unsent", "throttled"):
        death = (dice.choice(_RARE["planned"]), 1) if dice.random() < 0.5 else None
    else:
        death = dice.choice((None, None, (dice.choice(_RARE["unknown"]), 1), _at(dice)))
    if dice.random() < 0.3:
        steps.append(("find_fault", vendor, dice.randint(1, 4)))
    steps.append(cycle(dice, death))
    if dice.random() < 0.4:
        steps.append(dice.choice((_hire(dice), _rival(dice, setup), ("forget",))))
    # Looking again, and dying while looking.
    steps.append(cycle(dice, dice.choice((None, (dice.choice(_RARE["planned"]), 1), _at(dice)))))
    if dice.random() < 0.3:
        steps.append(cycle(dice, _at(dice)))
    return steps


def _twice(dice: Dice, setup: Setup) -> list[Step]:
    """It dies, and dies again while it recovers."""
    steps = [*_moves(dice, setup), cycle(dice, (dice.choice(_POSTING.split()), 1))]
    for _ in range(dice.choice((1, 2))):
        steps.append(cycle(dice, _at(dice) or dice.randint(1, 40)))
    return steps


def _colleague(dice: Dice, setup: Setup) -> list[Step]:
    """Somebody edits between the read, the look and the sending."""
    vendor = dice.choice(_vendors(setup))
    at = (f"{vendor}.{dice.choice(('lines', 'find', 'find', 'find', 'find.after', 'send', 'send.after'))}", 1)
    death = dice.choice((None, (dice.choice(_RARE["superseded"]), 1)))
    return [*_moves(dice, setup), cycle(dice, death, (at, _rival(dice, setup))), cycle(dice)]


def _amnesia(dice: Dice, setup: Setup) -> list[Step]:
    """What was posted after the backup is forgotten."""
    steps: list[Step] = [cycle(dice)] if dice.random() < 0.7 else []
    if dice.random() < 0.4:  # something is on its way when the copy is made
        kind = dice.choice(_DOUBTFUL)
        steps += [*_moves(dice, setup), ("write_fault", dice.choice(_vendors(setup)), kind), cycle(dice, _at(dice))]
    steps.append(("backup",))
    for _ in range(dice.choice((1, 1, 2, 3))):
        steps += [*_moves(dice, setup), cycle(dice, None if dice.random() < 0.8 else _at(dice))]
        if dice.random() < 0.3:
            steps.append(("sleep", dice.choice((60 * 24 * 3, 60 * 24 * 31))))
    steps.append(("restore", dice.randint(0, 1), dice.choice(("tool", "hand"))))
    if dice.random() < 0.6:
        steps.append(_hire(dice))
    death = dice.choice((None, (dice.choice(_TRUST), 1), (dice.choice(_TRUST), 1), _at(dice)))
    return [*steps, cycle(dice, death), ("approve", -1), cycle(dice, _at(dice))]


def _clocks(dice: Dice, setup: Setup) -> list[Step]:
    """The clock jumps while something is on its way."""
    steps = [*_moves(dice, setup)]
    if dice.random() < 0.6:
        steps += [("write_fault", dice.choice(_vendors(setup)), dice.choice(_DOUBTFUL)), cycle(dice)]
    hours = dice.choice((25, 31 * 24, -2))
    if dice.random() < 0.25:  # the machine sleeps instead: time passes for all
        steps.append(("sleep", abs(hours) * 60))
    else:
        steps.append(("jump", hours))
    steps.append(("cycle", dice.choice((0, 1, 4)), _at(dice), ()))
    if dice.random() < 0.4:
        steps.append(("restart",))
    return [*steps, cycle(dice), *([("jump", -hours)] if dice.random() < 0.4 else []), cycle(dice)]


def _month(dice: Dice, setup: Setup) -> list[Step]:
    """What was planned in one month leaves, or is found, in the next."""
    steps = [*_moves(dice, setup)]
    how = dice.random()
    if how < 0.4:
        steps += [("write_fault", dice.choice(_vendors(setup)), dice.choice(WRITE_FAULTS)), cycle(dice)]
    elif how < 0.7:
        steps.append(cycle(dice, (dice.choice(("ledger.write.after", "ledger.sending.after", "psa.send.after")), 1)))
    else:
        steps += [("mode", "propose"), cycle(dice), ("mode", "post")]
    steps.append(("month",))
    if dice.random() < 0.5:
        steps += [("approve", -1)]
    return [*steps, cycle(dice, _at(dice)), cycle(dice)]


def _lie(dice: Dice, setup: Setup) -> list[Step]:
    """A source lies, openly or not."""
    openly = [one for one in COUNT_FAULTS if one not in LIES]
    kind = dice.choice([*sorted(LIES), *openly] if setup.strict else [*openly, "partial", "stale"])
    steps: list[Step] = [
        cycle(dice),
        cycle(dice),
        ("count_fault", kind, dice.randint(0, 1), dice.randint(1, 4), _lags(dice)),
    ]
    return [*steps, *[cycle(dice) for _ in range(dice.choice((1, 2, 3)))]]


def _pages(dice: Dice, setup: Setup) -> list[Step]:
    """A billing system's list lies."""
    fault = (dice.choice(LINE_FAULTS), dice.randint(0, 1), dice.randint(1, 3), _lags(dice))
    return [*_moves(dice, setup), ("lines_fault", dice.choice(_vendors(setup)), *fault), cycle(dice), cycle(dice)]


def _two(dice: Dice, setup: Setup) -> list[Step]:
    """A second daemon, or a person, acts in the middle of a cycle."""
    at: Any = dice.randint(1, 60)
    if dice.random() < 0.5:
        at = (dice.choice(_POSTING.split()).replace(".commit", ""), 1)
    step = dice.choice((("takeover",), ("takeover",), ("intruder",), _meanwhile(dice, setup), _meanwhile(dice, setup)))
    faults = [("write_fault", dice.choice(_vendors(setup)), dice.choice(_DOUBTFUL))] if dice.random() < 0.3 else []
    return [*_moves(dice, setup), *faults, cycle(dice, None, (at, step)), cycle(dice)]


def _meanwhile(dice: Dice, setup: Setup) -> Step:
    return dice.choice(
        (
            _hire(dice),
            ("approve", -1),
            ("reject", 0),
            ("undo", dice.randint(0, 3)),
            ("retry", -1),
            ("sleep", dice.choice((2, 10, 90))),
            ("invoice",),
            _rival(dice, setup),
        )
    )


def _paused(dice: Dice, setup: Setup) -> list[Step]:
    """The process stands still between its promise and the sending, and the answer is lost."""
    vendor = dice.choice(_vendors(setup))
    at = (dice.choice(("ledger.sending.after", f"{vendor}.send", f"{vendor}.find.after", f"{vendor}.send.after")), 1)
    fault = ("write_fault", vendor, dice.choice(_DOUBTFUL))
    pause = ("sleep", dice.choice((3, 8, 120)))
    return [*_moves(dice, setup), fault, cycle(dice, None, (at, pause)), ("cycle", 0, None, ()), cycle(dice)]


def _people(dice: Dice, setup: Setup) -> list[Step]:
    """Everything waits for a person, who decides at any time."""
    steps = [("mode", "propose"), *_moves(dice, setup), cycle(dice)]
    for _ in range(dice.randint(1, 3)):
        steps.append(
            dice.choice(
                (
                    ("approve", -1),
                    ("approve", 0),
                    ("reject", 0),
                    ("undo", dice.randint(0, 3)),
                    ("retry", -1),
                    _hire(dice),
                )
            )
        )
        if dice.random() < 0.5:
            steps.append(cycle(dice, _at(dice)))
    if dice.random() < 0.5:
        steps.append(("mode", "post"))
    return steps


def _lowered(dice: Dice, setup: Setup) -> list[Step]:
    """What was planned to be posted meets another mode."""
    death = dice.choice((None, (dice.choice(_RARE["held"]), 1), (dice.choice(_RARE["held"]), 1)))
    steps = [("mode", "post"), *_moves(dice, setup), cycle(dice, ("ledger.write.after", 1)), ("mode", "propose")]
    return [*steps, cycle(dice, death), ("mode", dice.choice(("post", "observe"))), cycle(dice)]


def _refused(dice: Dice, setup: Setup) -> list[Step]:
    """The vendor refuses, and the process may die while it writes that down; then a person has it tried again."""
    vendor = dice.choice(_vendors(setup))
    death = dice.choice((None, *((one, 1) for one in _RARE["failed"])))
    steps = [*_moves(dice, setup), ("write_fault", vendor, *["refused"] * dice.choice((1, 1, 2))), cycle(dice, death)]
    if dice.random() < 0.4:
        steps.append(dice.choice((cycle(dice, _at(dice)), _hire(dice), ("month",), _rival(dice, setup))))
    return [
        *steps,
        ("retry", -1),
        cycle(dice, _at(dice)),
        *([("retry", -1), cycle(dice)] if dice.random() < 0.3 else []),
    ]


def _overtaken(dice: Dice, setup: Setup) -> list[Step]:
    """A colleague was there first, and the process may die while it writes down that its change is overtaken."""
    vendor = dice.choice(_vendors(setup))
    what = ("rival", vendor, dice.randint(0, 5), "edit", dice.randint(0, 12))
    death = (dice.choice(_RARE["superseded"]), 1)
    return [
        *_moves(dice, setup),
        cycle(dice, death, ((f"{vendor}.find", 1), what)),
        cycle(dice, _at(dice)),
        cycle(dice),
    ]


def _closing(dice: Dice, setup: Setup) -> list[Step]:
    """The period ends, and is closed, between the plan and the sending."""
    vendor = dice.choice(_vendors(setup))
    at = (f"{vendor}.{dice.choice(('lines', 'find', 'find.after', 'send'))}", 1)
    turn = dice.choice((("month",), ("month",), ("invoice",)))
    return [
        *_moves(dice, setup, up=True),
        cycle(dice, None, (at, turn)),
        cycle(dice, _at(dice)),
        ("retry", -1),
        cycle(dice),
    ]


def _anywhere(dice: Dice, setup: Setup) -> list[Step]:
    """A process dies where it seldom does: while it starts, reads, or ends a cycle."""
    often = [*_READING.split(), *_LEDGER.split()]
    steps = [*_moves(dice, setup), ("restart",)] if dice.random() < 0.6 else _moves(dice, setup)
    for _ in range(dice.choice((1, 2))):
        steps.append(cycle(dice, (dice.choice(often), 1)))
    return [*steps, cycle(dice)]


_SCENES: Sequence[Callable[[Dice, Setup], list[Step]]] = (
    _plain, _plain, _fault, _fault, _fault, _twice, _twice, _colleague, _colleague, _amnesia, _amnesia, _clocks,
    _month, _month, _lie, _lie, _pages, _two, _two, _paused, _people, _lowered, _refused, _overtaken, _overtaken,
    _closing, _anywhere,
)  # fmt: skip


def _lags(dice: Dice) -> tuple[int, ...]:
    return tuple(dice.randint(0, 3) for _ in range(4))


def _little(dice: Dice, setup: Setup) -> Step:
    rule = dice.randint(0, 2)
    return dice.choice(
        (
            _hire(dice),
            _rival(dice, setup),
            ("reject", dice.randint(0, 2)),
            ("undo", dice.randint(0, 3)),
            ("retry", -1),
            ("rule", rule, "included", dice.choice((None, 2))),
            ("rule", rule, "minimum", dice.choice((None, 4))),
            ("rule", rule, "decrease", dice.choice(("now", "now", "hold", "next-period", "ignore"))),
            ("rule", rule, "increase", dice.choice(("now", "now", "hold", "next-period", "ignore"))),
            ("mode", dice.choice(("post", "post", "observe"))),
            ("invoice",),
            ("restart",),
            ("forget",),
            ("leave", dice.randint(0, 1)),
            ("join", dice.randint(0, 1)),
            ("sleep", dice.choice((10, 26 * 60))),
        )
    )
