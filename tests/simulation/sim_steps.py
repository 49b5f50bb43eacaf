"""What happens in the simulated world: each step is a function of the world, and its name and arguments are data.

Steps that do not apply do nothing. A process's own cycle is `sim_world`'s; these are everybody else's deeds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sim_books import Books
from sim_files import ZONE, load_files
from sim_sources import LIES
from sim_wrong import Wrong

from syncd.core.entries import EntryState
from syncd.cycle.undoing import take_back, try_again
from syncd.errors import LedgerBusy, UserFault, VendorError
from syncd.ledger import Ledger
from syncd.ledger.backup import backup as copy_of
from syncd.ledger.backup import restore as put_back
from syncd.periods import local_date, month_of

if TYPE_CHECKING:
    from sim_world import World

Step = tuple[Any, ...]
URL = "sqlite:///syncd.db"


def cycle(world: World, minutes: int, death: Any = None, meanwhile: Iterable[tuple[Any, Step]] = ()) -> None:
    """A cycle after so many minutes, with what strikes in it."""
    world.sleep(minutes)
    world.cycle(death, dict(meanwhile))


def hire(world: World, customer: int, rule: int, number: int) -> None:
    """The count moves: up, or down where `number` is negative."""
    who, sku = _pick_count(world, customer, rule)
    world.source.counts[who, sku] = max(0, world.source.counts[who, sku] + number)


def _pick_count(world: World, customer: int, rule: int) -> tuple[str, str]:
    shape = world.setup.shapes[rule % len(world.setup.shapes)][1]
    return world.setup.customers[customer % len(world.setup.customers)], shape.product


def leave(world: World, customer: int) -> None:
    """A customer is no longer there."""
    world.source.present.discard(world.setup.customers[customer % len(world.setup.customers)])


def join(world: World, customer: int) -> None:
    """A customer is there again."""
    world.source.present.add(world.setup.customers[customer % len(world.setup.customers)])


def write_fault(world: World, vendor: str, *kinds: str) -> None:
    """The next writes of a vendor go so, one after the other."""
    world.billings[vendor].faults.writes += kinds


def find_fault(world: World, vendor: str, number: int) -> None:
    """So many of the next looks fail."""
    world.billings[vendor].faults.finds = number


def lines_fault(
    world: World, vendor: str, kind: str, customer: int, cycles: int, lags: tuple[int, ...] = (2, 0, 3)
) -> None:
    """A billing system's list lies for some cycles."""
    faults = world.billings[vendor].faults
    if kind == "gap" and (cycles > 1 or world.setup.settle < 2):
        return  # a gap that nobody sees, twice in a row, is a line that somebody deleted
    faults.victim = world.setup.customers[customer % len(world.setup.customers)]
    faults.reads[kind], faults.lags = cycles, list(lags)


def count_fault(world: World, kind: str, customer: int, cycles: int, lags: tuple[int, ...] = (2, 0, 3)) -> None:
    """The source lies for some cycles."""
    if kind in LIES and not world.setup.strict:
        return
    faults = world.source.faults
    faults.victim = world.setup.customers[customer % len(world.setup.customers)]
    faults.reads[kind], faults.lags = cycles, list(lags)


def rival(world: World, vendor: str, line: int, what: str, units: int) -> None:
    """A colleague edits a line: "edit", "touch" (nothing that is billed), "remove" or "twin" (a second one)."""
    model = world.billings[vendor]
    rows = sorted(model.rows)
    if not rows:
        return
    row = model.rows[rows[line % len(rows)]]
    world.estate.hits[f"rival {what}"] += 1
    if what == "remove":
        del model.rows[row.id]
        world.judge.removed(model, row)
    elif what == "twin":
        if not row.once:
            model.add(row.customer, row.product, units)
    elif row.once and what == "edit":
        model.rival(row.id, units if row.units >= 0 else -units)
    else:
        model.rival(row.id, units if what == "edit" else None)
    world.judge.disturbed.add((row.customer, row.product))


def bookkeeper(world: World, which: int, what: str) -> None:
    """A person goes on with a document: "send on" (a draft becomes an invoice), "void" or "delete"."""
    model = world.billings.get("books")
    if not isinstance(model, Books) or not model.documents:
        return
    document = list(model.documents.values())[which % len(model.documents)]
    world.estate.hits[f"bookkeeper {what}"] += 1
    if what == "send on":
        document.entity = "invoice" if document.entity == "draft" else document.entity
        return
    document.voided = True
    if what == "delete":
        del model.documents[document.id]
    for row in [row for row in model.rows.values() if model.home(row.id) == document.id]:
        del model.rows[row.id]
        world.judge.removed(model, row)
        world.judge.disturbed.add((row.customer, row.product))


def withdraw(world: World, which: int) -> None:
    """A product is no longer sold in the books: no new document takes it."""
    model = world.billings.get("books")
    if isinstance(model, Books):
        model.stopped.add(model.products[which % len(model.products)])


def offer(world: World) -> None:
    """Every product is sold again."""
    model = world.billings.get("books")
    if isinstance(model, Books):
        model.stopped.clear()


def forget(world: World) -> None:
    """The vendor forgets the keys that it promised to keep."""
    for model in world.billings.values():
        world.estate.hits["keys forgotten"] += len(model.keys)
        model.keys.clear()


