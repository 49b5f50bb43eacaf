"""The last phase of a cycle, also of one that failed: what is wrong is told (RELIABILITY, rule 10).

    settle what was left in flight -> what is news -> write down -> send -> settle

Messages and tickets go the way of every posting: no byte leaves before its entry is durable, an outcome that is not
known is looked for, and whatever fails is tried again by the next cycle. Whatever goes wrong here is told and logged;
the cycle and its exit status are as they were without it.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from syncd.alerts.channels import Channel, Fared, channels
from syncd.alerts.messages import Messages, Messenger
from syncd.alerts.outbox import Desk, TicketDesk, Writing, messages, tickets
from syncd.clock import Clock
from syncd.config import Config
from syncd.config.schema import TicketTable
from syncd.connect.contract import Connector
from syncd.core import keys
from syncd.core.entries import OPEN, Entry, EntryState, LineHistory
from syncd.core.episodes import Conditions, Episode
from syncd.core.episodes_found import conditions
from syncd.core.plan import Plan
from syncd.core.resolve import Directory, View
from syncd.core.rules import Mappings, Mode
from syncd.cycle.connections import Opened, open_connections
from syncd.cycle.posting import post_all, recover
from syncd.errors import LedgerBroken, LedgerBusy, SyncdError
from syncd.ledger import Ledger
from syncd.model import Operation, RemoteCustomer

log = structlog.get_logger()

RESTING = "in observe no ticket is written"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the phase works with: the cycle as it ended, and what it was made of.

    `found`: what is wrong, where a cycle came to no plan that could show it; `plan` is None then.
    """

    config: Config
    mappings: Mappings
    ledger: Ledger
    opened: Mapping[str, Opened]
    views: Mapping[str, View]
    cycle: str
    plan: Plan | None
    ended: Sequence[Entry]
    now: datetime
    stop: threading.Event | None = None
    found: Conditions | None = None


def tell(scene: Scene) -> tuple[Fared, ...]:
    """Tells every channel what is news after this cycle; how each of them fared.

    Raises LedgerBroken and LedgerBusy; any other fault spoils these alerts alone. Nothing is told while syncd is
    stopping: what was cut off is no news.
    """
    if scene.stop is not None and scene.stop.is_set():
        return ()
    listed = channels(scene.config, scene.ledger.installation)
    try:
        told = _tell(scene, listed)
    except (LedgerBroken, LedgerBusy):
        raise
    except Exception as error:  # a bulkhead: telling may not spoil what the cycle did
        log.exception("alerts_failed")
        told = tuple(Fared(one.number, one.kind, problem=words(error)) for one in listed)
    for one in told:
        if one.problem:
            log.warning("alert_failing", channel=one.number, kind=one.kind, why=one.problem)
    return told


def tell_trouble(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    found: Conditions,
    stop: threading.Event | None = None,
) -> tuple[Fared, ...]:
    """Tells what keeps cycles from running or from their end, by the same memory and outbox; how each channel fared.

    Never raises: whatever spoils it (the ledger itself may be the trouble) is logged, and the next cycle tells it.
    """
    if not config.alerts or (stop is not None and stop.is_set()):
        return ()
    try:
        with ExitStack() as stack:
            opened, views = _ticket_systems(config, kinds, ledger, clock, stop, stack)
            after = ledger.last_cycle()
            return tell(Scene(config, mappings, ledger, opened, views, after, None, (), clock(), stop, found))
    except SyncdError as error:
        log.warning("alerts_failed", why=str(error))
    except Exception:
        log.exception("alerts_failed")
    return ()


def _ticket_systems(
    config: Config,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    stop: threading.Event | None,
    stack: ExitStack,
) -> tuple[dict[str, Opened], dict[str, View]]:
    """The connections in which channels keep tickets, with their companies: without those that cannot be had now."""
    names = {table.ticket.connection for table in config.alerts if table.ticket is not None}
    opened: dict[str, Opened] = {}
    views: dict[str, View] = {}
    for name in sorted(names if config.house.own_mode is not Mode.OBSERVE else ()):
        alone = replace(config, connections={name: config.connections[name]})
        try:
            opened |= stack.enter_context(open_connections(alone, kinds, clock, ledger, remember=True, stop=stop))
            views[name] = View(name, tuple(opened[name].connection.customers()))
        except (LedgerBroken, LedgerBusy):
            raise
        except Exception as error:  # a bulkhead: messages are told all the same
            log.warning("alert_unsettled", connection=name, why=words(error))
            views[name] = View(name, None)
    return opened, views


def words(error: Exception) -> str:
    """What went wrong, in words that may leave the house: a fault of ours may quote anything."""
    return str(error) if isinstance(error, SyncdError) else f"a fault of syncd ({type(error).__name__}); see the log"


def _tell(scene: Scene, listed: Sequence[Channel]) -> tuple[Fared, ...]:
    ledger = scene.ledger
    waiting = ledger.entries(states=OPEN, own=True)
    if not listed and not waiting:
        return ()
    opened = {**scene.opened, **_message_channels(scene, listed, waiting)}
    for trouble in recover(ledger, opened, scene.now, own=True):
        log.warning("alert_unsettled", connection=trouble.connection, why=trouble.message)
    told = ledger.episodes()
    seen = _seen(scene)
    desk = _desk(scene, listed)
    writings = {one.name: _write(scene, one, told.get(one.name, {}), seen, opened, desk) for one in listed}
    _keep(scene, listed, writings)
    with ThreadPoolExecutor(max(len(listed), 1), thread_name_prefix="alerts") as pool:
        jobs = [
            pool.submit(contextvars.copy_context().run, _send, scene, one, writings[one.name], opened) for one in listed
        ]
        return tuple(job.result() for job in jobs)


