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

from syncd.core import keys
from syncd.core.effects import Effect
from syncd.core.entries import Past, Sighting
from syncd.core.line import draw_line
from syncd.core.place import Desk
from syncd.core.policy import Action
from syncd.core.resolve import ReadError, Resolution, View, concerns, find_products
from syncd.core.rules import House, Mappings, Mode
from syncd.core.unmapped import Unmapped, find_unmapped
from syncd.model import Moment, State
from syncd.money import ZERO, plain, plain_money


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One customer and one rule: the four numbers, what differs, what happens and why.

    `effects` are the postings that would remove the difference, whatever the action. `derivation` says how the target
    came about; it holds no time, so that a standing line is the same in every cycle.
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

    @property
    def drifts(self) -> bool:
        """Whether anything differs that the rule does not tolerate or ignore."""
        return self.action not in (Action.NONE, Action.IGNORE)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one look at the world says. `checksum` covers lines, mappings and config, not the time."""

    moment: Moment
    mode: Mode
    lines: tuple[PlanLine, ...]
    unmapped_customers: tuple[Unmapped, ...]
    unmapped_products: tuple[Unmapped, ...]
    errors: tuple[ReadError, ...]
    suspects: Mapping[str, str]
    checksum: str

    @property
    def drifting(self) -> bool:
        """Whether any line drifts."""
        return any(line.drifts for line in self.lines)

    @property
    def failing(self) -> bool:
        """Whether a read failed or a line is blocked: a failure to be mended."""
        return bool(self.errors) or any(line.action is Action.BLOCKED for line in self.lines)


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
            rule.name: find_products(rule.bill.selectors.get("product", ""), views[rule.bill.connection].products or ())
            for rule in mappings.rules
            if rule.bill is not None
        },
    )
    rules = sorted(mappings.rules, key=lambda one: one.name)
    drawn = [
        PlanLine(**draw_line(desk, customer, rule))
        for customer in sorted(mappings.customers, key=lambda one: one.name)
        for rule in rules
        if concerns(rule, customer)
    ]
    lines = tuple(_within_cycle_limits(_one_rule_a_line(drawn), house))
    products, customers = find_unmapped(mappings, views, resolution, moment)
    told = tuple(sorted(errors, key=lambda error: (error.connection, error.customer, error.code, error.message)))
    return Plan(moment, house.own_mode, lines, customers, products, told, suspects, _checksum(lines, mappings, house))


def suspect_sources(
    views: Mapping[str, View], resolution: Resolution, past: Past, source_drop: Decimal
) -> dict[str, str]:
    """connection -> sentence, for sources whose total fell further than `source_drop` percent since it was believed.

    Only customers that are mapped count, and of them only those read whole now and then: a tenant that could not be
    read is told elsewhere, one that is gone counts as zero.
    """
    result = {}
    mapped: dict[str, set[str]] = defaultdict(set)
    gone: dict[str, set[str]] = defaultdict(set)
    for (_, connection), found in resolution.items():
        for resolved in found:
            (gone if resolved.state is State.GONE else mapped)[connection].add(resolved.id)
    for connection, view in views.items():
        believed = past.customers.get(connection, {})
        before, now = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
        for (customer_id, query), reading in view.readings.items():
            was = believed[customer_id].totals.get(str(query)) if customer_id in believed else None
            if was is not None and reading.state is State.KNOWN and customer_id in mapped[connection]:
                before[str(query)] += was
                now[str(query)] += paid_total(reading.counts)
        for customer_id in gone[connection] & set(believed):
            for text, was in believed[customer_id].totals.items():
                before[text] += was
        for text, was in sorted(before.items()):
            fall = was - now[text]
            if fall > 0 and fall * 100 > source_drop * was:
                share = plain((fall * 100 / was).quantize(Decimal("0.1")))
                result[connection] = (
                    f"{connection} fell by {share}% ({text}: {plain(was)} to {plain(now[text])}), "
                    f"more than source_drop {plain(source_drop)}%"
                )
    return result


def paid_total(counts: Iterable[Any]) -> Decimal:
    """The sum of all counts but free and trial products."""
    return sum((count.quantity for count in counts if not count.free), ZERO)


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
        )
        if line.id in clashing
        else line
        for line in lines
    ]


def _within_cycle_limits(lines: Iterable[PlanLine], house: House) -> Iterable[PlanLine]:
    """`max_postings` lets the rest wait for the next cycle, `max_amount` for a person. Order: customer, rule."""
    postings, money = 0, ZERO
    for line in lines:
        if line.action is not Action.POST:
            yield line
            continue
        cost = sum((effect.amount or ZERO for effect in line.effects), ZERO)
        if money + cost > house.safety.max_amount:
            limit = plain_money(house.safety.max_amount, house.currency)
            yield replace(line, action=Action.HOLD, reason=f"more than max_amount {limit} would move in this cycle")
        elif postings + len(line.effects) > house.safety.max_postings:
            yield replace(
                line,
                action=Action.DEFER,
                reason=f"max_postings {house.safety.max_postings} is reached: waits for the next cycle",
            )
        else:
            postings, money = postings + len(line.effects), money + cost
            yield line


def _checksum(lines: Iterable[PlanLine], mappings: Mappings, house: House) -> str:
    shown = [
        keys.digest(
            line.id,
            *(plain(number) if number is not None else "-" for number in (line.bought, line.used, line.billed)),
            *(plain(number) if number is not None else "-" for number in (line.invoiced, line.target)),
            line.action,
            *(effect.posting.key for effect in line.effects),
            *(plain(effect.to) for effect in line.effects),
            *(effect.posting.version for effect in line.effects),
            *(plain(effect.amount) if effect.amount is not None else "-" for effect in line.effects),
        )
        for line in lines
    ]
    return keys.digest("plan", mappings.content, house.content, house.mode, *shown)
