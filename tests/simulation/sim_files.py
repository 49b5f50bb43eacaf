"""What an admin wrote in the simulated world: the setup of a schedule, its rules, and the real config made of them."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from sim_books import books_abilities
from sim_sources import source_abilities
from sim_vendors import billing_abilities

from syncd.config import Config, load
from syncd.connect.contract import Connector
from syncd.connect.settings import ConnectionSettings
from syncd.core.rules import Mappings


@dataclass(frozen=True)
class Shape:
    """What a rule is for ever: where it bills, and how."""

    connection: str
    product: str
    true_up: str
    create: bool = False
    prorate: bool = False


SHAPES: Mapping[str, Shape] = {
    "set": Shape("psa", "P1", "quantity"),
    "line": Shape("psa", "P2", "line"),
    "add": Shape("psa", "P3", "quantity", create=True),
    "kset": Shape("kb", "K1", "quantity", prorate=True),
    "kline": Shape("kb", "K2", "line"),
    "kadd": Shape("kb", "K3", "quantity", create=True),
    # Their lines share documents.
    "doca": Shape("books", "B1", "line"),
    "docb": Shape("books", "B2", "line"),
    "docc": Shape("books", "B3", "line"),
}
BOOKED = ("doca", "docb", "docc")
KINDS = {"psa": "marked", "kb": "keyed", "books": "books"}
ZONE = ZoneInfo("America/Chicago")
BASE = 3  # the recurring quantity beside true-up lines


@dataclass(frozen=True)
class Rules:
    """What an admin may change between two cycles: the mode, and keys of each rule, as TOML text."""

    mode: str
    keys: tuple[tuple[str, str, Any], ...] = ()  # (rule, key, value)

    def changed(self, rule: str, key: str, value: Any) -> Rules:
        rest = tuple(one for one in self.keys if one[:2] != (rule, key))
        return replace(self, keys=(*rest, *(() if value is None else ((rule, key, value),))))

    def of(self, rule: str) -> dict[str, Any]:
        return {key: value for name, key, value in self.keys if name == rule}

    def target(self, rule: str, count: int) -> int:
        """What a count comes to under a rule: the judge's own arithmetic."""
        keys = self.of(rule)
        return int(max(max(count - keys.get("included", 0), 0), keys.get("minimum", 0)))


@dataclass(frozen=True)
class Setup:
    """What a schedule begins with. `strict`: the safety limits of INTERFACE 2; else none that bite. `drafts`,
    `numbers`, `most`: what the books make of a posting, whether they remember its number, the lines of a document."""

    seed: int = 0
    customers: tuple[str, ...] = ("birch",)
    names: tuple[str, ...] = ("set", "line")
    strict: bool = False
    settle: int = 1
    foreign_edit: str = "hold"
    max_postings: int = 200
    together: bool = False
    tells_period: bool = True
    versions: bool = False
    invoiced: bool = True
    locks: bool = False
    drafts: bool = False
    numbers: bool = False
    most: int = 40
    start: datetime = datetime(2026, 11, 20, 16, tzinfo=UTC)
    rules: Rules = field(default_factory=lambda: Rules("post"))

    @property
    def shapes(self) -> list[tuple[str, Shape]]:
        return [(name, SHAPES[name]) for name in self.names]

    def products(self, connection: str) -> list[str]:
        return [shape.product for _, shape in self.shapes if shape.connection == connection]

    @property
    def connections(self) -> list[str]:
        """The billing systems that any rule bills into."""
        return sorted({shape.connection for _, shape in self.shapes})

    @property
    def booked(self) -> bool:
        return "books" in self.connections

    def count(self, customer: str, rule: str) -> int:
        return random.Random(f"{self.seed} {customer} {rule}").randint(3, 12)

    def billed(self, customer: str, shape: Shape) -> int | None:
        """What the recurring line shows at the start; None where there is none."""
        if shape.create or shape.connection == "books":
            return None
        if shape.true_up == "line":
            return BASE
        return random.Random(f"{self.seed} {customer} {shape.product}").randint(3, 12)


@dataclass(frozen=True)
class Kind:
    """A kind as configuration sees it."""

    abilities: Any
    settings: type[ConnectionSettings] = ConnectionSettings
    kind: str = ""
    title: str = "Model"
    sandbox: str = ""


def load_files(setup: Setup, rules: Rules) -> tuple[Config, Mappings]:
    """The real config and mappings, as `syncd.config` reads them from files."""
    return _load(_config_text(setup, rules), _mapping_text(setup, rules), setup.together, setup.most)


def _config_text(setup: Setup, rules: Rules) -> str:
    limits = (
        'source_drop = "25%"\nmax_decrease = "20%"\nmax_increase = "100%"\n'
        if setup.strict
        else 'source_drop = "100%"\nmax_decrease = "100%"\nmax_increase = "10000%"\nmax_step = 1000\n'
        'max_amount = 1000000\nto_zero = "settle"\n'
    )
    return (
        f'[syncd]\nevery = "1h"\ntimezone = "America/Chicago"\nmode = "{rules.mode}"\n\n'
        f'[safety]\n{limits}settle = {setup.settle}\nforeign_edit = "{setup.foreign_edit}"\n'
        f"max_postings = {setup.max_postings}\n\n"
        '[connections.src]\nkind = "counts"\n'
        + "".join(f'\n[connections.{name}]\nkind = "{KINDS[name]}"\n' for name in setup.connections)
    )


def _mapping_text(setup: Setup, rules: Rules) -> str:
    parts = [
        f'[[customer]]\nname = "{one.title()}"\nsrc = "{one}"\n'
        + "".join(f'{name} = "{one}"\n' for name in setup.connections)
        for one in setup.customers
    ]
    for name, shape in setup.shapes:
        keys = {"create": shape.create, **rules.of(name)}
        if shape.prorate:
            keys["prorate"] = "daily"
        place = "item" if shape.connection == "books" else 'agreement = "*", product'
        parts.append(
            f'[[rule]]\nname = "{name}"\ncount = {{ from = "src", sku = "{shape.product}", measure = "seats" }}\n'
            f'bill = {{ to = "{shape.connection}", {place} = "{shape.product}" }}\n'
            f'true_up = "{shape.true_up}"\n' + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())
        )
    return "\n".join(parts)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@functools.lru_cache(maxsize=4096)
def _load(config: str, mappings: str, together: bool, most: int) -> tuple[Config, Mappings]:
    kinds = {
        "counts": Kind(source_abilities(together)),
        "marked": Kind(billing_abilities(False)),
        "keyed": Kind(billing_abilities(True)),
        "books": Kind(books_abilities(most)),
    }
    # A folder for each reading: forked processes would write over each other's files in a common one.
    with tempfile.TemporaryDirectory(prefix="syncd-sim-files-") as name:
        folder = Path(name)
        (folder / "mappings").mkdir()
        (folder / "config.toml").write_text(config, encoding="utf-8")
        (folder / "mappings" / "all.toml").write_text(mappings, encoding="utf-8")
        return load(folder / "config.toml", cast("Mapping[str, Connector]", kinds), {})
