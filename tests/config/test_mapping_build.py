"""What valid mapping files become."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from config_kit import CUSTOMER, KINDS, RULE, Folder

from syncd.config.load import load_mappings
from syncd.core.rules import (
    BillRef,
    Bound,
    CountRef,
    Customer,
    Direction,
    Example,
    Ignore,
    InvoicedRef,
    Mode,
    RemoteKey,
    Rounding,
    Rule,
    TrueUp,
)

FULL = """
[[customer]]
name = "Contoso Dental"
cloud = "contoso.com"
psa = ["ContosoDental", "ContosoLabs"]
tags = ["pilot", "co-managed"]
mode = "post"

[[customer]]
name = "Contoso East"
cloud = [{ id = "c.com", where = { domain = ["east.c.com", "e.c.com"] } }, "d.com"]

[[population]]
name = "billable user"
where = { enabled = true }

[[rule]]
name = "Premium"
customers = ["tag:pilot", "!contoso EAST", "*Dental"]
count = [
  { from = "cloud", sku = ["SPB", "SPE_*"], population = "billable user", where = { group = "Staff" } },
  { from = "cloud", sku = "X", measure = "consumed", factor = 0.5 },
]
bill = { to = "psa", agreement = "Managed*", product = "BP", via = "line" }
bought = { from = "cloud", sku = "SPB" }
invoiced = { from = "qbo", item = "BP" }
true_up = "quantity"
increase = "next-period"
decrease = "term"
tolerance = "2.5%"
included = 10
minimum = 5
maximum = 500
round = "up"
to = 5
prorate = "daily"
create = true
description = "{product}, {period}: {used} ({subjects}) {{net}}"

[[rule.example]]
count = 27
target = 20

