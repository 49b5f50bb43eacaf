"""One line of the plan: gathers the numbers of one customer and rule, lets them be judged, says how it came about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from syncd.core import keys
from syncd.core.counting import Counted, Step, target
from syncd.core.findings import Number, gather, invoiced, name_differences, name_states
from syncd.core.judging import Ruling, rule_on
from syncd.core.place import Desk, Place, home, locate
from syncd.core.policy import Action
from syncd.core.rules import Customer, Rule, TrueUp
from syncd.model import State
from syncd.money import ZERO, plain, round_money


def draw_line(desk: Desk, customer: Customer, rule: Rule) -> dict[str, Any]:
    """The fields of the PlanLine for one customer and rule."""
    used = gather(rule.count, customer, desk.resolution, desk.views) or Number(State.UNKNOWN, reason="not counted")
    bought = gather((rule.bought,), customer, desk.resolution, desk.views) if rule.bought else None
    books = invoiced(rule.invoiced, customer, desk.resolution, desk.views) if rule.invoiced else None
    counted = target(rule, used.quantity) if used.state in (State.KNOWN, State.GONE) else None
    if used.state is State.GONE and not used.parts:
        counted = Counted(ZERO, (Step(used.reason, ZERO),))
    place = locate(desk, customer, rule)
    states = {"used": used.state}
    if bought is not None:
        states["bought"] = bought.state
    if books is not None:
        states["invoiced"] = books.state
    if rule.bill is not None:
        states["billed"] = place.state
    ruling = rule_on(desk, customer, rule, used, bought, counted, place)
    drift = ruling.difference if ruling.action is not Action.NONE else ZERO
    findings = [
        *name_differences(
            bought=bought.shown if bought else None,
            used=used.shown,
            billed=place.billed,
            invoiced=books.shown if books else None,
            difference=drift,
        ),
        *name_states(states),
        *ruling.findings,
    ]
    amount, currency = _worth(ruling, place)
    return {
        "id": keys.line_id(customer.name, rule.name, home(rule)),
        "customer": customer.name,
        "rule": rule.name,
        "connection": home(rule),
        "bought": bought.shown if bought else None,
        "used": used.shown,
        "billed": place.billed,
        "invoiced": books.shown if books else None,
        "states": states,
        "target": counted.target if counted else None,
        "difference": ruling.difference,
        "amount": amount,
        "currency": currency,
        "findings": tuple(dict.fromkeys(findings)),
        "action": ruling.action,
        "reason": ruling.reason,
        "mode": desk.house.mode_of(customer),
        "guards": ruling.guards,
        "effects": ruling.effects,
        "fingerprint": ruling.fingerprint,
        "sighting": ruling.sighting,
        "derivation": _derivation(rule, used, bought, counted, place),
    }


def _worth(ruling: Ruling, place: Place) -> tuple[Decimal | None, str]:
    """The difference in money for one period, where a price is known; signed like the difference."""
    if not ruling.effects or ruling.difference is None:
        return None, ""
    posting = ruling.effects[0].posting
    if posting.unit_price is None or not posting.currency:
        return None, ""
    return round_money(posting.unit_price * ruling.difference, posting.currency), posting.currency


def _derivation(
    rule: Rule, used: Number, bought: Number | None, counted: Counted | None, place: Place
) -> dict[str, Any]:
    """How the line came about, as JSON without any time."""

    def parts(number: Number | None) -> list[dict[str, Any]]:
        return [
            {
                "connection": part.connection, "customer_id": part.customer_id, "query": str(part.query),
                "sku": part.count.sku, "name": part.count.name, "quantity": plain(part.count.quantity),
                "factor": plain(part.factor), "subjects": part.count.evidence, "note": part.count.note,
                "proof": part.proof,
            }
            for part in (number.parts if number else ())
        ]  # fmt: skip

    line = place.target.lines[0] if place.target and len(place.target.lines) == 1 else None
    return {
        "rule": rule.content,
        "counts": parts(used),
        "bought": parts(bought),
        "steps": [{"text": step.text, "result": plain(step.result)} for step in counted.steps] if counted else [],
        "agreement": line.agreement_id if line else "",
        "line": line.id if line else "",
        "unit_price": plain(line.unit_price) if line and line.unit_price is not None else None,
        "site": _site(rule, counted, place),
    }


def _site(rule: Rule, counted: Counted | None, place: Place) -> str:
    """Where the rule bills, also on a day on which nothing is to be done; "" where it cannot be told, or where it never
    posts."""
    found = place.target
    if rule.true_up is TrueUp.ALERT or found is None or found.product is None:
        return ""
    if not found.lines and counted is not None and counted.target == 0:
        return ""
    at = {line.agreement_id for line in found.lines} or {agreement.id for agreement in found.agreements}
    return f"{home(rule)}:{at.pop()}:{found.product.id}" if len(at) == 1 else ""
