"""Compensating changes, planned and held like any other; and the second try of a posting that was refused.

An undone change stays away: the compensation carries the fingerprint of the situation that stands again afterwards.
What the billing system has invoiced meanwhile is not opened again: it is credited in the first open period, under the
name of the old one. Which of several changes may be taken back, and in which order, is `undo_many`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from syncd.core import keys, meters
from syncd.core.closing import first_open, is_closed, late_words, may_be_forgotten, whole_days
from syncd.core.entries import DATED, Entry, EntryState, Intent, LineHistory, Past
from syncd.errors import Fault, UserFault
from syncd.model import Agreement, Operation, Posting, Wire
from syncd.money import ZERO, plain, round_money
from syncd.periods import Period, month_of, parse_period

_NOTHING = LineHistory()
_BACK = {
    Operation.SET_QUANTITY: Operation.SET_QUANTITY,
    Operation.ADD_LINE: Operation.END_LINE,
    Operation.END_LINE: Operation.ADD_LINE,
    Operation.POST_LINE: Operation.POST_CREDIT,
    Operation.POST_CREDIT: Operation.POST_LINE,
    Operation.REPORT_USAGE: Operation.REPORT_USAGE,
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known just now of where a change was made. `agreement`: None where the vendor tells none, and then
    nothing is known to be invoiced. `prorated`: the rule, as it stood, charged parts of periods."""

    agreement: Agreement | None = None
    prorated: bool = False

    def period(self, today: date) -> Period:
        """The billing period that holds today."""
        told = self.agreement.period if self.agreement else None
        return told or month_of(today)

    def days(self, starts: date | None, ends: date | None, today: date) -> Period | None:
        """Where a dated line goes whose own days are closed; None where they are open."""
        if self.agreement is None or not is_closed(self.agreement, starts, ends, today):
            return None
        return first_open(self.agreement, self.period(today))


NOWHERE = Ground()


def undo(
    entry: Entry,
    past: Past,
    wire: Callable[[Posting], Wire],
    *,
    by: str,
    why: str,
    today: date,
    ground: Ground = NOWHERE,
    beneath: Sequence[Entry] = (),
    latest: Entry | None = None,
) -> Intent:
    """The held intent that takes an entry back, and with it those `beneath`: older ones of the same line, newest first.

    `latest`: the newest change of the line that a plan asked for, undone or not: what the rule wants. Raises UserFault
    where that cannot be done, saying why.
    """
    intent, last = entry.intent, (beneath[-1] if beneath else entry).intent
    history = past.lines.get(last.identity, _NOTHING)
    place = f"entry {entry.id}"
    for one in (entry, *beneath):
        if one.state is not EntryState.POSTED:
            raise UserFault(Fault(f"entry {one.id}", f"is {one.state}; only what was posted can be undone."))
    if history.open is not None:
        raise UserFault(Fault(place, f"its line has entry {history.open.id} open.", "Settle that one first."))
    if last.operation not in _BACK:
        what = str(last.operation).replace("_", " ")
        raise UserFault(Fault(place, f"the vendor cannot take back '{what}'.", "Mend it there, by hand."))
    moved = history.posted is not None and history.posted.id != entry.id and history.posted.to != intent.to
    if moved and not beneath and history.posted is not None:
        raise UserFault(Fault(place, f"entry {history.posted.id} changed the line since.", "Undo that one first."))
    ids = " ".join(one.id for one in (entry, *beneath))
    if last.operation in DATED:
        made = _dated_back(entry, beneath, past, today=today, ground=ground)
    elif last.operation is Operation.ADD_LINE:
        made = _removed(entry, beneath[-1] if beneath else entry, past, today=today)
    elif last.operation is Operation.END_LINE:
        made = _added_again(intent, past, today=today, ground=ground)
    else:
        posting = _named(last, Operation.SET_QUANTITY, past, quantity=last.before, before=intent.to)
        made = replace(last, before=intent.to, to=last.before, posting=posting)
    return replace(
        made,
        fingerprint=_told(entry, replace(last, identity=made.identity), latest.intent if latest else intent),
        state=EntryState.HELD,
        decided_by=f"person:{by}",
        wire=wire(made.posting),
        follows="",
        undo_of=ids,
        retry_of="",
        why=why,
    )


