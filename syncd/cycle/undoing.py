"""What a person takes back or tries again: reads where it was made, then writes compensations down as held.

Nothing is posted here. What the billing system has invoiced decides in which period a credit stands, so the customers'
agreements are read first; where that fails nothing is written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncd.clock import Clock
from syncd.config import Config
from syncd.connect.contract import Connector
from syncd.core.entries import Entry, EntryState
from syncd.core.undo import Ground, retry
from syncd.core.undo_many import Desk, touched, undo_many
from syncd.cycle import moment_of
from syncd.cycle.connections import Opened, open_connections
from syncd.errors import Fault, UserFault, VendorError
from syncd.ledger import Ledger
from syncd.model import OWN_ACTIONS, Billing, Moment, Posting, State, Wire


@dataclass(frozen=True, slots=True)
class Undone:
    """What was written down, and (entry id, why) of what was left as it is."""

    entries: tuple[Entry, ...]
    left: tuple[tuple[str, str], ...]


def named(ledger: Ledger, ids: Iterable[str]) -> list[Entry]:
    """The entries of these ids, each once however often it is named. Raises one UserFault for all that are unknown."""
    found: dict[str, Entry] = {}
    faults: list[Fault] = []
    for id_ in ids:
        try:
            entry = ledger.entry(id_)
        except UserFault as fault:
            faults += fault.faults
            continue
        if entry is None:
            faults.append(Fault(id_, "no entry has this id.", "See: syncd ledger"))
        elif entry.intent.operation in OWN_ACTIONS:
            faults.append(Fault(id_, "is a message or ticket of syncd's own: there is nothing to take back or retry."))
        else:
            found[entry.id] = entry
    if faults:
        raise UserFault(faults)
    return list(found.values())


def posted_in(
    ledger: Ledger, *, cycle: str | None, period: str | None, customer: str | None, rule: str | None
) -> list[Entry]:
    """The changes that were posted for a cycle or a period; what takes others back is not among them."""
    found = ledger.entries(states={EntryState.POSTED}, cycle=cycle, period=period, customer=customer, rule=rule)
    return [entry for entry in found if not entry.intent.undo_of]


def take_back(
    ledger: Ledger,
    config: Config,
    kinds: Mapping[str, Connector],
    clock: Clock,
    chosen: Sequence[Entry],
    *,
    by: str,
    why: str,
    strict: bool,
) -> Undone:
    """Writes the compensations of `chosen`. `strict`: one that cannot be taken back stops all of them (UserFault);
    else it is left, and told. Raises VendorError where a billing system could not be read."""
    moment, past = moment_of(config, clock()), ledger.past()
    faults = [
        Fault(f"entry {entry.id}", f"is {entry.state}; only what was posted can be undone.")
        for entry in chosen
        if entry.state is not EntryState.POSTED
    ]
    faults += _unknown_connections(chosen, config)
    if faults:
        raise UserFault(faults)
    with open_connections(config, kinds, clock, ledger) as opened:
        billings = _billings(opened, chosen, moment)
        agreements = {
            (*place, agreement.id): agreement for place, one in billings.items() for agreement in one.agreements
        }
        desk = Desk(
            past=past,
            entries=_around(ledger, chosen),
            ground=lambda entry: Ground(agreements.get(_place(entry)), _prorated(ledger, entry)),
            wire=lambda name: _wire(opened[name], billings, moment),
            today=moment.today,
            zone=config.house.zone,
        )
        made = undo_many(chosen, desk, by=by, why=why)
    if strict and made.left:
        raise UserFault([Fault(f"entry {id_}", reason) for id_, reason in made.left])
    written = ledger.write(ledger.last_cycle(), (), made.intents, whole=True)
    return Undone(tuple(written), made.left)


def try_again(
    ledger: Ledger, config: Config, kinds: Mapping[str, Connector], clock: Clock, chosen: Sequence[Entry], *, by: str
) -> list[Entry]:
    """Writes second tries down; all of them or none. Raises UserFault."""
    past, intents, faults = ledger.past(), [], _unknown_connections(chosen, config)
    with open_connections(config, kinds, clock, ledger) as opened:
        for entry in chosen:
            if entry.intent.connection not in opened:
                continue
            try:
                intents.append(retry(entry, past, opened[entry.intent.connection].connection.wire, by=by))
            except UserFault as fault:
                faults += fault.faults
    if faults:
        raise UserFault(faults)
    return ledger.write(ledger.last_cycle(), (), intents, whole=True)


def _unknown_connections(chosen: Iterable[Entry], config: Config) -> list[Fault]:
    return [
        Fault(f"entry {entry.id}", f"connection {entry.intent.connection!r} is no longer configured.")
        for entry in chosen
        if entry.intent.connection not in config.connections
    ]


def _around(ledger: Ledger, chosen: Iterable[Entry]) -> list[Entry]:
    """Every entry of the same customers and rules, and of the same lines whoever's rule moved them; oldest first."""
    found: dict[str, Entry] = {}
    for customer, rule in {(one.intent.customer, one.intent.rule) for one in chosen}:
        found |= {one.id: one for one in ledger.entries(customer=customer, rule=rule)}
    for identity in touched(chosen):
        found |= {one.id: one for one in ledger.entries(identity=identity)}
    return sorted(found.values(), key=lambda one: (one.created_at, one.settled_at or one.created_at))


# An agreement by connection, customer and its own id.
_Place = tuple[str, str, str]


def _place(entry: Entry) -> _Place:
    posting = entry.intent.posting
    return entry.intent.connection, posting.customer_id, posting.agreement_id


def _billings(opened: Mapping[str, Opened], chosen: Iterable[Entry], moment: Moment) -> dict[tuple[str, str], Billing]:
    """What was read of the customers whose changes are taken back, by connection and customer."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for entry in chosen:
        if opened[entry.intent.connection].abilities.bill_keys:
            wanted[entry.intent.connection].add(entry.intent.posting.customer_id)
    found: dict[tuple[str, str], Billing] = {}
    for name, ids in wanted.items():
        connection = opened[name].connection
        customers = [customer for customer in connection.customers() if customer.id in ids]
        for billing in connection.lines(customers, moment):
            if billing.state not in (State.KNOWN, State.GONE):
                text = f"{name}: what is invoiced could not be read ({billing.reason}); nothing was written"
                raise VendorError(billing.code or "unavailable", text)
            found[name, billing.customer_id] = billing
    return found


def _wire(one: Opened, billings: Mapping[tuple[str, str], Billing], moment: Moment) -> Callable[[Posting], Wire]:
    """The request of a compensation. Raises UserFault for one that the system does not offer, and in the books for one
    that must not be made there: a credit against an estimate would be taken off what was never billed."""

    def wire(posting: Posting) -> Wire:
        billing = billings.get((one.name, posting.customer_id))
        reason = ""
        if posting.operation not in one.abilities.operations:
            reason = f"{one.name} cannot {posting.operation.replace('_', ' ')}"
        elif not one.abilities.keeps_quantity and billing is not None:
            reason = one.connection.refusal(posting, billing, one.connection.products(), moment)
        if reason:
            told = f"{one.name} does not take this back: {reason}."
            raise UserFault(Fault(one.name, told, "Take it back there, by hand."))
        return one.connection.wire(posting)

    return wire


def _prorated(ledger: Ledger, entry: Entry) -> bool:
    """Whether the rule charged parts of periods as it stood when the change was planned."""
    content = str(entry.intent.derivation.get("derivation", {}).get("rule", ""))
    kept = ledger.observation("", content, "rule")
    return bool(kept is not None and json.loads(kept.body).get("prorate"))
