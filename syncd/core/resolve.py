"""From names in mappings to records in systems: found, missing or ambiguous; the first of two is never picked.

Works on what one cycle read (`View`) and on what the ledger remembers. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache

from syncd.core.entries import KnownCustomer
from syncd.core.globs import covering
from syncd.core.rules import BillRef, Customer, Mappings, RemoteKey, Rule
from syncd.model import (
    Agreement,
    BilledLine,
    Billing,
    Feed,
    Filters,
    Moment,
    Operation,
    Posting,
    Product,
    Query,
    Reading,
    RemoteCustomer,
    State,
    Wire,
)

Refusal = Callable[[Posting, Billing, Sequence[Product], Moment], str]


@dataclass(frozen=True, slots=True)
class ReadError:
    """One thing that could not be read; `customer` is empty where it concerns the whole connection."""

    connection: str
    customer: str
    code: str
    message: str


def _no_refusal(posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
    return ""


def _no_wire(posting: Posting) -> Wire:
    return Wire("", "")


@dataclass(frozen=True, slots=True)
class View:
    """What one cycle saw of one connection. `customers` or `products` is None where the list could not be read whole.

    `refusal` and `wire` are the connector's pure functions; `operations` what it can post, `undrafted` those of them
    that reach the customer at once. `catalogue`: False where a line's text is all that names a product. `may_feed`: the
    kinds of books into which it may push its invoices, as far as rules bill into them; `feeds` those into which it
    does, None where that could not be read. `of_period`: its measures that begin each period at nothing.
    """

    name: str
    customers: tuple[RemoteCustomer, ...] | None = ()
    products: tuple[Product, ...] | None = ()
    readings: Mapping[tuple[str, Query], Reading] = field(default_factory=dict)
    invoiced: Mapping[str, Reading] = field(default_factory=dict)
    billings: Mapping[str, Billing] = field(default_factory=dict)
    default_query: Query | None = None
    operations: frozenset[Operation] = frozenset()
    undrafted: frozenset[Operation] = frozenset()
    catalogue: bool = True
    kind: str = ""
    may_feed: frozenset[str] = frozenset()
    feeds: tuple[Feed, ...] | None = ()
    of_period: frozenset[str] = frozenset()
    keeps_quantity: bool = True
    description_length: int = 250
    error: ReadError | None = None
    refusal: Refusal = _no_refusal
    wire: Callable[[Posting], Wire] = _no_wire


class Directory:
    """Finds customers of one system by id, else identifier, else exact name. Identifiers ignore case, as systems do."""

    def __init__(self, customers: Iterable[RemoteCustomer | KnownCustomer]) -> None:
        self._tiers: tuple[dict[str, list[str]], ...] = (defaultdict(list), defaultdict(list), defaultdict(list))
        self.names: dict[str, str] = {}
        for customer in customers:
            self.names[customer.id] = customer.name
            self._tiers[0][customer.id].append(customer.id)
            for identifier in dict.fromkeys(one.casefold() for one in customer.identifiers):
                self._tiers[1][identifier].append(customer.id)
            self._tiers[2][customer.name].append(customer.id)

    def find(self, value: str) -> tuple[str, ...]:
        """Ids of the first tier that matches: none, one, or several, which is an error of the mapping."""
        for tier, wanted in zip(self._tiers, (value, value.casefold(), value), strict=True):
            if found := tier.get(wanted):
                return tuple(sorted(found))
        return ()


@dataclass(frozen=True, slots=True)
class Resolved:
    """One key of one mapped customer in one system. `id` is empty where it is neither there nor remembered. `code` says
    why it is not KNOWN: "not_found", "ambiguous" or "gone"."""

    key: RemoteKey
    state: State
    id: str = ""
    reason: str = ""
    code: str = "not_found"


Resolution = Mapping[tuple[str, str], tuple[Resolved, ...]]  # (customer name, connection) -> its keys


def resolve(
    customers: Iterable[Customer],
    listed: Mapping[str, Sequence[RemoteCustomer] | None],
    remembered: Mapping[str, Mapping[str, KnownCustomer]],
    errors: Mapping[str, ReadError],
) -> dict[tuple[str, str], tuple[Resolved, ...]]:
    """Every key of every customer: KNOWN with its id, GONE where only the ledger remembers it, else UNKNOWN.

    `listed` has a connection's customer list, None where it could not be read (then all its keys are UNKNOWN).
    """
    present = {name: Directory(found) for name, found in listed.items() if found is not None}
    past = {name: Directory(known.values()) for name, known in remembered.items()}
    result = {}
    for customer in customers:
        for connection, keys in customer.keys.items():
            if connection in listed:
                resolved = (
                    _resolve(key, connection, present.get(connection), past.get(connection), errors.get(connection))
                    for key in keys
                )
                result[customer.name, connection] = tuple(_each_once(resolved))
    return result | _contested(result)


def _contested(resolution: Resolution) -> dict[tuple[str, str], tuple[Resolved, ...]]:
    """What two keys claim, by whatever names: known to none of them, for its units would be billed twice."""
    claims: dict[tuple[str, str], list[tuple[str, Resolved]]] = defaultdict(list)
    for (customer, connection), found in resolution.items():
        for one in found:
            if one.state is State.KNOWN:
                claims[connection, one.id].append((customer, one))
    result: dict[tuple[str, str], tuple[Resolved, ...]] = {}
    for (connection, _), claiming in claims.items():
        for mine in claiming:
            rivals = (other for other in claiming if other is not mine and _overlap(mine[1].key, other[1].key))
            if (rival := next(rivals, None)) is None:
                continue
            name = mine[0], connection
            said = replace(mine[1], state=State.UNKNOWN, reason=_twice(connection, mine, rival), code="ambiguous")
            result[name] = tuple(said if one is mine[1] else one for one in result.get(name, resolution[name]))
    return result


def _twice(connection: str, mine: tuple[str, Resolved], rival: tuple[str, Resolved]) -> str:
    (customer, one), (of, other) = mine, rival
    whose = f" (of {of!r})" if of != customer else ""
    return (
        f"{one.key.value!r} and {other.key.value!r}{whose} are one customer of {connection} (id {one.id}), which would "
        'be counted twice; name it once, or give each its part, like { id = "…", where = { domain = "…" } }'
    )


def _overlap(one: RemoteKey, other: RemoteKey) -> bool:
    """Whether one key's part of a customer surely lies within the other's: it has the same filters, and more or none.
    Parts by different filters (a domain, a group) may have nobody in common."""
    small, large = sorted((_meant(one), _meant(other)), key=len)
    return all(name in large and not values.isdisjoint(large[name]) for name, values in small.items())


def _meant(key: RemoteKey) -> dict[str, frozenset[object]]:
    return {
        name: frozenset(value.casefold().removeprefix("@") if isinstance(value, str) else value for value in values)
        for name, values in key.where
    }


def _each_once(found: Iterable[Resolved]) -> Iterable[Resolved]:
    """One tenant that is named twice (by its id and by its domain) is counted once."""
    seen: set[tuple[str, Filters]] = set()
    for one in found:
        if one.id and (one.id, one.key.where) in seen:
            continue
        seen.add((one.id, one.key.where))
        yield one


def _resolve(
    key: RemoteKey, connection: str, present: Directory | None, past: Directory | None, error: ReadError | None
) -> Resolved:
    before = past.find(key.value) if past else ()
    if present is None:
        reason = error.message if error else f"the customers of {connection} could not be read"
        return Resolved(key, State.UNKNOWN, before[0] if len(before) == 1 else "", reason)
    match present.find(key.value):
        case (one,):
            return Resolved(key, State.KNOWN, one)
        case ():
            if len(before) == 1 and before[0] in present.names:
                now = present.names[before[0]]
                why = f"{connection} calls {key.value!r} (id {before[0]}) {now!r} now; correct the mapping"
                return Resolved(key, State.UNKNOWN, "", why)
            if len(before) == 1:
                return Resolved(key, State.GONE, before[0], f"{key.value!r} is gone from {connection}", "gone")
            return Resolved(key, State.UNKNOWN, "", f"{connection} has no customer {key.value!r}")
        case several:
            return Resolved(
                key,
                State.UNKNOWN,
                "",
                f"{connection} has {len(several)} customers {key.value!r} (ids {', '.join(several)}); name one by id",
                "ambiguous",
            )


def applies(rule: Rule, customer: Customer) -> bool:
    """Whether a rule's `customers` patterns take this customer in: globs over names, `tag:…`, `!` takes away,
    wherever it stands. Where only exceptions are named, everybody else is meant."""
    return _choosing(rule.customers)(customer)


@lru_cache(maxsize=4096)
def _choosing(patterns: tuple[str, ...]) -> Callable[[Customer], bool]:
    wanted = tuple(pattern for pattern in patterns if not pattern.startswith("!"))
    unwanted = tuple(pattern[1:] for pattern in patterns if pattern.startswith("!"))
    takes = _meaning(wanted or (("*",) if unwanted else ()))
    if not unwanted:
        return takes
    leaves = _meaning(unwanted)
    return lambda customer: takes(customer) and not leaves(customer)


def _meaning(patterns: tuple[str, ...]) -> Callable[[Customer], bool]:
    named = covering(tuple(pattern for pattern in patterns if not pattern.startswith("tag:")))
    tags = tuple(pattern[4:] for pattern in patterns if pattern.startswith("tag:"))
    if not tags:
        return lambda customer: named(customer.name)
    tagged = covering(tags)
    return lambda customer: named(customer.name) or any(map(tagged, customer.tags))


def concerns(rule: Rule, customer: Customer) -> bool:
    """Whether a rule makes a line for a customer: it applies, and the customer is in the systems it needs.

    A rule that bills to one PSA says nothing of a customer who is only in another.
    """
    if rule.bill is not None and rule.bill.connection not in customer.keys:
        return False
    return applies(rule, customer) and any(ref.connection in customer.keys for ref in rule.count)


def narrowed(query_where: Filters, key: RemoteKey) -> Filters:
    """A rule's filters and those of the customer's own part of a tenant; a unit must pass all of them.

    A filter that both name stands there twice: only the connector knows what "both" means for it (a user is in two
    groups, but in one domain; two lists of exclusions both exclude).
    """
    return tuple(sorted({*query_where, *key.where}))


def wanted_queries(
    mappings: Mappings, resolution: Resolution, defaults: Mapping[str, Query | None]
) -> dict[str, dict[str, tuple[Query, ...]]]:
    """connection -> remote customer id -> the queries that lines need, and the default one that finds the unmapped."""
    wanted: dict[str, dict[str, dict[Query, None]]] = defaultdict(lambda: defaultdict(dict))
    for (_, connection), keys in resolution.items():
        default = defaults.get(connection)
        for resolved in keys:
            if resolved.state is State.KNOWN and default is not None:
                wanted[connection][resolved.id][default] = None
    connections = {connection for _, connection in resolution}
    asking = [
        (rule, refs)
        for rule in mappings.rules
        if (refs := [ref for ref in (*rule.count, rule.bought) if ref is not None and ref.connection in connections])
    ]
    for customer in mappings.customers:
        for rule, refs in asking:
            if not concerns(rule, customer):
                continue
            for ref in refs:
                for resolved in resolution.get((customer.name, ref.connection), ()):
                    if resolved.state is State.KNOWN:
                        query = Query(ref.measure, narrowed(ref.where, resolved.key))
                        wanted[ref.connection][resolved.id][query] = None
    return {name: {id_: tuple(queries) for id_, queries in ids.items()} for name, ids in wanted.items()}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a rule bills for a customer: the product, the agreements that match, the lines that match.

    `problem` is a finding in words ("duplicate line", "unknown product"…) with `reason` as the sentence; both empty
    where everything was found. `lines` are the recurring lines in force, `scheduled` those that begin later, `own`
    syncd's dated lines; where the rule reports to a meter, what that counted in the running period instead.
    """

    product: Product | None = None
    agreements: tuple[Agreement, ...] = ()
    lines: tuple[BilledLine, ...] = ()
    scheduled: tuple[BilledLine, ...] = ()
    own: tuple[BilledLine, ...] = ()
    problem: str = ""
    reason: str = ""


