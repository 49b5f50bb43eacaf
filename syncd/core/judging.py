"""From the numbers of one line to its ruling: what differs, what would be done about it, and whether it may be.

What blocks a line comes first (a number that is not known, two lines where one is meant, an outcome that is not known
yet), then the rule's own words, then the guards. How a target is reached is the true-up's own module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from syncd.core import closing, commitments, keys, meters, policy, true_up_line, true_up_quantity, true_up_usage
from syncd.core.charge import only_fee
from syncd.core.counting import Counted, target
from syncd.core.effects import Effect, Site, choose_agreement
from syncd.core.entries import IN_FLIGHT, Closed, LineHistory, Settled, Sighting
from syncd.core.findings import Number
from syncd.core.guards import Guard
from syncd.core.place import Desk, Place, home
from syncd.core.policy import Action, Verdict
from syncd.core.resolve import Target
from syncd.core.rules import Customer, Direction, Rule, TrueUp
from syncd.core.true_up import NOTHING, Meddling, Way
from syncd.model import BilledLine, Operation, State
from syncd.money import ZERO, plain
from syncd.periods import DAY, Period, parse_period

WAYS: Mapping[TrueUp, Way] = {
    TrueUp.QUANTITY: true_up_quantity,
    TrueUp.LINE: true_up_line,
    TrueUp.USAGE: true_up_usage,
}
# A list may lag behind a write that was read back already; until then its old value is stale, not drift
# (RELIABILITY, rule 9).
READ_LAG = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What happens to a line. `guards`: those that hold it back. `effects` would bring its target about."""

    action: Action
    reason: str
    difference: Decimal | None = None
    findings: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    fingerprint: str = ""
    sighting: Sighting | None = None
    guards: tuple[Guard, ...] = ()


def rule_on(
    desk: Desk,
    customer: Customer,
    rule: Rule,
    used: Number,
    bought: Number | None,
    counted: Counted | None,
    place: Place,
) -> Ruling:
    """What differs, what would be done about it, and what policy says."""
    if counted is None:
        return Ruling(Action.BLOCKED, f"used is {used.state}: {used.reason}")
    if less := _less_than_nothing(used, counted):
        return Ruling(Action.BLOCKED, less)
    if place.problem:
        difference = counted.target - place.billed if place.billed is not None else None
        return Ruling(Action.BLOCKED, place.reason, difference, (place.problem,))
    if place.state is not State.KNOWN:
        return Ruling(Action.BLOCKED, f"billed is {place.state}: {place.reason}")
    if rule.bill is None:
        return Ruling(Action.ALERT if counted.over_maximum else Action.NONE, "the rule only reports")
    assert place.billed is not None  # a KNOWN place without a problem has a number
    if negative := _negative(place):
        why = f"line {negative.id} shows {plain(negative.quantity)}: less than nothing is not billed; mend it by hand"
        return Ruling(Action.BLOCKED, why, counted.target - place.billed, ("negative quantity",))
    wanted, until, bound = counted.target, None, ""
    if rule.decrease is Direction.TERM and wanted < place.billed:
        if bought is None or bought.state is not State.KNOWN:
            return _without_commitment(_judge(desk, customer, rule, used, counted, place, wanted), bought)
        bound = commitments.told(wanted, place.billed, bought.terms, desk.moment.today)
        wanted, until = policy.held_back(wanted, place.billed, bought.terms, desk.moment.today)
    if policy.within_tolerance(rule, wanted, place.billed):
        if short := _only_fee(desk, customer, rule, used, place):
            return Ruling(Action.BLOCKED, short, counted.target - place.billed)
        return _in_doubt(desk, customer, rule, place, _settled_line(counted, place, until, bound))
    ruling = _judge(desk, customer, rule, used, counted, place, wanted)
    committed = f"{plain(wanted)} are committed until {until - DAY}" if until is not None else ""
    return replace(ruling, reason="; ".join(part for part in (ruling.reason, committed, bound) if part))


