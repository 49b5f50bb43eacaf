"""`true_up = "line"`: what is due beyond the recurring line is posted as syncd's own dated lines of the period, which
always sum to what was due."""

from __future__ import annotations

from decimal import Decimal

from syncd.core import keys
from syncd.core.effects import Site, line_effects, own_before, own_identity, paid_before
from syncd.core.entries import IN_FLIGHT
from syncd.core.findings import Number
from syncd.core.place import Desk, Place, own_in
from syncd.core.pricing import Unpriced
from syncd.core.rules import Direction
from syncd.core.true_up import NOTHING, Meddling, Proposal, charged, text_of
from syncd.money import ZERO, plain
from syncd.periods import Period, preceding


def identity(site: Site) -> str:
    """syncd's own dated lines of the rule in this period."""
    return own_identity(site)


def propose(desk: Desk, site: Site, used: Number, wanted: Decimal, billed: Decimal, *, fresh: bool) -> Proposal:
    """A line for what is missing, or a credit; the total is judged against that of the last closed period."""
    history = desk.past.lines.get(own_identity(site), NOTHING)
    own = own_before(history)
    recurring = site.line.quantity if site.line else ZERO
    due = max(wanted - recurring, ZERO)  # what syncd added is taken back before a person must lower the line
    if wanted < recurring and own <= 0:
        obstacle = f'the recurring line bills {plain(recurring)}, more than is due; true_up "line" only adds'
        if (shown := billed - recurring) != own:  # somebody changed them: nothing else would tell
            obstacle += f"; {_edited(site, shown, own)}"
        return Proposal(obstacle=obstacle)
    previous = desk.past.lines.get(own_identity(site, preceding(site.period)), NOTHING).own_quantity
    if site.rule.increase is Direction.NEXT_PERIOD and fresh and own < previous < due:
        due = previous  # as much as in the last period is no increase: only what goes beyond it waits
    step = (previous, due) if previous > 0 else None
    try:
        paid = None if recurring else paid_before(history)
        money = charged(site, recurring + own, recurring + due, used, started=recurring + own > 0, paid=paid)
    except Unpriced as why:
        return Proposal((), step, str(why), unpriced=True)
    text = text_of(desk, site, used, quantity=due - own, before=own, to=due, priced=money)
    shown = billed - recurring
    # What is missing may be there (a restored ledger forgot it, or it is under the rule's old name), and what is too
    # much may be credited already: a person decides, and nothing is planned from a sum that the vendor does not show.
    if shown > own or (due < own and shown < own):
        return Proposal((), step)
    return Proposal(line_effects(site, desk.past, due, text, money), step)


def situation(site: Site, wanted: Decimal, billed: Decimal) -> str:
    """Each period owes its own lines; the difference that they make up for is the same one, so that it was seen is not
    forgotten when a period ends."""
    recurring = site.line.quantity if site.line else ZERO
    name = keys.dated(site.connection, site.agreement.id, site.product.id, site.customer, site.rule.name, "")
    return keys.fingerprint(name, site.rule.content, wanted, recurring)


def listed(place: Place, period: Period) -> Decimal | None:
    """What syncd's lines of the period sum to."""
    return own_in(place.target, period) if place.target is not None else None


def meddling(desk: Desk, site: Site, place: Place, wanted: Decimal) -> Meddling:
    """Lines of syncd that somebody changed or removed. They are never written anew: no fight can come of it."""
    history = desk.past.lines.get(own_identity(site), NOTHING)
    stands = history.posted.to if history.posted else None
    if place.target is None:
        return Meddling(stands)
    shown, known = own_in(place.target, site.period), own_before(history)
    flying = history.open is not None and history.open.state in IN_FLIGHT  # counted, and perhaps not there
    if shown == known or (shown < known and (history.posted is None or flying)):
        return Meddling(stands)
    # A mark does not tell: a ledger that forgot a line may have given its name to another change since.
    return Meddling(stands, _edited(site, shown, known), forgotten=desk.past.forgets(site.period.first))


def _edited(site: Site, shown: Decimal, known: Decimal) -> str:
    if site.meter:
        counts = f"the meter {site.meter!r} counts {plain(shown)} units of {site.period}"
        return f"{counts}, of which syncd reported {plain(known)}; somebody else reports to it, or took some off"
    return f"syncd's lines of {site.period} sum to {plain(shown)} instead of {plain(known)}"
