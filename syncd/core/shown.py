"""The JSON of INTERFACE 4: one place, read by terminal, pages, plan files and the ledger's derivations."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from syncd.core.entries import Entry
from syncd.core.plan import Plan, PlanLine
from syncd.core.tie_out_shown import tie_out_json
from syncd.core.worth import Worth
from syncd.money import plain, plain_money


def quantity_text(value: Decimal | None) -> str | None:
    """A quantity as INTERFACE writes it; None stays null."""
    return None if value is None else plain(value)


def money_text(value: Decimal | None, currency: str) -> str | None:
    """Money as INTERFACE writes it; None stays null."""
    return None if value is None else plain_money(value, currency)


def line_json(line: PlanLine) -> dict[str, Any]:
    """One line of a plan."""
    return {
        "id": line.id,
        "customer": line.customer,
        "rule": line.rule,
        "connection": line.connection,
        "bought": quantity_text(line.bought),
        "used": quantity_text(line.used),
        "billed": quantity_text(line.billed),
        "invoiced": quantity_text(line.invoiced),
        "states": {name: str(state) for name, state in line.states.items()},
        "target": quantity_text(line.target),
        "difference": quantity_text(line.difference),
        "amount": money_text(line.amount, line.currency),
        "currency": line.currency or None,
        "findings": list(line.findings),
        "action": str(line.action),
        "reason": line.reason,
        "guards": [str(guard) for guard in line.guards],
        "worth": {name: _worth_json(one) for name, one in line.worth.items()},
    }


def _worth_json(worth: Worth) -> dict[str, str | None]:
    """What a finding comes to: all null where it is not known."""
    known = worth.amount is not None
    return {
        "amount": money_text(worth.amount, worth.currency),
        "currency": worth.currency if known else None,
        "from": worth.source if known else None,
    }


def plan_json(plan: Plan, cycle: str, zone: ZoneInfo) -> dict[str, Any]:
    """A whole plan. `cycle`: the one that made it, else the last before it. `as_of` is written in the MSP's zone."""
    return {
        "cycle": cycle,
        "as_of": plan.moment.now.astimezone(zone).isoformat(timespec="seconds"),
        "mode": str(plan.mode),
        "checksum": plan.checksum,
        "lines": [line_json(line) for line in plan.lines],
        "unmapped": {
            "customers": [
                {"connection": one.connection, "id": one.id, "name": one.name} for one in plan.unmapped_customers
            ],
            "products": [
                {
                    "connection": one.connection,
                    "sku": one.id,
                    "name": one.name,
                    "quantity": quantity_text(one.quantity),
                    "customers": list(one.customers),
                }
                for one in plan.unmapped_products
            ],
        },
        "tie_out": [tie_out_json(one) for one in plan.tie_outs if not one.agrees],
        "errors": [
            {
                "connection": error.connection,
                "customer": error.customer or None,
                "code": error.code,
                "message": error.message,
            }
            for error in plan.errors
        ],
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """One entry of the ledger, with what INTERFACE promises and the last thing said about it.

    `amount` is signed as a plan's is: negative where the customer pays less afterwards, a credit or a fall.
    """
    intent = entry.intent
    return {
        "id": entry.id,
        "key": intent.key,
        "cycle": entry.cycle,
        "customer": intent.customer,
        "rule": intent.rule,
        "connection": intent.connection,
        "operation": str(intent.operation),
        "period": intent.period,
        "from": quantity_text(intent.before),
        "to": quantity_text(intent.to),
        "amount": money_text(intent.signed_amount, intent.currency),
        "currency": intent.currency or None,
        "state": str(entry.state),
        "remote_id": entry.remote_id or None,
        "attempts": entry.attempts,
        "decided_by": entry.decided_by or intent.decided_by or None,
        "created_at": entry.created_at.isoformat(timespec="seconds"),
        "settled_at": entry.settled_at.isoformat(timespec="seconds") if entry.settled_at else None,
        "hash": entry.hash,
        "note": entry.note or None,
    }


def derivation_json(line: PlanLine) -> Mapping[str, Any]:
    """How a line came about and what it said: kept with the entry, and with the line itself when it changes."""
    return {**line_json(line), "derivation": dict(line.derivation)}
