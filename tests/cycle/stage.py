"""The stage of the end-to-end tests: two vendors' doubles over real HTTP, the admin's files, the command line.

Commands run in this process with their output caught, or as a process of their own where one must die. The clock is
fixed by SYNCD_NOW and moved by the tests. What reached the PSA is read from its double's own record, never from the
ledger.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.connectwise.sandbox import ConnectWiseDouble
from connectors.connectwise.sandbox import build as build_psa
from connectors.microsoft365.sandbox import GraphSandbox
from syncd.cli.main import hoist, run
from syncd.ledger import Ledger
from syncd.sandbox.kit import Effect, Recorded, Running, serve
from syncd.sandbox.world import Company, Sku, World, small_msp

ZONE = ZoneInfo("America/Chicago")
TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 10, tzinfo=ZONE)
PYTHON = sys.executable
ROOT = Path(__file__).resolve().parents[2]

ALDER, BIRCHWOOD, CEDAR, DOGWOOD, ELM = (
    "Alder Dental Group",  # 27 of 28 seats of Business Premium used, 25 billed
    "Birchwood Legal LLP",  # 14 of Business Premium, 2 of Exchange: as billed
    "Cedar & Sons Joinery",  # 8 of Business Standard: as billed
    "Dogwood Veterinary",  # 9 of 12 seats of Business Premium used, 12 billed
    "Elm Street Accounting",  # 19 of Business Premium as billed; 3 of Visio, without a line
)
PREMIUM, STANDARD, EXCHANGE, VISIO = "SPB", "O365_BUSINESS_PREMIUM", "EXCHANGESTANDARD", "VISIOCLIENT"
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
# The PSA's paths that a write of syncd takes.
ADDITIONS = r"/additions(/\d+)?$"


@dataclass(frozen=True)
class Done:
    """What one command said and did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)

    def line(self, customer: str, rule: str = "") -> dict[str, Any]:
        """One line of a plan's JSON."""
        [found] = [one for one in self.json["lines"] if one["customer"] == customer and rule in ("", one["rule"])]
        return dict(found)

    def actions(self) -> dict[str, str]:
        """Customer -> action, for plans with one line for each customer."""
        return {one["customer"]: one["action"] for one in self.json["lines"]}