def rule(world: World, which: int, key: str, value: Any) -> None:
    """An admin changes a rule; None takes the key away."""
    name = world.setup.shapes[which % len(world.setup.shapes)][0]
    world.rules = world.rules.changed(name, key, value)


def mode(world: World, word: str) -> None:
    """The mode of the whole house is another one."""
    world.rules = replace(world.rules, mode=word)


def sleep(world: World, minutes: int) -> None:
    """Time passes."""
    world.sleep(minutes)


def month(world: World) -> None:
    """The real time goes to just before or over the end of the month; the billing systems make their invoices."""
    end = month_of(world.today).last
    while local_date(world.clock(), ZONE) <= end:
        world.sleep(60 * 12)
    invoice(world)


def invoice(world: World) -> None:
    """The current period is invoiced, and the one before is closed."""
    for model in world.billings.values():
        model.invoice(world.setup.customers, month_of(world.today), world.today, locks=world.setup.locks)


def jump(world: World, hours: int) -> None:
    """The machine's clock jumps; no time passes."""
    world.offset += timedelta(hours=hours)
    world.estate.hits[f"clock {hours:+} h"] += 1


def restart(world: World) -> None:
    """An orderly end."""
    world.drop()


def intruder(world: World) -> None:
    """A second process wants the ledger."""
    if world.process is None or world.process.taken_over:
        return
    with Ledger.open(URL, world.clock, folder=world.folder, create=False) as other:
        try:
            other.claim("run", timedelta())
        except LedgerBusy:
            world.estate.hits["a second writer was refused"] += 1
            return
    raise Wrong("two writers: a second process claimed the ledger")


def takeover(world: World) -> None:
    """In the middle of a cycle the process loses its lock without knowing (its session fell, it slept); another one
    runs a cycle."""
    if world.process is None or world.process.taken_over or not world.at:
        return
    if world.overtaken():
        world.estate.hits["a take-over"] += 1


# People


@contextmanager
def _desk(world: World) -> Iterator[Ledger]:
    """The ledger of a command in another process."""
    if world.command is None:
        world.command = Ledger.open(URL, world.clock, folder=world.folder, create=False)
    with suppress(UserFault, VendorError):
        yield world.command


def approve(world: World, which: int = -1) -> None:
    """A person lets one held change leave; -1 is all of them."""
    with _desk(world) as ledger:
        held = ledger.entries(states={EntryState.HELD})
        chosen = held if which < 0 else held[which % len(held) :][:1] if held else []
        if chosen:
            ledger.approve([one.id for one in chosen], "Dana", looked=True)
            world.estate.hits["approved"] += len(chosen)


def reject(world: World, which: int) -> None:
    """A person turns one held change down."""
    with _desk(world) as ledger:
        if held := ledger.entries(states={EntryState.HELD}):
            ledger.reject([held[which % len(held)].id], "not now", "Dana")
            world.estate.hits["rejected"] += 1


def undo(world: World, which: int) -> None:
    """A person takes one posted change back, as `syncd undo` does."""
    with _desk(world) as ledger:
        if found := ledger.entries(states={EntryState.POSTED}):
            config, _ = load_files(world.setup, world.rules)
            chosen = [found[-1 - which % len(found)]]
            undone = take_back(
                ledger, config, world.kinds, world.clock, chosen, by="Dana", why="a mistake", strict=False
            )
            world.estate.hits["undone"] += bool(undone.entries)


def retry(world: World, which: int = -1) -> None:
    """A person has a refused change tried again, as `syncd retry` does; -1 is each of them."""
    with _desk(world) as ledger:
        found = ledger.entries(states={EntryState.FAILED})
        config, _ = load_files(world.setup, world.rules)
        for entry in found if which < 0 else [found[-1 - which % len(found)]][: len(found)]:
            with suppress(UserFault):
                try_again(ledger, config, world.kinds, world.clock, [entry], by="Dana")
                world.estate.hits["retried"] += 1


# Backups


def backup(world: World) -> None:
    """A copy of the ledger is made."""
    target = world.folder / f"copy{len(world.copies)}.db"
    with suppress(UserFault):
        copy_of(world.path, target)
        world.copies.append(target)


def restore(world: World, which: int, how: str) -> None:
    """An older copy becomes the ledger: by `syncd restore` ("tool"), or somebody copies the file back ("hand")."""
    if not world.copies:
        return
    copy = world.copies[which % len(world.copies)]
    world.close()
    mark = world.path.with_name(world.path.name + ".mark")
    for path in world.folder.glob("syncd.db*"):
        if path != mark:
            path.unlink()
    if how == "tool":
        mark.unlink(missing_ok=True)
        put_back(copy, URL, folder=world.folder, clock=world.clock)
    else:
        shutil.copyfile(copy, world.path)
        os.chmod(world.path, 0o600)
    world.look_again()
    world.judge.forgot()
    world.estate.hits[f"restored by {how}"] += 1


STEPS: Mapping[str, Callable[..., None]] = {
    step.__name__: step
    for step in (
        cycle, hire, leave, join, write_fault, find_fault, lines_fault, count_fault, rival, bookkeeper, withdraw, offer,
        forget, rule, mode, sleep,
        month, invoice, jump, restart, intruder, takeover, approve, reject, undo, retry, backup, restore,
    )
}  # fmt: skip
