"""Whose money a soak is: four books compared for each customer and month, and every effect with the record.

Reads the doubles' own tables, and the ledger's file with SQL of its own. Knows what is due by its own arithmetic.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soak import Soak

CENT = Decimal("0.01")
SEATS, BACKUP, STORAGE = "SEATS", "VAULT", "STORAGE"
PRICES = {SEATS: Decimal("17.35"), BACKUP: Decimal("7.49"), STORAGE: Decimal("0.333")}
TIER, FIRST_TIER = 10, Decimal("1.25")  # of storage; PRICES has the rest
FIRST_DAY = date(2026, 11, 2)


@dataclass
class Figures:
    """What came of a soak. Money in dollars; `differences` are sentences, none where all books agree."""

    customers: int
    months: int
    seed: int
    cycles: int = 0
    seconds: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    money: dict[str, Decimal] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


class Judge:
    """Judges one soak; what it finds stands in its figures."""

    def __init__(self, world: Soak) -> None:
        self.world = world

    def month(self, month: str) -> None:
        """Compares the four books of the month, customer by customer."""
        ledger = self._ledger(month)
        psa, books = self._psa(month), self._books(month)
        for number in self.world.base:
            units, stored = self.world.count[number, BACKUP], self.world.count[number, STORAGE]
            beyond = (units - self.world.base[number]) * PRICES[BACKUP]
            self._agree(month, number, "backup beyond the recurring line", {
                "expected": beyond, "PSA": psa[number], "ledger": ledger[number, "Backup in the PSA"],
            })  # fmt: skip
            self._agree(month, number, "backup", {
                "expected": units * PRICES[BACKUP], "books": books[number, BACKUP],
                "ledger": ledger[number, "Backup in the books"],
                "PSA": psa[number] + self.world.base[number] * PRICES[BACKUP],
            })  # fmt: skip
            tiers = min(stored, TIER) * FIRST_TIER + max(stored - TIER, 0) * PRICES[STORAGE]
            self._agree(month, number, "storage", {
                "expected": tiers.quantize(CENT, ROUND_HALF_EVEN), "books": books[number, STORAGE],
                "ledger": ledger[number, "Storage"],
            })  # fmt: skip
            quantity = self._recurring(number)["quantity"]
            if quantity != self.world.count[number, SEATS]:
                told = f"{quantity} seats stand in the PSA, {self.world.count[number, SEATS]} are used"
                self.world.figures.differences.append(f"{month}, customer {number}: {told}")

    def _agree(self, month: str, number: int, what: str, found: dict[str, Decimal]) -> None:
        for book, money in found.items():
            name = f"{what}: {book}"
            self.world.figures.money[name] = self.world.figures.money.get(name, Decimal(0)) + money
        if len(set(found.values())) > 1:
            told = ", ".join(f"{book} {money}" for book, money in found.items())
            self.world.figures.differences.append(f"{month}, customer {number}, {what}: {told}")

    def _ledger(self, month: str) -> Counter[Any]:
        """(customer, rule) -> money of what syncd says it posted for the month."""
        found: Counter[Any] = Counter()
        asked = f"SELECT * FROM entry WHERE state = 'posted' AND period = '{month}' AND operation <> 'set_quantity'"
        for row in self.world.rows(asked):
            sign = -1 if row["operation"] == "post_credit" else 1
            found[int(row["customer"][-3:]), row["rule"]] += sign * abs(Decimal(row["amount"]))
        return found

    def _psa(self, month: str) -> Counter[Any]:
        """Customer -> money of the dated additions of the month that syncd made."""
        found: Counter[Any] = Counter()
        for row in self.world.psa.tables["additions"].values():
            if row["id"] not in self._first() and row["effectiveDate"][:7] == month:
                found[row["agreementId"] - 1000] += (row["quantity"] * row["unitPrice"]).quantize(CENT)
        return found

    def _books(self, month: str) -> Counter[Any]:
        """(customer, item) -> money of the documents of the month, by whomever."""
        found: Counter[Any] = Counter()
        names = {one["Id"]: one.get("Sku") for one in self.world.books.tables["Item"].values()}
        for entity, sign in (("Invoice", 1), ("CreditMemo", -1)):
            for row in self.world.books.tables[entity].values():
                if not row["TxnDate"].startswith(month) or "sd-" not in row.get("PrivateNote", ""):
                    continue
                for line in row["Line"]:
                    if line["DetailType"] == "SalesItemLineDetail":
                        item = names[line["SalesItemLineDetail"]["ItemRef"]["value"]]
                        found[int(row["CustomerRef"]["name"][-3:]), item] += sign * line["Amount"]
        return found

    def _first(self) -> set[int]:
        """The additions that were there before syncd was."""
        return {number * 100 + 30_000 + index for number in self.world.base for index in (0, 1)}

    def _recurring(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = self.world.psa.tables["additions"][number * 100 + 30_000]
        return row

    def whole(self) -> None:
        """The PSA's invoices of all months, and each effect once."""
        self._invoices()
        self._effects()

    def _invoices(self) -> None:
        """What the PSA invoiced: seats as they stood at the month's turn, backup as it was used, each month once."""
        invoiced: Counter[Any] = Counter()
        for number, lines in self.world.psa.invoice_contents.items():
            agreement = self.world.psa.tables["finance/invoices"][number]["agreement"]["id"]
            for line in lines:
                if line["from"] >= FIRST_DAY.replace(day=1).isoformat():
                    invoiced[agreement - 1000, line["from"][:7], line["product"]["identifier"]] += line["amount"]
        backup = sum((money for (_, _, what), money in invoiced.items() if what == BACKUP), Decimal(0))
        # The last invoice has billed the month to come, of which nothing was used yet.
        backup -= sum(self.world.base.values()) * PRICES[BACKUP]
        self.world.figures.money["backup: PSA's invoices"] = backup
        if backup != self.world.figures.money["backup: expected"]:
            told = f"the PSA invoiced {backup}, {self.world.figures.money['backup: expected']} was used"
            self.world.figures.differences.append(f"backup, all months: {told}")
        for (number, month), quantity in self.world.seats.items():
            if invoiced[number, month, SEATS] != quantity * PRICES[SEATS]:
                told = f"invoiced {invoiced[number, month, SEATS]} for {quantity} seats"
                self.world.figures.differences.append(f"{month}, customer {number}: {told}")

    def _effects(self) -> None:
        """Every line that syncd says it posted was made once, and every one that was made is in the record."""
        made = Counter(one.detail["mark"] for one in self.world.psa.effects if one.what == "create_addition")
        for one in self.world.books.effects:
            made[(one.detail.get("note") or "").partition(" ")[0]] += 1
        posted = Counter(_markers(self.world.rows(_POSTED)))
        for mark in made.keys() | posted.keys():
            if (made[mark], posted[mark]) != (1, 1):
                told = f"{mark} was made {made[mark]} times, and posted {posted[mark]} times"
                self.world.figures.differences.append(told)
        self.world.figures.hits["lines made"] = made.total()
        self.world.figures.hits["quantities set"] = sum(one.what == "change_addition" for one in self.world.psa.effects)


_POSTED = """SELECT event.data FROM entry JOIN event ON event.seq = entry.seq
             WHERE entry.state = 'posted' AND entry.operation <> 'set_quantity'"""


def _markers(rows: list[sqlite3.Row]) -> Iterator[str]:
    for row in rows:
        yield json.loads(row[0])["intent"]["posting"]["marker"]