def _only_fee(desk: Desk, customer: Customer, rule: Rule, used: Number, place: Place) -> str:
    """As `charge.only_fee`, of syncd's own lines of the period."""
    found, units = place.target, target(rule, used.quantity).target
    if rule.price is None or found is None or found.product is None:
        return ""
    for agreement in found.agreements:
        of = (found.product.id, customer.name, rule.name, str(place.period))
        history = desk.past.lines.get(keys.dated(home(rule), agreement.id, *of), NOTHING)
        if history.own_quantity == units and history.open is None:
            return only_fee(rule.price, units, history.own_amount, rule.price.currency or desk.house.currency)
    return ""


def _less_than_nothing(used: Number, counted: Counted) -> str:
    """A sentence where a source counts less than nothing: included units or a minimum would hide it."""
    for part in used.parts:
        if part.count.quantity < 0:
            count = f"{plain(part.count.quantity)} of {part.count.sku}"
            return f"{part.connection} counts {count} for {part.customer_id}: less than nothing is not billed"
    lowest = min(used.quantity, counted.target)
    return f"the count comes to {plain(lowest)}: less than nothing is not billed" if lowest < 0 else ""


def _negative(place: Place) -> BilledLine | None:
    """The recurring line whose quantity is below zero; syncd's own credits are dated lines."""
    lines = place.target.lines if place.target else ()
    return next((line for line in lines if line.quantity < 0), None)


def _without_commitment(ruling: Ruling, bought: Number | None) -> Ruling:
    """`decrease = "term"` needs to know what is committed. What could not be read blocks the fall, like any number that
    a decision rests on; where there is nothing to read, or the customer is gone there, a person decides."""
    if ruling.action not in (Action.POST, Action.SETTLE, Action.DEFER, Action.HOLD):
        return ruling
    if bought is None:
        return replace(ruling, action=Action.HOLD, reason="decrease is term and no commitment is known")
    reason = f"decrease is term and bought is {bought.state}: {bought.reason}"
    if bought.state is State.GONE:
        return replace(ruling, action=Action.HOLD, reason=reason)
    return replace(ruling, action=Action.BLOCKED, reason=reason, guards=())


def _settled_line(counted: Counted, place: Place, until: date | None, bound: str) -> Ruling:
    """Nothing to bring about; what remains to be told is told. `bound`: what waits for commitments, at what cost."""
    difference = counted.target - (place.billed or ZERO)
    if until is not None:
        return Ruling(Action.DEFER, f"decrease is term: committed until {until - DAY}; {bound}", difference)
    if place.begins is not None and place.target is not None:
        return Ruling(Action.DEFER, f"line {place.target.lines[0].id} begins on {place.begins}", difference)
    if counted.over_maximum:
        return Ruling(Action.ALERT, "the count is over the rule's maximum", difference, ("over maximum",))
    return Ruling(Action.NONE, "within tolerance" if difference else "as it should be", difference)


def _in_doubt(desk: Desk, customer: Customer, rule: Rule, place: Place, settled: Ruling) -> Ruling:
    """A quantity that is as it should be proves no posting whose outcome is not known: something else of the record may
    not be as it was meant, and a dated line that a person took away shows nothing, so that it stays told."""
    found = place.target
    if found is None:
        return settled
    names = [keys.recurring(home(rule), line.agreement_id, line.id) for line in found.lines]
    if found.product is not None and rule.true_up in (TrueUp.LINE, TrueUp.USAGE):
        of = (found.product.id, customer.name, rule.name, str(place.period))
        names += [keys.dated(home(rule), agreement.id, *of) for agreement in found.agreements]
    for name in names:
        if flying := _flying(desk, name, ()):
            reason = f"{settled.reason}; {flying}"
            return replace(settled, reason=reason, findings=(*settled.findings, "outcome unknown"))
    return settled


