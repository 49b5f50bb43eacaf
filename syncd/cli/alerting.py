"""What `syncd check` and the end of a cycle say about `[[alerts]]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncd.errors import VendorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.alerts.channels import Channel, Fared
    from syncd.config import Config
    from syncd.connect.registry import Kinds
    from syncd.core.rules import Mappings
    from syncd.ledger import Ledger


def check_alerts(config: Config, mappings: Mappings, kinds: Kinds, result: dict[str, Any]) -> None:
    """Judges every channel and adds what is wrong to `result`; sends nothing.

    An address that Apprise does not understand is a fault, a channel whose last message did not leave an error. No
    sentence repeats an address: it is a secret.
    """
    if not config.alerts:
        return
    from syncd.alerts.channels import channels
    from syncd.clock import make_clock
    from syncd.ledger import Ledger

    known_tags = {tag for customer in mappings.customers for tag in customer.tags}
    with Ledger.open(config.database, make_clock(), folder=config.folder) as ledger:
        for channel in channels(config, ledger.installation):
            strange = sorted(set(channel.table.tags or ()) - known_tags)
            if strange:
                result["warnings"].append(f"{channel.place} › tags: no customer has {', '.join(strange)}.")
            if channel.kind == "message":
                faults = list(_address(channel, config))
            else:
                faults = list(_service_desk(channel, config, kinds, ledger, result))
            errors = list(_standing(channel, ledger))
            result["faults"] += faults
            result["errors"] += errors
            about = {"channel": channel.number, "kind": channel.kind, "ok": not faults and not errors}
            result.setdefault("alerts", []).append({**about, "on": list(channel.table.on)})


def _address(channel: Channel, config: Config) -> Iterator[str]:
    from syncd.alerts.messages import address_problem

    assert channel.table.to is not None  # a message channel
    if problem := address_problem(channel.table.to, config.folder):
        yield f"{channel.place} › to: {problem}."


def _service_desk(
    channel: Channel, config: Config, kinds: Kinds, ledger: Ledger, result: dict[str, Any]
) -> Iterator[str]:
    """Whether the company of a ticket is one, and whether tickets are written at all."""
    from syncd.clock import make_clock
    from syncd.core.rules import Mode
    from syncd.cycle.alerting import RESTING, company_of
    from syncd.cycle.connections import open_connections

    ticket = channel.table.ticket
    assert ticket is not None  # a ticket channel
    if config.house.own_mode is Mode.OBSERVE:
        result["warnings"].append(f"{channel.place}: {RESTING}; `[[alerts]] to` tells people in every mode.")
    with open_connections(config, kinds, make_clock(), ledger) as opened:
        try:
            listed = opened[ticket.connection].connection.customers()
        except VendorError:
            return  # told with its connection
    _, problem = company_of(listed, ticket)
    if problem:
        yield f"{channel.place} › ticket.company: {problem}."


def _standing(channel: Channel, ledger: Ledger) -> Iterator[str]:
    """Why the last message or ticket did not leave."""
    from syncd.alerts.outbox import refused
    from syncd.core import keys
    from syncd.core.entries import EntryState

    waiting = ledger.entries(states={EntryState.PLANNED, EntryState.UNKNOWN}, own=True)
    mine = [one for one in waiting if keys.channel_of(one.intent.identity) == channel.name and one.attempts]
    what = "message" if channel.kind == "message" else "ticket"
    if mine:
        why = mine[-1].note.removeprefix("not sent: ").rstrip(".")
        yield f"{channel.place}: the last {what} did not leave: {why}."
        return
    known = ledger.episodes().get(channel.name, {})
    histories = ledger.histories([keys.ticket(channel.name, key) for key in known])
    if problem := refused(histories.values()):
        yield f"{channel.place}: {problem}."


def told(alerts: tuple[Fared, ...]) -> list[str]:
    """What a cycle says of the channels that failed or rested, one sentence each."""
    said = []
    for one in alerts:
        if one.problem:
            said.append(f"[[alerts]] {one.number} ({one.kind}) did not reach anybody: {one.problem.rstrip('.')}.")
        elif one.resting:
            said.append(f"[[alerts]] {one.number}: {one.resting}.")
    return said


def alerts_json(alerts: tuple[Fared, ...]) -> list[dict[str, Any]]:
    """How the channels fared, for programs."""
    return [
        {
            "channel": one.number,
            "kind": one.kind,
            "sent": one.sent,
            "failed": one.failed,
            "problem": one.problem or None,
        }
        for one in alerts
    ]
