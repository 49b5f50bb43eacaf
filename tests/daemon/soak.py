"""Months of an MSP's life, with everything failing now and then, and the money at the end (RELIABILITY, T16).

One PSA and one company's books, both doubles over real HTTP; the daily export of a vendor; `syncd run --once` as a real
process, which is killed now and then; a person who approves what waits and retries what was refused. Each customer's
backups are billed twice on purpose: through the PSA (a recurring line, and what goes beyond it as dated lines, invoiced
month by month by the double) and through the books (invoices and credit memos). So four books must say the same money,
to the cent, for each customer and month: what the judge expects from the export alone, syncd's ledger, the PSA's
invoices and the books' documents. Seats are the PSA's recurring quantity, storage has tiers and fractions of cents.

What goes wrong is `soak_faults`, who judges is `soak_judge`.
"""

from __future__ import annotations

import calendar
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from soak_faults import SOURCE_FAULTS, TIMEOUT, Alive, Executioner, Forgetful, Forks, Odds
from soak_judge import BACKUP, FIRST_DAY, PRICES, SEATS, STORAGE, Figures, Judge

from connectors.connectwise.sandbox import ConnectWiseDouble
from connectors.connectwise.sandbox import build as build_psa
from connectors.quickbooks.sandbox import QuickBooksDouble
from connectors.quickbooks.sandbox import build as build_books
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import Company, Sku, World

CONFIG = """
[syncd]
timezone = "America/Chicago"
mode = "post"
[safety]
settle = 1
max_amount = 1000000
max_postings = 100000
[connections.export]
kind = "csv"
path = "export.csv"
customer = "Account"
sku = "Plan"
quantity = "Units"
[connections.cw]
kind = "connectwise"
company = "acme"
public_key = {{ env = "SOAK_SECRET" }}
private_key = {{ env = "SOAK_SECRET" }}
client_id = "sandbox-client"
base_url = "{psa}"
retry_wait = "0.01s"
timeout = "{timeout}s"
[connections.qbo]
kind = "quickbooks"
base_url = "{books}"
token_url = "{books}"
realm_id = "9341453000000007"
client_id = "sandbox-client"
client_secret = {{ env = "SOAK_BOOKS" }}
refresh_token = {{ env = "SOAK_TOKEN" }}
retry_wait = "0.01s"
timeout = "{timeout}s"
"""
RULES = """
[[rule]]
name = "Seats"
count = { from = "export", sku = "SEATS", measure = "quantity" }
bill = { to = "cw", agreement = "Managed Services", product = "SEATS" }
true_up = "quantity"
decrease = "now"
[[rule]]
name = "Backup in the PSA"
count = { from = "export", sku = "VAULT", measure = "quantity" }
bill = { to = "cw", agreement = "Managed Services", product = "VAULT" }
true_up = "line"
decrease = "now"
[[rule]]
name = "Backup in the books"
count = { from = "export", sku = "VAULT", measure = "quantity" }
bill = { to = "qbo", item = "VAULT", document = "invoice" }
true_up = "line"
decrease = "now"
price = { model = "unit", unit = 7.49, currency = "USD" }
[[rule]]
name = "Storage"
count = { from = "export", sku = "STORAGE", measure = "quantity" }
bill = { to = "qbo", item = "STORAGE", document = "invoice" }
true_up = "line"
decrease = "now"
price = { model = "graduated", currency = "USD", tiers = [ { up_to = 10, unit = 1.25 }, { unit = 0.333 } ] }
"""
CUSTOMER = '[[customer]]\nname = "{name}"\nexport = "{name}"\ncw = "{identifier}"\nqbo = "{name}"\n'


