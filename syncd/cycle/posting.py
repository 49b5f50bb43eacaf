"""Sends what the ledger wrote down, one at a time, and settles every outcome by looking (RELIABILITY, rules 1-9).

    look -> claim -> send -> look -> settle

Postings that share a document in the books take these steps together; each is settled by a look of its own.
Nothing here decides what should be posted. Every step that a process can die in is found again by `recover`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, TypeGuard

import structlog

from syncd.connect.contract import Delivery
from syncd.core.entries import IN_FLIGHT, NEVER_ARRIVED, OPEN, TERMINAL, Entry, EntryState
from syncd.core.resolve import ReadError
from syncd.cycle.connections import Opened
from syncd.errors import SyncdError, UserFault, VendorError
from syncd.ledger import Ledger
from syncd.model import (
    Absent,
    Found,
    Moved,
    NotSent,
    Operation,
    Outcome,
    Posting,
    Receipt,
    Refused,
    Sight,
    Unknown,
    Wire,
)
from syncd.money import plain

log = structlog.get_logger()

# Operations on an existing record: repeating looks at a value, not for a mark.
ABSOLUTE = frozenset({Operation.SET_QUANTITY, Operation.END_LINE, Operation.CHANGE_PLAN})


def recover(
    ledger: Ledger, opened: Mapping[str, Opened], now: datetime, *, believed: bool = True, own: bool = False
) -> list[ReadError]:
    """Settles what an earlier process left in flight, by looking. Returns what could not be looked at.

    `own`: syncd's own actions, messages and tickets, instead of changes in billing systems. `believed`: nobody doubts
    the clock; a jump of it is no quiet time.

    A `sending` entry may have left, so it is `unknown`. An `unknown` one becomes `posted` when the change is there, and
    is `planned` again only when two looks agree that it is not, after the time in which a lost request may still land;
    then the plan sends it, or supersedes it where somebody else has written the record since.
    """
    errors = []
    waiting = ledger.entries(states=OPEN, own=own)
    _end_orphans(ledger, waiting)
    doubtful = [
        ledger.settle(entry, EntryState.UNKNOWN, note="the process ended while this was being sent")
        if entry.state is EntryState.SENDING
        else entry
        for entry in waiting
        if entry.state in IN_FLIGHT
    ]
    for entry in doubtful:
        one = opened.get(entry.intent.connection)
        if one is None:
            reason = (
                f"connection {entry.intent.connection!r} is no longer configured, so its outcome cannot be looked up"
            )
            errors.append(ReadError(entry.intent.connection, entry.intent.customer, "unsupported", reason))
            continue
        try:
            probe(ledger, one, entry, now, believed=believed)
        except VendorError as error:
            errors.append(ReadError(one.name, entry.intent.customer, error.code, str(error)))
    return errors


def _end_orphans(ledger: Ledger, waiting: Sequence[Entry]) -> None:
    """Ends what was left waiting for a change that was refused or overtaken, before the plan is made: it would pass for
    the part that belongs to the next try, or wait for ever for an approval that cannot be given."""
    open_keys = {entry.intent.key for entry in waiting}
    for entry in waiting:
        if entry.state in IN_FLIGHT or not entry.intent.follows or entry.intent.follows in open_keys:
            continue
        if _orphaned(ledger.by_key(entry.intent.follows)):
            _settle(ledger, entry, EntryState.SUPERSEDED, _ORPHANED)


_ORPHANED = "the change it belongs to was not posted"


def _orphaned(leader: Entry | None) -> bool:
    return leader is None or (leader.state in TERMINAL and leader.state is not EntryState.POSTED)


def probe(ledger: Ledger, one: Opened, entry: Entry, now: datetime, *, believed: bool = True) -> Entry:
    """One look at an entry of unknown outcome. Raises VendorError where the vendor cannot tell, or `in_doubt` where a
    person must; it stays unknown."""
    sight = _look(one, entry)
    if _arrived(sight):
        return _settle_there(ledger, entry, sight, "found when looking", entry.remote_id)
    # Not since it was claimed: the machine may have slept between that and the sending.
    doubtful_since = ledger.events(entry.id)[-1].at
    if not believed or now - doubtful_since < _delivery(one, entry).request_life:
        return _in_doubt(entry, sight)  # a lost request may still land: absent now is not absent
    again = _look(one, entry)
    match sight, again:
        case Absent(), Absent():
            return _settle(ledger, entry, EntryState.PLANNED, NEVER_ARRIVED)
        case Moved(), Moved(what=what) if entry.intent.operation in ABSOLUTE:
            # Whether it arrived or not, somebody else's value stands there now: it is planned anew from that one.
            return _settle(ledger, entry, EntryState.PLANNED, f"somebody else wrote it since: {what}")
        case _:
            return _in_doubt(entry, again)


def _in_doubt(entry: Entry, sight: Sight) -> Entry:
    """It stays unknown; what the record shows is said where only a person can mend it."""
    if isinstance(sight, Moved) and entry.intent.operation not in ABSOLUTE:
        raise VendorError("in_doubt", f"the outcome of entry {entry.id} stays unknown: {sight.what}")
    return entry


class Posted(NamedTuple):
    """What became of the postings: the entries as they ended, and what could not be looked at. `kept`: how many a
    restored ledger keeps back, the last of them for so long (`quiet`)."""

    ended: Sequence[Entry]
    errors: Sequence[ReadError]
    kept: int = 0
    quiet: timedelta = timedelta()


def post_all(
    ledger: Ledger,
    opened: Mapping[str, Opened],
    sendable: Collection[str],
    *,
    stop: threading.Event | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    own: bool = False,
    restored_for: timedelta | None = None,
) -> Posted:
    """Posts every planned entry whose key may leave.

    `own`: syncd's own actions, messages and tickets, instead of changes in billing systems. `restored_for`: how long a
    restored ledger has been looking; a request that it forgot may be on its way for as long as one lives, so that until
    then nothing leaves, whoever approved it.

    Between two postings the stop flag is looked at; what was not begun stays planned. So does the rest of a connection
    whose vendor asked for a long pause: nothing here sleeps through it (INTERFACE 2).
    """
    for opening in opened.values():
        opening.hasten()
    resting: set[str] = set()
    done: list[Entry] = []
    errors: list[ReadError] = []
    kept, quiet = 0, timedelta()
    known = ledger.entries(states={EntryState.PLANNED}, own=own)
    planned = [entry for entry in known if entry.intent.key in sendable]
    begun = 0
    for document in _documents(planned, opened):
        if stop is not None and stop.is_set():
            break
        intent = document[0].intent
        begun += len(document)
        one = opened.get(intent.connection)
        if one is None or one.name in resting:
            continue
        if restored_for is not None and restored_for < (life := _delivery(one, document[0]).request_life):
            log.warning("ledger_restored", entry=document[0].id, consequence="what it forgot may still be on its way")
            kept, quiet = kept + len(document), max(quiet, life - restored_for)
            continue
        try:
            done += _post(ledger, one, document)
        except VendorError as error:
            errors.append(ReadError(one.name, intent.customer, error.code, str(error)))
            if error.code == "deferred":
                resting.add(one.name)
            continue
        if progress:
            progress(begun, len(planned), f"{intent.connection}: {intent.customer}")
    return Posted(done, errors, kept, quiet)


def _documents(planned: Iterable[Entry], opened: Mapping[str, Opened]) -> Iterable[Sequence[Entry]]:
    """The entries in their order, together those that may share a document, no more than it can hold."""
    found: list[list[Entry]] = []
    growing: dict[tuple[str, str], list[Entry]] = {}
    for entry in planned:
        intent = entry.intent
        one = opened.get(intent.connection)
        most = one.abilities.documents if one is not None and not intent.follows else 1
        name = one.connection.together(intent.posting) if one is not None and most > 1 else ""
        document = growing.get((intent.connection, name)) if name else None
        if document is None or len(document) == most:
            document = []
            found.append(document)
            if name:
                growing[intent.connection, name] = document
        document.append(entry)
    return found


def _post(ledger: Ledger, one: Opened, document: Sequence[Entry]) -> list[Entry]:
    """The entries of one request from planned to their end, without those whose turn it is not. Raises VendorError
    before anything left."""
    ended: list[Entry] = []
    sendable: list[Entry] = []
    for entry in document:
        if entry.intent.follows:
            leader = ledger.by_key(entry.intent.follows)
            if leader is None or _orphaned(leader):
                ended.append(_settle(ledger, entry, EntryState.SUPERSEDED, _ORPHANED))
                continue
            if leader.state is not EntryState.POSTED:
                continue
        overtaken = _look_before(one, entry, _look(one, entry))
        if overtaken is None:
            sendable.append(entry)
        elif isinstance(overtaken, str):
            ended.append(_settle(ledger, entry, EntryState.SUPERSEDED, overtaken))
        elif (claimed := ledger.sending(entry)) is not None:  # an earlier send landed after all: nothing is sent
            there = "its mark was already there"
            ended.append(_settle(ledger, claimed, EntryState.POSTED, there, overtaken.remote_id))
    return ended + _send(ledger, one, sendable)


def _send(ledger: Ledger, one: Opened, document: Sequence[Entry]) -> list[Entry]:
    """Claims, sends once, and settles each entry by what came of it."""
    if not document:
        return []
    first = document[0].intent
    if len(document) == 1:
        wire, alone = first.wire, ledger.sending(document[0])
        claimed = [alone] if alone is not None else []
    else:
        try:
            wire = one.connection.gather([entry.intent.posting for entry in document])
        except ValueError:  # more than one document holds; each alone fits, or would be refused by the plan
            half = len(document) // 2
            return _send(ledger, one, document[:half]) + _send(ledger, one, document[half:])
        claimed = ledger.sending_together(document, wire)
    if not claimed:
        return []
    answer = _leave(one, first.posting, wire)
    if isinstance(answer, Refused) and len(claimed) > 1:
        # Surely nothing was done. One line that the vendor does not take must not keep the others from being billed.
        note = f"refused together: {answer.reason} ({answer.code}); each is sent alone"
        again = [_settle(ledger, entry, EntryState.PLANNED, note) for entry in claimed]
        return [ended for entry in again for ended in _send(ledger, one, [entry])]
    return [_outcome(ledger, one, entry, answer) for entry in claimed]


def _outcome(ledger: Ledger, one: Opened, claimed: Entry, answer: Outcome) -> Entry:
    match answer:
        case Receipt(remote_id=remote_id, echo=echo):
            return _read_back(ledger, one, claimed, remote_id, echo)
        case Refused(code=code, reason=reason):
            return _settle(ledger, claimed, EntryState.FAILED, f"{reason} ({code})")
        case NotSent(reason=reason):
            return _settle(ledger, claimed, EntryState.PLANNED, f"not sent: {reason}")
        case Unknown(reason=reason):
            return _look_once(ledger, one, _settle(ledger, claimed, EntryState.UNKNOWN, reason), reason)


def _look_before(one: Opened, entry: Entry, sight: Sight) -> str | Found | None:
    """None where it may be sent; Found where its mark is there already; else why it is overtaken."""
    match sight:
        case Absent():
            return None
        case Moved(perhaps=True) if entry.attempts == 0:
            return None
        case Moved(arrived=made) if made and entry.attempts > 0:
            return Found(made)
        case Moved(what=what):
            return f"the record changed since it was planned: {what}"
        case Found() if entry.intent.operation in ABSOLUTE and entry.attempts == 0:
            return "somebody else made the same change meanwhile"
        case Found(quantity=shown) if entry.attempts == 0 and shown not in (None, entry.intent.posting.quantity):
            # A restored ledger names another change alike.
            wanted = plain(entry.intent.posting.quantity)
            return f"its mark is there already, with {plain(shown)} instead of {wanted}"
        case Found():
            return sight


def _read_back(ledger: Ledger, one: Opened, entry: Entry, remote_id: str, echo: str) -> Entry:
    """A success counts when the record shows it: vendors answer 200 and change nothing."""
    try:
        sight = _look(one, entry)
    except VendorError as error:
        note = f"answered as done, and the look afterwards failed: {error}"
        return _settle(ledger, entry, EntryState.UNKNOWN, note, remote_id)
    if _arrived(sight):
        return _settle_there(ledger, entry, sight, "", remote_id, echo)
    what = sight.what if isinstance(sight, Moved) else "the record is as it was before"
    return _settle(ledger, entry, EntryState.UNKNOWN, f"answered as done, but {what}", remote_id)


def _look_once(ledger: Ledger, one: Opened, entry: Entry, reason: str) -> Entry:
    """An answer was lost, or told something else: one look at once, because the change is usually there. The rest is
    left to `recover`."""
    try:
        sight = _look(one, entry)
    except VendorError:
        return entry  # still unknown, and told as such
    return _settle_there(ledger, entry, sight, f"the change is there; {reason}") if _arrived(sight) else entry


def _look(one: Opened, entry: Entry) -> Sight:
    """What the vendor shows of an entry. Raises VendorError, also where the connector itself fails: one vendor's fault
    is not the end of the others."""
    try:
        return one.connection.find(entry.intent.posting)
    except UserFault as fault:  # a secret that can no longer be read, say
        raise VendorError("unauthorized", str(fault)) from fault
    except SyncdError:
        raise
    except Exception as bug:
        log.exception("connector_failed", connection=one.name, entry=entry.id)
        told = f"the connector failed on an answer ({type(bug).__name__}); see the log"
        raise VendorError("malformed", told) from bug


def _leave(one: Opened, posting: Posting, wire: Wire) -> Outcome:
    """Sends once. Where the connector fails, the request may have been received."""
    try:
        return one.connection.send(posting, wire)
    except UserFault as fault:  # a secret that could not be read to sign with: nothing left
        return NotSent(str(fault))
    except SyncdError:
        raise
    except Exception as bug:
        log.exception("connector_failed", connection=one.name)
        return Unknown(f"the connector failed on the answer ({type(bug).__name__}); see the log")


def _arrived(sight: Sight) -> TypeGuard[Found | Moved]:
    """Whether the change was made: it is there, or somebody took it away since. That is theirs to explain: the plan
    finds the line edited by hand, and nothing is written anew."""
    return isinstance(sight, Found) or (isinstance(sight, Moved) and sight.arrived != "")


def _settle_there(
    ledger: Ledger, entry: Entry, sight: Found | Moved, note: str, remote_id: str = "", echo: str = ""
) -> Entry:
    """Posted: `note` says how that is known, and for a change that was taken away since, what became of it."""
    if isinstance(sight, Moved):
        return _settle(ledger, entry, EntryState.POSTED, f"it arrived, and {sight.what}", sight.arrived, echo)
    return _settle(ledger, entry, EntryState.POSTED, note, sight.remote_id or remote_id, echo)


def _settle(ledger: Ledger, entry: Entry, state: EntryState, note: str, remote_id: str = "", echo: str = "") -> Entry:
    ended = ledger.settle(entry, state, note=note, remote_id=remote_id, data={"echo": echo} if echo else None)
    intent = entry.intent
    log.info(
        "posting",
        entry=entry.id,
        customer=intent.customer,
        rule=intent.rule,
        connection=intent.connection,
        operation=str(intent.operation),
        before=plain(intent.before),
        to=plain(intent.to),
        state=str(state),
        attempts=ended.attempts,
        note=note,
    )
    return ended


def _delivery(one: Opened, entry: Entry) -> Delivery:
    return one.abilities.operations.get(entry.intent.operation, Delivery("D"))


def in_doubt(entries: Iterable[Entry]) -> list[Entry]:
    """Entries whose outcome nobody knows yet."""
    return [entry for entry in entries if entry.state is EntryState.UNKNOWN]
