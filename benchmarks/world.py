"""The MSP that is measured: so many customers, fifteen products each, so that lines = customers × 15.

Made from a seed, all names invented. Owns the World that the sandboxes are built from and the files of an admin who
mapped all of it. One line in twenty differs, as on an ordinary day. Measures nothing.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

from syncd.sandbox.world import Company, Licence, Person, Sku, World

PRODUCTS = 15
TODAY = date(2026, 11, 20)
NOW = "2026-11-20T12:00:00-06:00"  # SYNCD_NOW of every measured cycle: answers and agreements are of one day
PEOPLE = 24
_SEED = 11
_DRIFTING = 20  # one line in so many


def make_world(customers: int) -> World:
    """An MSP with `customers` customers; the first hundred of eight hundred are the hundred of a small one."""
    skus = tuple(_sku(number) for number in range(PRODUCTS))
    partner = str(uuid.uuid5(uuid.NAMESPACE_DNS, "partner.example"))
    companies = tuple(_company(number, skus) for number in range(1, customers + 1))
    return World(_SEED, TODAY, "Acme MSP", partner, skus, companies)


def _sku(number: int) -> Sku:
    guid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"sku{number}.example"))
    price = Decimal(6 + number)
    return Sku(f"BENCH_{number:02}", guid, f"Benchmark Product {number:02}", f"BENCH-{number:02}", price, price / 2)


def _company(number: int, skus: tuple[Sku, ...]) -> Company:
    dice = random.Random(f"{_SEED} {number}")
    name, domain = f"Customer {number:04}", f"customer{number:04}.example"
    people = tuple(
        Person(
            id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{index}.{domain}")),
            name=f"Person {index:02}",
            sign_in=f"person{index:02}@{domain}",
            department="Operations",
        )
        for index in range(PEOPLE)
    )
    licences, billed = [], []
    for order, sku in enumerate(skus):
        holders = tuple(sorted(dice.sample(range(PEOPLE), dice.randint(2, 6))))
        licences.append(Licence(sku, len(holders) + dice.randint(0, 1), holders))
        drifts = (number * PRODUCTS + order) % _DRIFTING == 0
        billed.append((sku.product, Decimal(len(holders) - (1 if drifts else 0))))
    tenant = str(uuid.uuid5(uuid.NAMESPACE_DNS, domain))
    return Company(number, name, f"Customer{number:04}", domain, tenant, people, tuple(licences), tuple(billed), 0)


def write_files(folder: Path, world: World, addresses: Mapping[str, str], *, concurrency: int = 8) -> Path:
    """config.toml and one mapping in `folder`, as an admin would have them; returns the path of config.toml.

    `addresses`: kind -> root of what answers for it.
    """
    config = folder / "config.toml"
    config.write_text(
        f"""[syncd]
every = "1h"
timezone = "America/Chicago"
mode = "observe"
concurrency = {concurrency}

[connections.cw]
kind = "connectwise"
company = "acme"
public_key = {{ env = "BENCH_SECRET" }}
private_key = {{ env = "BENCH_SECRET" }}
client_id = "sandbox-client"
concurrency = {concurrency}
base_url = "{addresses["connectwise"]}"

[connections.m365]
kind = "microsoft365"
tenant_id = "{world.partner_tenant}"
client_id = "sandbox-client"
client_secret = {{ env = "BENCH_SECRET" }}
base_url = "{addresses["microsoft365"]}"
token_url = "{addresses["microsoft365"]}"
"""
    )
    (folder / "mappings").mkdir(exist_ok=True)
    rules = [
        f"""[[rule]]
name = "{sku.name}"
count = {{ from = "m365", sku = "{sku.part}", measure = "assigned" }}
bill = {{ to = "cw", agreement = "Managed Services*", product = "{sku.product}" }}
true_up = "quantity"
"""
        for sku in world.skus
    ]
    customers = [
        f'[[customer]]\nname = "{one.name}"\nm365 = "{one.domain}"\ncw = "{one.identifier}"\n'
        for one in world.companies
    ]
    (folder / "mappings" / "all.toml").write_text("\n".join([*rules, *customers]))
    return config