class Soak:
    """The world of a soak. `rate`: of struck requests and of faulty exports; `deaths`: of killed cycles."""

    def __init__(
        self, folder: Path, *, customers: int, seed: int, rate: float = 0.01, deaths: float = 0.05, visits: int = 5
    ) -> None:
        self.folder, self.seed, self.rate, self.deaths, self.visits = folder, seed, rate, deaths, visits
        self.dice = random.Random(seed)
        skus = tuple(
            Sku(name, f"{number}" * 8, name.capitalize(), name, price, price / 2)
            for number, (name, price) in enumerate(PRICES.items(), 1)
        )
        self.base = {number: self.dice.randint(1, 4) for number in range(1, customers + 1)}
        self.count: dict[tuple[int, str], int] = {}
        for number, base in self.base.items():
            self.count |= {(number, SEATS): base + 3, (number, BACKUP): base, (number, STORAGE): 0}
        companies = tuple(
            Company(
                number, f"Customer {number:03}", f"Customer{number:03}", f"c{number}.example", f"{number:032}", (), (),
                ((SEATS, Decimal(base + 3)), (BACKUP, Decimal(base))), devices=0,
            )
            for number, base in self.base.items()
        )  # fmt: skip
        self.world = World(seed, FIRST_DAY, "Acme MSP", "0" * 32, skus, companies)
        self.psa: ConnectWiseDouble = build_psa(self.world, per_minute=0)
        self.books: QuickBooksDouble = build_books(self.world)
        self.figures = Figures(customers, 0, seed)
        self._serving: list[Running] = []
        self._executioners: list[Executioner] = []
        for one in (self.psa, self.books):
            self._serving.append(serve(one))
            one.chaos = Odds(random.Random(self.dice.random()), rate, self.figures.hits)
            one.requests = Forgetful()
            self._executioners.append(Executioner(one, self.figures.kills))
        self.now = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + timedelta(hours=18)
        self.forks = Forks()
        self.length = 0.5  # seconds that the last cycle took
        self.seats: dict[tuple[int, str], int] = {}  # (customer, month that is invoiced) -> quantity
        self._retried: set[str] = set()
        self._runs = 0
        self.judge = Judge(self)
        self._files()

    def close(self) -> None:
        self.forks.close()
        for one in self._serving:
            one.stop()

    # The admin's files, and the vendor's export

    def _files(self) -> None:
        psa, books = (one.url for one in self._serving)
        (self.folder / "mappings").mkdir(parents=True)
        (self.folder / "config.toml").write_text(CONFIG.format(psa=psa, books=books, timeout=TIMEOUT))
        customers = [CUSTOMER.format(name=one.name, identifier=one.identifier) for one in self.world.companies]
        (self.folder / "mappings" / "all.toml").write_text("".join(customers) + RULES)

    def export(self, fault: str = "") -> None:
        """The counts as they are; or absent, empty, cut in the middle, without half of the customers."""
        rows = [f"Customer {number:03},{sku},{units}" for (number, sku), units in self.count.items()]
        if fault == "half":
            rows = rows[: max(3, len(rows) // 2)]
        text = "Account,Plan,Units\n" + "".join(f"{row}\n" for row in rows)
        path = self.folder / "export.csv"
        path.unlink(missing_ok=True)
        if fault != "absent":
            path.write_text("" if fault == "empty" else text[: -len(rows[-1]) // 2] if fault == "cut" else text)

    # Time, commands, people

    def move_to(self, moment: datetime) -> None:
        span = (moment - self.now).total_seconds()
        self.now = moment
        for one in (self.psa, self.books):
            one.advance(span)

    def pass_time(self, **span: float) -> None:
        self.move_to(self.now + timedelta(**span))

    def start(self, *arguments: str) -> Alive:
        self._runs += 1
        out, err = (self.folder / f"{name}-{self._runs % 4}" for name in ("out", "err"))
        environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environ |= {
            "SOAK_SECRET": "sandbox-key", "SOAK_BOOKS": "sandbox-secret", "SOAK_TOKEN": "AB11-sandbox-refresh-token",
            "SYNCD_NOW": self.now.isoformat(),
        }  # fmt: skip
        given = [*arguments, "--config", str(self.folder / "config.toml")]
        pid = self.forks.ask(
            do="start", arguments=given, environ=environ, out=str(out), err=str(err), steps={}
        )["pid"]  # fmt: skip
        return Alive(pid, self.forks, out, err)

    def command(self, *arguments: str) -> int:
        status = self.start(*arguments).wait(600)
        assert status is not None, f"{arguments} hangs"
        return status

    def cycle(self) -> int:
        """One cycle, and the person who looks at what it said; its exit status, negative where it was killed."""
        fault = self.dice.choice(SOURCE_FAULTS) if self.dice.random() < self.rate else ""
        if fault:
            self.figures.hits[f"export {fault}"] += 1
        self.export(fault)
        fate = self.dice.choice(("before", "after", "instant")) if self.dice.random() < self.deaths else ""
        victims = [self.dice.choice(self._executioners)] if fate in ("before", "after") else []
        for one in victims:
            one.await_(fate)
        began = time.monotonic()
        alive = self.start("run", "--once", "--json")
        for one in victims:
            one.aims(alive)
        second = self.start("run", "--once", "--json") if self.dice.random() < self.rate else None
        if fate == "instant":
            time.sleep(self.dice.uniform(0, self.length))
            alive.end()
        status = alive.wait(600)
        assert status is not None, "a cycle hangs"
        if second is not None:
            assert second.wait(600) is not None, "a second one hangs"
            self.figures.hits["two at once"] += 1
        for one in victims:
            one.acts = ""
        if status >= 0:
            self.length = time.monotonic() - began
        elif fate == "instant":
            self.figures.kills["killed at an instant"] += 1
        self.figures.cycles += 1
        assert status < 70, alive.said
        assert "Traceback" not in alive.said, alive.said
        if not fault:
            self._person()
        return status

    def _person(self) -> None:
        """Approves what waits, and has tried again what a vendor refused."""
        states = self.states()
        if states["held"]:
            self.figures.hits["approved"] += states["held"]
            self.command("approve", "--all", "--by", "Dana")
        failed = {row["id"] for row in self.rows("SELECT id FROM entry WHERE state = 'failed'")} - self._retried
        for one in sorted(failed):
            self._retried.add(one)
            self.figures.hits["retried"] += 1
            self.command("retry", one, "--by", "Dana")

    # The record, read beside syncd

    def rows(self, statement: str) -> list[sqlite3.Row]:
        path = self.folder / "state" / "syncd.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
            opened.row_factory = sqlite3.Row
            return opened.execute(statement).fetchall()

    def states(self) -> Counter[str]:
        return Counter({row[0]: row[1] for row in self.rows("SELECT state, count(*) FROM entry GROUP BY state")})

    # A month

    def month(self) -> None:
        """Counts move, cycles run; then they rest until nothing is open, and the month's money is compared."""
        year, number = self.now.year, self.now.month
        last = calendar.monthrange(year, number)[1]
        days = sorted(self.dice.sample(range(self.now.day + 1, last - 3), self.visits))
        for day in days:
            self.move_to(self.now.replace(day=day))
            for key in self.count:
                if self.dice.random() < 0.3:
                    self._moved(key)
            for _ in range(2):
                self.cycle()
                self.pass_time(minutes=7)
        self.rest()
        self.judge.month(f"{year}-{number:02}")
        following = date(year + number // 12, number % 12 + 1, 1)
        self.move_to(datetime.combine(following, datetime.min.time(), UTC) + timedelta(hours=18))
        for one in self.world.companies:
            self.seats[one.number, f"{following:%Y-%m}"] = self.count[one.number, SEATS]
            self.psa.invoice(1000 + one.number)
        self.figures.months += 1

    def _moved(self, key: tuple[int, str]) -> None:
        floor = self.base[key[0]] if key[1] == BACKUP else 1
        step = self.dice.choice((-2, -1, 1, 1, 2)) if key[1] != STORAGE else self.dice.randint(-6, 9)
        self.count[key] = max(self.count[key] + step, floor)

    def rest(self) -> None:
        """Cycles until one finds nothing to do and nothing is open."""
        for _ in range(30):
            status = self.cycle()
            self.pass_time(minutes=7)
            states = self.states()
            if status == 0 and not any(states[one] for one in ("held", "planned", "sending", "unknown")):
                return
        opened = [dict(row) for row in self.rows("SELECT * FROM entry WHERE settled_at IS NULL")]
        told = self.start("plan")
        told.wait(600)
        raise AssertionError(f"never at rest: status {status}, {opened}\n{told.out.read_text()}\n{told.said}")

    def end(self) -> Figures:
        """The PSA's invoices of all months, each effect once, the record whole."""
        self.judge.whole()
        for one in (self.psa, self.books):
            one.chaos = None
        if self.command("ledger", "verify") != 0:
            self.figures.differences.append("`syncd ledger verify` found the record broken")
        self.figures.entries = self.states()
        return self.figures


def soak(
    folder: Path, *, customers: int, months: int, seed: int, told: Callable[[Soak], None] = lambda soak: None,
    **options: Any,
) -> Figures:  # fmt: skip
    """Plays the months; `told` hears of each when it is over."""
    began = time.monotonic()
    world = Soak(folder, customers=customers, seed=seed, **options)
    try:
        for _ in range(months):
            world.month()
            told(world)
        figures = world.end()
    finally:
        world.close()
    figures.seconds = time.monotonic() - began
    return figures
