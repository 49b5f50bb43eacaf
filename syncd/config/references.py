"""What a mapping asks of a connection, held against what its connector declares: measures and filters.

Owns the lookup of connections, the merging of filters and populations, and `count`, `bought` and `invoiced`. Does not
own `bill` (`billing`). What always holds: where a connection is itself at fault nothing further is said about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.config.faults import did_you_mean
from syncd.config.mapping_schema import BoughtTable, CountTable, InvoicedTable
from syncd.config.types import Link, Links
from syncd.config.values import key_text, quoted
from syncd.connect.contract import Abilities, Filter
from syncd.core.rules import CountRef, InvoicedRef
from syncd.errors import Fault
from syncd.model import Filters

# Measures that count people, devices, hours or tickets: there `sku` may be left out. Everywhere else a forgotten
# `sku` would add up all that is sold.
WITHOUT_SKU = frozenset({"users", "devices", "hours", "tickets"})


@dataclass(frozen=True, slots=True)
class Layer:
    """One `where`. `name` is empty for a table of the place itself, else what it is called (`population "…"`)."""

    place: str
    where: Mapping[str, Any]
    name: str = ""

    def at(self, filter_name: str) -> str:
        """Where a fault of this filter is told."""
        return self.place if self.name else f"{self.place}.{key_text(filter_name)}"


def find_link(name: str, place: str, links: Links, faults: list[Fault]) -> Link | None:
    """The connection of that name, or None with the fault told."""
    if name not in links and links:  # no connection at all is told once, by the config
        faults.append(Fault(place, f"no connection is called {quoted(name)}.", did_you_mean(name, links)))
    return links.get(name)


def find_filters(layers: Sequence[Layer], link: Link | None, measure: str | None, faults: list[Fault]) -> Filters:
    """All layers together, in the core's form. A filter may be set twice only where both say the same.

    `measure` None: the filter must be known, whatever measure obeys it.
    """
    merged: dict[str, tuple[tuple[str | bool, ...], Layer]] = {}
    for layer in layers:
        for name, raw in layer.where.items():
            values = _judged(name, raw, layer, link, measure, faults)
            if values is None:
                continue
            earlier = merged.setdefault(name, (values, layer))
            if earlier[0] != values:
                other = earlier[1].name or earlier[1].at(name).rpartition(" › ")[2]
                what = f"{layer.name}: " if layer.name else ""
                what += f"filter {quoted(name)} is set to something else by {other}."
                faults.append(Fault(layer.at(name), what, "Keep one of them."))
    return tuple(sorted((name, values) for name, (values, _) in merged.items()))


def _judged(
    name: str, raw: Any, layer: Layer, link: Link | None, measure: str | None, faults: list[Fault]
) -> tuple[str | bool, ...] | None:
    if link is None or link.abilities is None:
        return None
    said = f"{layer.name}: " if layer.name else ""
    abilities = link.abilities
    known = abilities.filters.get(name)
    if known is None:
        has = f"it has {', '.join(sorted(abilities.filters))}" if abilities.filters else "it has no filters"
        what = f"{said}{link.kind} has no filter {quoted(name)}; {has}."
        mend = did_you_mean(name, abilities.filters, listed=False)
        faults.append(Fault(layer.at(name), what, mend))
        return None
    values = _values(known, raw)
    if values is None:
        what = "must be true or false." if known.kind == "flag" else "must be text, or a list of texts."
        faults.append(Fault(layer.at(name), f"{said}filter {quoted(name)} {what}" if said else what))
        return None
    if measure is not None and measure in abilities.measures and name not in abilities.measures[measure].filters:
        obeying = [other for other, one in sorted(abilities.measures.items()) if name in one.filters]
        what = f"{said}filter {quoted(name)} does not work with measure {quoted(measure)} of {link.kind}."
        faults.append(Fault(layer.at(name), what, f"It works with: {', '.join(obeying)}." if obeying else ""))
    return values


def _values(known: Filter, raw: Any) -> tuple[str | bool, ...] | None:
    if known.kind == "flag":
        return (raw,) if isinstance(raw, bool) else None
    several = raw if isinstance(raw, list) else [raw]
    if not several or not all(isinstance(one, str) and one.strip() for one in several):
        return None
    return tuple(sorted(set(several)))


def stray_filters(where: Mapping[str, Any], place: str, links: Links) -> Iterator[Fault]:
    """Filters of a population that no connection at all knows; where it is used, it is judged in full."""
    if any(link.abilities is None for link in links.values()):
        return
    known = {name for link in links.values() if link.abilities for name in link.abilities.filters}
    for name in where:
        if name not in known:
            what = f"no connection has a filter {quoted(name)}."
            yield Fault(f"{place}.{key_text(name)}", what, did_you_mean(name, sorted(known)))


def count_ref(
    table: BoughtTable,
    key: str,
    place: str,
    links: Links,
    layers: Sequence[Layer],
    populations: Mapping[str, Layer],
    faults: list[Fault],
) -> CountRef:
    """`count` or `bought`, judged. `layers` are the rule's own filters; what is returned beside faults is not used."""
    at = f"{place} › {key}"
    link = find_link(table.connection, f"{at}.from", links, faults)
    measure = _measure(table.measure, at, link, key == "bought", faults)
    if table.sku is None and measure and measure not in WITHOUT_SKU:
        faults.append(Fault(f"{at}.sku", "is missing.", 'Write it like sku = "SPB", or sku = "*" for all together.'))
    own = [*layers, Layer(f"{at}.where", table.where)]
    own += population_layer(table.population, f"{at}.population", populations, faults)
    where = find_filters(own, link, measure, faults)
    factor = table.factor if isinstance(table, CountTable) else CountTable.model_fields["factor"].default
    return CountRef(table.connection, table.sku or ("*",), measure, where, factor)


