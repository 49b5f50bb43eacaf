"""One line of the plan: gathers the numbers of one customer and rule, finds where it is billed, asks policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from syncd.core import keys, policy
from syncd.core.counting import Counted, Step, target
from syncd.core.effects import (
    Effect,
    Site,
    choose_agreement,
    describe,
    line_effects,
    own_before,
    own_identity,
    quantity_effects,
)
from syncd.core.entries import IN_FLIGHT, Closed, LineHistory, Settled, Sighting
from syncd.core.findings import Number, gather, invoiced, name_differences
from syncd.core.place import Desk, Place, home, locate, own_in
from syncd.core.policy import Action, Verdict
from syncd.core.resolve import Target
from syncd.core.rules import Customer, Direction, Rule, TrueUp
from syncd.model import State
from syncd.money import ZERO, plain, round_money
from syncd.periods import DAY, Period, month_of

_NOTHING = LineHistory()
# A list may lag behind a write that was read back already; until then its old value is stale, not drift
# (RELIABILITY, rule 9).
READ_LAG = timedelta(minutes=15)


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
    ruling = _rule_on(desk, customer, rule, used, bought, counted, place)
    drift = ruling.difference if ruling.action is not Action.NONE else ZERO
    findings = [
        *name_differences(
            bought=bought.shown if bought else None,
            used=used.shown,
            billed=place.billed,
            invoiced=books.shown if books else None,
            difference=drift,
        ),
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
        "effects": ruling.effects,
        "fingerprint": ruling.fingerprint,
        "sighting": ruling.sighting,
        "derivation": _derivation(rule, used, bought, counted, place),
    }


@dataclass(frozen=True, slots=True)
class _Ruling:
    action: Action
    reason: str
    difference: Decimal | None = None
    findings: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    fingerprint: str = ""
    sighting: Sighting | None = None


def _rule_on(
    desk: Desk,
    customer: Customer,
    rule: Rule,
    used: Number,
    bought: Number | None,
    counted: Counted | None,
    place: Place,
) -> _Ruling:
    """What differs, what would be done about it, and what policy says."""
    if counted is None:
        return _Ruling(Action.BLOCKED, f"used is {used.state}: {used.reason}")
    if counted.target < 0:
        return _Ruling(Action.BLOCKED, f"the count comes to {plain(counted.target)}: less than nothing is not billed")
    if place.problem:
        difference = counted.target - place.billed if place.billed is not None else None
        return _Ruling(Action.BLOCKED, place.reason, difference, (place.problem,))
    if place.state is not State.KNOWN:
        return _Ruling(Action.BLOCKED, f"billed is {place.state}: {place.reason}")
    if rule.bill is None:
        return _Ruling(Action.ALERT if counted.over_maximum else Action.NONE, "the rule only reports")
    assert place.billed is not None  # a KNOWN place without a problem has a number
    wanted, until = counted.target, None
    if rule.decrease is Direction.TERM and wanted < place.billed:
        if bought is None or bought.state is not State.KNOWN:
            why = "no commitment is known" if bought is None else f"bought is {bought.state}: {bought.reason}"
            ruling = _judge(desk, customer, rule, used, counted, place, wanted)
            waits = ruling.action in (Action.POST, Action.SETTLE, Action.DEFER, Action.HOLD)
            return replace(ruling, action=Action.HOLD, reason=f"decrease is term and {why}") if waits else ruling
        wanted, until = policy.held_back(wanted, place.billed, bought.terms, desk.moment.today)
    if policy.within_tolerance(rule, wanted, place.billed):
        return _settled_line(counted, place, until)
    ruling = _judge(desk, customer, rule, used, counted, place, wanted)
    if until is None:
        return ruling
    return replace(ruling, reason=f"{ruling.reason}; {plain(wanted)} are committed until {until - DAY}")


def _settled_line(counted: Counted, place: Place, until: date | None) -> _Ruling:
    """Nothing to bring about; what remains to be told is told."""
    difference = counted.target - (place.billed or ZERO)
    if until is not None:
        return _Ruling(Action.DEFER, f"decrease is term: committed until {until - DAY}", difference)
    if counted.over_maximum:
        return _Ruling(Action.ALERT, "the count is over the rule's maximum", difference, ("over maximum",))
    return _Ruling(Action.NONE, "within tolerance" if difference else "as it should be", difference)


def _judge(
    desk: Desk,
    customer: Customer,
    rule: Rule,
    used: Number,
    counted: Counted,
    place: Place,
    wanted: Decimal,
) -> _Ruling:
    """`wanted` is what may be brought about: the target, or what a commitment leaves of it."""
    found, billed, period = place.target, place.billed, place.period
    assert found is not None  # a KNOWN place has been searched
    assert billed is not None
    assert period is not None
    difference = counted.target - billed
    if rule.true_up is TrueUp.ALERT:
        return _Ruling(Action.ALERT, "the rule only reports", difference)
    findings = ("over maximum",) if counted.over_maximum else ()
    line = found.lines[0] if found.lines else None
    if line is None and found.scheduled:
        later = min(one.starts for one in found.scheduled if one.starts)
        return _Ruling(Action.DEFER, f"line {found.scheduled[0].id} begins on {later}", difference, findings)
    if line is None and rule.true_up is TrueUp.QUANTITY:
        findings = (*findings, "missing line")
        if not rule.create:
            reason = f"no open line bills {_product_name(found)}; add it, or set `create = true` in the rule"
            if not found.agreements:
                findings = (*findings, "missing agreement")
                reason = "no open agreement matches `agreement`; correct the rule, or make the agreement"
            return _Ruling(Action.ALERT, reason, difference, findings)
    agreement, problem = choose_agreement(found, line)
    if agreement is None or found.product is None:
        kind = "ambiguous agreement" if len(found.agreements) > 1 else "missing agreement"
        return _Ruling(Action.BLOCKED, problem, difference, (*findings, kind))
    site = Site(
        rule, customer.name, place.resolved.id if place.resolved else "", home(rule), agreement, found.product,
        line, period, agreement.currency or desk.house.currency, desk.moment.today,
    )  # fmt: skip
    identity = _identity(site)
    fingerprint = keys.fingerprint(identity, rule.content, wanted, billed)
    sighting = _sighting(desk, site, wanted, fingerprint)
    effects, step, problem = _effects(desk, site, used, wanted, billed, fresh=policy.is_fresh(sighting, period))
    if problem:
        return _Ruling(Action.ALERT, problem, difference, findings)
    history = desk.past.lines.get(identity, _NOTHING)
    seen = sighting if desk.counting else None
    ruling = _Ruling(Action.NONE, "", difference, findings, effects, fingerprint, seen)
    flying = [
        entry
        for name in dict.fromkeys((identity, *(effect.identity for effect in effects)))
        if (entry := desk.past.lines.get(name, _NOTHING).open) is not None and entry.state in IN_FLIGHT
    ]
    if flying:
        reason = f"the outcome of entry {flying[0].id} is not known yet ({flying[0].note or 'sent, no answer'})"
        return replace(ruling, action=Action.BLOCKED, reason=reason, effects=())
    if history.posted and _lags(desk, history.posted, place, rule):
        reason = f"syncd wrote {plain(history.posted.to)} just now; the list does not show it yet"
        return replace(ruling, action=Action.SETTLE, reason=reason, effects=(), sighting=None)
    written = _written(desk, site, history)
    edited = _edited(desk, site, place, history, written, found)
    if edited and desk.house.safety.foreign_edit == "accept" and (not effects or (written and written.to == wanted)):
        return replace(ruling, action=Action.IGNORE, reason=f"{edited}; accepted", findings=(*findings, "foreign edit"))
    rests_on = (*rule.count, *((rule.bought,) if rule.bought and rule.decrease is Direction.TERM else ()))
    if difference > 0:
        rests_on = rule.count
    sources = sorted({ref.connection for ref in rests_on})
    suspect = "; ".join(desk.suspects[name] for name in sources if name in desk.suspects)
    verdict = policy.judge(
        policy.Case(
            rule, billed, wanted, step, fingerprint, desk.moment.today, period, _closed(history), sighting,
            suspect, used.reason if used.state is State.GONE else "", edited,
        ),
        desk.house.safety,
    )  # fmt: skip
    if not effects and verdict.action in (Action.POST, Action.SETTLE, Action.DEFER):
        verdict = Verdict(Action.HOLD, f"{edited or 'what syncd wrote is not what the list shows'}; mend it by hand")
    verdict = _refused(desk, site, place, effects, verdict)
    extra = (*(("foreign edit",) if edited else ()), *(("gone",) if used.state is State.GONE else ()))
    rival = (f"rival writer: {found.product.rival}",) if found.product.rival else ()
    return replace(ruling, action=verdict.action, reason=verdict.reason, findings=(*findings, *extra, *rival))


def _identity(site: Site) -> str:
    """What the rule changes for this customer, as the ledger names it."""
    if site.rule.true_up is TrueUp.LINE:
        return own_identity(site)
    if site.line is not None:
        return keys.recurring(site.connection, site.line.agreement_id, site.line.id)
    return keys.added(site.connection, site.agreement.id, site.product.id, site.customer, site.rule.name)


def _effects(
    desk: Desk, site: Site, used: Number, wanted: Decimal, billed: Decimal, *, fresh: bool
) -> tuple[tuple[Effect, ...], tuple[Decimal, Decimal] | None, str]:
    """(effects, what percentages judge, why nothing can be done). `fresh`: not seen before this period."""
    limit = desk.views[site.connection].description_length
    if site.rule.true_up is TrueUp.LINE:
        own = own_before(desk.past.lines.get(own_identity(site), _NOTHING))
        recurring = site.line.quantity if site.line else ZERO
        due = max(wanted - recurring, ZERO)  # what syncd added is taken back before a person must lower the line
        if wanted < recurring and own <= 0:
            text = f'the recurring line bills {plain(recurring)}, more than is due; true_up "line" only adds'
            return (), None, text
        previous = desk.past.lines.get(own_identity(site, _previous(site.period)), _NOTHING).own_quantity
        if site.rule.increase is Direction.NEXT_PERIOD and fresh and own < previous < due:
            due = previous  # as much as in the last period is no increase: only what goes beyond it waits
        text = _describe(site, used, due - own, own, due, limit)
        step = (previous, due) if previous > 0 else None
        return line_effects(site, desk.past, due, text), step, ""
    before = site.line.quantity if site.line else ZERO
    text = _describe(site, used, wanted - before, before, wanted, limit)
    effects = quantity_effects(site, desk.past, wanted, text)
    return effects, (billed, wanted), ""


def _previous(period: Period) -> Period:
    """The period of the same kind just before."""
    last = period.first - DAY
    if period.first.day == 1 and (period.last + DAY).day == 1:
        months = (period.last.year - period.first.year) * 12 + period.last.month - period.first.month + 1
        first = last.replace(day=1)
        for _ in range(months - 1):
            first = (first - DAY).replace(day=1)
        return Period(first, last)
    return month_of(last, period.first.day)


def _describe(site: Site, used: Number, quantity: Decimal, before: Decimal, to: Decimal, limit: int) -> str:
    subjects = (one.name for part in used.parts for one in part.count.subjects or ())
    return describe(
        site.rule.description, product=site.product.name, period=str(site.period), used=used.quantity,
        quantity=quantity, before=before, to=to, customer=site.customer, rule=site.rule.name,
        subjects=dict.fromkeys(subjects), limit=limit,
    )  # fmt: skip


def _closed(history: LineHistory) -> Closed | None:
    """The decision that stands; a person who asked for a second try has lifted it."""
    return None if history.open is not None and history.open.intent.retry_of else history.closed


def _lags(desk: Desk, posted: Settled, place: Place, rule: Rule) -> bool:
    """Whether the list still shows what stood there before syncd's last write, made a moment ago."""
    if desk.moment.now - posted.settled_at > READ_LAG or place.target is None or place.period is None:
        return False
    if rule.true_up is TrueUp.LINE:
        return own_in(place.target, place.period) == posted.before
    return place.billed == posted.before