def find_target(bill: BillRef, billing: Billing, named: Sequence[Product], mark_prefix: str, today: date) -> Target:
    """Resolves `bill` in what was read of one customer. `named`: what `find_products` found for its product."""
    wanted = bill.product
    if len(named) > 1:
        ids = ", ".join(product.id for product in named)
        return Target(problem="ambiguous product", reason=f"{len(named)} products are called {wanted!r} (ids {ids})")
    if not named:
        return Target(problem="unknown product", reason=f"{bill.connection} has no product {wanted!r}")
    product = named[0]
    covered = covering((bill.agreement,))
    matching = [one for one in billing.agreements if covered(one.name) or any(map(covered, one.labels))]
    agreements = tuple(sorted(matching, key=lambda one: one.id))
    known = {agreement.id: agreement.name for agreement in agreements}
    here = sorted(
        [line for line in billing.lines if line.product_id == product.id and line.agreement_id in known],
        key=lambda line: line.id,
    )
    found = Target(
        product,
        agreements,
        lines=tuple([line for line in here if not line.once and not _begins_later(line, today)]),
        scheduled=tuple([line for line in here if not line.once and _begins_later(line, today)]),
        own=tuple([line for line in here if line.once and line.marker]),
    )
    for line in here:
        if line.marker.startswith("sd-") and not line.marker.startswith(mark_prefix):
            what = f"line {line.id} carries the mark of another syncd installation ({line.marker})"
            return replace(found, problem="foreign mark", reason=what)
    if len(found.lines) > 1:
        where = ", ".join(f"{line.id} in {known[line.agreement_id]!r}" for line in found.lines)
        return replace(
            found,
            problem="duplicate line",
            reason=f"{len(found.lines)} open lines bill {product.identifier!r}: {where}; "
            "end all but one, or narrow `agreement`",
        )
    return _on_meter(found, here, bill.meter, today) if bill.meter else found


