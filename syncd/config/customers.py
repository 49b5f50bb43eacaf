"""`[[customer]]`: its keys in each connection, and that no two customers claim the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from syncd.config.faults import did_you_mean, salvage, shape
from syncd.config.mapping_schema import CustomerTable, RemoteKeyTable
from syncd.config.references import Layer, find_filters
from syncd.config.types import Link, Links
from syncd.config.values import key_text, quoted
from syncd.core.rules import Customer, Mode, RemoteKey
from syncd.errors import Fault

_OWN = tuple(CustomerTable.model_fields)


def customer_of(raw: Any, place: str, links: Links, faults: list[Fault]) -> Customer | None:
    """The customer, or None where it has no name. Whatever is wrong with it is added to the faults."""
    if not isinstance(raw, dict):
        faults.append(Fault(place, "must be a table."))
        return None
    table, found = shape(CustomerTable, {key: raw[key] for key in raw if key in _OWN}, place)
    faults += found
    keys: dict[str, tuple[RemoteKey, ...]] = {}
    for name in raw:
        if name in links:
            keys[name] = _remote_keys(raw[name], f"{place} › {key_text(name)}", links[name], faults)
        elif name not in _OWN and links:  # no connection at all is told once, by the config
            free = [key for key in _OWN if key not in raw]
            mend = did_you_mean(name, [*links, *free], listed=False) or f"Connections: {', '.join(links)}."
            faults.append(Fault(f"{place} › {key_text(name)}", "unknown key; no connection is called that.", mend))
    if table is None:  # rules that name this customer are judged all the same
        table, _ = salvage(CustomerTable, {key: raw[key] for key in raw if key in _OWN}, {})
    if table is None:
        return None
    mode = Mode(table.mode) if table.mode else None
    return Customer(table.name, keys, table.tags or (), mode, place)


def _remote_keys(raw: Any, place: str, link: Link, faults: list[Fault]) -> tuple[RemoteKey, ...]:
    """A text, a table with `id` and `where`, or a list of those."""
    if raw == []:
        faults.append(Fault(place, "must not be empty."))
    keys: list[RemoteKey] = []
    for position, one in enumerate(raw if isinstance(raw, list) else [raw], 1):
        where = f"{place}[{position}]" if isinstance(raw, list) else place
        if isinstance(one, str) and one.strip():
            keys.append(RemoteKey(one))
        elif isinstance(one, dict):
            table, found = shape(RemoteKeyTable, one, where, ".")
            faults += found
            if table is not None:
                layer = Layer(f"{where}.where", table.where)
                keys.append(RemoteKey(table.id, find_filters([layer], link, None, faults)))
        else:
            example = quoted(str(one)) if isinstance(one, int) and not isinstance(one, bool) else '"contoso.com"'
            faults.append(Fault(where, f"must be text in quotes, like {key_text(link.name)} = {example}."))
    return tuple(keys)


def double_keys(customers: Sequence[Customer]) -> Iterator[Fault]:
    """Two claims on the same thing: the later one is told, and names the earlier. Parts of one tenant may differ by
    their `where`."""
    claims: dict[tuple[str, str], list[tuple[Customer, RemoteKey]]] = {}
    for customer in customers:
        for connection, keys in customer.keys.items():
            for key in keys:
                earlier = claims.setdefault((connection, key.value.casefold()), [])
                rival = next((one for one, other in earlier if not other.where or other.where == key.where), None)
                if rival is None and not key.where and earlier:
                    rival = earlier[0][0]
                earlier.append((customer, key))
                if rival is None:
                    continue
                place = f"{customer.place} › {key_text(connection)}"
                if rival is customer:
                    yield Fault(place, f"names {quoted(key.value)} twice.", "Its counts would be added twice.")
                else:
                    what = f"{quoted(key.value)} already belongs to {rival.place}."
                    yield Fault(place, what, 'Give each its part, like { id = "…", where = { domain = "…" } }.')
