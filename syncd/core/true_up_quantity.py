"""`true_up = "quantity"`: the recurring line's quantity is kept equal to the target."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from syncd.core import guards, keys
from syncd.core.effects import Site, quantity_effects
from syncd.core.entries import LineHistory, Settled
from syncd.core.findings import Number
from syncd.core.place import Desk, Place
from syncd.core.true_up import NOTHING, Meddling, Proposal, text_of
from syncd.money import ZERO, plain
from syncd.periods import Period, local_date


def identity(site: Site) -> str:
    """The recurring line itself, or the one that does not exist yet."""
    if site.line is not None:
        return keys.recurring(site.connection, site.line.agreement_id, site.line.id)
    return keys.added(site.connection, site.agreement.id, site.product.id, site.customer, site.rule.name)


def propose(desk: Desk, site: Site, used: Number, wanted: Decimal, billed: Decimal, *, fresh: bool) -> Proposal:
    """Set the line's quantity, or add the line; judged against what is billed."""
    before = site.line.quantity if site.line else ZERO

    def text(period: Period) -> str:
        return text_of(desk, replace(site, period=period), used, quantity=wanted - before, before=before, to=wanted)

    return Proposal(quantity_effects(site, desk.past, wanted, text), (billed, wanted))


def situation(site: Site, wanted: Decimal, billed: Decimal) -> str:
    """Line, rule, target and billed."""
    return keys.fingerprint(identity(site), site.rule.content, wanted, billed)


def listed(place: Place, period: Period) -> Decimal | None:
    """The recurring quantity."""
    return place.billed


def meddling(desk: Desk, site: Site, place: Place, wanted: Decimal) -> Meddling:
    """A quantity that was changed, a line that was removed, or one that somebody ended."""
    history = desk.past.lines.get(identity(site), NOTHING)
    recent = _written(desk, site, history)
    last = recent[-1] if recent else None
    stands = last.to if last else None
    shown = site.line.quantity if site.line else ZERO
    changed_by = site.line.changed_by if site.line else ""
    contested = guards.contested(
        recent, wanted, shown, desk.moment.now, changed_by=changed_by, rival=site.product.rival
    )
    if site.line is not None:
        # Of a line that it wrote before it was restored, the ledger may have forgotten a later value of its own.
        forgotten = last is not None and desk.past.forgets(local_date(last.settled_at, desk.house.zone))
        return Meddling(stands, guards.edited_by_hand(shown, last, changed_by), contested, forgotten)
    if last is not None and last.to > 0:
        gone = f"syncd added line {last.remote_id}, and it is no longer there; somebody removed it"
        return Meddling(stands, gone, contested)
    return Meddling(stands, _ended_by_hand(desk, site, place), contested)


def _written(desk: Desk, site: Site, history: LineHistory) -> tuple[Settled, ...]:
    """syncd's last writes to the line, newest last. A line that it added itself has its first quantity under another
    identity."""
    recent = history.recent or ((history.posted,) if history.posted else ())
    if site.line is None or len(recent) >= guards.ROUNDS:
        return recent
    added = desk.past.lines.get(identity(replace(site, line=None)), NOTHING).posted
    return (added, *recent) if added is not None and added.remote_id == site.line.id else recent


def _ended_by_hand(desk: Desk, site: Site, place: Place) -> str:
    """A sentence where the agreement lacks a line whose quantity syncd last wrote: a new one may replace what somebody
    ended on purpose. Which product it billed is not remembered, so that any such line makes a person look."""
    prefix = keys.recurring(site.connection, site.agreement.id, "")
    there = {line.id for line in place.billing.lines} if place.billing else set()
    gone = [
        (name.removeprefix(prefix), history.posted.to)
        for name, history in desk.past.lines.items()
        if name.startswith(prefix) and history.posted and history.posted.to > 0
        if name.removeprefix(prefix) not in there
    ]
    if not gone:
        return ""
    line, wrote = min(gone)
    return f"line {line}, which syncd last set to {plain(wrote)}, is no longer open; somebody ended it"
