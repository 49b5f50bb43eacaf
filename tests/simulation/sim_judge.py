"""What must hold in the simulated world: some of it at every delivery and effect, some after each step, all at rest.

The judge believes the vendors' own records and the committed file, never what the running process says. It knows what
is due by its own arithmetic: the true counts, the rules as they were and are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sim_books import Books
from sim_estate import CREATES, DATED, Effect, Row
from sim_files import ZONE
from sim_judge_books import sent_in_a_document, taken_off
from sim_vendors import BillingModel
from sim_wrong import Wrong

from syncd.cycle import Cycle
from syncd.ledger.codec import instant_text
from syncd.model import Operation, Posting
from syncd.periods import local_date, month_of

if TYPE_CHECKING:
    from sim_world import World

COLLEAGUE = "a colleague"
IN_FLIGHT = ("sending", "unknown", "posted")
_SET = Operation.SET_QUANTITY


class Judge:
    """Watches one world. `disturbed`: (customer, product) that a colleague edited; `unseen`: lines that a colleague
    removed while syncd did not know that it had made them, or forgot it in a restore."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.disturbed: set[tuple[str, str]] = set()
        self.unseen: set[str] = set()
        self.stale_at = ""
        self.bodies: dict[str, bytes] = {}
        self.numbers: dict[str, str] = {}  # a document's number -> the keys of its lines
        self.forgotten: set[str] = set()
        self.restored = False
        self.periods: dict[str, str] = {}  # mark -> the period that its entry named
        self.counts: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.keys: dict[str, set[Any]] = defaultdict(set)
        self.recurring: dict[tuple[str, str], set[int]] = defaultdict(set)
        self.ended: Counter[str] = Counter()
        self.uninvoiced: dict[tuple[str, str], str] = {}  # connection, customer -> when that was last seen

    # What was true

    def look(self) -> None:
        """Notes what is true now: counts, rules, recurring lines."""
        world = self.world
        for who in world.setup.customers:
            for name, shape in world.setup.shapes:
                self.counts[who, name].add(world.source.true_count(who, shape.product))
                self.keys[name].add(world.rules)
                rows = world.billings[shape.connection].recurring(who, shape.product, world.today)
                self.recurring[who, shape.product].add(sum(row.units for row in rows))
                through = world.billings[shape.connection].invoiced_through.get(who)
                if through is None or through < world.today:
                    self.uninvoiced[shape.connection, who] = instant_text(world.clock())

    def truths(self, who: str, name: str) -> set[int]:
        """Every target that was ever true."""
        return {rules.target(name, count) for rules in self.keys[name] for count in self.counts[who, name]}

    def forgot(self) -> None:
        """The ledger went back: what happened since is not in it."""
        self.restored = True
        rows = self.world.entry_rows()
        known = {row["key"] for row in rows if row["state"] in IN_FLIGHT}
        # What was sent under a name that the ledger forgot may be named so again, for another quantity.
        named = {row["key"] for row in rows}
        self.bodies = {keys: body for keys, body in self.bodies.items() if named.issuperset(keys.split())}
        for model in self.world.billings.values():
            self.forgotten |= {effect.key for effect in model.effects if effect.key not in known}
            self.forgotten |= {key for key, _ in model.deliveries if key not in known}
            self._unsee(model, model.removed)

    def removed(self, model: BillingModel, row: Row) -> None:
        """A colleague takes a line away."""
        model.removed.add(row.id)
        self._unsee(model, {row.id})

    def _unsee(self, model: BillingModel, lines: set[str]) -> None:
        """Whoever does not know that it made a line, or forgot it, cannot tell that it was removed from that it never
        was: making it again is no second effect, because the first does not stand any more."""
        for effect in model.effects:
            if effect.operation in CREATES and effect.line in lines:
                entry = self.world.entry_row(effect.key)
                if entry is None or entry["state"] != "posted":
                    self.unseen.add(effect.line)

    def stranded(self, row: Mapping[str, Any]) -> bool:
        """Whether a person took a line off its document while nobody knew whether it was made: the document still bears
        its mark, so that it is not made again, and it stays told until a person amends the document."""
        model = self.world.billings[row["connection"]]
        return row["state"] == "unknown" and isinstance(model, Books) and taken_off(model, row["key"])

    # At every delivery and effect

    def delivered(self, model: BillingModel, posting: Posting, body: bytes) -> None:
        """Nothing leaves without its durable row; every attempt under a key sends the same bytes; never two values in
        flight for one line."""
        world, process = self.world, self.world.process
        # Between the commit and the first byte nobody can stop it; the newer writer waits for it (RELIABILITY, "What
        # fencing cannot reach").
        begun = self.stale_at.endswith((".send", "ledger.sending.after", "ledger.sending_together.after"))
        if process is not None and process.taken_over and not begun:
            raise Wrong(f"stale writer sent: after it was overtaken at {self.stale_at}")
        carried = model.carried(posting, body)
        if self.bodies.setdefault(" ".join(sorted(one.key for one in carried)), body) != body:
            raise Wrong("other bytes: two attempts under one key differ")
        if isinstance(model, Books):
            sent_in_a_document(self, model, carried, body)
        for one in carried:
            row = world.entry_row(one.key)
            if row is None or (row["state"] != "sending" and not (process and process.taken_over)):
                raise Wrong(f"no durable row: {posting.operation} was sent while its entry is {row and row['state']}")
            if posting.operation in DATED:  # it may land when the ledger has forgotten it
                self.periods[one.marker] = str(row["period"])
            if not (process and process.taken_over):
                self._foreign(model, one, row)
        if posting.operation is _SET:
            for waiting in model.pending:
                if (
                    f'"line": "{posting.line_id}"'.encode() in waiting.body
                    and posting.key.encode() not in waiting.body
                    and waiting.lands - world.estate.now < world.very_late
                ):
                    raise Wrong("two in flight: a newer value was sent while an older request may still land")

    def _foreign(self, model: BillingModel, posting: Posting, row: Mapping[str, Any]) -> None:
        """Nothing that a colleague did to what syncd wrote is written over unseen, nor against `foreign_edit`. Between
        the look and the first byte nobody can know of it."""
        policy, wanted = self.world.setup.foreign_edit, int(row["after"])
        asked = _person(row) or self.restored
        rows = [one for one in self.world.entry_rows() if one["state"] == "posted"]
        if posting.operation is _SET:
            shown, planned_from = model.looked.get(posting.key), int(row["before"])
            if shown not in (planned_from, wanted):
                raise Wrong(f"overwritten unseen: {posting.line_id} showed {shown}, and {row['before']} was changed")
            units, by = model.history[posting.line_id][-1]
            known = [
                int(one["after"])
                for one in rows
                if one["identity"] == row["identity"] or one["remote_id"] == posting.line_id
            ]
            if asked or by != COLLEAGUE or units != planned_from or not known or known[-1] == units:
                return
            if policy == "hold" or (policy == "accept" and wanted == known[-1]):
                raise Wrong(f"overwritten unasked: syncd wrote {known[-1]}, {by} {units}; foreign_edit is {policy}")
        elif posting.operation in DATED and policy == "hold" and not (asked or model.faults.reads or row["follows"]):
            # What a colleague did before the cycle began was on the list that it read.
            lines = {effect.key: effect.line for effect in model.effects}
            posted = {
                lines.get(one["key"], one["remote_id"]): one for one in rows if one["identity"] == row["identity"]
            }
            before = {line: model.past[-1].get(line) for line in posted}
            there = [line for line, one in before.items() if one is not None or line in model.removed]
            known_sum = sum(_signed(posted[line]) for line in there)
            shown_sum = sum(one.units for one in before.values() if one is not None)
            if known_sum != shown_sum:
                raise Wrong(f"overwritten unasked: lines of {row['identity']} sum to {shown_sum}, not {known_sum}")

    def happened(self, model: BillingModel, effect: Effect) -> None:
        """An effect, just now."""
        world = self.world
        standing = [one for one in model.effects if one.key == effect.key and one.line not in self.unseen]
        if effect.operation in CREATES and len(standing) > 1:
            raise Wrong(f"double effect: {effect.operation} of {effect.product} happened twice under one key")
        row = world.entry_row(effect.key)
        if row is None and effect.key not in self.forgotten:
            raise Wrong(f"effect without entry: {effect}")
        name = next(name for name, shape in world.setup.shapes if shape.product == effect.product)
        person = row is None or _person(row)
        truths = self.truths(effect.customer, name)
        if effect.operation == _SET and effect.units < effect.before and not person and effect.units not in truths:
            raise Wrong(
                f"moved on a lie: {name} went from {effect.before} to {effect.units}, true were {sorted(truths)}"
            )
        if effect.operation in DATED:
            if row is not None:
                self._part(effect, row)
            self._dated(model, effect, name, truths, bool(person))

    def _part(self, effect: Effect, row: Mapping[str, Any]) -> None:
        """The part beside a raised quantity is for days that are invoiced: it does not move on while they run."""
        planned = local_date(datetime.fromisoformat(str(row["created_at"])), ZONE)
        late = effect.starts is not None and str(month_of(effect.starts)) > str(row["period"])
        if row["follows"] and late and not row["undo_of"] and str(month_of(planned)) == str(row["period"]):
            raise Wrong(f"part moved: {row['id']} of {row['period']} begins on {effect.starts}")

    def _dated(self, model: BillingModel, effect: Effect, name: str, truths: set[int], person: bool) -> None:
        if effect.starts is None or dict(self.world.setup.shapes)[name].prorate:
            return
        of = effect.customer, effect.product
        period = self._period(effect)
        total = self._own(model, *of, period)
        recurring = self.recurring[of]
        most = max(truths) - min(recurring)
        if total > most and of not in self.disturbed:
            raise Wrong(f"more than was due: {name} of {period} sums to {total}, at most {most} were ever due")
        dues = {max(truth - units, 0) for truth in truths for units in recurring}
        if effect.units < 0 and not person and of not in self.disturbed and total not in dues:
            raise Wrong(f"moved on a lie: {name} of {period} was credited to {total}, due were {sorted(dues)}")

    def _period(self, line: Effect | Row) -> str:
        """The period for which a dated line stands: it may be billed on a later day, where its own days are closed."""
        return self.periods.get(line.marker) or (str(month_of(line.starts)) if line.starts else "")

    def _own(self, model: BillingModel, who: str, product: str, period: str) -> int:
        """What syncd's dated lines of a period sum to at the vendor."""
        lines = [row for row in model.rows.values() if (row.customer, row.product, row.once) == (who, product, True)]
        return sum(row.units for row in lines if row.marker and self._period(row) == period)

    # After each step

    def after_step(self) -> None:
        """Every effect has its entry in a state that counts it, and every posted entry its effect."""
        world = self.world
        rows = world.entry_rows()
        by_key = {row["key"]: row for row in rows}
        for model in world.billings.values():
            waiting = b"".join(one.body for one in model.pending)
            for effect in model.effects:
                row = by_key.get(effect.key)
                if row is None or effect.key in self.forgotten:
                    if effect.key not in self.forgotten:
                        raise Wrong(f"effect without entry: {effect}")
                    continue
                counted = row["state"] in IN_FLIGHT or effect.line in self.unseen
                if not counted and effect.operation in CREATES:
                    raise Wrong(f"effect not counted: {effect} is {row['state']} ({row['note']})")
                # What somebody else wrote since, or a process that is forgotten, has the last word over a set.
                excused = (effect.customer, effect.product) in self.disturbed or world.very_lates or self.restored
                if not counted and not excused:
                    raise Wrong(f"effect not counted: {effect} is {row['state']} ({row['note']})")
            done = {effect.key: effect for effect in model.effects}
            for row in rows:
                if row["state"] != "posted" or row["connection"] != model.name:
                    continue
                if row["key"] in done:
                    effect = done[row["key"]]
                    there = row["remote_id"] == model.home(effect.line)
                    same = there and int(row["quantity"]) == abs(effect.units)
                    if effect.operation in CREATES and not same:
                        raise Wrong(f"other effect: entry {row['id']} says {row['quantity']}, done was {effect}")
                elif row["operation"] in CREATES:
                    raise Wrong(f"posted without effect: {row['operation']} {row['id']} {row['note']!r} {len(waiting)}")
                elif row["operation"] == _SET and not self._shown(model, row):
                    raise Wrong(f"posted without effect: {row['id']} to {row['after']} {row['note']!r}")

    def _shown(self, model: BillingModel, row: dict[str, Any]) -> bool:
        """Somebody else wrote the same value."""
        line = row["identity"].rpartition(":")[2]
        return any(units == int(row["after"]) for units, _ in model.history.get(line, ()))

    # At rest

    def at_rest(self, cycle: Cycle) -> None:
        """Every line is at its target, or not for a reason that is true; the record is whole."""
        world = self.world
        ledger = world.start().ledger
        if wrong := ledger.verify():
            raise Wrong(f"broken record: {wrong[0]}")
        self.after_step()
        if cycle.plan.errors and not all(error.code in ("gone", "not_found") for error in cycle.plan.errors):
            raise Wrong(f"errors at rest: {cycle.plan.errors}")
        wanted = len(world.setup.customers) * len(world.setup.shapes)
        if len(cycle.plan.lines) != wanted:
            raise Wrong(f"lines missing: {len(cycle.plan.lines)} of {wanted}")
        rows = world.entry_rows()
        self._parts(rows)
        for line in cycle.plan.lines:
            self.ended[str(line.action)] += 1
            self._line(line, [row for row in rows if row["line"] == line.id])

    def _parts(self, rows: list[dict[str, Any]]) -> None:
        """A quantity that rose inside an invoiced period has its part of that period beside it. Not asked where it is
        not known what was invoiced when it was planned: the ledger forgot, the clock jumped, or the invoice was made
        between the list and the sending, which nobody can see."""
        world = self.world
        if self.restored or world.did["jump"] or world.did["meanwhile invoice"] or world.did["meanwhile month"]:
            return
        parted = {name for name, shape in world.setup.shapes if shape.prorate}
        kept = {row["follows"] for row in rows if row["state"] in ("posted", "failed", "rejected")}
        for row in rows:
            rose = row["operation"] == _SET and int(row["after"]) > int(row["before"]) and not row["undo_of"]
            if row["state"] != "posted" or row["rule"] not in parted or not rose or row["key"] in kept:
                continue
            open_until = self.uninvoiced.get((row["connection"], row["customer"].lower()), "")
            if row["created_at"] > open_until:
                raise Wrong(f"part lost: {row['id']} rose to {row['after']}, and nothing of {row['period']} followed")

    def _line(self, line: Any, rows: list[dict[str, Any]]) -> None:
        world = self.world
        shape = dict(world.setup.shapes)[line.rule]
        who = line.customer.lower()
        model = world.billings[shape.connection]
        period = month_of(world.today)
        recurring = model.recurring(who, shape.product, world.today)
        own = self._own(model, who, shape.product, str(period))
        in_force = [row for row in recurring if row.starts is None or row.starts <= world.today]
        shown = sum(row.units for row in in_force or recurring)  # a line that begins later bills as much then
        due = world.rules.target(line.rule, world.source.true_count(who, shape.product))
        billed = shown + (own if shape.true_up == "line" else 0)
        keys = world.rules.of(line.rule)
        direction = keys.get("increase", "now") if due > billed else keys.get("decrease", "hold")
        posted = sum(
            _signed(row)
            for row in rows
            if row["state"] == "posted" and row["operation"] in DATED and row["period"] == str(period)
        )
        reason = line.reason
        match str(line.action):
            case "none":
                true = billed == due
            case "ignore":
                true = (
                    (reason.startswith("rejected by") and any(row["state"] == "rejected" for row in rows))
                    or (reason.startswith("undone by") and any(row["undo_of"] for row in rows))
                    or (reason.endswith("; accepted") and (who, shape.product) in self.disturbed)
                    or (reason.endswith("is ignore") and direction == "ignore")
                )
            case "hold":
                touched = (who, shape.product) in self.disturbed
                true = (
                    (own != posted and ("sum to" in reason or "what syncd wrote" in reason))
                    or (touched and ("it is no longer" in reason or "no longer open" in reason))
                    or (touched and "the line was changed" in reason)
                    or (isinstance(model, Books) and "still a draft" in reason and due < own)
                )
            case "defer":
                true = ("is next-period" in reason and direction == "next-period") or (
                    "begins on" in reason and any(row.starts and row.starts > world.today for row in recurring)
                )
            case "alert":
                # Of its own lines nothing may be left that it could take back, or the sentence says why it cannot.
                told = own != posted and "sum to" in reason
                true = ("only adds" in reason and shown > due and (own <= 0 or self.restored or told)) or (
                    "no open line" in reason and not recurring
                )
            case "blocked":
                true = (
                    (reason.startswith("refused:") and any(row["state"] == "failed" for row in rows))
                    or ("open lines bill" in reason and len(recurring) > 1)
                    or ("has no customer" in reason and who not in world.source.present)
                    or ("is not known yet" in reason and any(self.stranded(row) for row in rows))
                )
            case _:
                true = False
        if not true:
            raise Wrong(
                f"at rest, untrue: {who} {line.rule} is {line.action} ({reason}); due {due}, shown {shown}, own {own}, "
                f"posted {posted}"
            )


def _person(row: Mapping[str, Any]) -> bool:
    """Whether a person asked for an entry, or let it leave."""
    return bool(row["undo_of"]) or str(row["decided_by"]).startswith("person:")


def _signed(row: Mapping[str, Any]) -> int:
    """The units of a dated line; a credit's are negative."""
    return int(row["quantity"]) * (-1 if row["operation"] == "post_credit" else 1)
