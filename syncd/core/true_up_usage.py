"""`true_up = "usage"`: in arrears. When a period is over and its grace has passed, one line for what was used in it.

What is due rests on what the ledger saw on each day (`core.aggregate`), not on today's count. syncd's lines of a period
are known by the ledger alone: billing systems do not list what has ended. Nothing is billed twice, because the lines of
a period sum to what was due, whenever they are written; and nothing that was billed by hand before syncd came: older
than the newest period that is due, only those count that lie between two that syncd billed or has to bill.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from syncd.core import keys
from syncd.core.aggregate import Day, Track, Usage, days_json, days_of, usage
from syncd.core.charge import lifted
from syncd.core.closing import is_forgotten
from syncd.core.counting import Counted, Step, matching, target, total
from syncd.core.effects import Site, choose_agreement, line_effects, own_before, own_identity, paid_before
from syncd.core.entries import EntryState, LineHistory
from syncd.core.findings import Number
from syncd.core.place import Desk, Place, home
from syncd.core.policy import Action
from syncd.core.pricing import Unpriced
from syncd.core.resolve import narrowed
from syncd.core.rules import CountRef, Customer, Direction, Rule
from syncd.core.trails import REACH, due, ends, trails
from syncd.core.true_up import NOTHING, Meddling, Proposal, charged, text_of
from syncd.model import Query, State
from syncd.money import ZERO, plain
from syncd.periods import Period, preceding

# How far before a period that was left out syncd must have posted one.
_CHAIN = 12


@dataclass(frozen=True, slots=True)
class Arrears:
    """The closed period that a line is about, and what it comes to.

    `counted` is None where no period is over yet, or none was read; `action` and `reason` then say so, and `action` is
    None where the line is judged as any other. `running`: what the period that is not over came to so far.
    """

    rule: Rule
    place: Place
    counted: Counted | None = None
    found: Usage | None = None
    running: Usage | None = None
    action: Action | None = None
    reason: str = ""

    def used(self, today: Number) -> Number:
        """What the line is judged by: the period's number instead of today's, with its own words for the customer.
        Whether the customer is gone is as of today."""
        quantity = self.found.quantity if self.found else ZERO
        state = State.GONE if today.state is State.GONE else State.KNOWN
        return Number(state, quantity, (), today.reason if state is State.GONE else str(self.found or ""))

    @property
    def period(self) -> str:
        """The closed period that the line is about; "" where none is."""
        return str(self.found.period) if self.found else ""

    @property
    def derivation(self) -> Mapping[str, Any]:
        """For the line's derivation: the days, and the number so far."""
        told: dict[str, Any] = {"usage": days_json(self.found)} if self.found else {}
        if self.running:
            told["running"] = {"period": str(self.running.period), "quantity": plain(self.running.quantity)}
        return told


def arrears(desk: Desk, customer: Customer, rule: Rule, place: Place, used: Number) -> Arrears:
    """Which closed period is due, and how much. A rise or fall is judged when its period is over, so that
    `next-period` is `now`; usage knows no commitment, so that `term` is `hold`."""
    rule = replace(
        rule,
        increase=Direction.NOW if rule.increase is Direction.NEXT_PERIOD else rule.increase,
        decrease={Direction.NEXT_PERIOD: Direction.NOW, Direction.TERM: Direction.HOLD}.get(
            rule.decrease, rule.decrease
        ),
    )
    if place.state is not State.KNOWN or place.problem or place.target is None or place.period is None:
        return Arrears(rule, place, Counted(ZERO, ()))
    line = place.target.lines[0] if place.target.lines else None
    agreement, problem = choose_agreement(place.target, line)
    if agreement is None or place.target.product is None:
        return Arrears(rule, place, action=Action.BLOCKED, reason=problem or "the product is not known")
    name = keys.dated(home(rule), agreement.id, place.target.product.id, customer.name, rule.name, "")
    parts = _parts(desk, customer, rule)
    if parts is None:  # a customer that its source does not have: what was read of it cannot be found again
        return Arrears(rule, place, action=Action.BLOCKED, reason=f"used is {used.state}: {used.reason}")
    current = place.period
    newest = due(desk.house, desk.moment, rule, current)
    running = usage(rule.aggregate, _with_today(desk, parts, current, used), current, desk.moment.today)
    chosen = _choose(desk, customer, rule, name, parts, newest)
    if forgotten := _forgotten(desk, place, name, chosen.period):
        return Arrears(rule, place, action=Action.HOLD, reason=forgotten)
    billed = own_before(desk.past.lines.get(f"{name}{chosen.period}", NOTHING))
    there = replace(place, period=chosen.period, billed=billed, running=current)
    made = Arrears(rule, there, found=chosen.found, running=running)
    if chosen.found is None and chosen.unread:
        why = f"{chosen.period} could not be read again: {chosen.unread}"
        return replace(made, action=Action.BLOCKED, reason=why)
    if chosen.found is None:
        return _unread(made, parts, chosen.period, _opens(newest, rule, desk, current))
    if chosen.vanished and not billed:
        return replace(made, action=Action.HOLD, reason=chosen.vanished)
    if chosen.settled_otherwise:
        return replace(
            made, counted=chosen.counted, action=Action.NONE,
            reason=f"{chosen.period} was billed under the rule as it stood then",
        )  # fmt: skip
    return replace(made, counted=chosen.counted)


