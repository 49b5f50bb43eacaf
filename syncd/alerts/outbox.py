"""What is written down for a channel: from what a cycle found and what was told before, to intents of the ledger.

Nothing is sent here. What a channel remembers and the intents that tell it belong together: the ledger writes both in
one transaction, or neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from syncd.alerts.channels import Channel
from syncd.core import keys
from syncd.core.entries import IN_FLIGHT, Entry, EntryState, Intent, LineHistory
from syncd.core.episodes import Conditions, Episode, News, Word, advance, merge
from syncd.core.episodes_text import Letter, letter, note, opening
from syncd.errors import LedgerBroken, VendorError
from syncd.logs import hide
from syncd.model import Operation, Posting, Wire
from syncd.money import ZERO
from syncd.periods import local_date

# So much of its news a message keeps, so that a later one can tell it, too; the rest could not be shown anyway.
KEPT = 500
# So many tickets a channel opens in one cycle; the rest waits for the next.
MOST_OPENED = 20
_NOTHING = LineHistory()


@dataclass(frozen=True, slots=True)
class Desk:
    """What writing for channels needs to know. `page`: the dashboard's address, "" where there is none to name."""

    installation: str
    now: datetime
    zone: ZoneInfo
    page: str = ""
    witness: tuple[int, str] | None = None

    @property
    def today(self) -> date:
        """The MSP's day."""
        return local_date(self.now, self.zone)