def _written(desk: Desk, site: Site, history: LineHistory) -> Settled | None:
    """What syncd last wrote there. A line that it added itself has its first quantity under another identity."""
    if history.posted is not None or site.line is None or site.rule.true_up is not TrueUp.QUANTITY:
        return history.posted
    name = _identity(replace(site, line=None))
    added = desk.past.lines.get(name, _NOTHING).posted
    return added if added is not None and added.remote_id == site.line.id else None


def _edited(desk: Desk, site: Site, place: Place, history: LineHistory, written: Settled | None, found: Target) -> str:
    if site.rule.true_up is TrueUp.QUANTITY:
        if site.line is None:
            if history.posted and history.posted.to > 0:
                return f"syncd added line {history.posted.remote_id}, and it is no longer there; somebody removed it"
            return _ended_by_hand(desk, site, place)
        return policy.edited_by_hand(site.line.quantity, written, site.line.changed_by)
    shown = own_in(found, site.period)
    if history.posted is None or history.open is not None or shown == history.own_quantity:
        return ""
    return f"syncd's lines of {site.period} sum to {plain(shown)} instead of {plain(history.own_quantity)}"


def _ended_by_hand(desk: Desk, site: Site, place: Place) -> str:
    """A sentence where the agreement lacks a line whose quantity syncd last wrote: a new one may replace what somebody
    ended on purpose. Which product it billed is not remembered, so that any such line makes a person look."""
    prefix = keys.recurring(site.connection, site.agreement.id, "")
    there = {line.id for line in place.billing.lines} if place.billing else set()
    for name, history in sorted(desk.past.lines.items()):
        gone = name.removeprefix(prefix)
        if name.startswith(prefix) and history.posted and history.posted.to > 0 and gone not in there:
            return (
                f"line {gone}, which syncd last set to {plain(history.posted.to)}, is no longer open; somebody ended it"
            )
    return ""


