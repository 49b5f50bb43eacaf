"""Proposes rules: what sources count and no rule names, with the product that bills it.

Evidence, the surest first: the product bears the part number, has the same name, names the part number, or has a name
that is alike. What somebody uses becomes `count`, what the MSP pays for the same product becomes the cross-check
`bought`. A product that a rule bills already gets no second rule. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from syncd.core import suggest_names as names
from syncd.core.resolve import View, find_products
from syncd.core.rules import Mappings, Rule
from syncd.core.suggest import ALIKE, MOST_FOR_ALIKE, SAME_ID, Open, Pair, Suggestion, pick, told
from syncd.core.unmapped import Unmapped
from syncd.model import Product, State
from syncd.money import ZERO, plain

SAME_PART = 98
SAME_PRODUCT_NAME = 93
PART_IN_NAME = 84
# Part numbers shorter than this stand in too many names.
SHORTEST_PART = 3
# Names by which the kinds of billing systems call the product of a line.
_PRODUCT_KEYS = ("product", "price", "item")


@dataclass(frozen=True, slots=True)
class Biller:
    """A connection that bills recurring lines: which keys its `bill` needs."""

    connection: str
    keys: tuple[str, ...]

    @property
    def product_key(self) -> str:
        """The key that names the product; "" where a rule for it cannot be written from here."""
        rest = [key for key in self.keys if key != "agreement"]
        return rest[0] if len(rest) == 1 and rest[0] in _PRODUCT_KEYS else ""


@dataclass(frozen=True, slots=True)
class _Sku:
    """A product of a source: what is unmapped, its other keys, its names."""

    connection: str
    id: str
    seen: Unmapped
    parts: tuple[str, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.connection} {self.id}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Published product names: by the vendor's id of the product, and by part number where that has one name."""

    by_id: Mapping[str, str]
    by_part: Mapping[str, str]


NO_CATALOGUE = Catalogue({}, {})


def suggest_rules(
    mappings: Mappings,
    views: Mapping[str, View],
    unmapped: Sequence[Unmapped],
    billers: Sequence[Biller],
    numbers: Mapping[str, str],
    catalogue: Catalogue = NO_CATALOGUE,
) -> tuple[tuple[Suggestion, ...], tuple[Open, ...]]:
    """(proposals, what stays open and why). `numbers`: which of the four numbers a connection's default measure is."""
    skus = _skus(views, unmapped, catalogue)
    billers = sorted((one for one in billers if one.product_key), key=lambda one: one.connection)
    found: list[Suggestion] = []
    reasons: dict[_Sku, list[tuple[str, bool]]] = defaultdict(list)
    for biller in billers:
        made, left = _for_biller(biller, mappings, views[biller.connection], skus, numbers)
        found += made
        for sku, reason in left:
            reasons[sku].append((reason, True))
    done = {one for suggestion in found for one in suggestion.ids}
    open_ = []
    for sku in skus:
        if (sku.connection, sku.id) not in done:
            told_ = reasons.get(sku) or [("no product that can be billed resembles it", False)]
            reason, near = "; ".join(one for one, _ in told_), any(one for _, one in told_)
            open_.append(Open("product", sku.connection, sku.id, sku.seen.name, reason, near))
    return _named_apart(found, {one.name for one in mappings.rules}), tuple(sorted(open_))


def _skus(views: Mapping[str, View], unmapped: Sequence[Unmapped], catalogue: Catalogue) -> list[_Sku]:
    aliases: dict[tuple[str, str], set[str]] = defaultdict(set)
    for connection in {one.connection for one in unmapped}:
        for reading in views[connection].readings.values():
            for count in reading.counts:
                aliases[connection, count.sku].update(count.aliases)
    made = []
    for one in sorted(unmapped, key=lambda one: (one.connection, one.id)):
        parts = (one.id, *sorted(aliases[one.connection, one.id] - {one.id}))
        published = [catalogue.by_id.get(part.casefold(), "") for part in parts]
        if not any(published):
            published = [catalogue.by_part.get(part.casefold(), "") for part in parts]
        said = tuple(dict.fromkeys(name for name in (one.name, *published) if name and name != one.id))
        made.append(_Sku(one.connection, one.id, one, parts, said))
    return made