def _forgotten(desk: Desk, place: Place, name: str, period: Period) -> str:
    """A sentence where the billing system still shows a line of the period that a restored ledger forgot: what it comes
    to is no longer known, and a person decides."""
    for line in place.target.own if place.target is not None else ():
        could_be = line.starts is None or line.starts >= period.first
        if could_be and is_forgotten(line.marker, period, desk.past, name):
            return (
                f"line {line.id} was posted for {period} after the backup that the ledger was restored from; "
                "bill by hand what is still missing"
            )
    return ""


@dataclass(frozen=True, slots=True)
class _Choice:
    period: Period
    found: Usage | None
    counted: Counted | None = None
    settled_otherwise: bool = False
    unread: str = ""
    vanished: str = ""


def _choose(desk: Desk, customer: Customer, rule: Rule, name: str, parts: _Parts | None, newest: Period) -> _Choice:
    """The newest period that is due; or, where that is settled, an older one that was left out between two others."""
    first = _look(desk, customer, rule, name, parts, newest, due=True)
    history = desk.past.lines.get(f"{name}{newest}", NOTHING)
    open_or_new = first.counted is not None and first.counted.target != own_before(history)
    if first.settled_otherwise or not open_or_new:
        for period in _older(desk, name, newest):
            other = _look(desk, customer, rule, name, parts, period)
            if other.counted is not None and other.counted.target > 0:
                return other
    return first


def _look(
    desk: Desk, customer: Customer, rule: Rule, name: str, parts: _Parts | None, period: Period, *, due: bool = False
) -> _Choice:
    """What a period comes to. `due`: it is the newest one, which is asked for again where it is of what happened."""
    if not _was_followed(parts, period):
        return _Choice(period, None)  # what happened before syncd came was billed by hand
    seen = days_of(parts, period.first, period.last) if parts is not None else ()
    vanished = ""
    try:
        days: Sequence[Day] | None = _asked_again(desk, customer, rule, period, due=due)
    except _Unread as why:
        return _Choice(period, None, unread=str(why))
    if days is None:
        found = usage(rule.aggregate, seen, period)
    else:
        found = Usage(period, rule.aggregate, days[0].close, tuple(days))
        most = max((day.close for day in seen), default=ZERO)
        if most > 0 and not days[0].close:
            vanished = (
                f"{period} came to {plain(most)}, and shows nothing where it is asked for again: look at the source, "
                "and bill by hand what it was"
            )
    if found is None:
        return _Choice(period, None)
    made = lifted(rule.price, _counted(rule, found), desk.house.currency)
    return _Choice(period, found, made, _under_other_words(desk, rule, f"{name}{period}"), vanished=vanished)


class _Unread(Exception):
    """Why a closed period could not be read again."""


def _asked_again(desk: Desk, customer: Customer, rule: Rule, period: Period, *, due: bool) -> tuple[Day] | None:
    """The whole period as its last day, where its count was asked for again; None where it was not, or where a part of
    it is gone: then the days that were seen tell. Raises _Unread, also where a part could not be asked: without it the
    sum would be too small."""
    found = ZERO
    asked = gone = False
    for ref in rule.count:
        of_period = ref.connection in desk.views and ref.measure in desk.views[ref.connection].of_period
        for resolved in desk.resolution.get((customer.name, ref.connection), ()):
            query = Query(ref.measure, narrowed(ref.where, resolved.key))
            reading = desk.past.again.get((ref.connection, resolved.id, f"{query} of {period}"))
            if reading is None:
                gone = gone or resolved.state is State.GONE
                if due and of_period and resolved.state is State.UNKNOWN:
                    raise _Unread(resolved.reason or f"{ref.connection} could not be asked")
                continue
            asked = True
            if reading.state is not State.KNOWN:
                raise _Unread(reading.reason or f"{ref.connection} gave no answer")
            found += total(matching(ref, reading.counts)) * ref.factor
    return (Day(period.last, found, found),) if asked and not gone else None


def _counted(rule: Rule, found: Usage) -> Counted:
    made = target(rule, found.quantity)
    told = f"{found}{f'; {found.unread}' if found.gaps else ''}"
    return replace(made, steps=(Step(told, found.quantity), *made.steps[1:]))