NO_METER = "unknown meter"


def _on_meter(found: Target, here: Sequence[BilledLine], meter: str, today: date) -> Target:
    """The same with what the meter counted in the running period as syncd's own part."""
    running = [line for line in here if line.meter and (line.starts or today) <= today <= (line.ends or today)]
    mine = [line for line in running if line.meter == meter]
    if len(mine) == 1 and not mine[0].obstacle:
        return replace(found, own=(mine[0],))
    product = repr(found.product.identifier) if found.product else "the product"
    names = ", ".join(sorted({repr(line.meter) for line in running}))
    why = "; ".join(dict.fromkeys(line.obstacle for line in mine or running if line.obstacle))
    if not mine:
        other = f" (it bills {names})" if names else ""
        why = f"no open line of {product} bills the meter {meter!r}{other}" + (f": {why}" if why else "")
    return replace(found, problem=NO_METER, reason=why or f"{len(mine)} lines bill the meter {meter!r}")


def _begins_later(line: BilledLine, today: date) -> bool:
    return line.starts is not None and line.starts > today


def named_products(wanted: str, view: View) -> tuple[Product, ...]:
    """What a rule's product is in a system; where a line's text is all that names one, that text."""
    if not view.catalogue:
        return (Product(wanted, wanted, wanted),)
    return find_products(wanted, view.products or ())


def find_products(wanted: str, products: Iterable[Product]) -> tuple[Product, ...]:
    """Products by identifier (ignoring case), else id, else exact name: none, one, or several."""
    products = sorted(products, key=lambda product: product.id)
    tiers: tuple[Callable[[Product], bool], ...] = (
        lambda product: product.identifier.casefold() == wanted.casefold(),
        lambda product: product.id == wanted,
        lambda product: product.name == wanted,
    )
    for tier in tiers:
        if found := tuple(product for product in products if tier(product)):
            return found
    return ()
