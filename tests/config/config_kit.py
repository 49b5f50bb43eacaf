"""A folder with a config and mappings, and connectors that only declare: nothing here speaks to anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field

from syncd.config.load import Config, load
from syncd.connect.contract import Abilities, Connection, Connector, Context, Delivery, Filter, Measure
from syncd.connect.settings import ConnectionSettings, HttpSettings, SecretRef
from syncd.core.rules import Mappings
from syncd.errors import UserFault
from syncd.model import Operation


class PsaSettings(HttpSettings):
    """A billing system."""

    company: str = Field(description="The company.", examples=["acme"])
    client_id: str = Field("", description="The application.", examples=["app"])
    private_key: SecretRef | None = Field(None, description="The key.", examples=['{ env = "PSA_KEY" }'])


class CloudSettings(HttpSettings):
    """A source of counts."""

    tenant_id: str = Field(description="The tenant.", examples=["contoso"])
    client_id: str = Field(description="The application.", examples=["app"])
    client_secret: SecretRef = Field(description="The secret.", examples=['{ env = "CLOUD_SECRET" }'])


class BooksSettings(ConnectionSettings):
    """Books that keep no quantity."""


@dataclass
class FakeConnector:
    """A connector as configuration sees it."""

    kind: str
    settings: type[ConnectionSettings]
    abilities: Abilities
    title: str = "A kind for tests"
    sandbox: str = ""

    def open(self, settings: Any, context: Context) -> Connection:
        raise AssertionError("configuration never opens a connection")


_SET, _MADE = Delivery("S"), Delivery("M", "note", 40)
KINDS: Mapping[str, Connector] = MappingProxyType(
    {
        "psa": FakeConnector(
            "psa",
            PsaSettings,
            Abilities(
                reads=frozenset({"billed", "invoiced", "used"}),
                measures={"hours": Measure("used", "hours", frozenset({"billable", "board"}), of_period=True)},
                filters={"billable": Filter("flag", "billable"), "board": Filter("texts", "boards")},
                operations={
                    Operation.SET_QUANTITY: _SET,
                    Operation.ADD_LINE: _MADE,
                    Operation.POST_LINE: _MADE,
                },
                bill_keys=("agreement", "product"),
                bill_options=("via",),
            ),
        ),
        "cloud": FakeConnector(
            "cloud",
            CloudSettings,
            Abilities(
                reads=frozenset({"used", "bought"}),
                measures={
                    "assigned": Measure("used", "assigned", frozenset({"enabled", "domain", "group"})),
                    "consumed": Measure("used", "consumed"),
                    "purchased": Measure("bought", "purchased"),
                },
                default_measure="assigned",
                filters={
                    "enabled": Filter("flag", "enabled"),
                    "domain": Filter("texts", "domains"),
                    "group": Filter("globs", "groups"),
                },
                keeps_quantity=False,
            ),
        ),
        "books": FakeConnector(
            "books",
            BooksSettings,
            Abilities(
                reads=frozenset({"invoiced"}),
                operations={Operation.POST_LINE: _MADE},
                bill_keys=("item",),
                bill_options=("document",),
                keeps_quantity=False,
            ),
        ),
    }
)

CONFIG = """
[connections.cloud]
kind = "cloud"
tenant_id = "t"
client_id = "c"
client_secret = { env = "CLOUD_SECRET" }
[connections.psa]
kind = "psa"
company = "acme"
[connections.qbo]
kind = "books"
"""
CUSTOMER = '[[customer]]\nname = "Contoso"\ncloud = "contoso.com"\npsa = "Contoso"\n'
RULE = """
[[rule]]
name = "Premium"
count = { from = "cloud", sku = "SPB" }
bill = { to = "psa", agreement = "Managed*", product = "BP" }
"""


@dataclass
class Folder:
    """A folder in which a test writes, and what loading it gives."""

    path: Path
    environ: dict[str, str] = field(default_factory=lambda: {"CLOUD_SECRET": "s3cret"})
    kinds: Mapping[str, Connector] = field(default_factory=lambda: KINDS)

    def config(self, text: str, connections: str = CONFIG) -> None:
        (self.path / "config.toml").write_text(text + connections)

    def mapping(self, text: str, name: str = "m.toml") -> None:
        (self.path / "mappings" / name).write_text(text)

    def load(self, *, secrets: bool = True) -> tuple[Config, Mappings]:
        return load(self.path / "config.toml", self.kinds, self.environ, secrets=secrets)

    def faults(self) -> list[str]:
        """Every fault as one line; an empty list where all is well."""
        try:
            self.load()
        except UserFault as fault:
            return [str(one) for one in fault.faults]
        return []