[[ignore]]
from = "cloud"
sku = ["FLOW_FREE", "WINDOWS_STORE"]
customer = "Northwind"
why = "free"
until = 2027-06-30
"""


def test_every_key_arrives(folder: Folder) -> None:
    folder.mapping(FULL)
    _, mappings = folder.load()
    (rule,) = mappings.rules

    assert mappings.customers == (
        Customer(
            "Contoso Dental",
            {"cloud": (RemoteKey("contoso.com"),), "psa": (RemoteKey("ContosoDental"), RemoteKey("ContosoLabs"))},
            ("pilot", "co-managed"),
            Mode.POST,
            'mappings/m.toml › customer "Contoso Dental"',
        ),
        Customer(
            "Contoso East",
            {"cloud": (RemoteKey("c.com", (("domain", ("e.c.com", "east.c.com")),)), RemoteKey("d.com"))},
            place='mappings/m.toml › customer "Contoso East"',
        ),
    )
    assert replace(rule, content="") == Rule(
        name="Premium",
        customers=("tag:pilot", "!contoso EAST", "*Dental"),
        count=(
            CountRef("cloud", ("SPB", "SPE_*"), "assigned", (("enabled", (True,)), ("group", ("Staff",)))),
            CountRef("cloud", ("X",), "consumed", (), Decimal("0.5")),
        ),
        bill=BillRef("psa", {"agreement": "Managed*", "product": "BP"}, {"via": "line"}),
        bought=CountRef("cloud", ("SPB",), "purchased"),
        invoiced=InvoicedRef("qbo", "BP"),
        true_up=TrueUp.QUANTITY,
        increase=Direction.NEXT_PERIOD,
        decrease=Direction.TERM,
        tolerance=Bound(Decimal("2.5"), percent=True),
        included=Decimal(10),
        minimum=Decimal(5),
        maximum=Decimal(500),
        rounding=Rounding.UP,
        to=Decimal(5),
        prorate=True,
        create=True,
        description="{product}, {period}: {used} ({subjects}) {{net}}",
        examples=(Example(Decimal(27), Decimal(20)),),
        place='mappings/m.toml › rule "Premium"',
    )
    assert mappings.ignores == (
        Ignore("cloud", ("FLOW_FREE", "WINDOWS_STORE"), ("Northwind",), "free", date(2027, 6, 30)),
    )


def test_defaults_are_those_of_the_core(folder: Folder) -> None:
    _, mappings = folder.load()
    (rule,) = mappings.rules

    assert replace(rule, content="") == Rule(
        name="Premium",
        customers=("*",),
        count=(CountRef("cloud", ("SPB",), "assigned"),),
        bill=BillRef("psa", {"agreement": "Managed*", "product": "BP"}),
        place='mappings/m.toml › rule "Premium"',
    )


def test_alert_needs_no_bill_and_line_may_go_to_the_books(folder: Folder) -> None:
    folder.mapping(
        CUSTOMER
        + '[[rule]]\nname = "A"\ncount = { from = "cloud", sku = "X" }\ntrue_up = "alert"\n'
        + '[[rule]]\nname = "B"\ncount = { from = "cloud", sku = "X" }\ntrue_up = "line"\n'
        + 'bill = { to = "qbo", item = "BP", document = "estimate" }\n'
    )
    _, mappings = folder.load()

    assert [rule.bill for rule in mappings.rules] == [None, BillRef("qbo", {"item": "BP"}, {"document": "estimate"})]


def test_filters_of_the_rule_hold_for_every_count(folder: Folder) -> None:
    folder.mapping(
        CUSTOMER
        + RULE.replace('count = { from = "cloud", sku = "SPB" }', 'count = [{ from = "cloud", sku = "A" }, '
                       '{ from = "cloud", sku = "B", where = { domain = "x" } }]')
        + 'population = "p"\nwhere = { group = "g" }\n[[population]]\nname = "p"\nwhere = { enabled = false }\n'
    )  # fmt: skip
    _, mappings = folder.load()

    assert [ref.where for ref in mappings.rules[0].count] == [
        (("enabled", (False,)), ("group", ("g",))),
        (("domain", ("x",)), ("enabled", (False,)), ("group", ("g",))),
    ]


def test_files_are_read_in_the_order_of_their_names(folder: Folder) -> None:
    folder.mapping('[[customer]]\nname = "Z"\n', "b.toml")
    folder.mapping('[[customer]]\nname = "A"\n', "n.toml")
    folder.mapping("not toml", "notes.txt")
    _, mappings = folder.load()

    assert [customer.name for customer in mappings.customers] == ["Z", "Contoso", "A"]


def test_mappings_can_be_loaded_for_a_config(folder: Folder) -> None:
    config, mappings = folder.load()

    assert load_mappings(config, KINDS) == mappings


def test_rule_content_follows_what_can_change_a_number(folder: Folder) -> None:
    def content(text: str) -> str:
        folder.mapping(text)
        return folder.load()[1].rules[0].content

    plain = content(CUSTOMER + RULE)

    assert content("# moved\n\n" + RULE + 'true_up = "quantity"\nincluded = 0.0\n' + CUSTOMER) == plain
    assert content(CUSTOMER + RULE + 'description = "{used}"\n') == plain
    assert content(CUSTOMER + RULE + "[[rule.example]]\ncount = 1\ntarget = 1\n") == plain
    changed = {content(CUSTOMER + RULE + line) for line in ("included = 1\n", "minimum = 1\n", 'increase = "hold"\n')}
    assert len(changed | {plain}) == 4


def test_rule_content_follows_its_population(folder: Folder) -> None:
    def content(text: str) -> str:
        folder.mapping(text)
        return folder.load()[1].rules[0].content

    named = CUSTOMER + RULE + 'population = "p"\n[[population]]\nname = "p"\nwhere = { enabled = true }\n'

    assert content(named) == content(CUSTOMER + RULE + "where = { enabled = true }\n")
    assert content(named) != content(named.replace("enabled = true", "enabled = false"))


def test_mappings_content_follows_everything_but_where_it_stands(folder: Folder) -> None:
    def content() -> str:
        return folder.load()[1].content

    before = content()
    folder.mapping(RULE, "a.toml")
    folder.mapping(CUSTOMER, "m.toml")
    assert content() == before

    folder.mapping(RULE + 'description = "{used}"\n', "a.toml")
    described = content()
    folder.mapping(RULE, "a.toml")
    folder.mapping(CUSTOMER + 'tags = ["x"]\n', "m.toml")
    assert len({before, described, content()}) == 3