def _for_biller(
    biller: Biller, mappings: Mappings, view: View, skus: Sequence[_Sku], numbers: Mapping[str, str]
) -> tuple[list[Suggestion], list[tuple[_Sku, str]]]:
    products = {one.id: one for one in view.products or () if not one.obstacle}
    billed = _billed_by(biller, mappings, view.products or ())
    left: list[tuple[_Sku, str]] = []
    by_product: dict[str, list[Pair[_Sku, str]]] = defaultdict(list)
    for source in sorted({one.connection for one in skus}):
        chosen, doubtful = pick(_pairs([one for one in skus if one.connection == source], products.values()))
        for pair in chosen:
            by_product[pair.right].append(pair)
        left += [(sku, _doubt(biller, sku, near, products)) for sku, near in doubtful.items()]
    made = []
    for id_ in sorted(by_product):
        product, pairs = products[id_], by_product[id_]
        used = [one for one in pairs if numbers.get(one.left.connection) != "bought"]
        bought = [one for one in pairs if numbers.get(one.left.connection) == "bought"]
        if len(used) > 1 or len(bought) > 1:
            for group in (used, bought):
                if len(group) > 1:
                    many = told(str(one.left) for one in group)
                    left += [(one.left, f"{many} all resemble {_shown(biller, product)}") for one in group]
            used, bought = (one if len(one) == 1 else [] for one in (used, bought))
        rules = billed.get(id_, [])
        if not rules and (used or bought):
            made.append(_new_rule(biller, view, product, (used or bought)[0], bought[0] if used and bought else None))
        elif rules:
            if len(rules) == 1 and bought and rules[0].bought is None:
                made.append(_cross_check(biller, product, bought[0], rules[0]))
                bought = []
            named = told(repr(rule.name) for rule in rules)
            left += [
                (one.left, f"{one.reason}; {_shown(biller, product)} is billed by {named} already")
                for one in (*used, *bought)
            ]
    return made, left


def _pairs(skus: Sequence[_Sku], products: Iterable[Product]) -> Iterator[Pair[_Sku, str]]:
    """Every SKU with every product that it resembles at all, with the best evidence."""
    products = list(products)
    by_part, by_name, by_word = defaultdict(set), defaultdict(set), defaultdict(set)
    spellings: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    shown = {one.id: one.name or one.identifier for one in products}
    for one in products:
        by_part[names.joined(one.identifier)].add(one.id)
        for text in (one.name, one.identifier):
            if spelling := names.product_words(text):
                by_name[" ".join(sorted(spelling))].add(one.id)
                spellings[" ".join(sorted(spelling))][one.id] = spelling
            for word in text.casefold().replace("-", " ").split():
                by_word[word.strip("()[],.:")].add(one.id)
    for sku in skus:
        best: dict[str, tuple[int, str]] = {}

        def note(ids: Iterable[str], score: int, reason: str, best: dict[str, tuple[int, str]] = best) -> None:
            for id_ in ids:
                best[id_] = max(best.get(id_, (0, "")), (score, reason))

        for part in sku.parts:
            note(by_part.get(names.joined(part), ()), SAME_PART, f"the product bears the part number {part}")
            if len(part) >= SHORTEST_PART:
                note(by_word.get(part.casefold(), ()), PART_IN_NAME, f"the product names the part number {part}")
        wanted = {" ".join(sorted(spelling)): spelling for name in sku.names if (spelling := names.product_words(name))}
        for text, spelling in wanted.items():
            for id_ in by_name.get(text, ()):
                note((id_,), SAME_PRODUCT_NAME, f'both are called "{shown[id_]}"')
            if best:
                continue
            for other, _, _ in process.extract_iter(text, spellings.keys(), scorer=fuzz.ratio, score_cutoff=ALIKE):
                for id_, theirs in spellings[other].items():
                    alike = names.alikeness(spelling, theirs)
                    if alike >= ALIKE and names.same_edition(spelling, theirs):
                        score = alike * MOST_FOR_ALIKE // 100
                        note((id_,), score, f'its name is alike to "{shown[id_]}" ({alike} of 100)')
        for id_, (score, reason) in best.items():
            yield Pair(sku, id_, min(score, SAME_ID), reason)


