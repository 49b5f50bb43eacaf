"""A small MSP, made from a seed: customers, their people, what they hold, what the PSA bills. Vendor-neutral.

Every double builds its own state from the same World, so that the systems tell one story. All names are invented.
The first twelve companies are written down because the demo tells of them; further ones are drawn from the seed.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True)
class Sku:
    """A product that vendors count and the PSA sells. `product`: its identifier in the PSA's catalogue."""

    part: str
    guid: str
    name: str
    product: str
    price: Decimal
    cost: Decimal
    free: bool = False


@dataclass(frozen=True)
class Person:
    """A user of a customer."""

    id: str
    name: str
    sign_in: str
    department: str
    enabled: bool = True
    guest: bool = False


@dataclass(frozen=True)
class Licence:
    """Seats of one SKU in one tenant: how many were bought, and who holds them (indices into the people)."""

    sku: Sku
    bought: int
    holders: tuple[int, ...]


@dataclass(frozen=True)
class Company:
    """A customer of the MSP. `billed`: PSA product identifier -> quantity on its agreement at the start."""

    number: int
    name: str
    identifier: str
    domain: str
    tenant_id: str
    people: tuple[Person, ...]
    licences: tuple[Licence, ...]
    billed: tuple[tuple[str, Decimal], ...]
    devices: int


@dataclass(frozen=True)
class World:
    """The MSP on one day."""

    seed: int
    today: date
    msp: str
    partner_tenant: str
    skus: tuple[Sku, ...]
    companies: tuple[Company, ...]


def _sku(part: str, guid: str, name: str, product: str, price: str, cost: str, free: bool = False) -> Sku:
    return Sku(part, guid, name, product, Decimal(price), Decimal(cost), free)


# GUIDs and part numbers are Microsoft's published ones (Product names and service plan identifiers).
SKUS = (
    _sku("SPB", "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46", "Microsoft 365 Business Premium", "M365-BP", "28.00", "22.00"),
    _sku(
        "O365_BUSINESS_PREMIUM",
        "f245ecc8-75af-4f8e-b61f-27d8114de5f3",
        "Microsoft 365 Business Standard",
        "M365-BS",
        "16.50",
        "12.50",
    ),
    _sku(
        "EXCHANGESTANDARD", "4b9405b0-7788-4568-add1-99614e613b69", "Exchange Online (Plan 1)", "EXO-P1", "6.00", "4.00"
    ),
    _sku("ENTERPRISEPACK", "6fd2c87f-b296-42f0-b197-1e91e994b900", "Office 365 E3", "O365-E3", "30.00", "23.00"),
    _sku("VISIOCLIENT", "c5928f49-12ba-48f7-ada3-0d743a3601d5", "Visio Plan 2", "VISIO-P2", "20.00", "15.00"),
    _sku("FLOW_FREE", "f30db892-07e9-47e9-837c-80727f46fd3d", "Microsoft Power Automate Free", "", "0", "0", free=True),
)
_BY_PART = {sku.part: sku for sku in SKUS}

