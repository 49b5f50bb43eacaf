"""Conditions of sources, customers and books as a whole: gone, suspect, unreadable, unmapped, differing. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from syncd.core.episodes import Condition
from syncd.core.episodes_desk import Desk, counted, listed, money_of, worth_told
from syncd.core.logins import MEND
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.tie_out import TieOut
from syncd.core.unmapped import Unmapped
from syncd.model import State
from syncd.money import ZERO, plain

_MENDS: Mapping[str, str] = {
    "unauthorized": "Renew its secret, then run `syncd check`.",
    "consent": "Let the customer's admin consent again; `syncd check` shows who.",
    "forbidden": "Give the right that the message names, then run `syncd check`.",
    "ambiguous": "Name one of them by its id in the mappings.",
    "not_found": "Correct the key in the mappings; `syncd check` names each.",
    "unsupported": "Configure the connection again, so that the outcome can be looked up.",
    "clock": "Set the machine's clock right.",
    "in_doubt": "Do what it says; the entry ends by itself then. `syncd ledger --state unknown` shows it.",
}
_WAIT = "Nothing is posted from it meanwhile. If it lasts, see `syncd check`."


def gone(desk: Desk) -> list[Condition]:
    """One for each customer that a system no longer shows."""
    where: dict[str, set[str]] = defaultdict(set)
    for error in desk.plan.errors:
        if error.code == "gone" and error.customer:
            where[error.customer].add(error.connection)
    found = []
    for customer, connections in sorted(where.items()):
        lines = [
            line
            for line in desk.plan.lines
            if line.customer == customer and line.action in (Action.HOLD, Action.BLOCKED)
            if State.GONE in line.states.values() or "gone" in line.findings
        ]
        desk.folded |= {line.id for line in lines}
        told = f"{customer} is gone from {listed(sorted(connections))}"
        if lines:
            told += f"; {counted(len(lines), 'line')} of it {'wait' if len(lines) > 1 else 'waits'}{worth_told(lines)}"
        mend = "If the customer left, approve the decreases (`syncd held`) and take it out of the mappings."
        found.append(
            Condition(
                f"gone:{customer}", ("held", "source"), told, mend, Decimal(max(len(lines), 1)), *money_of(lines),
                (customer,), tuple(sorted(connections)), desk.tags_of([customer]),
            )
        )  # fmt: skip
    return found


def suspect(desk: Desk) -> list[Condition]:
    """One for each source that fell too far to be believed."""
    found = []
    for connection, sentence in sorted(desk.plan.suspects.items()):
        lines = [line for line in desk.plan.lines if line.action is Action.HOLD and sentence in line.reason]
        lines = [line for line in lines if line.id not in desk.folded]
        desk.folded |= {line.id for line in lines}
        customers = tuple(sorted({line.customer for line in lines}))
        told = f"{sentence}; {counted(len(lines), 'line')} held back{worth_told(lines)}"
        mend = f"Look whether {connection} is right. Nothing from it is posted until it recovers or a person decides."
        found.append(
            Condition(
                f"suspect:{connection}", ("source", "held"), told, mend, Decimal(max(len(lines), 1)), *money_of(lines),
                customers, (connection,), desk.tags_of(customers),
            )
        )  # fmt: skip
    return found


def sources(desk: Desk) -> list[Condition]:
    """One for each source and way of failing, with the customers that it concerns."""
    by_source: dict[tuple[str, str], list[ReadError]] = defaultdict(list)
    for error in desk.plan.errors:
        if error.code != "gone" or not error.customer:
            by_source[error.connection, error.code].append(error)
    found = []
    for (connection, code), errors in sorted(by_source.items()):
        customers = tuple(sorted({error.customer for error in errors if error.customer}))
        whole = any(not error.customer for error in errors)
        whom = "" if whole else f" for {listed(customers)}"
        told = f"{connection} could not be read{whom}: {min(error.message for error in errors)}"
        kinds: tuple[str, ...] = ("source",)
        if connection == "syncd":
            told = errors[0].message
        elif code == "in_doubt":
            told, kinds = "; ".join(sorted(error.message for error in errors)), ("failed", "source")
        messages = [error.message for error in errors if not error.customer]
        lines = desk.plan.lines if messages else ()
        blocked = {line.customer for line in lines if any(one in line.reason for one in messages)}
        found.append(
            Condition(
                f"source:{connection}:{code}", kinds, told, _MENDS.get(code, _WAIT),
                Decimal(len(customers) or 1), None, "", () if whole else customers, (connection,),
                desk.tags_of({*customers, *blocked}),
            )
        )  # fmt: skip
    return found


def unmapped(desk: Desk) -> list[Condition]:
    """One for each source that shows customers or products which nobody mapped."""
    by_source: dict[str, list[Unmapped]] = defaultdict(list)
    for one in (*desk.plan.unmapped_products, *desk.plan.unmapped_customers):
        by_source[one.connection].append(one)
    found = []
    for connection, several in sorted(by_source.items()):
        several.sort(key=lambda one: (-(one.quantity or ZERO), one.name, one.id))
        names = [f"{one.name or one.id}" + (f" ({plain(one.quantity)})" if one.quantity else "") for one in several]
        told = f"{connection} shows {counted(len(several), 'thing')} that nobody mapped: {listed(names)}"
        mend = "Map them, or put them under [[ignore]] with the reason; `syncd plan` lists all."
        found.append(
            Condition(
                f"unmapped:{connection}", ("unmapped",), told, mend, Decimal(len(several)), connections=(connection,),
                things=tuple(sorted({one.id or one.name for one in several})),
            )
        )  # fmt: skip
    return found


def books(desk: Desk) -> list[Condition]:
    """One for each books that differ from what is billed: the tie-out of the day."""
    differing: dict[str, list[TieOut]] = defaultdict(list)
    for one in desk.plan.tie_outs:
        if one.agrees is False:
            differing[one.connection].append(one)
    found = []
    for connection, some in sorted(differing.items()):
        names = [one.customer for one in some]
        told = f"billed and invoiced in {connection} differ for {counted(len(some), 'customer')} ({listed(names)})"
        against = sorted({connection, *(name for one in some for name in one.against)})
        found.append(
            Condition(
                f"books:{connection}", ("drift",), told, "`syncd report close` lists the lines.", Decimal(len(some)),
                None, "", tuple(names), tuple(against), desk.tags_of(names),
            )
        )  # fmt: skip
    return found


def logins(desk: Desk) -> list[Condition]:
    """One for each sign-in that is over soon."""
    return [
        Condition(
            f"login:{one.connection}", ("source",), f"{one.told}; nothing is read or posted there after it",
            MEND, connections=(one.connection,),
        )
        for one in desk.plan.logins
        if one.soon
    ]  # fmt: skip
