"""The plan: one value that is printed, hashed, judged and applied. Made from what was read,
the rules, the past and now.

Pure: equal input gives an equal plan whatever its order, and a second plan after the first was posted plans nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from syncd.core import keys, ownership
from syncd.core.closing import kin, known_periods
from syncd.core.effects import Effect
from syncd.core.entries import Past, Sighting
from syncd.core.guards import Guard
from syncd.core.judging import first_day
from syncd.core.line import draw_line
from syncd.core.logins import Login
from syncd.core.place import Desk
from syncd.core.policy import Action
from syncd.core.resolve import ReadError, Resolution, View, concerns, named_products
from syncd.core.rules import House, Mappings, Mode, TrueUp
from syncd.core.sources import Blind, blind_rules, suspect_sources, unseen
from syncd.core.thresholds import Threshold
from syncd.core.tie_out import TieOut, tie_out
from syncd.core.unmapped import Unmapped, find_unmapped
from syncd.core.worth import Worth
from syncd.model import Moment, State
from syncd.money import ZERO, plain, plain_money

# A number in such a state is a failure to be mended; one that is gone is told as an error of its source.
_UNREAD = frozenset({State.UNKNOWN, State.PARTIAL})
# True-ups that post dated lines of their own.
_DATED = frozenset({TrueUp.LINE, TrueUp.USAGE})
_MOVING = frozenset({Action.POST, Action.SETTLE, Action.DEFER, Action.HOLD})


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One customer and one rule: the four numbers, what differs, what happens and why.

    `effects` are the postings that would remove the difference, whatever the action. `guards`: those that hold the line
    back, or let it wait for the next cycle; empty where none tripped. `derivation` says how the target came about; it
    holds no time, so that a standing line is the same in every cycle. `worth`: finding -> what it comes to in a period.
    `period`: the closed period that a usage line is about, "" for all others. `threshold`: the bound of its price that
    is to be told of.
    """

    id: str
    customer: str
    rule: str
    connection: str
    bought: Decimal | None
    used: Decimal | None
    billed: Decimal | None
    invoiced: Decimal | None
    states: Mapping[str, State]
    target: Decimal | None
    difference: Decimal | None
    amount: Decimal | None
    currency: str
    findings: tuple[str, ...]
    action: Action
    reason: str
    mode: Mode
    effects: tuple[Effect, ...] = ()
    fingerprint: str = ""
    sighting: Sighting | None = None
    derivation: Mapping[str, Any] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    worth: Mapping[str, Worth] = field(default_factory=dict)
    period: str = ""
    threshold: Threshold | None = None

    @property
    def drifts(self) -> bool:
        """Whether anything differs that the rule does not tolerate or ignore."""
        return self.action not in (Action.NONE, Action.IGNORE)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one look at the world says. `checksum` covers lines, mappings and config, not the time. `suspects`:
    connection -> why it is not believed. `blind`: rule -> what it counts in vain. `unseen`: (place of a rule, sentence)
    for each of its SKUs that no customer has today. `parts`: what the checksum is made of ("mappings", "config", each
    line's id), so that a difference can be named. `tie_outs`: each customer's bills against what was invoiced.
    `logins`: the sign-ins whose end is known, after a cycle."""

    moment: Moment
    mode: Mode
    lines: tuple[PlanLine, ...]
    unmapped_customers: tuple[Unmapped, ...]
    unmapped_products: tuple[Unmapped, ...]
    errors: tuple[ReadError, ...]
    suspects: Mapping[str, str]
    checksum: str
    blind: Mapping[str, Sequence[Blind]] = field(default_factory=dict)
    unseen: tuple[tuple[str, str], ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)
    tie_outs: tuple[TieOut, ...] = ()
    logins: tuple[Login, ...] = ()

    @property
    def drifting(self) -> bool:
        """Whether any line drifts."""
        return any(line.drifts for line in self.lines)

    @property
    def failing(self) -> bool:
        """Whether a read failed, a line is blocked or one of its numbers is not known: a failure to be mended."""
        return bool(self.errors) or any(
            line.action is Action.BLOCKED or not _UNREAD.isdisjoint(line.states.values()) for line in self.lines
        )

    @property
    def guarded(self) -> bool:
        """Whether a guard tripped. That is never a success, also where nothing is written down because of the mode."""
        return bool(self.suspects) or any(line.guards for line in self.lines)


def make_plan(
    mappings: Mappings,
    house: House,
    views: Mapping[str, View],
    resolution: Resolution,
    past: Past,
    moment: Moment,
    *,
    errors: Iterable[ReadError] = (),
    counting: bool = True,
) -> Plan:
    """Compares everything with everything. `counting`: this look counts as a cycle for `settle` (`plan` does not)."""
    suspects = suspect_sources(views, resolution, past, house.safety.source_drop)
    dated = any(rule.prorate or rule.true_up in _DATED for rule in mappings.rules)
    known = known_periods(past) if dated else {}
    desk = Desk(
        house=house,
        views=views,
        resolution=resolution,
        past=past,
        moment=moment,
        suspects=suspects,
        counting=counting,
        prefix=keys.mark_prefix(past.installation),
        products={
            rule.name: named_products(rule.bill.product, views[rule.bill.connection])
            for rule in mappings.rules
            if rule.bill is not None
        },
        latest=_latest_periods(known, past),
        known=known,
        kin=kin(known),
    )
    rules = sorted(mappings.rules, key=lambda one: one.name)
    drawn = [
        PlanLine(**draw_line(desk, customer, rule))
        for customer in sorted(mappings.customers, key=lambda one: one.name)
        for rule in rules
        if concerns(rule, customer)
    ]
    blind = blind_rules(rules, views, past)
    if blind:
        drawn = list(_held_where_blind(drawn, mappings, blind))
    drawn = ownership.blocked(_one_rule_a_line(drawn), mappings, resolution, views)
    lines = tuple(_within_cycle_limits(drawn, house))
    products, customers = find_unmapped(mappings, views, resolution, moment)
    told = tuple(sorted(errors, key=lambda error: (error.connection, error.customer, error.code, error.message)))
    parts = _parts(lines, mappings, house)
    checksum = keys.digest("plan", *parts.values())
    ties = tie_out(mappings, views, resolution, moment, past, house)
    return Plan(
        moment, house.own_mode, lines, customers, products, told, suspects, checksum, blind, unseen(rules, views),
        parts, ties,
    )  # fmt: skip


def _latest_periods(known: Mapping[str, Sequence[str]], past: Past) -> dict[str, str]:
    """Family of syncd's own dated lines -> the latest period of which something stands."""
    latest: dict[str, str] = {}
    for family, found in known.items():
        # Newest first, so that few of a long past are looked at.
        for period in sorted(found, key=first_day, reverse=True):
            history = past.lines[f"{family}:{period}"]
            if history.posted is not None and history.own_quantity:
                latest[family] = period
                break
    return latest


def _held_where_blind(
    lines: Iterable[PlanLine], mappings: Mappings, blind: Mapping[str, Sequence[Blind]]
) -> Iterable[PlanLine]:
    """A fall that rests on what no customer of the source has any more, or ever had, waits for a person."""
    customers = {customer.name: customer for customer in mappings.customers}
    for line in lines:
        found = [one for one in blind.get(line.rule, ()) if one.connection in customers[line.customer].keys]
        if any(one.never for one in found):
            line = replace(line, findings=(*line.findings, "sku not seen"))
        rests = [one.sentence for one in found if one.falls]
        if rests and line.effects and line.difference is not None and line.difference < 0 and line.action in _MOVING:
            before = (line.reason,) if line.action is Action.HOLD else ()
            reason = "; ".join((*before, *dict.fromkeys(rests)))
            line = replace(line, action=Action.HOLD, reason=reason, guards=(*line.guards, Guard.SKU_NOT_SEEN))
        yield line


def _one_rule_a_line(lines: Sequence[PlanLine]) -> list[PlanLine]:
    """Two lines that bill one product in one agreement are both blocked: neither rule is picked."""
    by_site: dict[str, list[PlanLine]] = defaultdict(list)
    for line in lines:
        if site := line.derivation.get("site"):
            by_site[site].append(line)
    clashing = {line.id: group for group in by_site.values() if len(group) > 1 for line in group}
    return [
        replace(
            line,
            action=Action.BLOCKED,
            reason="the same line is set by "
            + " and ".join(f"{one.customer} / {one.rule}" for one in clashing[line.id])
            + "; let one rule bill it",
            findings=(*line.findings, "two rules, one line"),
            effects=(),
            guards=(),
        )
        if line.id in clashing
        else line
        for line in lines
    ]


def _within_cycle_limits(lines: Iterable[PlanLine], house: House) -> Iterable[PlanLine]:
    """`max_postings` lets the rest wait for the next cycle, `max_amount` for a person. Order: customer, rule. The
    first change always fits: one of several postings would wait for ever where the limit is smaller than it is."""
    postings, money = 0, ZERO
    for line in lines:
        if line.action is not Action.POST:
            yield line
            continue
        cost = sum((effect.amount or ZERO for effect in line.effects), ZERO)
        if money + cost > house.safety.max_amount:
            limit = plain_money(house.safety.max_amount, house.currency)
            reason = f"more than max_amount {limit} would move in this cycle"
            yield replace(line, action=Action.HOLD, reason=reason, guards=(Guard.MAX_AMOUNT,))
        elif (postings or not house.safety.max_postings) and postings + len(line.effects) > house.safety.max_postings:
            yield replace(
                line,
                action=Action.DEFER,
                reason=f"max_postings {house.safety.max_postings} is reached: waits for the next cycle",
                guards=(Guard.MAX_POSTINGS,),
            )
        else:
            postings, money = postings + len(line.effects), money + cost
            yield line


def _parts(lines: Iterable[PlanLine], mappings: Mappings, house: House) -> dict[str, str]:
    """Digests of the files and of each line: what was read of it, and what would be sent."""
    return {
        "mappings": mappings.content,
        "config": keys.digest(house.content, house.mode),
        **{line.id: _seal(line) for line in lines},
    }


def _seal(line: PlanLine) -> str:
    return keys.digest(
        line.id,
        *(plain(number) if number is not None else "-" for number in (line.bought, line.used, line.billed)),
        *(plain(number) if number is not None else "-" for number in (line.invoiced, line.target)),
        line.action,
        line.currency,
        *(effect.posting.key for effect in line.effects),
        *(plain(effect.to) for effect in line.effects),
        *(effect.posting.version for effect in line.effects),
        *(plain(effect.amount) if effect.amount is not None else "-" for effect in line.effects),
    )
