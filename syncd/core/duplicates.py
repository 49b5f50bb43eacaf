"""Lines that bill one product twice for one customer, and lines that two writers feed. Pure.

Works on what one look at the billing systems brought: every open line of every mapped customer, whether a rule bills
its product or not. It names suspects and decides nothing: a person ends the line that is one too many. Syncd's own
dated lines of one period are parts of one sum, and one that stands beside the recurring line is its true-up: neither is
ever a suspect for that. Ended lines are not given by the systems, so a double of a closed period is not found here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Any

from syncd.core.resolve import Resolution, Target, View, concerns, find_products, find_target
from syncd.core.rules import Mappings, Rule, TrueUp
from syncd.core.shown import money_text, quantity_text
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, State
from syncd.money import ZERO, round_money

# Marks of every installation of syncd begin so; those of this one go on with its own prefix.
FAMILY = "sd-"
# Two quantities are similar where they differ by at most this share of the larger one.
SIMILAR = Decimal("0.1")

RECURRING = "two recurring lines"
BESIDE = "a recurring and a dated line"
DATED = "two dated lines"
TWIN = "hand-made twin"
MARK = "one mark on two lines"
RULES = "two rules, one line"
RIVAL = "rival writer"


@dataclass(frozen=True, slots=True)
class Doubted:
    """One line of a suspect. `made_by`: "syncd", "another syncd" or "hand"; `amount` is what it bills a period."""

    line: BilledLine
    agreement: str
    made_by: str
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Lines of one product of one customer that need a person's look.

    `kinds` are the short names of what was found, `reason` says it in words. `amount` is what is billed twice in a
    period at least: all but the largest recurring line and syncd's own dated ones; for lines that two writers feed, the
    money that hangs on them. None where a price is not known, or the agreements have several currencies.
    """

    connection: str
    customer: str
    product: str
    name: str
    kinds: tuple[str, ...]
    reason: str
    lines: tuple[Doubted, ...]
    amount: Decimal | None
    currency: str

    @property
    def twice(self) -> bool:
        """Whether something is billed twice; else one line has two writers."""
        return not {RULES, RIVAL} & {*self.kinds}


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The billing of one remote customer, with the names of the mapped customers that it is."""

    connection: str
    customer: str
    billing: Billing
    agreements: Mapping[str, Agreement]
    prefix: str
    currency: str

    def doubted(self, line: BilledLine) -> Doubted:
        found = self.agreements.get(line.agreement_id)
        return Doubted(line, found.name if found else line.agreement_id, made_by(line, self.prefix), self.worth(line))

    def code(self, lines: Iterable[BilledLine]) -> str:
        """The one currency of these lines; "" where they have several."""
        codes = {
            (found.currency if (found := self.agreements.get(line.agreement_id)) else "") or self.currency
            for line in lines
        }
        return codes.pop() if len(codes) == 1 else ""

    def worth(self, line: BilledLine) -> Decimal | None:
        code = self.code((line,))
        if line.amount is not None and code:
            return round_money(-line.amount if line.quantity < 0 else line.amount, code)
        return None if line.unit_price is None or not code else round_money(line.unit_price * line.quantity, code)


def find_duplicates(
    mappings: Mappings,
    views: Mapping[str, View],
    resolution: Resolution,
    moment: Moment,
    *,
    prefix: str,
    currency: str,
) -> tuple[Suspect, ...]:
    """Every suspect: what is billed twice first, then what two writers feed, the dearest first of both.

    `prefix` begins this installation's marks (`keys.mark_prefix`); `currency` counts where an agreement tells none.
    """
    owners: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (customer, connection), keys in sorted(resolution.items()):
        for one in keys:
            if one.state is State.KNOWN:
                owners[connection, one.id].append(customer)
    shelves = {
        (name, id_): _Shelf(
            name,
            " + ".join(dict.fromkeys(owners[name, id_])),
            billing,
            {one.id: one for one in billing.agreements},
            prefix,
            currency,
        )
        for name, view in sorted(views.items())
        for id_, billing in sorted(view.billings.items())
        if billing.state is State.KNOWN and owners[name, id_]
    }
    found = [
        *(suspect for shelf in shelves.values() for suspect in _overlaps(shelf)),
        *_shared_marks(shelves.values()),
        *_two_writers(mappings, views, resolution, shelves, moment),
    ]
    return tuple(
        sorted(found, key=lambda one: (not one.twice, -(one.amount or ZERO), one.customer, one.product, one.kinds))
    )


def made_by(line: BilledLine, prefix: str) -> str:
    """Who made a line, as its mark tells."""
    if line.marker.startswith(prefix):
        return "syncd"
    return "another syncd" if line.marker.startswith(FAMILY) else "hand"


# --- the same product twice -------------------------------------------------------------------------------------------


def _overlaps(shelf: _Shelf) -> Iterator[Suspect]:
    by_product: dict[str, list[BilledLine]] = defaultdict(list)
    for line in shelf.billing.lines:
        if line.quantity > 0 and not line.meter:  # a meter counts for its line; less than one unit bills nobody twice
            by_product[line.product_id or line.product].append(line)
    for lines in by_product.values():
        kinds: dict[frozenset[BilledLine], str] = {}
        for one, other in combinations(sorted(lines, key=lambda line: line.id), 2):
            if kind := _pair(one, other, shelf.prefix):
                kinds[frozenset((one, other))] = kind
        for group in _joined(kinds):
            named = tuple(dict.fromkeys(kind for pair, kind in kinds.items() if pair <= group))
            yield _twice(shelf, sorted(group, key=lambda line: line.id), named)


def _pair(one: BilledLine, other: BilledLine, prefix: str) -> str:
    """What two lines of one product are to each other; "" where both may stand."""
    if not _together(one, other) or (one.marker and one.marker == other.marker):  # a shared mark is told by itself
        return ""
    ours = [line for line in (one, other) if made_by(line, prefix) == "syncd"]
    if not one.once and not other.once:
        return RECURRING
    if not any(line.once for line in ours):
        return DATED if one.once and other.once else BESIDE
    if len(ours) == 2:
        return ""
    (own,), (foreign,) = ours, [line for line in (one, other) if line not in ours]
    # A recurring line stood there before the true-up that syncd posted beside it; one that came later may repeat it.
    later = foreign.once or (foreign.starts is not None and own.starts is not None and foreign.starts >= own.starts)
    return TWIN if later and _similar(own.quantity, foreign.quantity) else ""


def _together(one: BilledLine, other: BilledLine) -> bool:
    """Whether there is a day on which both bill."""
    first = max(one.starts or date.min, other.starts or date.min)
    return first <= min(one.ends or date.max, other.ends or date.max)


def _similar(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= SIMILAR * max(one, other)


def _joined(pairs: Iterable[frozenset[BilledLine]]) -> list[frozenset[BilledLine]]:
    """Pairs that share a line, as one group."""
    groups: list[frozenset[BilledLine]] = []
    for pair in pairs:
        touching = [group for group in groups if group & pair]
        groups = [*(group for group in groups if group not in touching), pair.union(*touching)]
    return groups


def _twice(shelf: _Shelf, lines: Sequence[BilledLine], kinds: tuple[str, ...]) -> Suspect:
    foreign = [line for line in lines if not line.once or made_by(line, shelf.prefix) != "syncd"]
    if kinds != (TWIN,):  # of a twin, what syncd posted is what may stand
        foreign.remove(max(foreign, key=lambda line: (not line.once, shelf.worth(line) or ZERO, line.quantity)))
    places = {line.agreement_id for line in lines}
    where = "in one agreement" if len(places) == 1 else f"in {len(places)} agreements of the customer"
    ours = [line.id for line in lines if made_by(line, shelf.prefix) == "syncd"]
    told = {
        RECURRING: f"{sum(not line.once for line in lines)} recurring lines bill it at the same time {where}",
        BESIDE: f"a dated line that syncd did not post bills it beside a recurring one {where}",
        DATED: f"dated lines that syncd did not post overlap {where}",
        TWIN: f"a line without syncd's mark repeats what syncd posted ({', '.join(ours)}), which still stands",
    }
    return _suspect(shelf, lines, kinds, "; ".join(told[kind] for kind in kinds), foreign)


def _suspect(
    shelf: _Shelf, lines: Sequence[BilledLine], kinds: tuple[str, ...], reason: str, counted: Sequence[BilledLine]
) -> Suspect:
    code = shelf.code(lines)
    worths = [shelf.worth(line) for line in counted]
    known = [worth for worth in worths if worth is not None]
    amount = sum(known, ZERO) if code and known and len(known) == len(worths) else None
    return Suspect(
        shelf.connection, shelf.customer, lines[0].product, lines[0].name, kinds, reason,
        tuple(shelf.doubted(line) for line in lines), amount, code if amount is not None else "",
    )  # fmt: skip


# --- one mark on two records ------------------------------------------------------------------------------------------


def _shared_marks(shelves: Iterable[_Shelf]) -> Iterator[Suspect]:
    """An operation of the ledger leaves one record; two that bear its mark are two effects, or a copy by hand."""
    bearing: dict[tuple[str, str], list[tuple[_Shelf, BilledLine]]] = defaultdict(list)
    for shelf in shelves:
        for line in shelf.billing.lines:
            if line.marker:
                bearing[shelf.connection, line.marker].append((shelf, line))
    for (_, mark), found in sorted(bearing.items()):
        if len(found) > 1:
            homes = " + ".join(dict.fromkeys(shelf.customer for shelf, _ in found))
            doubted = tuple(shelf.doubted(line) for shelf, line in found)
            codes = {shelf.code((line,)) for shelf, line in found}
            worths = [one.amount for one in doubted[1:] if one.amount is not None]
            amount = sum(worths, ZERO) if len(codes) == 1 and len(worths) == len(doubted) - 1 else None
            shelf, line = found[0]
            yield Suspect(
                shelf.connection, homes, line.product, line.name, (MARK,),
                f"{len(found)} lines bear the mark {mark}, which stands for one change of the ledger",
                doubted, amount, codes.pop() if amount is not None else "",
            )  # fmt: skip


# --- one line, two writers --------------------------------------------------------------------------------------------


def _two_writers(
    mappings: Mappings,
    views: Mapping[str, View],
    resolution: Resolution,
    shelves: Mapping[tuple[str, str], _Shelf],
    moment: Moment,
) -> Iterator[Suspect]:
    writing: dict[tuple[str, str, str], list[tuple[str, Target]]] = defaultdict(list)
    named = {rule.name: _products(rule, views) for rule in mappings.rules if rule.bill is not None}
    for customer in mappings.customers:
        for rule in mappings.rules:
            if rule.bill is None or rule.true_up is TrueUp.ALERT or not concerns(rule, customer):
                continue
            for key in resolution.get((customer.name, rule.bill.connection), ()):
                shelf = shelves.get((rule.bill.connection, key.id))
                if shelf is None:
                    continue
                target = find_target(rule.bill, shelf.billing, named[rule.name], shelf.prefix, moment.today)
                if target.product is not None:
                    who = f"{customer.name} / {rule.name}"
                    writing[shelf.connection, key.id, target.product.id].append((who, target))
    for (connection, id_, _), found in sorted(writing.items(), key=lambda one: one[0]):
        shelf = shelves[connection, id_]
        shared = _shared(found)
        if shared:
            rules = sorted({who for who, target in found if {*target.lines} & {*shared}})
            yield _suspect(shelf, shared, (RULES,), f"it is set by {' and by '.join(rules)}", shared)
        product = found[0][1].product
        lines = sorted({line for _, target in found for line in target.lines}, key=lambda line: line.id)
        if product is not None and product.rival and lines:
            rules = sorted({who for who, _ in found})
            reason = f"{product.rival} also writes its quantity, beside {' and '.join(rules)}"
            yield _suspect(shelf, lines, (RIVAL,), reason, lines)


def _shared(found: Sequence[tuple[str, Target]]) -> list[BilledLine]:
    """The recurring lines that more than one rule means."""
    times: dict[BilledLine, int] = defaultdict(int)
    for _, target in found:
        for line in target.lines:
            times[line] += 1
    return sorted([line for line, count in times.items() if count > 1], key=lambda line: line.id)


def _products(rule: Rule, views: Mapping[str, View]) -> tuple[Product, ...]:
    assert rule.bill is not None
    view = views.get(rule.bill.connection)
    return find_products(rule.bill.product, (view.products or ()) if view else ())


# --- as JSON and as rows ----------------------------------------------------------------------------------------------


def suspect_json(suspect: Suspect) -> dict[str, Any]:
    """One suspect, quantities and money as text."""
    return {
        "customer": suspect.customer,
        "connection": suspect.connection,
        "product": suspect.product,
        "name": suspect.name,
        "kinds": list(suspect.kinds),
        "reason": suspect.reason,
        "amount": money_text(suspect.amount, suspect.currency),
        "currency": suspect.currency or None,
        "lines": [
            {
                "id": one.line.id,
                "agreement_id": one.line.agreement_id,
                "agreement": one.agreement,
                "quantity": quantity_text(one.line.quantity),
                "unit_price": quantity_text(one.line.unit_price),
                "amount": money_text(one.amount, suspect.currency) if suspect.currency else None,
                "first_day": one.line.starts.isoformat() if one.line.starts else None,
                "last_day": one.line.ends.isoformat() if one.line.ends else None,
                "recurring": not one.line.once,
                "made_by": one.made_by,
                "changed_by": one.line.changed_by or None,
            }
            for one in suspect.lines
        ],
    }


COLUMNS = (
    "suspect", "customer", "connection", "product", "agreement", "line", "quantity", "unit_price", "first_day",
    "last_day", "recurring", "made_by", "changed_by", "why", "amount", "currency",
)  # fmt: skip


def suspect_rows(suspects: Iterable[Suspect]) -> Iterator[tuple[str, ...]]:
    """One row for each line, under `COLUMNS`; lines of one suspect share its number and its amount."""
    for number, suspect in enumerate(suspects, start=1):
        shown = suspect_json(suspect)
        for line in shown["lines"]:
            yield (
                str(number), shown["customer"], shown["connection"], shown["product"], line["agreement"], line["id"],
                line["quantity"], line["unit_price"] or "", line["first_day"] or "", line["last_day"] or "",
                "yes" if line["recurring"] else "no", line["made_by"], line["changed_by"] or "",
                f"{', '.join(shown['kinds'])}: {shown['reason']}", shown["amount"] or "", shown["currency"] or "",
            )  # fmt: skip


_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def safe_cell(text: str) -> str:
    """A cell that a spreadsheet takes as text: a leading sign of a formula is quoted (OWASP, "CSV Injection"). A plain
    negative number is none."""
    formula = text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
    return f"'{text}" if formula else text
