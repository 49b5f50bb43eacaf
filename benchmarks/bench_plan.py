"""Planning alone: the pure core, on views made directly, without network, ledger or files.

    python benchmarks/bench_plan.py

For each size a process of its own makes the views of a world, plans once as in a first cycle, and once more with the
sightings of the first as the past. Planning waits for nothing: where its wall is longer than its CPU, something else
was running on this machine. "peak" is the whole process, the views included.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from measure import Taken, keep, median, print_table, run, verdict
from replay import environment
from world import NOW, PRODUCTS, TODAY, make_world

from syncd.core.entries import Past
from syncd.core.plan import Plan, make_plan
from syncd.core.resolve import View, resolve
from syncd.core.rules import BillRef, CountRef, Customer, House, Mappings, Mode, RemoteKey, Rule
from syncd.model import (
    Agreement,
    BilledLine,
    Billing,
    Count,
    Moment,
    Product,
    Query,
    Reading,
    RemoteCustomer,
    State,
)  # fmt: skip
from syncd.periods import month_of
from syncd.sandbox.world import Company, World

SIZES = (100, 800, 5000)
RUNS = 3
# Seconds and MiB: 12,000 lines from the aims of the cycle, 1,500 and 75,000 from the sizes that syncd is designed for.
SECONDS = {1_500: Decimal("0.25"), 12_000: Decimal(1), 75_000: Decimal(15)}
MEBIBYTES = {75_000: 512}
_ASSIGNED = Query("assigned")


def main() -> None:
    """Measures every size in processes of their own, prints, keeps."""
    found, aims = [], []
    for customers in SIZES:
        runs = [
            json.loads(taken.output) | {"peak_mib": taken.peak} for taken in (_alone(customers) for _ in range(RUNS))
        ]
        middle = {name: round(median([one[name] for one in runs]), 3) for name in runs[0]}
        lines = int(middle["lines"])
        found.append(middle)
        worst = max(middle["first"], middle["again"])
        aims.append(verdict(f"{lines:,} lines in {SECONDS[lines]} s", f"{worst:.2f} s", worst <= SECONDS[lines]))
        if lines in MEBIBYTES:
            peak = middle["peak_mib"]
            aims.append(verdict(f"{lines:,} lines in {MEBIBYTES[lines]} MiB", f"{peak:.0f}", peak <= MEBIBYTES[lines]))
    heads = ("customers", "lines", "first plan", "its CPU", "plan again", "views", "with the plan", "peak")
    print_table(
        heads,
        [
            (
                f"{one['lines'] / PRODUCTS:.0f}", f"{one['lines']:,.0f}",
                f"{one['first']:.2f} s", f"{one['cpu']:.2f} s", f"{one['again']:.2f} s",
                f"{one['views_mib']:.0f} MiB", f"{one['plan_mib']:.0f} MiB", f"{one['peak_mib']:.0f} MiB",
            )
            for one in found
        ],
    )  # fmt: skip
    print_table(("aim", "measured", "met"), aims)
    print(f"kept in {keep('plan', {'sizes': found, 'aims': aims})}")


def _alone(customers: int) -> Taken:
    return run([sys.executable, __file__, str(customers)], environment=environment())


def measure_one(customers: int) -> dict[str, float]:
    """Seconds of planning, and the process's peak (MiB) once the views stand and once the plan does."""
    world = make_world(customers)
    mappings, views, moment = _mappings(world), _views(world), _moment()
    house = House(Mode.OBSERVE, ZoneInfo("America/Chicago"))
    listed = {name: view.customers for name, view in views.items()}
    resolution = resolve(mappings.customers, listed, {}, {})
    views_peak = _peak()

    def plan(past: Past) -> tuple[Plan, float, float]:
        began, worked = time.perf_counter(), time.process_time()
        made = make_plan(mappings, house, views, resolution, past, moment)
        return made, time.perf_counter() - began, time.process_time() - worked

    first, seconds, cpu = plan(Past("bench"))
    plan_peak = _peak()
    sightings = {line.id: line.sighting for line in first.lines if line.sighting is not None}
    lines, drifting = len(first.lines), sum(line.drifts for line in first.lines)
    del first
    _, again, _ = plan(Past("bench", sightings=sightings))
    if lines != customers * PRODUCTS or not 0 < drifting < lines / 10:
        raise SystemExit(f"{lines} lines of which {drifting} drift: this is not the world that was meant")
    return {
        "lines": lines,
        "first": seconds,
        "cpu": cpu,
        "again": again,
        "views_mib": views_peak,
        "plan_mib": plan_peak,
    }


def _peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _moment() -> Moment:
    return Moment(datetime.fromisoformat(NOW), TODAY, month_of(TODAY, 1))


def _mappings(world: World) -> Mappings:
    rules = tuple(
        Rule(
            name=sku.name,
            customers=("*",),
            count=(CountRef("m365", (sku.part,), "assigned"),),
            bill=BillRef("cw", {"agreement": "Managed Services*", "product": sku.product}),
            content=sku.guid,
        )
        for sku in world.skus
    )
    customers = tuple(
        Customer(one.name, {"m365": (RemoteKey(one.domain),), "cw": (RemoteKey(one.identifier),)})
        for one in world.companies
    )
    return Mappings(customers, rules)


def _views(world: World) -> dict[str, View]:
    products = tuple(
        Product(str(400 + order), sku.product, sku.name, unit_price=sku.price, unit_cost=sku.cost)
        for order, sku in enumerate(world.skus)
    )
    ids = {product.identifier: product for product in products}
    return {
        "m365": View(
            "m365",
            tuple(RemoteCustomer(one.tenant_id, one.name, (one.domain,)) for one in world.companies),
            readings={(one.tenant_id, _ASSIGNED): _reading(one) for one in world.companies},
            default_query=_ASSIGNED,
        ),
        "cw": View(
            "cw",
            tuple(RemoteCustomer(str(one.number), one.name, (one.identifier,)) for one in world.companies),
            products,
            billings={str(one.number): _billing(one, ids) for one in world.companies},
        ),
    }


def _reading(company: Company) -> Reading:
    counts = tuple(
        Count(one.sku.part, one.sku.name, Decimal(len(one.holders)), (one.sku.guid,), evidence=f"{index:064x}")
        for index, one in enumerate(company.licences)
    )
    return Reading(company.tenant_id, _ASSIGNED, State.KNOWN, counts, "24 of 24 licensed users in 1 page")


def _billing(company: Company, products: dict[str, Product]) -> Billing:
    customer, agreement = str(company.number), f"A{company.number}"
    month = month_of(TODAY, 1)
    lines = tuple(
        BilledLine(
            f"{company.number}{index:02}", agreement, customer, products[identifier].id, identifier, identifier,
            quantity, products[identifier].unit_price, products[identifier].unit_cost, date(2025, 1, 1),
            version="2026-11-20T00:00:00Z", changed_by="Admin1",
        )
        for index, (identifier, quantity) in enumerate(company.billed)
    )  # fmt: skip
    shown = Agreement(agreement, customer, "Managed Services", month, month.last, True, True, "USD")
    return Billing(customer, State.KNOWN, (shown,), lines)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure_one(int(sys.argv[1]))))
    else:
        main()