def _measure(wanted: str | None, at: str, link: Link | None, bought: bool, faults: list[Fault]) -> str:
    """The measure, else the connector's default; "" with the fault told."""
    if link is None or link.abilities is None:
        return ""
    usable = _usable(link.abilities, bought)
    listed = ", ".join(usable)
    if not usable:
        noun = "what was bought" if bought else "any count"
        what = f"connection {quoted(link.name)} ({link.kind}) does not read {noun}."
        faults.append(Fault(f"{at}.from", what))
        return ""
    if wanted is None:
        if link.abilities.default_measure in usable:
            return link.abilities.default_measure
        if len(usable) == 1:
            return usable[0]
        faults.append(Fault(f"{at}.measure", "is missing.", f"{link.kind} has {listed}."))
        return ""
    if wanted not in usable:
        noun = "measure of what was bought" if bought and wanted in link.abilities.measures else "measure"
        what = f"{link.kind} has no {noun} {quoted(wanted)}; it has {listed}."
        if noun != "measure":
            what = f"{quoted(wanted)} does not tell what was bought; {link.kind} has {listed} for that."
        faults.append(Fault(f"{at}.measure", what, did_you_mean(wanted, usable, listed=False)))
        return ""
    return wanted


def _usable(abilities: Abilities, bought: bool) -> list[str]:
    """Measures that `count` may name, or `bought`: there those of what was bought, where the kind tells them apart."""
    if not bought:
        return sorted(abilities.measures)
    if "bought" not in abilities.reads:
        return []
    told = sorted(name for name, measure in abilities.measures.items() if measure.number == "bought")
    return told or sorted(abilities.measures)


def population_layer(
    name: str | None, place: str, populations: Mapping[str, Layer], faults: list[Fault]
) -> list[Layer]:
    """The named filter as a layer told at `place`; nothing where no name is given."""
    if name is None:
        return []
    if name not in populations:
        faults.append(Fault(place, f"no population is called {quoted(name)}.", did_you_mean(name, populations)))
        return []
    return [Layer(place, populations[name].where, populations[name].name)]


def invoiced_ref(table: InvoicedTable, place: str, links: Links, faults: list[Fault]) -> InvoicedRef:
    """`invoiced`, judged."""
    link = find_link(table.connection, f"{place} › invoiced.from", links, faults)
    if link is not None and link.abilities is not None and "invoiced" not in link.abilities.reads:
        what = f"connection {quoted(link.name)} ({link.kind}) does not read invoices."
        faults.append(Fault(f"{place} › invoiced.from", what))
    return InvoicedRef(table.connection, table.item or table.product or "")