def _judge(
    desk: Desk, customer: Customer, rule: Rule, used: Number, counted: Counted, place: Place, wanted: Decimal
) -> Ruling:
    """`wanted` is what may be brought about: the target, or what a commitment leaves of it."""
    found, billed, period = place.target, place.billed, place.period
    assert found is not None  # a KNOWN place has been searched
    assert billed is not None
    assert period is not None
    difference = counted.target - billed
    if rule.true_up is TrueUp.ALERT:
        return Ruling(Action.ALERT, "the rule only reports", difference)
    site, halted = _site(desk, customer, rule, counted, place, difference)
    if site is None:
        return halted
    findings, way = halted.findings, WAYS[rule.true_up]
    fingerprint = keys.fingerprint(way.identity(site), rule.content, wanted, billed)
    sighting = _sighting(desk, site, way.situation(site, wanted, billed))
    made = way.propose(desk, site, used, wanted, billed, fresh=policy.is_fresh(sighting, period))
    if made.obstacle:
        return Ruling(Action.BLOCKED if made.unpriced else Action.ALERT, made.obstacle, difference, findings)
    history = desk.past.lines.get(way.identity(site), NOTHING)
    seen = sighting if desk.counting else None
    ruling = Ruling(Action.NONE, "", difference, findings, made.effects, fingerprint, seen)
    if flying := _flying(desk, way.identity(site), made.effects):
        doubted = (*findings, "outcome unknown")
        return replace(ruling, action=Action.BLOCKED, reason=flying, effects=(), findings=doubted)
    if history.posted and _lags(desk, history.posted, way.listed(place, period)):
        reason = f"syncd wrote {plain(history.posted.to)} just now; the list does not show it yet"
        return replace(ruling, action=Action.SETTLE, reason=reason, effects=(), sighting=None)
    meddling = way.meddling(desk, site, place, wanted)
    if _accepted(desk, meddling, made.effects, wanted) and not _asked(history, made.effects):
        reason = f"{meddling.edited}; accepted"
        return replace(ruling, action=Action.IGNORE, reason=reason, findings=(*findings, "foreign edit"))
    case = policy.Case(
        rule, billed, wanted, made.step, fingerprint, desk.moment.today, period, _closed(history), sighting,
        suspect=_suspect(desk, rule, rising=difference > 0),
        gone=used.reason if used.state is State.GONE else "",
        edited=meddling.edited,
        contested=meddling.contested,
        earlier=_earlier(desk, site, made.effects, place.running),
        forgotten=_forgotten(desk, site, made.effects),
        no_draft=_no_draft(desk, site, made.effects),
    )  # fmt: skip
    safety = desk.house.safety
    if meddling.forgotten and safety.foreign_edit == "accept":
        safety = replace(safety, foreign_edit="hold")  # it may be syncd's own number: a person is asked
    verdict = policy.judge(case, safety)
    if not made.effects and verdict.action in (Action.POST, Action.SETTLE, Action.DEFER, Action.HOLD):
        verdict = _by_hand(verdict, meddling)
    verdict = _refused(desk, site, place, made.effects, verdict)
    if verdict.by_hand:
        ruling = replace(ruling, effects=())
    told = [
        *findings,
        *(("foreign edit",) if meddling.edited else ()),
        *(("oscillation",) if meddling.contested else ()),
        *(("gone",) if used.state is State.GONE else ()),
        *((f"rival writer: {site.product.rival}",) if site.product.rival else ()),
    ]
    return replace(ruling, action=verdict.action, reason=verdict.reason, findings=tuple(told), guards=verdict.guards)


def _by_hand(verdict: Verdict, meddling: Meddling) -> Verdict:
    """What differs and can be neither posted nor approved: the sentence says what must be mended first."""
    why = meddling.edited or "what syncd wrote is not what the list shows"
    held = verdict.action is Action.HOLD
    before = (verdict.reason,) if held and verdict.reason != why else ()
    kept = verdict.guards if held else ()
    edited = (Guard.FOREIGN_EDIT,) if meddling.edited else ()
    told = () if any(why in one for one in before) else (why,)
    reason = "; ".join((*before, *told, "mend it by hand"))
    return Verdict(Action.HOLD, reason, tuple(dict.fromkeys((*kept, *edited))))


