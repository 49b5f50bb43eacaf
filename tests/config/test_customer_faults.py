"""Mistakes in customers, in `ignore`, at the top of a file, and names that are taken."""

from __future__ import annotations

import pytest
from config_kit import CUSTOMER, RULE, Folder

FILE = "mappings/m.toml"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('name = "A"\nclod = "x"',
         'customer "A" › clod: unknown key; no connection is called that. Did you mean "cloud"?'),
        ('name = "A"\nzzz = "x"',
         'customer "A" › zzz: unknown key; no connection is called that. Connections: cloud, psa, qbo.'),
        ('name = "A"\ntag = ["x"]',
         'customer "A" › tag: unknown key; no connection is called that. Did you mean "tags"?'),
        ('name = "A"\npsa = 250', 'customer "A" › psa: must be text in quotes, like psa = "250".'),
        ('name = "A"\npsa = []', 'customer "A" › psa: must not be empty.'),
        ('name = "A"\npsa = ["1", 2]', 'customer "A" › psa[2]: must be text in quotes, like psa = "2".'),
        ('name = "A"\ncloud = { value = "x" }',
         'customer "A" › cloud.id: is missing. Write it like id = "contoso.onmicrosoft.com".\n'
         'customer "A" › cloud.value: unknown key. Known: "id", "where".'),
        ('name = "A"\ncloud = { id = "x", where = { domian = "y" } }',
         'customer "A" › cloud.where.domian: cloud has no filter "domian"; it has domain, enabled, group. '
         'Did you mean "domain"?'),
        ('name = "A"\nmode = "pots"', 'customer "A" › mode: must be "observe", "propose" or "post".'),
        ('name = "A"\ntags = 5', 'customer "A" › tags: must be text, or a list of texts, '
         'like tags = ["pilot", "co-managed"].'),
        ('psa = "x"', 'customer 1 › name: is missing. Write it like name = "Contoso Dental".'),
        ('name = ""', "customer 1 › name: must not be empty."),
        ('name = "A"\npsa = ["x", "x"]', 'customer "A" › psa: names "x" twice. Its counts would be added twice.'),
    ],
)  # fmt: skip
def test_mistake_in_customer(folder: Folder, text: str, fault: str) -> None:
    folder.mapping(f"[[customer]]\n{text}\n")

    assert folder.faults() == [f"{FILE} › {line}" for line in fault.splitlines()]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('from = "clod"\nsku = "x"', 'ignore 1 › from: no connection is called "clod". Did you mean "cloud"?'),
        ('from = "cloud"', 'ignore 1: names nothing to ignore; add sku = ["FLOW_FREE"] or customer = ["Northwind"].'),
        ('from = "cloud"\nsku = "x"\nuntil = "2027-06-30"',
         "ignore 1 › until: must be a day without quotes, like until = 2027-06-30."),
        ('from = "cloud"\nsku = "x"\nuntil = 2027-06-30T00:00:00',
         "ignore 1 › until: must be a day without quotes, like until = 2027-06-30."),
        ('sku = "x"', 'ignore 1 › from: is missing. Write it like from = "m365".'),
    ],
)  # fmt: skip
def test_mistake_in_ignore(folder: Folder, text: str, fault: str) -> None:
    folder.mapping(f"[[ignore]]\n{text}\n")

    assert folder.faults() == [f"{FILE} › {fault}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[rules]", "[rules]: unknown table. Did you mean [[rule]]?"),
        ("[[customers]]", "[customers]: unknown table. Did you mean [[customer]]?"),
        ("[connections.x]", "[connections]: unknown table. Known: [[customer]], [[rule]], [[ignore]], [[population]]."),
        ("[rule]", "[rule]: is one of several. Write it with double brackets: [[rule]]."),
        ("rule = [1]", "rule 1: must be a table, not a number."),
        ("customer = [1]", "customer 1: must be a table."),
        ("name = 1", "name: unknown key. Known: [[customer]], [[rule]], [[ignore]], [[population]]."),
    ],
)
def test_mistake_at_the_top_of_a_file(folder: Folder, text: str, fault: str) -> None:
    folder.mapping(text + "\n")

    assert folder.faults() == [f"{FILE} › {fault}"]


def test_names_are_unique_over_all_files(folder: Folder) -> None:
    population = '[[population]]\nname = "billable"\nwhere = { enabled = true }\n'
    folder.mapping(CUSTOMER.replace("contoso.com", "b").replace('"Contoso"\n', '"Contoso"\n', 1) + RULE, "a.toml")
    folder.mapping('[[customer]]\nname = "Contoso"\n' + RULE + population + population, "b.toml")
    (folder.path / "mappings" / "m.toml").unlink()

    assert folder.faults() == [
        'mappings/b.toml › customer "Contoso": this name is already taken by a customer in mappings/a.toml. '
        "Names are unique over all mapping files.",
        'mappings/b.toml › rule "Premium": this name is already taken by a rule in mappings/a.toml. '
        "Names are unique over all mapping files.",
        'mappings/b.toml › population "billable": this name is already taken by a population further up in the same '
        "file. Names are unique over all mapping files.",
    ]


def customers(*keys: str) -> str:
    return "".join(f'[[customer]]\nname = "{name}"\ncloud = {key}\n' for name, key in zip("ABC", keys, strict=False))


EAST, WEST = '{ id = "c.com", where = { domain = "east" } }', '{ id = "C.com", where = { domain = "west" } }'


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (('"c.com"', '"C.COM"'), True),
        (('"c.com"', '["d.com", "c.com"]'), True),
        (('"c.com"', EAST), True),
        ((EAST, '"c.com"'), True),
        ((EAST, EAST), True),
        ((EAST, WEST), False),
        (('"c.com"', '"d.com"'), False),
    ],
)
def test_two_customers_may_not_claim_the_same_thing(folder: Folder, keys: tuple[str, str], told: bool) -> None:
    folder.mapping(customers(*keys))
    faults = folder.faults()

    assert len(faults) == int(told)
    for fault in faults:
        assert fault.casefold().startswith(
            f'{FILE} › customer "b" › cloud: "c.com" already belongs to {FILE} › customer "a".'
        )