def _new_rule(
    biller: Biller, view: View, product: Product, main: Pair[_Sku, str], check: Pair[_Sku, str] | None
) -> Suggestion:
    bill: dict[str, str] = {"to": biller.connection}
    where = ""
    if "agreement" in biller.keys:
        bill["agreement"], where = _agreement(view, product)
    bill[biller.product_key] = _value(product, view.products or ())
    name = next((one for one in main.left.names), product.name or product.identifier)
    block: dict[str, object] = {
        "name": name,
        "count": {"from": main.left.connection, "sku": main.left.id},
        "bill": bill,
    }
    score, reason = main.score, _reason(main)
    if check is not None:
        block["bought"] = {"from": check.left.connection, "sku": check.left.id}
        score, reason = min(score, check.score), f"{reason}; {_reason(check)}"
    ids = tuple((one.left.connection, one.left.id) for one in (main, check) if one is not None)
    return Suggestion(
        "rule", name, score, f"{reason}{where}", block, (*ids, (biller.connection, f"product {product.id}"))
    )


def _cross_check(biller: Biller, product: Product, found: Pair[_Sku, str], rule: Rule) -> Suggestion:
    block = {"bought": {"from": found.left.connection, "sku": found.left.id}}
    ids = ((found.left.connection, found.left.id), (biller.connection, f"product {product.id}"))
    return Suggestion("rule", rule.name, found.score, _reason(found), block, ids, extends=rule.name)


def _reason(pair: Pair[_Sku, str]) -> str:
    seen = pair.left.seen
    having = told(seen.customers)
    return f"{plain(seen.quantity or ZERO)} of {pair.left} at {having}: {pair.reason} ({pair.score})"


def _agreement(view: View, product: Product) -> tuple[str, str]:
    """The name of the agreements that bill this product today, else any; and what to mind."""
    found = set()
    for billing in view.billings.values():
        if billing.state is State.KNOWN:
            named = {one.id: one.name for one in billing.agreements}
            found |= {
                named[line.agreement_id]
                for line in billing.lines
                if line.product_id == product.id and line.agreement_id in named
            }
    if len(found) == 1:
        return found.pop(), ""
    if found:
        return "*", f"; its lines stand in {len(found)} kinds of agreement ({told(found)}), narrow `agreement`"
    return "*", "; no agreement that was read bills it yet, narrow `agreement`"


def _value(product: Product, products: Sequence[Product]) -> str:
    """How a rule names this product: by identifier where it finds this one alone, else by id."""
    return product.identifier if find_products(product.identifier, products) == (product,) else product.id


def _billed_by(biller: Biller, mappings: Mappings, products: Sequence[Product]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    for rule in mappings.rules:
        if rule.bill is not None and rule.bill.connection == biller.connection:
            for product in find_products(rule.bill.selectors.get(biller.product_key, ""), products):
                found[product.id].append(rule)
    return found


def _shown(biller: Biller, product: Product) -> str:
    return f"{biller.connection} {product.identifier!r}"


def _doubt(biller: Biller, sku: _Sku, near: Sequence[Pair[_Sku, str]], products: Mapping[str, Product]) -> str:
    mine = [f"{_shown(biller, products[one.right])} ({one.score})" for one in near if one.left == sku]
    if len(mine) > 1:
        return f"could be {' or '.join(sorted(mine))}"
    others = told(one.left.id for one in near if one.left != sku)
    return f"could be {told(mine)}, and so could {others}"


def _named_apart(found: Iterable[Suggestion], used: set[str]) -> tuple[Suggestion, ...]:
    """New rules get names that no rule has: the billing system's name is added where two would share one."""
    made: list[Suggestion] = []
    taken = set(used)
    for one in sorted(found, key=lambda one: (one.name, one.ids)):
        if not one.extends:
            name = one.name
            for more in ("", f" ({one.block['bill']['to']})", f" ({one.ids[0][1]} in {one.block['bill']['to']})"):
                if (name := one.name + more) not in taken:
                    break
            taken.add(name)
            one = Suggestion(one.kind, name, one.score, one.reason, {**one.block, "name": name}, one.ids)
        made.append(one)
    return tuple(made)