def _site(
    desk: Desk, customer: Customer, rule: Rule, counted: Counted, place: Place, difference: Decimal
) -> tuple[Site | None, Ruling]:
    """Where the rule's effects go; None where nothing can be done there, with the ruling that says why. The ruling's
    findings hold in either case."""
    found = place.target
    assert found is not None
    assert place.period is not None
    findings = ("over maximum",) if counted.over_maximum else ()
    line = found.lines[0] if found.lines else None
    if line is None and found.scheduled and rule.true_up is not TrueUp.USAGE:
        later = min(one.starts for one in found.scheduled if one.starts)
        return None, Ruling(Action.DEFER, f"line {found.scheduled[0].id} begins on {later}", difference, findings)
    if line is None and rule.true_up is TrueUp.QUANTITY:
        findings = (*findings, "missing line")
        if not rule.create:
            reason = f"no open line bills {_product_name(found)}; add it, or set `create = true` in the rule"
            if not found.agreements:
                findings = (*findings, "missing agreement")
                reason = "no open agreement matches `agreement`; correct the rule, or make the agreement"
            return None, Ruling(Action.ALERT, reason, difference, findings)
    agreement, problem = choose_agreement(found, line)
    if agreement is None or found.product is None:
        kind = "ambiguous agreement" if len(found.agreements) > 1 else "missing agreement"
        return None, Ruling(Action.BLOCKED, problem, difference, (*findings, kind))
    if unbelieved := closing.too_far_ahead(agreement, place.running or place.period):
        return None, Ruling(Action.BLOCKED, unbelieved, difference, findings)
    site = Site(
        rule, customer.name, place.resolved.id if place.resolved else "", home(rule), agreement, found.product,
        line, place.period, agreement.currency or desk.house.currency, desk.moment.today, place.cost,
        desk.house.currency,
    )  # fmt: skip
    return site, Ruling(Action.NONE, "", difference, findings)


def _product_name(found: Target) -> str:
    return repr(found.product.identifier) if found.product else "the product"


def _sighting(desk: Desk, site: Site, fingerprint: str) -> Sighting | None:
    """The sighting that counts: after this cycle, or, where this look does not count, the one before it."""
    before = desk.past.sightings.get(keys.line_id(site.customer, site.rule.name, home(site.rule)))
    if desk.counting:
        return policy.sight(before, fingerprint, desk.moment.today, desk.house.safety.settle)
    return before if before is not None and before.fingerprint == fingerprint else None


def _flying(desk: Desk, identity: str, effects: Iterable[Effect]) -> str:
    """A sentence where an entry of the line may have left and its outcome is not known yet."""
    for name in dict.fromkeys((identity, *(effect.identity for effect in effects))):
        entry = desk.past.lines.get(name, NOTHING).open
        if entry is not None and entry.state in IN_FLIGHT:
            return f"the outcome of entry {entry.id} is not known yet ({entry.note or 'sent, no answer'})"
    return ""


def _lags(desk: Desk, posted: Settled, listed: Decimal | None) -> bool:
    """Whether the list still shows what stood there before syncd's last write, made a moment ago."""
    return desk.moment.now - posted.settled_at <= READ_LAG and listed == posted.before


def _accepted(desk: Desk, meddling: Meddling, effects: Iterable[Effect], wanted: Decimal) -> bool:
    """`foreign_edit = "accept"`: the other's number stands for as long as syncd wants what it wrote itself."""
    if not meddling.edited or meddling.forgotten or desk.house.safety.foreign_edit != "accept":
        return False
    return not effects or meddling.stands == wanted


def _asked(history: LineHistory, effects: Iterable[Effect]) -> bool:
    """Whether a person is being asked about the very change: a restored ledger may take its own number for another's,
    and the question outlives the cycle that put it."""
    return history.open is not None and history.open.intent.key in {effect.posting.key for effect in effects}


def _closed(history: LineHistory) -> Closed | None:
    """The decision that stands; a person who asked for a second try has lifted it."""
    return None if history.open is not None and history.open.intent.retry_of else history.closed


def _suspect(desk: Desk, rule: Rule, *, rising: bool) -> str:
    """Why a source that the change rests on is not believed; a fall under `term` rests on the commitments too."""
    rests_on = {ref.connection for ref in rule.count}
    if not rising and rule.bought is not None and rule.decrease is Direction.TERM:
        rests_on.add(rule.bought.connection)
    return "; ".join(desk.suspects[name] for name in sorted(rests_on) if name in desk.suspects)