class Stage:
    """Doubles, files and commands in one folder. Customers are the first ones of the small MSP."""

    def __init__(
        self,
        folder: Path,
        customers: int = 3,
        *,
        ledger: bool = True,
        graph: Mapping[str, Any] | None = None,
        **psa: Any,
    ) -> None:
        """`ledger`: an empty one is there already. `graph` and `psa` are options of the doubles."""
        self.folder = folder
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.graph = GraphSandbox(self.world, **(graph or {}))
        self.psa: ConnectWiseDouble = build_psa(self.world, **psa)
        self.psa_serving: Running = serve(self.psa)
        self.graph_serving: Running = serve(self.graph.double)
        self.now = NOW
        self.environ: dict[str, str] = {}
        (folder / "mappings").mkdir(parents=True)
        if ledger:
            self.database.parent.mkdir(mode=0o700)
            self.database.touch(0o600)
            self.database.write_bytes(empty_ledger())
        self.configure()
        self.map(rule("Business Premium", PREMIUM))

    def close(self) -> None:
        """Ends the doubles."""
        self.psa_serving.stop()
        self.graph_serving.stop()

    # The admin's files

    @property
    def config_path(self) -> Path:
        return self.folder / "config.toml"

    @property
    def database(self) -> Path:
        return self.folder / "state" / "syncd.db"

    def configure(
        self,
        *,
        mode: str = "post",
        settle: int = 1,
        safety: Mapping[str, Any] | None = None,
        cw: Mapping[str, Any] | None = None,
        m365: Mapping[str, Any] | None = None,
        syncd: Mapping[str, Any] | None = None,
    ) -> None:
        """Writes config.toml; the keys given come on top of those that make the doubles answer quickly."""
        quick = {"retry_wait": "0.01s", "timeout": "5s"}
        tables: dict[str, Mapping[str, Any]] = {
            "syncd": {"timezone": str(ZONE), "mode": mode, **(syncd or {})},
            "safety": {"settle": settle, **(safety or {})},
            "connections.cw": {
                "kind": "connectwise",
                "company": "acme",
                "public_key": {"env": "CW_PUBLIC_KEY"},
                "private_key": {"env": "CW_PRIVATE_KEY"},
                "client_id": "sandbox",
                "base_url": self.psa_serving.url,
                **quick,
                **(cw or {}),
            },
            "connections.m365": {
                "kind": "microsoft365",
                "tenant_id": self.world.partner_tenant,
                "client_id": "sandbox-client",
                "client_secret": {"env": "M365_CLIENT_SECRET"},
                "base_url": self.graph_serving.url,
                "token_url": self.graph_serving.url,
                **quick,
                **(m365 or {}),
            },
        }
        self.config_path.write_text("\n".join(table(name, keys) for name, keys in tables.items()), encoding="utf-8")

    def map(self, *rules: str, extra: str = "", only: tuple[str, ...] = (), **customers: Mapping[str, Any]) -> None:
        """Writes the mappings: every customer of the world (or `only` these), and the rules.

        `customers`: further keys of a customer by its ConnectWise identifier: `AlderDental={"mode": "post"}`.
        """
        parts = [
            table(
                "[customer]",
                {
                    "name": one.name,
                    "m365": one.domain,
                    "cw": one.identifier,
                    **customers.get(one.identifier, {}),
                },
            )
            for one in self.world.companies
            if not only or one.name in only
        ]
        (self.folder / "mappings" / "all.toml").write_text("\n".join([*parts, *rules, extra]), encoding="utf-8")

    # Commands

    def variables(self) -> dict[str, str]:
        """The environment of a command."""
        return {
            "CW_PUBLIC_KEY": "public-key-of-acme",
            "CW_PRIVATE_KEY": "private-key-of-acme",
            "M365_CLIENT_SECRET": "sandbox-secret",
            "SYNCD_NOW": self.now.isoformat(),
            "COLUMNS": "240",
            **self.environ,
        }

    def run(self, *arguments: str | Path, **environ: str) -> Done:
        """One command in this process."""
        out, err = io.StringIO(), io.StringIO()
        given = hoist(["--config", str(self.config_path), *map(str, arguments)])
        with (
            environment({**self.variables(), **environ}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = run(given)
        return Done(status, out.getvalue(), err.getvalue())

    def cycle(self, **environ: str) -> Done:
        """`run --once --json`"""
        return self.run("run", "--once", "--json", **environ)

    def plan(self, **environ: str) -> Done:
        """`plan --json`"""
        return self.run("plan", "--json", **environ)

    def entries(self, *filters: str) -> list[dict[str, Any]]:
        """`ledger --json`, oldest first."""
        done = self.run("ledger", "--json", *filters)
        assert done.status == 0, done.err
        return list(done.json["entries"])

    def entry(self, *filters: str) -> dict[str, Any]:
        """The only entry of the ledger."""
        [found] = self.entries(*filters)
        return found

    def verified(self) -> bool:
        """Whether `ledger verify` finds the record whole."""
        return self.run("ledger", "verify").status == 0

    def pass_time(self, **span: float) -> None:
        """Moves syncd's clock and the PSA's; the keys are those of timedelta."""
        self.now += timedelta(**span)
        self.psa.advance(timedelta(**span).total_seconds())

    # What happens in the world

    def company(self, customer: str) -> Company:
        [found] = [one for one in self.world.companies if one.name == customer]
        return found

    def agreement(self, customer: str) -> dict[str, Any]:
        """The PSA's own record of a customer's agreement."""
        row: dict[str, Any] = self.psa.tables["finance/agreements"][1000 + self.company(customer).number]
        return row

    def addition(self, customer: str, product: str = "M365-BP") -> dict[str, Any]:
        """The PSA's own record of the open-ended addition of a product."""
        agreement = self.agreement(customer)["id"]
        [row] = [
            one
            for one in self.psa.tables["additions"].values()
            if one["agreementId"] == agreement
            and one["product"]["identifier"] == product
            and not one.get("cancelledDate")
        ]
        return dict(row)

    def quantity(self, customer: str, product: str = "M365-BP") -> Decimal:
        """What the PSA's recurring addition shows."""
        return Decimal(self.addition(customer, product)["quantity"])

    def hire(self, customer: str, number: int, sku: str = PREMIUM) -> None:
        """So many more people hold the licence."""
        tenant = self.graph.tenants[self.company(customer).tenant_id]
        tenant.hire(guid(sku), number, self.graph.double.now())

    def dismiss(self, customer: str, number: int, sku: str = PREMIUM) -> None:
        """So many people lose the licence."""
        self.graph.tenants[self.company(customer).tenant_id].dismiss(guid(sku), number)

    def break_tenant(self, customer: str, fault: str, times: int = -1) -> None:
        """A fault of one tenant (see TENANT_FAULTS of the double); -1 is until it is mended."""
        self.graph.tenants[self.company(customer).tenant_id].faults[fault] = times

    def mend(self) -> None:
        """No fault is left anywhere."""
        for tenant in self.graph.tenants.values():
            tenant.faults.clear()
        self.psa.faults.clear()
        self.graph.double.faults.clear()

    # What reached the vendors

    @property
    def effects(self) -> list[Effect]:
        """What the PSA changed because it was asked to."""
        return self.psa.effects

    def effects_of(self, customer: str) -> list[Effect]:
        """Those in a customer's agreement."""
        agreement = self.agreement(customer)["id"]
        return [one for one in self.psa.effects if one.detail.get("agreement") == agreement]

    def writes(self) -> list[Recorded]:
        """Every request to the PSA that could change something."""
        return [one for one in self.psa.requests if one.method in WRITES]

    def foreign_writes(self) -> list[Recorded]:
        """Every request to any vendor that is neither a read, a sign-in nor a batch of reads."""
        return self.writes() + [
            one
            for one in self.graph.double.requests
            if one.method in WRITES and not one.path.endswith(("/oauth2/v2.0/token", "/$batch"))
        ]


@functools.cache
def empty_ledger() -> bytes:
    """A ledger as the program makes it, made once: its migrations take longer than a cycle."""
    with tempfile.TemporaryDirectory() as folder:
        Ledger.open("sqlite:///syncd.db", lambda: NOW, folder=Path(folder)).close()
        return Path(folder, "syncd.db").read_bytes()


def only_birchwood(stage: Stage) -> bool:
    """Whether Birchwood's posting alone reached the PSA."""
    return [one.detail["quantity"]["to"] for one in stage.effects] == [15] and bool(stage.effects_of(BIRCHWOOD))


def told(done: Done, customer: str) -> list[tuple[str, str]]:
    """(code, message) of the errors about one customer."""
    return [(one["code"], one["message"]) for one in done.json["errors"] if one["customer"] == customer]


def guid(part: str) -> str:
    """The SKU id of a part number."""
    return sku(part).guid


def sku(part: str) -> Sku:
    """The product of a part number."""
    [found] = [one for one in small_msp(customers=1).skus if one.part == part]
    return found


def rule(name: str, part: str, **keys: Any) -> str:
    """A `[[rule]]` that counts assigned licences and bills their product; `keys` add to it or replace."""
    plain: dict[str, Any] = {
        "name": name,
        "count": {"from": "m365", "sku": part, "measure": "assigned"},
        "bill": {"to": "cw", "agreement": "Managed Services*", "product": sku(part).product},
        "true_up": "quantity",
    }
    return table("[rule]", plain | keys)


def table(name: str, keys: Mapping[str, Any]) -> str:
    """A TOML table of plain values."""
    return f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables, and none of syncd's own beside them."""
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith("SYNCD_")]:
            del os.environ[name]
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