def credit(
    entry: Entry, period: Period, units: Decimal, past: Past, wire: Callable[[Posting], Wire], *, leader: Intent,
    today: date, ground: Ground,
) -> Intent | None:  # fmt: skip
    """The credit for a period that was invoiced at a quantity which `leader` takes back; None where no price is known
    by which it could be made."""
    of = entry.intent
    if of.posting.unit_price is None:
        return None
    identity = keys.dated(
        of.connection, of.posting.agreement_id, of.posting.product_id, of.customer, of.rule, str(period)
    )
    history = past.lines.get(identity, _NOTHING)
    if history.open is not None:
        raise UserFault(Fault(f"entry {entry.id}", f"{period} has entry {history.open.id} open.", "Settle that first."))
    amount = of.posting.unit_price * units
    if of.posting.currency:
        amount = round_money(amount, of.posting.currency)
    frame = replace(of, identity=identity, period=str(period))
    text = f"takes back {entry.id}: {plain(units)} × {of.posting.product}"
    posting = _named(
        frame, Operation.POST_CREDIT, past, quantity=units, before=None, amount=amount, line_id="",
        options=whole_days(of.posting), description=text, starts=period.first, ends=period.last,
    )  # fmt: skip
    own = history.own_quantity
    posting = _in_open_days(posting, str(period), ground, today)
    return replace(
        leader, identity=identity, period=str(period), before=own, to=own - units, amount=amount,
        currency=of.posting.currency, posting=posting, wire=wire(posting), follows=leader.key,
    )  # fmt: skip


def retry(entry: Entry, past: Past, wire: Callable[[Posting], Wire], *, by: str) -> Intent:
    """A new intent for a refused posting; the refused entry stays. Where a restored ledger may have forgotten that it
    was tried again already, it is held. Raises UserFault where there is nothing to retry."""
    intent = entry.intent
    history = past.lines.get(intent.identity, _NOTHING)
    if entry.state is not EntryState.FAILED:
        raise UserFault(Fault(f"entry {entry.id}", f"is {entry.state}; only a failed posting can be retried."))
    if history.open is not None:
        raise UserFault(Fault(f"entry {entry.id}", f"its line has entry {history.open.id} open."))
    if history.closed is not None and history.closed.id != entry.id:
        raise UserFault(
            Fault(f"entry {entry.id}", f"its line went on since: entry {history.closed.id} is {history.closed.state}.")
        )
    posting = _named(intent, intent.operation, past)
    asks = may_be_forgotten(intent.operation, intent.period, past.forgot)
    return replace(
        intent,
        state=EntryState.HELD if asks else EntryState.PLANNED,
        decided_by=f"person:{by}",
        posting=posting,
        wire=wire(posting),
        follows="",
        retry_of=entry.id,
        why=f"tried again by {by}",
    )


