"""`bill`: the line that a rule names, held against what its connection can post.

What always holds: a rule that is passed here can reach its target with the operations that its connector declares.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncd.config.faults import did_you_mean
from syncd.config.mapping_schema import RuleTable
from syncd.config.references import find_link
from syncd.config.types import Link, Links
from syncd.config.values import key_text, quoted
from syncd.connect.contract import Abilities
from syncd.core.ownership import BETWEEN, WORDS
from syncd.core.rules import BillRef
from syncd.errors import Fault
from syncd.model import Operation

# Keys of `bill` that say in which form, not which line (INTERFACE 3.2); the last one, who else does not invoice it.
METER = "meter"
FORMS = frozenset({"document", METER, "via", WORDS})


def bill_ref(table: RuleTable, place: str, links: Links, faults: list[Fault]) -> BillRef | None:
    """`bill`, judged together with `true_up` and `create`; None where the rule needs none or it is at fault."""
    at = f"{place} › bill"
    if table.bill is None:
        if table.true_up != "alert":
            mend = f'true_up = "{table.true_up}" needs to know where to post; true_up = "alert" does not.'
            faults.append(Fault(at, "is missing.", mend))
        return None
    to = table.bill.get("to")
    if not isinstance(to, str) or not to:
        what = "must be text in quotes." if "to" in table.bill else "is missing."
        faults.append(Fault(f"{at}.to", what, f"Connections: {', '.join(links)}." if links else ""))
        return None
    link = find_link(to, f"{at}.to", links, faults)
    if link is None or link.abilities is None:
        return None
    faults_before = len(faults)
    _judge_operations(table, place, link, link.abilities, faults)
    if len(faults) > faults_before and not link.abilities.bill_keys:
        return None  # a connection that posts nothing knows no selectors either
    named = {name: value for name, value in table.bill.items() if name != WORDS}
    _judge_selectors(named, at, link, link.abilities, faults)
    words = {name: value for name, value in named.items() if name != "to"}
    if METER in words and METER in link.abilities.bill_options:
        faults += _judge_meter(table, place)
    if WORDS in table.bill:
        words[WORDS] = _disowned(table.bill[WORDS], f"{at}.{WORDS}", link, links, faults)
    return BillRef(
        to,
        {name: value for name, value in words.items() if name not in FORMS},
        {name: value for name, value in words.items() if name in FORMS},
    )


def _disowned(raw: Any, at: str, link: Link, links: Links, faults: list[Fault]) -> str:
    """The connections that do not invoice in these books what the rule bills, as one text."""
    names = raw if isinstance(raw, list) else [raw]
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        faults.append(Fault(at, "must be the name of a connection, or a list of names."))
        return ""
    for name in names:
        other = find_link(name, at, links, faults)
        if other is not None and other.abilities is not None and link.kind not in other.abilities.feeds:
            what = f"connection {quoted(name)} ({other.kind}) sends no invoices to {link.kind} by itself."
            faults.append(Fault(at, what, "Take it out."))
    return BETWEEN.join(sorted(set(names)))


def _judge_operations(table: RuleTable, place: str, link: Link, abilities: Abilities, faults: list[Fault]) -> None:
    called = f"connection {quoted(link.name)} ({link.kind})"
    at = f"{place} › bill.to"
    if table.true_up == "alert":
        if "billed" not in abilities.reads:
            mend = "Leave bill out, or compare with invoiced." if "invoiced" in abilities.reads else "Leave bill out."
            faults.append(Fault(at, f"{called} does not read what is billed.", mend))
    elif not abilities.operations:
        mend = f"Set {abilities.switch} = true in [connections.{key_text(link.name)}]." if abilities.switch else ""
        faults.append(Fault(at, f"{called} posts nothing; it is only read.", mend))
        return
    elif table.true_up == "quantity" and not (
        abilities.keeps_quantity and Operation.SET_QUANTITY in abilities.operations
    ):
        mend = 'Use true_up = "line".' if Operation.POST_LINE in abilities.operations else ""
        faults.append(Fault(f"{place} › true_up", f'{called} keeps no recurring quantity, as "quantity" needs.', mend))
    elif table.true_up in ("line", "usage") and Operation.POST_LINE not in abilities.operations:
        faults.append(Fault(f"{place} › true_up", f'{called} posts no lines of its own, as "{table.true_up}" needs.'))
    if table.create and Operation.ADD_LINE not in abilities.operations:
        faults.append(Fault(f"{place} › create", f"{called} cannot add a line.", "Take create out."))


def _judge_meter(table: RuleTable, place: str) -> Iterator[Fault]:
    """What does not go with usage that is reported to a meter: the vendor charges it when the period ends."""
    if table.true_up == "quantity":
        what = 'does not go with true_up = "quantity": a meter has usage and no quantity.'
        yield Fault(f"{place} › bill.{METER}", what, 'Use true_up = "line".')
    elif table.true_up == "usage":
        what = 'does not go with true_up = "usage": what is known when a period is over comes after its invoice.'
        mend = 'Use true_up = "line", which reports while the period runs, or take meter out: a line is posted then.'
        yield Fault(f"{place} › bill.{METER}", what, mend)
    if table.price is not None:
        yield Fault(f"{place} › price", "does not go with a meter, whose usage is charged by its own price.")
    if table.prorate != "none":
        yield Fault(f"{place} › prorate", "does nothing with a meter, which is charged for what was used.")
    if table.create:
        yield Fault(f"{place} › create", "adds no metered line.", "Add it by hand, and take create out.")


def _judge_selectors(bill: dict[str, Any], at: str, link: Link, abilities: Abilities, faults: list[Fault]) -> None:
    known = [*abilities.bill_keys, *abilities.bill_options]
    strangers = [name for name in bill if name != "to" and name not in known]
    meant = set()
    for name in strangers:
        free = [one for one in known if one not in bill]
        mend = did_you_mean(name, free) or did_you_mean(name, ["to", *known])
        meant |= {one for one in free if mend == f'Did you mean "{one}"?'}
        faults.append(Fault(f"{at}.{key_text(name)}", "unknown key.", mend))
    for name in abilities.bill_keys:
        if name not in bill and name not in meant:
            mend = f"{link.kind} names a line by {' and '.join(abilities.bill_keys)}."
            faults.append(Fault(f"{at}.{name}", "is missing.", mend))
    for name in known:
        if name in bill and not (isinstance(bill[name], str) and bill[name].strip()):
            faults.append(Fault(f"{at}.{name}", "must be text in quotes."))