def _sighting(desk: Desk, site: Site, wanted: Decimal, fingerprint: str) -> Sighting | None:
    """The sighting that counts: after this cycle, or, where this look does not count, the one before it.

    Each period owes its own true-up lines; the difference that they make up for is the same one, so that it was seen
    is not forgotten when a period ends.
    """
    before = desk.past.sightings.get(keys.line_id(site.customer, site.rule.name, home(site.rule)))
    if site.rule.true_up is TrueUp.LINE:
        recurring = site.line.quantity if site.line else ZERO
        name = keys.dated(site.connection, site.agreement.id, site.product.id, site.customer, site.rule.name, "")
        fingerprint = keys.fingerprint(name, site.rule.content, wanted, recurring)
    if desk.counting:
        return policy.sight(before, fingerprint, desk.moment.today, desk.house.safety.settle)
    return before if before is not None and before.fingerprint == fingerprint else None


def _refused(desk: Desk, site: Site, place: Place, effects: Iterable[Effect], verdict: Verdict) -> Verdict:
    """What the connector knows that the vendor would refuse is blocked before it is tried."""
    if verdict.action in (Action.ALERT, Action.IGNORE, Action.BLOCKED) or place.billing is None:
        return verdict
    view = desk.views[site.connection]
    for effect in effects:
        if effect.posting.operation not in view.operations:
            return Verdict(Action.BLOCKED, f"{view.name} cannot {effect.posting.operation.replace('_', ' ')}")
        if reason := view.refusal(effect.posting, place.billing, view.products or (), desk.moment):
            return Verdict(Action.BLOCKED, reason)
    return verdict


def _product_name(found: Target) -> str:
    return repr(found.product.identifier) if found.product else "the product"


def _worth(ruling: _Ruling, place: Place) -> tuple[Decimal | None, str]:
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
