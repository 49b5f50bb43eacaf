"""The mapping files together, from their tables to `Mappings`: names unique over all, every reference judged.

Owns files, names over files, populations and ignores. Customers and rules have their own modules. What always holds:
`Mappings` is given only where no file has a fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncd.config.customers import customer_of, double_keys
from syncd.config.digest import canonical, digest
from syncd.config.faults import did_you_mean, read_toml, shape
from syncd.config.mapping_schema import IgnoreTable, MappingFile, PopulationTable
from syncd.config.references import Layer, find_link, stray_filters
from syncd.config.rules import judge_customers, rule_of
from syncd.config.types import Links
from syncd.config.values import key_text, quoted
from syncd.core.rules import Customer, Ignore, Mappings, Rule
from syncd.errors import Fault

_NO_PLACE = frozenset({"place", "content"})
_EMPTY = (
    "Mount the folder that has them, or put a mapping file there; `syncd suggest --write` writes one with proposals."
)


@dataclass(frozen=True, slots=True)
class _Block:
    """One `[[…]]` of one file. `place` names it for people."""

    file: str
    raw: Any
    place: str


def mapping_files(folder: Path) -> list[Path]:
    """Its mapping files, by name. Raises OSError where it cannot be listed; `glob` would call it empty."""
    return sorted(folder / name for name in os.listdir(folder) if name.endswith(".toml"))


def read_mappings(
    folder: Path, root: Path, links: Links, *, key: str, may_be_empty: bool = False
) -> tuple[Mappings | None, list[Fault]]:
    """Every *.toml of the folder, in the order of their names; `root` shortens the names that faults show.

    `key`: the place that names the folder. A folder without a mapping file is a fault: it is what a mount that is
    missing looks like, and nobody would be billed any more. `may_be_empty`: for set-up, before there is one.
    """
    try:
        files = mapping_files(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "is no folder." if isinstance(error, NotADirectoryError) else "there is no such folder."
        return None, [Fault(_shown(folder, root), what, "Create it, or correct [syncd] mappings.")]
    except OSError as error:
        what = f"the folder {folder} cannot be read ({error.strerror or error})."
        return None, [Fault(key, what, "Let the user that syncd runs as list it.")]
    if not files and not may_be_empty:
        return None, [Fault(key, f"the folder {folder} holds no *.toml file.", _EMPTY)]
    faults: list[Fault] = []
    blocks: dict[str, list[_Block]] = {name: [] for name in MappingFile.model_fields}
    for path in files:
        shown = _shown(path, root)
        raw, found = read_toml(path, shown)
        faults += found
        if raw is not None:
            faults += _sort(raw, shown, blocks)
    for kind in ("customer", "rule", "population"):
        faults += _double_names(kind, blocks[kind])
    populations = _populations(blocks["population"], links, faults)
    customers = _customers(blocks["customer"], links, faults)
    rules = _rules(blocks["rule"], links, populations, faults)
    faults += judge_customers(rules, customers, links)
    ignores = _ignores(blocks["ignore"], links, faults)
    if faults:
        return None, list(dict.fromkeys(faults))
    by_name = [sorted((canonical(one, _NO_PLACE) for one in group), key=repr) for group in (customers, rules, ignores)]
    return Mappings(tuple(customers), tuple(rules), tuple(ignores), digest(by_name)), []


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _sort(raw: dict[str, Any], shown: str, blocks: dict[str, list[_Block]]) -> Iterator[Fault]:
    """Each block of a file to its kind, and a fault for whatever is none."""
    for name, tables in raw.items():
        if name not in blocks:
            several = isinstance(tables, dict | list)
            place = f"{shown} › [{key_text(name)}]" if several else f"{shown} › {key_text(name)}"
            yield Fault(place, f"unknown {'table' if several else 'key'}.", did_you_mean(name, blocks, form="[[{}]]"))
        elif not isinstance(tables, list):
            yield Fault(f"{shown} › [{name}]", "is one of several.", f"Write it with double brackets: [[{name}]].")
        else:
            for position, table in enumerate(tables, 1):
                title = table.get("name") if isinstance(table, dict) else None
                label = f"{name} {quoted(title)}" if isinstance(title, str) and title else f"{name} {position}"
                blocks[name].append(_Block(shown, table, f"{shown} › {label}"))


def _double_names(kind: str, blocks: list[_Block]) -> Iterator[Fault]:
    first: dict[str, _Block] = {}
    for block in blocks:
        name = block.raw.get("name") if isinstance(block.raw, dict) else None
        if isinstance(name, str):
            other = first.setdefault(name, block)
            if other is not block:
                where = "further up in the same file" if other.file == block.file else f"in {other.file}"
                what = f"this name is already taken by a {kind} {where}."
                yield Fault(block.place, what, "Names are unique over all mapping files.")


def _populations(blocks: list[_Block], links: Links, faults: list[Fault]) -> dict[str, Layer]:
    populations: dict[str, Layer] = {}
    for block in blocks:
        _, found = shape(PopulationTable, block.raw, block.place)
        faults += found
        name, where = (block.raw.get(key) for key in ("name", "where")) if isinstance(block.raw, dict) else (None, None)
        if isinstance(name, str):  # even where its shape is at fault: a rule that names it is judged all the same
            layer = Layer(block.place, where if isinstance(where, dict) else {}, f"population {quoted(name)}")
            populations.setdefault(name, layer)
            faults += stray_filters(layer.where, f"{block.place} › where", links)
    return populations


def _customers(blocks: list[_Block], links: Links, faults: list[Fault]) -> list[Customer]:
    customers = [
        customer for block in blocks if (customer := customer_of(block.raw, block.place, links, faults)) is not None
    ]
    faults += double_keys(customers)
    return customers


def _rules(blocks: list[_Block], links: Links, populations: dict[str, Layer], faults: list[Fault]) -> list[Rule]:
    return [
        rule for block in blocks if (rule := rule_of(block.raw, block.place, links, populations, faults)) is not None
    ]


def _ignores(blocks: list[_Block], links: Links, faults: list[Fault]) -> list[Ignore]:
    ignores = []
    for block in blocks:
        table, found = shape(IgnoreTable, block.raw, block.place)
        faults += found
        if isinstance(block.raw, dict) and isinstance(source := block.raw.get("from"), str) and source.strip():
            find_link(source, f"{block.place} › from", links, faults)
        if table is not None:
            ignores.append(Ignore(table.connection, table.sku or (), table.customer or (), table.why, table.until))
    return ignores
