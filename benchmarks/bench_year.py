"""A year of hourly cycles: how large the ledger becomes, and what takes the room.

    python benchmarks/bench_year.py                  # 8,760 cycles of 1,500 lines, some minutes
    python benchmarks/bench_year.py --days 30

100 customers with 40 people each and 15 products held by 2 to 40 of them; every hour a cycle reads, plans and keeps,
through `begin_cycle` and `end_cycle`. One count in a hundred changes each day (somebody gets or loses a seat); each
change is read, seen in two cycles, posted and read back as billed, so it leaves a reading of the source with the names
behind it, a reading of the agreement, a posting with its derivation, and up to three derivations of its line. Only the
customers that changed are planned anew: the others' derivations are handed over again and found unchanged, as in a
real cycle. Commits do not wait for the disk here, because a year of them would; the size is the same.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import bench_ledger
import bench_plan
from measure import RESULTS, keep, print_table, verdict
from world import NOW, PRODUCTS, TODAY, make_world

from syncd.core.entries import EntryState, Observation, Past, Sighting
from syncd.core.evidence import canonical, keep_billing, keep_reading
from syncd.core.plan import PlanLine, make_plan
from syncd.core.policy import Action
from syncd.core.resolve import resolve
from syncd.core.rules import House, Mode
from syncd.core.shown import derivation_json
from syncd.ledger import Ledger, sqlite
from syncd.logs import configure
from syncd.model import Count as Counted
from syncd.model import Moment, Operation, Posting, Query, Reading, State, Subject, Wire
from syncd.periods import month_of
from syncd.sandbox.world import Company, Licence, World

CUSTOMERS = 100
PEOPLE = 40
CHANGES = CUSTOMERS * PRODUCTS / 100  # a day
AIM = 200  # MiB
ZONE = ZoneInfo("America/Chicago")
_ASSIGNED = Query("assigned")


class Year:
    """The MSP as it changes, and what its cycles hand to the ledger."""

    def __init__(self) -> None:
        self.dice = random.Random(11)
        self.world = make_world(CUSTOMERS)
        skus = self.world.skus
        self.companies = {one.number: self._grown(one) for one in self.world.companies}
        self.world = World(11, TODAY, "Acme MSP", self.world.partner_tenant, skus, tuple(self.companies.values()))
        self.mappings = bench_plan._mappings(self.world)
        self.house = House(Mode.POST, ZONE)
        self.lines: dict[str, bytes] = {}
        self.of: dict[int, list[str]] = {}
        self.sightings: dict[str, Sighting] = {}
        self.observations: dict[tuple[int, str], Observation] = {}
        self.waiting: set[int] = set(self.companies)
        self.numbers = count()

    def _grown(self, company: Company) -> Company:
        people = tuple(
            replace(company.people[index % len(company.people)], id=f"{company.tenant_id[:-3]}{index:03}")
            for index in range(PEOPLE)
        )
        licences = tuple(
            Licence(one.sku, PEOPLE, tuple(sorted(self.dice.sample(range(PEOPLE), self.dice.randint(2, PEOPLE)))))
            for one in company.licences
        )
        billed = tuple((one.sku.product, Decimal(len(one.holders))) for one in licences)
        return replace(company, people=people, licences=licences, billed=billed)

    def change(self) -> None:
        """Somebody gets a seat or loses one."""
        company = self.companies[self.dice.randint(1, CUSTOMERS)]
        at = self.dice.randrange(PRODUCTS)
        old = company.licences[at]
        person = self.dice.randrange(PEOPLE)
        # Never below two: a fall to nothing waits for a person, and so does everything after it.
        holders = set(old.holders) ^ {person} if len(old.holders) > 2 else set(old.holders) | {person}
        licences = (*company.licences[:at], replace(old, holders=tuple(sorted(holders))), *company.licences[at + 1 :])
        self.companies[company.number] = replace(company, licences=licences)
        self.waiting.add(company.number)

    def cycle(self, ledger: Ledger, now: datetime) -> int:
        """One hour; how many postings."""
        cycle = ledger.begin_cycle("post", now)
        moment = Moment(now, now.date(), month_of(now.date(), 1))
        posted = 0
        for number in sorted(self.waiting):
            posted += self._plan(ledger, cycle, number, moment)
        summary = {
            "mode": "post",
            "lines": len(self.lines),
            "actions": {"none": len(self.lines)},
            "entries": {"posted": posted},
            **dict.fromkeys(("errors", "unmapped", "waiting", "in_doubt"), 0),
            "suspect": [],
            "requests": 431,
            "checksum": "0" * 64,
        }
        seen = list(self.observations.values())
        ledger.end_cycle(cycle, summary, seen, self.sightings, {}, self.lines, ["m365", "cw"])
        return posted

    def _plan(self, ledger: Ledger, cycle: str, number: int, moment: Moment) -> int:
        company = self.companies[number]
        small = replace(self.world, companies=(company,))
        views = bench_plan._views(small)
        reading, observation = keep_reading("m365", _reading(company), subjects="names", salt="s", names=False)
        views["cw"] = replace(views["cw"], operations=frozenset({Operation.SET_QUANTITY}), wire=_wire)
        views["m365"] = replace(views["m365"], readings={(company.tenant_id, _ASSIGNED): reading})
        self.observations[number, "read"] = observation
        self.observations[number, "billed"] = keep_billing("cw", views["cw"].billings[str(number)])
        mappings = bench_plan._mappings(small)
        resolution = resolve(mappings.customers, {name: view.customers for name, view in views.items()}, {}, {})
        known = {line: self.sightings[line] for line in self.of.get(number, ()) if line in self.sightings}
        past = Past("bench", sightings=known)
        plan = make_plan(mappings, self.house, views, resolution, past, moment)
        self.of[number] = [line.id for line in plan.lines]
        for line in plan.lines:
            self.lines[line.id] = canonical(derivation_json(line))
            self.sightings.pop(line.id, None)
            if line.sighting is not None:
                self.sightings[line.id] = line.sighting
        due = [line for line in plan.lines if line.action is not Action.NONE]
        sent = [line for line in due if line.action in (Action.POST, Action.HOLD)]
        for line in sent:
            self._post(ledger, cycle, line)
        if sent:  # the agreement says it from now on; a decrease was approved
            billed = tuple((one.sku.product, Decimal(len(one.holders))) for one in company.licences)
            self.companies[number] = replace(company, billed=billed)
        if not due:
            self.waiting.discard(number)
        return len(sent)

    def _post(self, ledger: Ledger, cycle: str, line: PlanLine) -> None:
        intent = replace(
            bench_ledger.intent(next(self.numbers)), line=line.id, customer=line.customer,
            derivation=derivation_json(line),
        )  # fmt: skip
        (entry,) = ledger.write(cycle, (), [intent])
        claimed = ledger.sending(entry)
        assert claimed is not None
        ledger.settle(claimed, EntryState.POSTED, remote_id="1", data={"echo": '{"id":7,"quantity":27}'})


def _wire(posting: Posting) -> Wire:
    body = f'[{{"op":"replace","path":"quantity","value":{posting.quantity}}}]'
    return Wire("PATCH", f"finance/agreements/{posting.agreement_id}/additions/{posting.line_id}", body.encode())


def _reading(company: Company) -> Reading:
    counts = tuple(
        Counted(
            one.sku.part, one.sku.name, Decimal(len(one.holders)), (one.sku.guid,),
            tuple(Subject(company.people[at].id, company.people[at].sign_in) for at in one.holders),
        )
        for one in company.licences
    )  # fmt: skip
    return Reading(company.tenant_id, _ASSIGNED, State.KNOWN, counts, "40 of 40 licensed users in 1 page")


def sizes(path: Path) -> dict[str, float]:
    """MiB of each table with its indexes; the file whole."""
    with closing(sqlite3.connect(path)) as opened:
        names = dict(opened.execute("SELECT name, tbl_name FROM sqlite_master WHERE rootpage"))
        found: Counter[str] = Counter()
        try:
            for name, taken in opened.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
                found[names.get(name, "other")] += taken
        except sqlite3.OperationalError:  # built without dbstat
            pass
        (pages,) = opened.execute("PRAGMA page_count").fetchone()
    return {"whole": pages * 4096 / 2**20} | {name: size / 2**20 for name, size in found.most_common()}


def main() -> None:
    """Runs the year, prints, keeps."""
    asked = argparse.ArgumentParser(description="The size of a year.")
    asked.add_argument("--days", type=int, default=365)
    days = asked.parse_args().days
    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    sqlite.PRAGMAS = ("synchronous = OFF", *sqlite.PRAGMAS[1:])
    year, posted, began = Year(), 0, time.perf_counter()
    now = datetime.fromisoformat(NOW).astimezone(ZONE)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        with Ledger.open("sqlite:///year.db", lambda: now, folder=Path(scratch)) as ledger:
            ledger.claim("bench")
            owed = 0.0
            for hour in range(1, days * 24 + 1):
                owed += CHANGES / 24
                while owed >= 1:
                    owed -= 1
                    year.change()
                posted += year.cycle(ledger, now)
                now += timedelta(hours=1)
                if hour % (30 * 24) == 0:
                    print(f"{hour // 24} days, {posted:,} postings; {time.perf_counter() - began:.0f} s", flush=True)
            events = ledger.head()[0]
            proving = time.perf_counter()
            wrong = ledger.verify()
            proved = time.perf_counter() - proving
        found = sizes(Path(scratch) / "year.db")
    if wrong:
        raise SystemExit(wrong[0])
    print_table(("table", "MiB"), [(name, f"{size:.1f}") for name, size in found.items()])
    aims = [verdict(f"a year below {AIM} MiB", f"{found['whole']:.0f} in {days} days", found["whole"] <= AIM)]
    print_table(("aim", "measured", "met"), aims)
    print(
        f"{days * 24:,} cycles, {posted:,} postings, {events:,} events; proven whole in {proved:.1f} s; "
        f"the run took {time.perf_counter() - began:.0f} s"
    )
    told = {name: round(size, 1) for name, size in found.items()}
    print(f"kept in {keep('year', {'days': days, 'mib': told, 'postings': posted, 'verify_s': round(proved, 1)})}")


if __name__ == "__main__":
    main()