def _named(intent: Intent, operation: Operation, past: Past, **fields: object) -> Posting:
    """The intent's posting under the next name of its identity, with other fields."""
    generation = past.lines.get(intent.identity, _NOTHING).generation
    key = keys.key(past.installation, operation, intent.identity, intent.period, generation)
    if operation is Operation.REPORT_USAGE:
        fields["options"] = {**intent.posting.options, meters.PART: meters.part(intent.identity, generation)}
    # No version: that of then is refused for ever once somebody touched the line. The look before sending stands in.
    named: Posting = replace(
        intent.posting, operation=operation, key=key, marker=keys.marker(past.installation, key), version="",
        **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    return named


def _told(entry: Entry, last: Intent, latest: Intent) -> str:
    """The fingerprint of the situation that stands again when everything from `entry` down to `last` is taken back:
    what the rule wanted at `latest`, over what is billed then.

    Taking back an undo restores what the rule wants, so that no decision stands afterwards ("").
    """
    intent = entry.intent
    if intent.undo_of and intent.fingerprint:
        return ""
    rule = str(latest.derivation.get("derivation", {}).get("rule", ""))
    billed = latest.derivation.get("billed")
    same = latest.key == last.key and latest.identity == last.identity
    if same or not rule or billed is None:
        return latest.fingerprint
    if last.operation in DATED:
        shown = Decimal(billed)
        after = shown - (latest.before - last.before)
        return keys.fingerprint(last.identity, rule, shown + latest.to - latest.before, after)
    return keys.fingerprint(last.identity, rule, latest.to, last.before)


def _dated_back(entry: Entry, beneath: Sequence[Entry], past: Past, *, today: date, ground: Ground) -> Intent:
    """A credit for what was posted, a line for what was credited, over the same days or in the first open ones."""
    intents = [one.intent for one in (entry, *beneath)]
    last, own = intents[-1], past.lines.get(intents[-1].identity, _NOTHING).own_quantity
    net = intents[0].to - last.before
    amounts = [one.signed_amount for one in intents]
    amount = None if None in amounts else sum((one for one in amounts if one is not None), ZERO)
    if last.operation is Operation.REPORT_USAGE and net:
        return _taken_off(entry, beneath, past, net, amount, today=today, ground=ground)
    if net == 0 or (amount is not None and amount * net < 0):
        raise UserFault(Fault(f"entry {entry.id}", "and those before it do not sum to anything; undo them one by one."))
    starts = min((one.posting.starts for one in intents if one.posting.starts), default=None)
    ends = max((one.posting.ends for one in intents if one.posting.ends), default=None)
    text = last.posting.description.removeprefix(late_words(last.period, ""))
    posting = _named(
        last,
        Operation.POST_CREDIT if net > 0 else Operation.POST_LINE,
        past,
        quantity=abs(net),
        amount=abs(amount) if amount is not None else None,
        starts=starts,
        ends=ends,
        description=f"takes back {', '.join(one.id for one in (entry, *beneath))}: {text}",
        options={**last.posting.options, "prorate": ""},
    )
    posting = _in_open_days(posting, last.period, ground, today)
    return replace(last, before=own, to=own - net, amount=posting.amount, posting=posting)


def _taken_off(
    entry: Entry, beneath: Sequence[Entry], past: Past, net: Decimal, amount: Decimal | None, *, today: date,
    ground: Ground,
) -> Intent:  # fmt: skip
    """As much usage the other way, while its period runs: what is invoiced was read from the meter, and stays."""
    last = (beneath[-1] if beneath else entry).intent
    if ground.agreement is not None and meters.too_late(last.posting, last.period, ground.agreement):
        what = f"was reported for {last.period}, which is invoiced: usage cannot be taken off an invoice."
        raise UserFault(Fault(f"entry {entry.id}", what, "Credit it there, by hand."))
    own = past.lines.get(last.identity, _NOTHING).own_quantity
    day = meters.reporting_day(parse_period(last.period), today)
    day = max(day, *(one.intent.posting.starts or day for one in (entry, *beneath)))
    posting = _named(
        last, Operation.REPORT_USAGE, past, quantity=-net, starts=day, ends=day,
        amount=None if amount is None else abs(amount),
        description=f"takes back {', '.join(one.id for one in (entry, *beneath))}: {last.posting.description}",
    )  # fmt: skip
    return replace(last, before=own, to=own - net, amount=posting.amount, posting=posting)


def _in_open_days(posting: Posting, period: str, ground: Ground, today: date) -> Posting:
    days = ground.days(posting.starts, posting.ends, today)
    if days is not None:
        posting = replace(posting, starts=days.first, ends=days.last, options=whole_days(posting))
    if posting.starts is not None and posting.starts > parse_period(period).last:
        posting = replace(posting, description=late_words(period, posting.description))
    return posting


def _removed(entry: Entry, added: Entry, past: Past, *, today: date) -> Intent:
    """A line that began ends today. One that has not begun is set to nothing: an end before its first day is no date
    that every vendor takes, and one on it may bill that day."""
    of, line, shown = added.intent, added.remote_id, entry.intent.to
    if of.posting.starts is not None and of.posting.starts > today:
        frame = replace(of, identity=keys.recurring(of.connection, of.posting.agreement_id, line))
        posting = _named(
            frame, Operation.SET_QUANTITY, past, line_id=line, quantity=ZERO, before=shown, starts=None, description=""
        )
        return replace(frame, before=shown, to=ZERO, posting=posting)
    posting = _named(of, Operation.END_LINE, past, line_id=line, quantity=ZERO, before=shown, ends=today, starts=None)
    return replace(of, before=shown, to=ZERO, posting=posting)


def _added_again(intent: Intent, past: Past, *, today: date, ground: Ground) -> Intent:
    """An ended line is not opened again (no vendor promises that): a new one begins."""
    days = ground.days(today, None, today)
    posting = _named(
        intent, Operation.ADD_LINE, past, line_id="", quantity=intent.before, before=None, ends=None,
        starts=days.first if days else today,
    )  # fmt: skip
    return replace(intent, before=ZERO, to=intent.before, posting=posting)