# name, identifier, domain, people, {part: (bought, assigned, billed)}; billed None: no line in the PSA.
_STORY: tuple[tuple[str, str, str, int, dict[str, tuple[int, int, int | None]]], ...] = (
    (
        "Alder Dental Group",
        "AlderDental",
        "alderdental.example",
        27,
        {"SPB": (28, 27, 25), "FLOW_FREE": (10000, 3, None)},
    ),
    (
        "Birchwood Legal LLP",
        "Birchwood",
        "birchwoodlegal.example",
        14,
        {"SPB": (14, 14, 14), "EXCHANGESTANDARD": (2, 2, 2)},
    ),
    ("Cedar & Sons Joinery", "CedarSons", "cedarsons.example", 8, {"O365_BUSINESS_PREMIUM": (8, 8, 8)}),
    ("Dogwood Veterinary", "DogwoodVet", "dogwoodvet.example", 11, {"SPB": (12, 9, 12)}),
    (
        "Elm Street Accounting",
        "ElmStreet",
        "elmstreetcpa.example",
        19,
        {"SPB": (19, 19, 19), "VISIOCLIENT": (3, 3, None)},
    ),
    ("Fir Logistics", "FirLogistics", "firlogistics.example", 33, {"O365_BUSINESS_PREMIUM": (33, 31, 30)}),
    ("Gingko Architects", "Gingko", "gingko.example", 16, {"SPB": (16, 16, 15)}),
    ("Hazel Home Care", "HazelCare", "hazelcare.example", 41, {"SPB": (10, 10, 10), "EXCHANGESTANDARD": (31, 31, 29)}),
    ("Ironwood Manufacturing", "Ironwood", "ironwoodmfg.example", 64, {"ENTERPRISEPACK": (65, 64, 64)}),
    ("Juniper Hospitality", "JuniperHosp", "juniperhosp.example", 22, {"O365_BUSINESS_PREMIUM": (22, 22, 22)}),
    ("Koa Property Management", "KoaProperty", "koaproperty.example", 6, {"SPB": (6, 6, 6)}),
    ("L\u00e4rche Optik", "LaercheOptik", "laercheoptik.example", 5, {"SPB": (5, 5, 5)}),
)
_FIRST = (
    "Avery Blake Casey Devon Ellis Finley Harper Indigo Jordan Kendall Logan Morgan Noor Oakley Parker Quinn".split()
)
_LAST = "Ashdown Brook Carver Dell Easton Field Grove Hill Inwood Lake Marsh North Orchard Pond Ridge Stone".split()
_WORDS = "Maple Oak Pine Rowan Spruce Teak Walnut Willow Yew Aspen Beech Cypress Linden Poplar Sequoia Hawthorn".split()
_TRADES = "Dental Legal Clinics Logistics Design Foods Partners Realty Engineering Insurance Media Schools".split()
_DEPARTMENTS = ("Front Office", "Operations", "Finance", "Field")


def small_msp(seed: int = 7, customers: int = 12, today: date = date(2026, 11, 20)) -> World:
    """The MSP with the first `customers` companies; equal arguments give an equal World."""
    dice = random.Random(seed)  # noqa: S311 - repeatable sample data, no secret
    companies = [_company(dice, number, *row) for number, row in enumerate(_STORY[:customers], start=1)]
    for number in range(len(companies) + 1, customers + 1):
        companies.append(_company(dice, number, *_drawn(dice, number)))
    return World(seed, today, "Acme MSP", _guid(dice), SKUS, tuple(companies))


def _drawn(dice: random.Random, number: int) -> tuple[str, str, str, int, dict[str, tuple[int, int, int | None]]]:
    name = f"{dice.choice(_WORDS)} {dice.choice(_TRADES)} {number}"
    key = name.replace(" ", "")
    people = dice.randint(4, 40)
    held = {}
    for part in dice.sample([sku.part for sku in SKUS if not sku.free], dice.randint(1, 3)):
        assigned = dice.randint(1, people)
        held[part] = (assigned + dice.randint(0, 2), assigned, assigned + dice.choice((0, 0, 0, -1, -2, 1)))
    return name, key, f"{key.lower()}.example", people, {part: (b, a, max(n, 0)) for part, (b, a, n) in held.items()}


def _company(
    dice: random.Random,
    number: int,
    name: str,
    identifier: str,
    domain: str,
    headcount: int,
    held: dict[str, tuple[int, int, int | None]],
) -> Company:
    people = tuple(_person(dice, index, domain) for index in range(headcount))
    licences, billed, first = [], [], 0
    for part, (bought, assigned, on_agreement) in held.items():
        sku = _BY_PART[part]
        start = 0 if first + assigned > headcount else first  # spread the products over the people, then overlap
        licences.append(Licence(sku, bought, tuple(range(start, start + assigned))))
        first = start + assigned
        if on_agreement is not None:
            billed.append((sku.product, Decimal(on_agreement)))
    return Company(
        number, name, identifier, domain, _guid(dice), people, tuple(licences), tuple(billed), devices=headcount + 2
    )


def _person(dice: random.Random, index: int, domain: str) -> Person:
    first, last = dice.choice(_FIRST), dice.choice(_LAST)
    return Person(
        id=_guid(dice),
        name=f"{first} {last}",
        sign_in=f"{first}.{last}{index}@{domain}".lower(),
        department=dice.choice(_DEPARTMENTS),
        enabled=dice.random() > 0.04,
    )


def _guid(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
