"""Six weeks of an MSP in one run: people come and go, vendors fail, colleagues edit, the process dies, a month ends.

Every step is drawn from a seed, so a failure comes back with it. The judge knows nothing of the ledger: it counts the
people who hold a licence and what the PSA's additions say.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from stage import ADDITIONS, ALDER, BIRCHWOOD, CEDAR, ELM, PREMIUM, STANDARD, VISIO, Done, Stage, guid, rule

from syncd.ledger import engine as ledger_engine

SKUS = {ALDER: PREMIUM, BIRCHWOOD: PREMIUM, CEDAR: STANDARD, ELM: VISIO}
RECURRING = {BIRCHWOOD: 14, CEDAR: 8}  # those with true-up lines
WRITE_FAULTS = (
    "drop_before drop_after 500_before 500_after html throttle truncate ignore unavailable unauthorized"
).split()
READ_FAULTS = "drop_before 500_before html throttle truncate".split()
STEPS = 24
LOOSE = {
    "max_decrease": "100%",
    "max_increase": "1000%",
    "max_step": 1000,
    "max_amount": 1_000_000,
    "source_drop": "100%",
    "to_zero": "settle",
    "foreign_edit": "overwrite",
}


class Killed(BaseException):
    """The process is gone; nothing of it may tidy up."""


@contextmanager
def killed_at(transaction: int, *, committed: bool) -> Iterator[None]:
    """The process dies at so many writing transactions of the ledger, just before or just after the commit."""
    writing, count = ledger_engine.writing, [0]

    @contextmanager
    def counted(engine: Engine) -> Iterator[Connection]:
        count[0] += 1
        with writing(engine) as connection:
            yield connection
            if count[0] == transaction and not committed:
                raise Killed
        if count[0] == transaction:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger_engine, "writing", counted)
        yield


class Weeks:
    """A stage, dice, and what happens by them. `told` is what one reads when it failed."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.dice = stage, random.Random(seed)
        self.told: list[Any] = [seed]

    def step(self) -> None:
        """Something happens, time passes, a cycle runs, and sometimes another one dies before."""
        stage, dice = self.stage, self.dice
        self._happen(dice.choice(list(SKUS)))
        if dice.random() < 0.1:
            stage.psa.rival(1001, 30_100, dice.randint(1, 40))
            self.told.append("a colleague edits")
        stage.pass_time(minutes=dice.choice([0, 3, 7, 20, 500]))
        if dice.random() < 0.35:
            death = dice.randint(1, 12), dice.random() < 0.5
            self.told.append(("dies", *death))
            with killed_at(death[0], committed=death[1]), suppress(Killed):
                stage.cycle()
        self.cycle()

    def _happen(self, customer: str) -> None:
        stage, dice, kind = self.stage, self.dice, self.dice.random()
        if kind < 0.3:
            stage.hire(customer, dice.randint(1, 4), SKUS[customer])
        elif kind < 0.5:
            stage.dismiss(customer, min(dice.randint(1, 4), self.used(customer)), SKUS[customer])
        elif kind < 0.85:
            stage.psa.fail(
                dice.choice(WRITE_FAULTS), method="POST|PATCH", path=ADDITIONS, times=dice.randint(1, 3), seconds=0
            )
        else:
            stage.psa.fail(dice.choice(READ_FAULTS), method="GET", times=dice.randint(1, 4), after=dice.randint(0, 40))
        self.told.append((customer, f"{kind:.2f}", self.used(customer)))

    def cycle(self) -> Done:
        done = self.stage.cycle()
        self.told.append(
            (
                f"{self.stage.now:%d %H:%M}",
                done.status,
                [(one["customer"][:5], one["operation"], one["to"], one["state"]) for one in done.json["entries"]],
            )
        )
        return done

    def used(self, customer: str) -> int:
        """How many people hold the customer's licence."""
        tenant = self.stage.graph.tenants[self.stage.company(customer).tenant_id]
        return sum(guid(SKUS[customer]) in account.held for account in tenant.accounts)

    def come_to_rest(self) -> None:
        """No fault is left; what was refused is tried again by a person, all else must settle by itself."""
        self.stage.mend()
        for _ in range(8):
            done = self.cycle()
            quiet = {one["action"] for one in done.json["lines"]} <= {"none", "alert", "defer"}
            if done.status == 0 and quiet and not done.json["entries"]:
                return
            for entry in self.stage.entries("--state", "failed"):
                self.stage.run("retry", entry["id"], "--by", "Dana")  # refused where the line went on since
            for entry in self.stage.entries("--state", "held"):  # late for a period that was invoiced meanwhile
                self.stage.run("approve", entry["id"], "--by", "Dana")
            self.stage.pass_time(minutes=20)
        raise AssertionError(("never at rest", done.json["lines"], self.told))

    def judge(self) -> None:
        """What is billed is what is used; every effect is in the ledger once; nothing is open; the chain is whole."""
        stage = self.stage
        assert stage.quantity(ALDER) == self.used(ALDER), self.told
        for customer, recurring in RECURRING.items():
            assert self.own_units(customer) == max(self.used(customer) - recurring, 0), (customer, self.told)
        entries = stage.entries()
        posted = [one for one in entries if one["state"] == "posted"]
        assert sorted(one["remote_id"] for one in posted) == sorted(one.record for one in stage.effects), self.told
        assert {one["state"] for one in entries} <= {"posted", "superseded", "failed"}, self.told
        assert stage.verified()

    def own_units(self, customer: str) -> Decimal:
        """The units of syncd's dated lines of this month, by what the customer pays for them; of a credit by its words,
        for it takes back what was charged, which is less than the price where a part of the month was."""
        month = f"{self.stage.now:%Y-%m}"
        agreement, total = self.stage.agreement(customer)["id"], Decimal(0)
        for row in self.stage.psa.tables["additions"].values():
            late = str(row.get("invoiceDescription", "")).startswith("for ")  # it stands here for an older month
            dated = row.get("cancelledDate") and row["effectiveDate"][:7] == month and not late
            if row["agreementId"] == agreement and dated and row.get("serialNumber", "").startswith("sd-"):
                price = Decimal(28) if customer == BIRCHWOOD else Decimal("16.5")
                credited = re.search(r"credit for ([0-9.]+) units", str(row["invoiceDescription"]))
                total += -Decimal(credited[1]) if credited else Decimal(row["quantity"]) * row["unitPrice"] / price
        return total


@pytest.mark.slow
@pytest.mark.parametrize("seed", [102, 107])
@pytest.mark.parametrize("prorate", ["none", "daily"])
def test_six_weeks_with_all_that_can_happen(raise_stage: Callable[..., Stage], seed: int, prorate: str) -> None:
    stage = raise_stage(5, retry_after="0", per_minute=0)
    stage.configure(settle=1 + seed % 2, safety=LOOSE)
    keys = {"decrease": "now", "prorate": prorate}
    stage.map(
        rule("Set", PREMIUM, customers=[ALDER], **keys),
        rule("Line", PREMIUM, customers=[BIRCHWOOD], true_up="line", **keys),
        rule("Other line", STANDARD, customers=[CEDAR], true_up="line", **keys),
        rule("Add", VISIO, customers=[ELM], create=True, **keys),
        only=tuple(SKUS),
    )
    weeks = Weeks(stage, seed)
    for _ in range(STEPS):
        weeks.step()
    weeks.come_to_rest()
    weeks.judge()
    while stage.now.month == 11:
        stage.pass_time(days=1)
    for company in stage.world.companies:
        stage.psa.invoice(1000 + company.number)
    for _ in range(STEPS):
        weeks.step()
    weeks.come_to_rest()
    weeks.judge()