@dataclass
class Writing:
    """What is to be written down for one channel, and which keys may leave. `told` is None where nothing changed.
    `resting` says why the channel is left alone."""

    supersede: list[tuple[str, str]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    sendable: set[str] = field(default_factory=set)
    told: Mapping[str, Episode] | None = None
    problem: str = ""
    resting: str = ""


def messages(
    channel: Channel,
    known: Mapping[str, Episode],
    seen: Conditions,
    history: LineHistory,
    wire: Callable[[Posting], Wire],
    desk: Desk,
) -> Writing:
    """One message with all its news; it takes the place of an older one that could not be sent, and tells that, too."""
    made = Writing()
    waiting = history.open
    if waiting is not None and waiting.state in IN_FLIGHT:
        return made  # its outcome is open: nothing newer overtakes it
    after, news = advance(known, seen, desk.now, channel.table.repeat, channel.wants)
    generation = history.generation
    key = waiting.intent.key if waiting is not None else ""
    if news:
        if waiting is not None:
            news = merge(_news_of(waiting), news)
            made.supersede.append((waiting.id, "a newer message takes its place, and tells this, too"))
            generation += 1
        made.intents.append(_message(channel, news, generation, wire, desk))
        made.told = after
        key = made.intents[0].key
    if key and not (channel.daily and _was_told_on(history, desk)):
        made.sendable.add(key)
    return made


def _was_told_on(history: LineHistory, desk: Desk) -> bool:
    """Whether the day's message has left already."""
    return history.posted is not None and local_date(history.posted.settled_at, desk.zone) >= desk.today


def _message(
    channel: Channel, news: tuple[News, ...], generation: int, wire: Callable[[Posting], Wire], desk: Desk
) -> Intent:
    told = letter(news, desk.zone, page=desk.page, witness=desk.witness if channel.daily else None)
    return _intent(
        channel, keys.message(channel.name), channel.name, Operation.NOTIFY, told, generation, wire, desk, news
    )


def _news_of(entry: Entry) -> tuple[News, ...]:
    """What an unsent message was to tell. Raises LedgerBroken."""
    try:
        return msgspec.convert(entry.intent.derivation["news"], tuple[News, ...])
    except (KeyError, msgspec.ValidationError) as error:
        raise LedgerBroken(f"entry {entry.id} in the ledger is not as it was written ({error}).") from None


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """The ticket system. `company` is the id of the company that tickets stand under. `histories` and `entry` ask the
    ledger."""

    company: str
    wire: Callable[[Posting], Wire]
    histories: Callable[[Iterable[str]], Mapping[str, LineHistory]]
    entry: Callable[[str], Entry | None]


def tickets(
    channel: Channel, known: Mapping[str, Episode], seen: Conditions, service: TicketDesk, desk: Desk
) -> Writing:
    """A ticket for each episode: opened, noted when it grows, closed when it is over.

    One change of a ticket is open at a time. What cannot be written down in this cycle is not remembered as told, so
    that it is news again in the next.
    """
    made = Writing()
    after, news = advance(known, seen, desk.now, channel.table.repeat, channel.wants)
    identities = {key: keys.ticket(channel.name, key) for key in (*after, *(one.now.key for one in news))}
    histories = service.histories(identities.values())
    opened = 0
    for one in news:
        key = one.now.key
        history = histories.get(identities[key], _NOTHING)
        late = one.word is Word.NEW and opened >= MOST_OPENED
        told = False
        try:
            told = not late and _change(channel, one, identities[key], history, service, desk, made)
        except VendorError as error:
            told = one.word is Word.OVER and error.code == "not_found"  # somebody deleted it: nothing is left to close
            made.problem = "" if told else str(error)
        if told:
            opened += one.word is Word.NEW
        elif key in known:
            after[key] = known[key]
        else:
            del after[key]
    if after != known:
        made.told = after
    tried = {intent.identity for intent in made.intents}
    standing = (identities[key] for key in after if identities[key] not in tried)
    made.problem = made.problem or refused(histories.get(identity, _NOTHING) for identity in standing)
    made.sendable |= {intent.key for intent in made.intents}
    return made


def refused(histories: Iterable[LineHistory]) -> str:
    """Why the last change of a ticket that still matters was refused; "" where none was."""
    for history in histories:
        closed = history.closed if history.open is None else None
        if closed is not None and closed.state is EntryState.FAILED:
            return f"a ticket was refused: {closed.note}"
    return ""


def _change(
    channel: Channel, one: News, identity: str, history: LineHistory, service: TicketDesk, desk: Desk, made: Writing
) -> bool:
    """Writes down what the news changes on the ticket; False where it cannot be done in this cycle."""
    waiting = history.open
    if waiting is not None:
        unsent = waiting.state is EntryState.PLANNED and waiting.intent.operation is Operation.OPEN_TICKET
        if one.word is not Word.OVER or not unsent:
            return False
        made.supersede.append((waiting.id, "over before the ticket was opened"))
        return True
    ticket = _ticket_of(history, service)
    if one.word is Word.OVER:
        operation, text = Operation.CLOSE_TICKET, note(one, desk.zone)
    elif not ticket:
        operation, text = Operation.OPEN_TICKET, opening(one, desk.zone)
    else:
        operation, text = Operation.NOTE_TICKET, note(one, desk.zone)
    if (one.word is Word.OVER and not ticket) or (one.word is Word.REPEATED and ticket):
        return True  # there is nothing to close, or nothing new to say
    assert channel.table.ticket is not None
    made.intents.append(
        _intent(
            channel, identity, channel.table.ticket.connection, operation, text, history.generation, service.wire,
            desk, (one,), ticket=ticket, company=service.company, board=channel.table.ticket.board,
        )
    )  # fmt: skip
    return True


def _ticket_of(history: LineHistory, service: TicketDesk) -> str:
    """The ticket that stands open for an identity; "" where there is none."""
    last = service.entry(history.posted.id) if history.posted is not None else None
    if last is None or last.intent.operation is Operation.CLOSE_TICKET:
        return ""
    return last.remote_id if last.intent.operation is Operation.OPEN_TICKET else last.intent.posting.line_id


def _intent(
    channel: Channel,
    identity: str,
    connection: str,
    operation: Operation,
    text: Letter,
    generation: int,
    wire: Callable[[Posting], Wire],
    desk: Desk,
    news: tuple[News, ...],
    *,
    ticket: str = "",
    company: str = "",
    board: str = "",
) -> Intent:
    period = desk.today.isoformat()
    key = keys.key(desk.installation, operation, identity, "", generation)
    options = {"summary": hide(text.subject)} | ({"board": board} if board else {})
    posting = Posting(
        operation=operation,
        key=key,
        marker=keys.marker(desk.installation, key),
        customer_id=company,
        quantity=Decimal(0),
        line_id=ticket,
        period=period,
        description=hide(text.body),
        options=options,
    )
    return Intent(
        identity=identity,
        line="",
        customer="",
        rule="",
        connection=connection,
        period=period,
        before=ZERO,
        to=ZERO,
        state=EntryState.PLANNED,
        decided_by="policy",
        posting=posting,
        wire=wire(posting),
        fingerprint="",
        why=f"[[alerts]] {channel.number}",
        derivation={"news": [msgspec.to_builtins(one) for one in news[:KEPT]]},
    )