def _seen(scene: Scene) -> Conditions:
    if scene.plan is None:
        return scene.found or Conditions(())
    tags = {customer.name: customer.tags for customer in scene.mappings.customers}
    return conditions(scene.plan, scene.ledger.entries(states=OPEN), scene.ended, tags)


def _desk(scene: Scene, listed: Iterable[Channel]) -> Desk:
    web = scene.config.web
    return Desk(
        installation=scene.ledger.installation,
        now=scene.now,
        zone=scene.config.house.zone,
        page=f"http://{web.listen}/" if web.linked else "",
        witness=scene.ledger.head() if any(one.daily for one in listed) else None,
    )


def _message_channels(scene: Scene, listed: Sequence[Channel], waiting: Iterable[Entry]) -> dict[str, Opened]:
    """The message channels as the posting machine sees them; those, too, that are no longer configured but have
    something in flight, so that it can be settled."""
    to = {entry.intent.connection: None for entry in waiting if entry.intent.operation is Operation.NOTIFY}
    secrets = {**to, **{one.name: one.table.to for one in listed if one.table.to is not None}}
    return {
        name: Opened(name, Messenger(), Messages(secret, scene.config.folder, scene.stop), 1, lambda: 0)  # type: ignore[arg-type]
        for name, secret in secrets.items()
    }


def _write(
    scene: Scene,
    channel: Channel,
    known: Mapping[str, Episode],
    seen: Conditions,
    opened: Mapping[str, Opened],
    desk: Desk,
) -> Writing:
    """What is to be written down for one channel."""
    ticket = channel.table.ticket
    if ticket is None:
        identity = keys.message(channel.name)
        history = scene.ledger.histories([identity]).get(identity, LineHistory())
        return messages(channel, known, seen, history, opened[channel.name].connection.wire, desk)
    if scene.config.house.own_mode is Mode.OBSERVE:
        return Writing(resting=RESTING)
    waiting = scene.ledger.entries(states={EntryState.PLANNED}, own=True)
    unsent = {one.intent.key for one in waiting if keys.channel_of(one.intent.identity) == channel.name}
    view = scene.views.get(ticket.connection)
    company, problem = company_of(view.customers if view else None, ticket)
    if problem:
        return Writing(sendable=unsent if ticket.connection in opened else set(), problem=problem)
    service = TicketDesk(
        company,
        opened[ticket.connection].connection.wire,
        lambda identities: scene.ledger.histories(list(identities)),
        scene.ledger.entry,
    )
    made = tickets(channel, known, seen, service, desk)
    made.sendable |= unsent
    return made


def company_of(listed: Iterable[RemoteCustomer] | None, ticket: TicketTable) -> tuple[str, str]:
    """(the id of the company that tickets stand under, why there is none). `listed` is None where the list could not be
    read."""
    if listed is None:
        return "", f"the companies of {ticket.connection} could not be read"
    found = Directory(listed).find(ticket.company)
    if len(found) == 1:
        return found[0], ""
    several = f"{len(found)} companies" if found else "no company"
    return "", f'{ticket.connection} has {several} "{ticket.company}"; name one by its id'


def _keep(scene: Scene, listed: Iterable[Channel], writings: Mapping[str, Writing]) -> None:
    """One transaction for all channels: what is told, and that it is told. No commit where there is no news."""
    names = {one.name for one in listed}
    supersede = [
        (entry.id, "its channel is no longer configured")
        for entry in scene.ledger.entries(states={EntryState.PLANNED}, own=True)
        if keys.channel_of(entry.intent.identity) not in names
    ]
    supersede += [pair for one in writings.values() for pair in one.supersede]
    intents = [intent for one in writings.values() for intent in one.intents]
    told = {name: one.told for name, one in writings.items() if one.told is not None}
    if supersede or intents or told:
        scene.ledger.tell(scene.cycle, supersede, intents, told)


def _send(scene: Scene, channel: Channel, writing: Writing, opened: Mapping[str, Opened]) -> Fared:
    """Sends what may leave on one channel; how it fared."""
    ticket = channel.table.ticket
    name = channel.name if ticket is None else ticket.connection
    problem, sent, failed = writing.problem, 0, 0
    if writing.sendable:
        try:
            told = post_all(scene.ledger, {name: opened[name]}, writing.sendable, stop=scene.stop, own=True)
        except (LedgerBroken, LedgerBusy):
            raise
        except Exception as error:  # a bulkhead between channels
            log.exception("alert_failed", channel=channel.number)
            return Fared(channel.number, channel.kind, 0, 1, words(error))
        for entry in told.ended:
            if entry.state is EntryState.POSTED:
                sent += 1
            elif entry.state is not EntryState.SUPERSEDED:
                failed += 1
                problem = entry.note.removeprefix("not sent: ")
        if told.errors:
            failed += len(told.errors)
            problem = told.errors[0].message
    return Fared(channel.number, channel.kind, sent, failed, problem, writing.resting)
