"""Compensating changes, planned and held like any other; and the second try of a posting that was refused.

An undone change stays away: the compensation carries the fingerprint of the situation that led to the first posting,
which is the situation that stands again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from syncd.core import keys
from syncd.core.entries import Entry, EntryState, Intent, LineHistory, Past
from syncd.errors import Fault, UserFault
from syncd.model import Operation, Posting, Wire
from syncd.money import ZERO

_NOTHING = LineHistory()
_BACK = {
    Operation.SET_QUANTITY: Operation.SET_QUANTITY,
    Operation.ADD_LINE: Operation.END_LINE,
    Operation.POST_LINE: Operation.POST_CREDIT,
    Operation.POST_CREDIT: Operation.POST_LINE,
}


def undo(entry: Entry, past: Past, wire: Callable[[Posting], Wire], *, by: str, why: str, today: date) -> Intent:
    """The held intent that takes an entry back. Raises UserFault where that cannot be done, saying why."""
    intent = entry.intent
    history = past.lines.get(intent.identity, _NOTHING)
    place = f"entry {entry.id}"
    if entry.state is not EntryState.POSTED:
        raise UserFault(Fault(place, f"is {entry.state}; only what was posted can be undone."))
    if history.open is not None:
        raise UserFault(Fault(place, f"its line has entry {history.open.id} open.", "Settle that one first."))
    back = _BACK.get(intent.operation)
    if back is None:
        what = str(intent.operation).replace("_", " ")
        raise UserFault(Fault(place, f"the vendor cannot take back '{what}'.", "Mend it there, by hand."))
    absolute = intent.operation in (Operation.SET_QUANTITY, Operation.ADD_LINE)
    if absolute and history.posted is not None and history.posted.id != entry.id:
        raise UserFault(Fault(place, f"entry {history.posted.id} changed the line since.", "Undo that one first."))
    key = keys.key(past.installation, back, intent.identity, intent.period, history.generation)
    common = replace(intent.posting, operation=back, key=key, marker=keys.marker(past.installation, key), version="")
    if back is Operation.SET_QUANTITY:
        before, to = intent.to, intent.before
        posting = replace(common, quantity=to, before=before)
    elif back is Operation.END_LINE:
        before, to = intent.to, ZERO
        posting = replace(common, line_id=entry.remote_id, quantity=ZERO, before=before, ends=today, starts=None)
    else:
        before = history.own_quantity
        step = intent.posting.quantity
        to = before - step if back is Operation.POST_CREDIT else before + step
        text = f"Takes back {entry.id}: {intent.posting.description}"
        posting = replace(common, description=text, options={**intent.posting.options, "prorate": ""})
    return replace(
        intent,
        before=before,
        to=to,
        state=EntryState.HELD,
        decided_by=f"person:{by}",
        posting=posting,
        wire=wire(posting),
        follows="",
        undo_of=entry.id,
        retry_of="",
        why=why,
    )


def retry(entry: Entry, past: Past, wire: Callable[[Posting], Wire], *, by: str) -> Intent:
    """A new intent for a refused posting; the refused entry stays. Raises UserFault where there is nothing to retry."""
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
    key = keys.key(past.installation, intent.operation, intent.identity, intent.period, history.generation)
    posting = replace(intent.posting, key=key, marker=keys.marker(past.installation, key))
    return replace(
        intent,
        state=EntryState.PLANNED,
        decided_by=f"person:{by}",
        posting=posting,
        wire=wire(posting),
        follows="",
        retry_of=entry.id,
        why=f"tried again by {by}",
    )