def _older(desk: Desk, name: str, newest: Period) -> Iterator[Period]:
    """Closed periods before the newest one for which nothing stands, though an earlier one was posted: syncd was down
    when they were due, or what was planned for them was refused or overtaken."""
    before = [newest]
    for _ in range(REACH - 1 + _CHAIN):
        before.append(preceding(before[-1]))
    for number, period in enumerate(before[1:REACH], 1):
        if _is_missing(desk.past.lines.get(f"{name}{period}")) and any(
            desk.past.lines.get(f"{name}{one}", NOTHING).posted is not None for one in before[number + 1 :]
        ):
            yield period


def _is_missing(history: LineHistory | None) -> bool:
    """Whether nothing was posted for a period, nothing waits, and nobody decided that it should be so."""
    if history is None:
        return True
    ended = history.closed.state if history.closed is not None else None
    return history.open is None and history.posted is None and ended in (EntryState.FAILED, EntryState.SUPERSEDED)


def _under_other_words(desk: Desk, rule: Rule, identity: str) -> bool:
    """Whether what was posted for the period followed a rule that was changed since: it is not billed anew."""
    history = desk.past.lines.get(identity, NOTHING)
    posted, closed = history.posted, history.closed
    if posted is None or closed is None or closed.id != posted.id or closed.undo_of or history.open is not None:
        return False
    return closed.fingerprint != keys.fingerprint(identity, rule.content, posted.to, posted.before)


def _opens(newest: Period, rule: Rule, desk: Desk, current: Period) -> date:
    """The day on which the next period is billed."""
    period = current
    while preceding(period) != newest and preceding(period).first > newest.first:
        period = preceding(period)
    return (ends(desk.house, period) + rule.grace).date()


def _unread(made: Arrears, parts: _Parts | None, period: Period, opens: date) -> Arrears:
    """No day of the period was read whole: nothing is due where nothing was followed yet, else nobody knows."""
    if _was_followed(parts, period):
        return replace(made, action=Action.BLOCKED, reason=f"no day of {period} was read whole: its usage is not known")
    return replace(made, action=Action.NONE, reason=f"nothing was counted in {period} yet; next billed on {opens}")


def _was_followed(parts: _Parts | None, period: Period) -> bool:
    """Whether anything of the count was read whole by the period's end."""
    return parts is not None and any(
        one.counts is not None and one.day <= period.last for _, track in parts for one in track.seen
    )


# The parts of a count, each with what the ledger saw of it.
_Parts = tuple[tuple[CountRef, Track], ...]


def _parts(desk: Desk, customer: Customer, rule: Rule) -> _Parts | None:
    """None where one of the customer's keys leads nowhere: then no day is whole."""
    found: list[tuple[CountRef, Track]] = []
    for ref, trail in trails(customer, rule, desk.resolution):
        if trail is None:
            return None
        found.append((ref, desk.past.tracks.get(trail, Track())))
    return tuple(found)


def _with_today(desk: Desk, parts: _Parts | None, current: Period, used: Number) -> list[Day]:
    """The running period's days, today as it was just read."""
    today = desk.moment.today
    days = {day.day: day for day in (days_of(parts, current.first, today) if parts is not None else ())}
    if used.state is State.KNOWN and today in current:
        high = max(days[today].high, used.quantity) if today in days else used.quantity
        days[today] = Day(today, high, used.quantity)
    return list(days.values())


# The way (`core.true_up.Way`)


def identity(site: Site) -> str:
    """syncd's own lines of the rule for the closed period."""
    return own_identity(site)


def propose(desk: Desk, site: Site, used: Number, wanted: Decimal, billed: Decimal, *, fresh: bool) -> Proposal:
    """One line for the whole period; a correction where it was billed already. Judged against the period before."""
    history = desk.past.lines.get(own_identity(site), NOTHING)
    own = own_before(history)
    previous = desk.past.lines.get(own_identity(site, preceding(site.period)), LineHistory()).own_quantity
    step = (previous, wanted) if previous > 0 else None
    alone = replace(site, line=None)  # at the catalogue's price, whatever a recurring line of the product costs
    try:
        money = charged(alone, own, wanted, used, started=own > 0, paid=paid_before(history))
    except Unpriced as why:
        return Proposal((), step, str(why), unpriced=True)
    template = f"{{product}}, {{period}}: {{used}} used ({used.reason})"
    if own:
        template += ", {from} billed before"
    text = text_of(
        desk, alone, used, quantity=abs(wanted - own), before=own, to=wanted, template=template, priced=money
    )
    return Proposal(line_effects(alone, desk.past, wanted, text, money), step)


def situation(site: Site, wanted: Decimal, billed: Decimal) -> str:
    """Each period is a situation of its own."""
    return keys.fingerprint(own_identity(site), site.rule.content, wanted, billed)


def listed(place: Place, period: Period) -> Decimal | None:
    """Nothing: what has ended is not listed."""
    return None


def meddling(desk: Desk, site: Site, place: Place, wanted: Decimal) -> Meddling:
    """None that could be seen."""
    return Meddling()