def _no_draft(desk: Desk, site: Site, effects: Iterable[Effect]) -> str:
    """A sentence where what is posted reaches the customer at once, with no draft that a person releases."""
    if any(effect.posting.operation in desk.views[site.connection].undrafted for effect in effects):
        return f"{site.connection} keeps no drafts: the customer gets it as soon as it is posted"
    return ""


def _earlier(desk: Desk, site: Site, effects: Iterable[Effect], running: Period | None) -> str:
    """A sentence where a dated line would be posted while today's period lies before one that such a line was posted
    for already: the clock fell back, or once ran ahead; or where it shares days with another period that is billed.
    `running`: today's period, where the line is for one that is over; nothing can have been posted for it yet."""
    today = running or site.period
    for effect in effects:
        family = keys.family(effect.identity)
        latest = desk.latest.get(family, "") if family else ""
        through = site.agreement.invoiced_through
        if effect.posting.options.get("beside") and through is not None and first_day(latest) <= through.isoformat():
            continue  # what is invoiced ahead is charged ahead
        first = today.first.isoformat()
        if latest and (first < first_day(latest) or (running is not None and first == first_day(latest))):
            return (
                f"today's period is {today}, and a line was posted for {latest} already; "
                "look at the machine's clock before you approve this"
            )
        of = parse_period(effect.period)
        if family and (twice := closing.billed_beside(of, desk.past, f"{family}:", desk.known.get(family, ()))):
            return twice
        if not family or desk.past.lines.get(effect.identity, NOTHING).own_quantity:
            continue
        listed = site.rule.true_up is TrueUp.LINE
        if twice := closing.billed_elsewhere(of, desk.past, family, desk.kin, desk.known, listed=listed):
            return twice
    return ""


def _forgotten(desk: Desk, site: Site, effects: Iterable[Effect]) -> str:
    """A sentence where a restored ledger may have forgotten that the same period was billed."""
    for effect in effects:
        if closing.may_be_forgotten(effect.posting.operation, effect.period, desk.past.forgot):
            return (
                f"{effect.period} was over when the ledger was restored, and may be billed already: look in "
                f"{site.connection}, then approve this with --looked, or reject it"
            )
    return ""


def first_day(period: str) -> str:
    """The first day of a period's text, so that texts sort as periods do."""
    return f"{period}-01" if len(period) == len("2026-11") else period[:10]


def _not_yet(verdict: Verdict, why: str, never: str) -> Verdict:
    """What a meter takes in the next days only is not written down before. `never`: why there is no such day."""
    if never:
        return Verdict(Action.BLOCKED, never)
    if verdict.action not in (Action.POST, Action.HOLD):
        return verdict
    return Verdict(Action.DEFER, why if verdict.action is Action.POST else f"{why}; then: {verdict.reason}")


def _refused(desk: Desk, site: Site, place: Place, effects: Iterable[Effect], verdict: Verdict) -> Verdict:
    """What the connector knows that the vendor would refuse is blocked before it is tried."""
    if verdict.action in (Action.ALERT, Action.IGNORE, Action.BLOCKED) or place.billing is None:
        return verdict
    view = desk.views[site.connection]
    for effect in effects:
        if why := meters.too_early(effect.posting, site.period, site.today):
            return _not_yet(verdict, why, meters.no_day_left(effect.posting, site.period))
        if effect.posting.operation not in view.operations:
            return Verdict(Action.BLOCKED, f"{view.name} cannot {effect.posting.operation.replace('_', ' ')}")
        if reason := view.refusal(effect.posting, place.billing, view.products or (), desk.moment):
            # The books: while the document can still be amended there, a person does that instead (INTERFACE 3.2).
            amend = effect.posting.operation is Operation.POST_CREDIT and not view.keeps_quantity
            return Verdict(Action.HOLD, reason, by_hand=True) if amend else Verdict(Action.BLOCKED, reason)
    return verdict
