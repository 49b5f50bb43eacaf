"""One line of the plan: gathers the numbers of one customer and rule, lets them be judged, says how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from syncd.core import changed_amounts, keys
from syncd.core.charge import lifted, unit_cost, vendor_cost
from syncd.core.commitments import in_grace
from syncd.core.counting import Counted, Step, target
from syncd.core.entries import DATED
from syncd.core.findings import Number, gather, invoiced, name_differences, name_states
from syncd.core.guards import Guard
from syncd.core.judging import Ruling, rule_on
from syncd.core.place import Desk, Place, home, locate
from syncd.core.policy import Action
from syncd.core.pricing import Unpriced, amount_of
from syncd.core.quote import priced_json
from syncd.core.rules import Customer, Rule, TrueUp
from syncd.core.thresholds import Threshold, threshold
from syncd.core.tie_out import amount_gap
from syncd.core.true_up_usage import Arrears, arrears
from syncd.core.worth import Differing, worths
from syncd.model import Operation, State, Term
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
    if rule.price is not None:
        place = replace(place, cost=vendor_cost(bought, used, place.target.product if place.target else None))
    late: Arrears | None = None
    if rule.true_up is TrueUp.USAGE and rule.bill is not None:
        late = arrears(desk, customer, rule, place, used)
        place, counted = late.place, late.counted
    elif rule.true_up is TrueUp.LINE and counted is not None:
        counted = lifted(rule.price, counted, desk.house.currency)
    if late is None:
        ruling = rule_on(desk, customer, rule, used, bought, counted, place)
    elif late.action is not None:
        ruling = Ruling(late.action, late.reason)
    else:
        ruling = _in_arrears(late, rule_on(desk, customer, late.rule, late.used(used), None, counted, place))
    grace = in_grace(bought.terms, desk.moment.today) if bought is not None and bought.shown is not None else []
    near = _near(rule, used, late, place)
    changed = changed_amounts.changed_amounts(desk, customer, rule, place)
    drift = ruling.difference if ruling.action is not Action.NONE else ZERO
    findings = [
        *name_differences(
            bought=bought.shown if bought else None,
            used=used.shown,
            billed=place.billed,
            invoiced=books.shown if books else None,
            difference=drift,
        ),
        *(["books gap"] if books and place.target and amount_gap(books, place.target) else []),
        *(["paid grace"] if grace else []),
        *([changed_amounts.FINDING] if changed else []),
        *name_states(states),
        *([near.finding] if near else []),
        *ruling.findings,
    ]
    amount, currency = _worth(ruling) if rule.price is None else _priced(rule, ruling, place, desk.house.currency)
    differing = Differing(ruling.difference, amount, currency)
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
        "reason": "; ".join((ruling.reason, *(one.told(desk.house.zone) for one in changed))),
        "mode": desk.house.mode_of(customer),
        "guards": ruling.guards,
        "worth": {
            **worths(findings, rule, bought, used, differing, place, desk.house.currency, desk.moment.today),
            **({changed_amounts.FINDING: changed_amounts.worth_of(changed, home(rule))} if changed else {}),
        },
        "effects": ruling.effects,
        "fingerprint": ruling.fingerprint,
        "sighting": ruling.sighting,
        "derivation": {
            **_derivation(rule, used, bought, counted, place),
            **_in_grace(grace),
            **({"changed": changed_amounts.changed_json(changed, desk.house.zone)} if changed else {}),
            **(late.derivation if late else {}),
            **_price_steps(rule, used if late is None else late.used(used), counted, place, desk),
        },
        "period": late.period if late else "",
        "threshold": near,
    }


def _price_steps(rule: Rule, used: Number, counted: Counted | None, place: Place, desk: Desk) -> dict[str, Any]:
    """Each step of the price of what is due, or why there is none."""
    if rule.price is None or counted is None or not counted.steps:
        return {}
    currency = rule.price.currency or desk.house.currency
    try:
        made = amount_of(
            rule.price, target(rule, used.quantity).target, currency, unit_cost(rule.price, currency, place.cost)
        )
    except Unpriced as why:
        return {"price": {"problem": str(why)}}
    return {"price": priced_json(made)}


def _near(rule: Rule, used: Number, late: Arrears | None, place: Place) -> Threshold | None:
    """How near the count is to a bound of the rule's price: in arrears, the running period's number so far."""
    if rule.price is None or not rule.notify:
        return None
    if late is not None:
        units, before = late.running.quantity if late.running else None, late.counted.target if late.counted else None
    else:
        # A new period's true-up line begins at nothing: that is no way that the count has come.
        units, before = used.shown, place.billed or None
    return None if units is None else threshold(rule.price, rule.notify, target(rule, units).target, before)


def _in_arrears(late: Arrears, ruling: Ruling) -> Ruling:
    """The period and its unread days are told with whatever happens; where too many are missing, a person looks."""
    found = late.found
    if found is None:
        return ruling
    moving = ruling.action in (Action.POST, Action.SETTLE, Action.DEFER, Action.HOLD)
    if found.thin and moving:
        before = (ruling.reason,) if ruling.action is Action.HOLD else ()
        reason = "; ".join((*before, f"{found.period}: {found.unread}"))
        return replace(ruling, action=Action.HOLD, reason=reason, guards=(*ruling.guards, Guard.UNREAD_DAYS))
    told = f"{found.period}: {found}{f'; {found.unread}' if found.gaps else ''}"
    return replace(ruling, reason=f"{ruling.reason}; {told}")


def _priced(rule: Rule, ruling: Ruling, place: Place, house: str) -> tuple[Decimal | None, str]:
    """The same by the rule's own price: what the dated lines come to, else what the recurring quantity would."""
    assert rule.price is not None
    if not ruling.effects or ruling.difference is None or place.billed is None:
        return None, ""
    if all(effect.posting.operation in DATED for effect in ruling.effects):
        signs = {Operation.POST_CREDIT: -1}
        amounts = [(effect.amount, signs.get(effect.posting.operation, 1)) for effect in ruling.effects]
        known = [amount * sign for amount, sign in amounts if amount is not None]
        return (sum(known, ZERO), ruling.effects[0].currency) if len(known) == len(amounts) else (None, "")
    currency = rule.price.currency or house
    try:
        unit = unit_cost(rule.price, currency, place.cost)
        due, now = (
            amount_of(rule.price, max(quantity, ZERO), currency, unit).amount
            for quantity in (place.billed + ruling.difference, place.billed)
        )
    except Unpriced:
        return None, ""
    return due - now, currency


def _worth(ruling: Ruling) -> tuple[Decimal | None, str]:
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


def _in_grace(terms: Sequence[Term]) -> dict[str, Any]:
    """The seats whose commitment is over while they are billed on, where there are any."""
    return {"grace": [[plain(term.quantity), term.last.isoformat()] for term in terms]} if terms else {}


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
