"""What sources show and nobody named: it is told until it is mapped or ignored, and never billed by a guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from syncd.core.counting import named_by
from syncd.core.globs import covers
from syncd.core.resolve import Resolution, View, applies, concerns
from syncd.core.rules import Ignore, Mappings
from syncd.model import Count, Moment, State
from syncd.money import ZERO


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Something a source has with a quantity above zero that no rule or customer names.

    A product has a `quantity`, and the `customers` that have it, by their mapped names.
    """

    connection: str
    id: str
    name: str
    quantity: Decimal | None = None  # None for customers
    customers: tuple[str, ...] = ()


def find_unmapped(
    mappings: Mappings, views: Mapping[str, View], resolution: Resolution, moment: Moment
) -> tuple[tuple[Unmapped, ...], tuple[Unmapped, ...]]:
    """(products, customers) that sources show and nobody named. Free products and what was ignored are left out."""
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (name, connection), found in resolution.items():
        for resolved in found:
            owners[connection, resolved.id].append(name)
    named: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for customer in mappings.customers:
        for rule in mappings.rules:
            if concerns(rule, customer):
                for ref in (*rule.count, *((rule.bought,) if rule.bought else ())):
                    named[customer.name, ref.connection].append(ref.skus)
    ignores = [one for one in mappings.ignores if one.until is None or one.until >= moment.today]
    sums: dict[tuple[str, str], Unmapped] = {}
    strangers = []
    for connection, view in sorted(views.items()):
        if view.default_query is None:
            continue
        for remote in view.customers or ():
            keys = (remote.name, remote.id, *remote.identifiers)
            stranger = remote.active and not owners.get((connection, remote.id))
            if stranger and not _ignored(ignores, connection, None, keys):
                strangers.append(Unmapped(connection, remote.id, remote.name))
        for (customer_id, query), reading in sorted(view.readings.items(), key=lambda one: one[0][0]):
            if query != view.default_query or reading.state is not State.KNOWN:
                continue
            people = owners.get((connection, customer_id), [])
            known_by = named_by(tuple(pattern for who in people for skus in named[who, connection] for pattern in skus))
            for count in reading.counts:
                if count.free or count.quantity <= 0 or known_by(count):
                    continue
                if _ignored(ignores, connection, count, (*people, customer_id)):
                    continue
                known = sums.get((connection, count.sku))
                quantity = count.quantity + (known.quantity or ZERO if known else ZERO)
                having = tuple(sorted({*(known.customers if known else ()), *(people or (customer_id,))}))
                sums[connection, count.sku] = Unmapped(connection, count.sku, count.name, quantity, having)
    return tuple(sums[key] for key in sorted(sums)), tuple(sorted(strangers, key=lambda one: (one.connection, one.id)))


def idle_patterns(mappings: Mappings) -> tuple[tuple[str, str], ...]:
    """(place of a rule, sentence) for every pattern of `customers` that covers nobody, and every rule that makes no
    line: what somebody has just written, and not yet what it meant."""
    found: list[tuple[str, str]] = []
    for rule in mappings.rules:
        place = rule.place or f"rule {rule.name!r}"
        for pattern in rule.customers:
            alone = replace(rule, customers=(pattern.removeprefix("!"),))
            if not any(applies(alone, customer) for customer in mappings.customers):
                found.append((place, f"customers: {pattern!r} covers no customer"))
        if not any(concerns(rule, customer) for customer in mappings.customers):
            found.append((place, "makes no line: no customer that it means is in the systems it names"))
    return tuple(found)


def _ignored(ignores: Iterable[Ignore], connection: str, count: Count | None, customers: Iterable[str]) -> bool:
    """Whether an `[[ignore]]` covers a count (or a whole customer, where count is None)."""
    customers = tuple(customers)
    for one in ignores:
        if one.connection != connection:
            continue
        of_customer = not one.customers or any(covers(pattern, name) for name in customers for pattern in one.customers)
        if count is None:
            if one.customers and not one.skus and of_customer:
                return True
        elif of_customer and (not one.skus or named_by(one.skus)(count)):
            return True
    return False
