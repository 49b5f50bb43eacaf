"""What `check` says about mapping files: the exact line for each kind of mistake."""

from __future__ import annotations

import pytest
from config_kit import CONFIG, CUSTOMER, RULE, Folder

FILE = "mappings/m.toml"
PREMIUM = f'{FILE} › rule "Premium" › '
COUNT = 'count = { from = "cloud", sku = "SPB" }'
BILL = 'bill = { to = "psa", agreement = "Managed*", product = "BP" }'


def with_count(count: str) -> str:
    return CUSTOMER + RULE.replace(COUNT, count)


def with_bill(bill: str) -> str:
    return CUSTOMER + RULE.replace(BILL, bill)


@pytest.mark.parametrize(
    ("count", "fault"),
    [
        ('count = { from = "clod", sku = "SPB" }', 'count.from: no connection is called "clod". Did you mean "cloud"?'),
        (
            'count = [{ from = "cloud", sku = "SPB" }, { from = "zzz", sku = "SPB" }]',
            'count[2].from: no connection is called "zzz". Known: "cloud", "psa", "qbo".',
        ),
        (
            'count = { from = "qbo", sku = "SPB" }',
            'count.from: connection "qbo" (books) does not read any count.',
        ),
        (
            'count = { from = "cloud", sku = "SPB", measure = "asigned" }',
            'count.measure: cloud has no measure "asigned"; it has assigned, consumed, purchased. '
            'Did you mean "assigned"?',
        ),
        ('count = { from = "cloud" }',
         'count.sku: is missing. Write it like sku = "SPB", or sku = "*" for all together.'),
        (
            'count = { from = "cloud", sku = "SPB", where = { enabld = true } }',
            'count.where.enabld: cloud has no filter "enabld"; it has domain, enabled, group. Did you mean "enabled"?',
        ),
        (
            'count = { from = "cloud", sku = "SPB", where = { work_type = "x" } }',
            'count.where.work_type: cloud has no filter "work_type"; it has domain, enabled, group.',
        ),
        (
            'count = { from = "cloud", sku = "SPB", measure = "consumed", where = { enabled = true } }',
            'count.where.enabled: filter "enabled" does not work with measure "consumed" of cloud. '
            "It works with: assigned.",
        ),
        (
            'count = { from = "cloud", sku = "SPB", where = { enabled = "yes" } }',
            "count.where.enabled: must be true or false.",
        ),
        (
            'count = { from = "cloud", sku = "SPB", where = { domain = 5 } }',
            "count.where.domain: must be text, or a list of texts.",
        ),
        (
            'count = { from = "cloud", sku = "SPB", population = "billable" }',
            'count.population: no population is called "billable".',
        ),
        ('count = { from = "cloud", sku = 5 }', 'count.sku: must be text, or a list of texts, like sku = "SPB".'),
        ('count = { from = "cloud", sku = "SPB", factor = "2" }', "count.factor: must be a number, like factor = 1."),
        ('count = { from = "cloud", skus = "SPB" }', 'count.skus: unknown key. Did you mean "sku"?'),
        ("count = []", 'count: must not be empty, like count = { from = "m365", sku = "SPB", measure = "assigned" }.'),
        ('count = "SPB"', "count: must be a list, like "
         'count = { from = "m365", sku = "SPB", measure = "assigned" }.'),
    ],
)  # fmt: skip
def test_mistake_in_count(folder: Folder, count: str, fault: str) -> None:
    folder.mapping(with_count(count))

    assert folder.faults() == [PREMIUM + fault]


@pytest.mark.parametrize(
    ("bill", "fault"),
    [
        ("", 'bill: is missing. true_up = "quantity" needs to know where to post; true_up = "alert" does not.'),
        ('bill = { agreement = "M*", product = "BP" }', "bill.to: is missing. Connections: cloud, psa, qbo."),
        ('bill = { to = "pas", agreement = "M*", product = "BP" }',
         'bill.to: no connection is called "pas". Did you mean "psa"?'),
        ('bill = { to = "psa", agreement = "M*" }',
         "bill.product: is missing. psa names a line by agreement and product."),
        ('bill = { to = "psa", agreement = "M*", prodct = "BP" }',
         'bill.prodct: unknown key. Did you mean "product"?'),
        ('bill = { to = "psa", agreement = "M*", product = 5 }', "bill.product: must be text in quotes."),
        ('bill = { to = "psa", agreement = "M*", product = "BP", document = "x" }',
         'bill.document: unknown key. Known: "via".'),
        ('bill = { to = "cloud", product = "BP" }',
         'bill.to: connection "cloud" (cloud) posts nothing; it is only read.'),
        ('bill = { to = "qbo", item = "BP" }',
         'true_up: connection "qbo" (books) keeps no recurring quantity, as "quantity" needs. Use true_up = "line".'),
        ('bill = { to = "qbo", item = "BP" }\ntrue_up = "line"\ncreate = true',
         'create: connection "qbo" (books) cannot add a line. Take create out.'),
        ('bill = { to = "qbo", item = "BP" }\ntrue_up = "alert"',
         'bill.to: connection "qbo" (books) does not read what is billed. Leave bill out, or compare with invoiced.'),
        ('bill = "psa"', "bill: must be a table, like "
         'bill = { to = "cw", agreement = "Managed Services*", product = "M365-BP" }.'),
    ],
)  # fmt: skip
def test_mistake_in_bill(folder: Folder, bill: str, fault: str) -> None:
    folder.mapping(with_bill(bill))

    assert folder.faults() == [PREMIUM + fault]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('bought = { from = "qbo", sku = "x" }',
         'bought.from: connection "qbo" (books) does not read what was bought.'),
        ('bought = { from = "cloud", sku = "x", measure = "assigned" }',
         'bought.measure: "assigned" does not tell what was bought; cloud has purchased for that.'),
        ('bought = { from = "cloud", sku = "x", factor = 2 }',
         'bought.factor: unknown key. Known: "from", "sku", "measure", "where", "population".'),
        ('invoiced = { from = "cloud", item = "x" }',
         'invoiced.from: connection "cloud" (cloud) does not read invoices.'),
        ('invoiced = { from = "qbo" }', 'invoiced: needs one item, like { from = "qbo", item = "M365 BP" }.'),
        ('true_up = "usge"', 'true_up: must be "quantity", "line", "usage" or "alert".'),
        ('increase = "term"', 'increase: must be "now", "next-period", "hold" or "ignore".'),
        ('tolerance = "x"',
         'tolerance: must be a number that is not negative, like 2, or a percentage in quotes, like "5%".'),
        ("tolerance = -1",
         'tolerance: must be a number that is not negative, like 2, or a percentage in quotes, like "5%".'),
        ("included = -1", "included: must be at least 0."),
        ("minimum = 5\nmaximum = 4.5", "minimum: is 5, above the maximum of 4.5."),
        ("to = 0", "to: must be more than 0."),
        ("to = 10", 'to: does nothing without round. Add round = "up".'),
        ('prorate = "monthly"', 'prorate: must be "none" or "daily".'),
        ('create = "yes"', "create: must be true or false, like create = false."),
        ('description = "{seats}"', "description: does not know {seats}. Did you mean {subjects}?"),
        ('description = "{used:>5}"', "description: takes no format after {used}; write the name alone."),
        ('description = "{used"', "description: has a brace without its partner; write {{ or }} for a brace itself."),
        ('descripton = "x"', 'descripton: unknown key. Did you mean "description"?'),
        ('customers = ["Contso"]', 'customers: no customer is called "Contso". Did you mean "Contoso"?'),
        ('customers = ["*", "Northwind"]', 'customers: no customer is called "Northwind".'),
        ('customers = ["tag:pilto"]', 'customers: no customer has the tag "pilto". Did you mean "pilot"?'),
        ("customers = []", 'customers: must be text, or a list of texts, like customers = ["*"].'),
        ("[[rule.example]]\ncount = 27\ntarget = 18", "example: count 27 gives target 27, not 18."),
        ("included = 10\n[[rule.example]]\ncount = 27\ntarget = 18", "example: count 27 gives target 17, not 18."),
        ("[[rule.example]]\ncount = 27", "example[1].target: is missing. Write it like target = 27."),
        ('population = "billable"', 'population: no population is called "billable".'),
    ],
)  # fmt: skip
def test_mistake_in_rule(folder: Folder, line: str, fault: str) -> None:
    folder.mapping(CUSTOMER + 'tags = ["pilot"]\n' + RULE + line + "\n")

    assert folder.faults() == [PREMIUM + fault]


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ('true_up = "usage"\naggregate = "peak"\ngrace = "2d"', []),
        ('true_up = "usage"',
         ['aggregate: is missing: true_up = "usage" bills one number of a period. '
          "One of: peak, average, last, sum, p95."]),
        ('true_up = "usage"\naggregate = "mean"',
         ['aggregate: must be "peak", "average", "last", "sum" or "p95".']),
        ('true_up = "usage"\naggregate = "sum"\nprorate = "daily"',
         ['prorate: does nothing with true_up = "usage", which bills whole periods.']),
        ('aggregate = "peak"\ngrace = "2d"',
         ['aggregate: does nothing without true_up = "usage".', 'grace: does nothing without true_up = "usage".']),
        ('price = { model = "unit", unit = 12.5 }', []),
        ('price = { model = "unit", unit = 12.5, currency = "EUR" }', []),
        ('price = { model = "unit", unit = 12.5 }\nnotify = ["80%", "100%"]', []),
        ('true_up = "line"\nprorate = "daily"\nprice = { model = "unit", unit = 1 }',
         ["prorate: does not go with a price of the rule's own: a part of a period has no tiers."]),
        ('notify = ["80%"]', ["notify: does nothing without a price, whose bounds it is about."]),
        ('price = { model = "gradated" }',
         ['price.model: there is no price model "gradated". Did you mean "graduated"?']),
        ('price = { unit = 3 }',
         ["price.model: is missing. One of: unit, graduated, volume, package, commit, plan, outcome."]),
        ('price = { model = "graduated", tiers = [{ up_to = 5, unit = 1 }, { up_to = 3, uni = 2 }] }',
         ['price.tiers[2].uni: unknown key. Did you mean "unit"?']),
        ('price = { model = "volume", tiers = [{ up_to = 5, unit = 1 }, { up_to = 5, unit = 2 }] }',
         ["price: has bounds (up_to) that do not rise."]),
        ('price = { model = "volume", tiers = [{ unit = 1 }, { up_to = 5, unit = 2 }] }',
         ["price: leaves up_to out before the last one."]),
        ('price = { model = "package", size = 0, unit = 1 }', ["price.size: must be more than 0."]),
        ('price = { model = "package", size = 5, unit = 1, markup = "10%" }',
         ["price: has a markup: a package has a price of its own, unit."]),
        ('price = { model = "commit", commit = 5, unit = 1, burst = 2, minimum_amount = 3 }', []),
        ('price = { model = "commit", commit = 5, unit = 1, burst = 2, markup = "10%" }',
         ["price: has a markup and unit prices: the markup is used where a unit price is left out."]),
        ('price = { model = "commit", commit = 5, unit = 1 }',
         ["price: needs unit = 10.00 and burst = 14.00, or a markup on the vendor's cost."]),
        ('price = { model = "commit", commit = 5, unit = 1, markup = "10%" }', []),
        ('price = { model = "graduated", tiers = [{ up_to = 5, unit = 1 }, {}], markup = "10%" }', []),
        ('price = { model = "graduated", tiers = [{ up_to = 5, unit = 1 }, {}] }',
         ["price: needs a unit in every tier, like { up_to = 10, unit = 12.00 }, or a markup on the vendor's cost."]),
        ('price = { model = "unit", unit = 1, markup = "10%" }',
         ["price: has a markup and unit prices: the markup is used where a unit price is left out."]),
        ('price = { model = "unit", unit = 1, minimum_amount = 5, maximum_amount = 4.5 }',
         ["price: has a minimum_amount of 5, above its maximum_amount of 4.5."]),
        ('price = { model = "unit", unit = -1 }', ["price.unit: must be at least 0."]),
        ('price = { model = "unit" }', ["price: needs unit = 12.00, or a markup on the vendor's cost."]),
        ('price = { model = "plan", plans = [{ up_to = 5, product = "S" }, { product = "L" }], '
         'dwell = 2, band = "5%" }',
         ['price.model: "plan" is not available yet in this version.']),
        ('price = { model = "outcome", steps = [{ at_least = 99.9, amount = 500 }, { amount = -250 }] }',
         ['price.model: "outcome" is not available yet in this version.']),
        ('notify = [80]', ['notify: must be a percentage in quotes, like notify = ["80%", "100%"].']),
    ],
)  # fmt: skip
def test_prices_and_what_goes_with_them(folder: Folder, line: str, faults: list[str]) -> None:
    folder.mapping(CUSTOMER + RULE + line + "\n")

    assert folder.faults() == [PREMIUM + fault for fault in faults]


def test_measure_that_cannot_tell_a_part_of_a_tenant(folder: Folder) -> None:
    part = '[[customer]]\nname = "East"\npsa = "East"\ncloud = { id = "c.com", where = { domain = "east" } }\n'
    folder.mapping(part + RULE.replace('sku = "SPB"', 'sku = "SPB", measure = "consumed"'))

    assert folder.faults() == [
        PREMIUM + 'count: measure "consumed" of cloud cannot tell the part of customer "East", which is its filter '
        '"domain". Take this customer out of the rule, or use another measure.',
    ]
    folder.mapping(part + RULE)
    assert folder.faults() == []


def test_filter_that_contradicts_its_population(folder: Folder) -> None:
    folder.mapping(
        with_count('count = { from = "cloud", sku = "SPB", where = { enabled = false }, population = "billable" }')
        + '[[population]]\nname = "billable"\nwhere = { enabled = true }\n'
    )

    assert folder.faults() == [
        PREMIUM + 'count.population: population "billable": filter "enabled" is set to something else by '
        "count.where.enabled. Keep one of them.",
    ]


def test_filter_of_a_population_that_nobody_has(folder: Folder) -> None:
    folder.mapping(CUSTOMER + '[[population]]\nname = "x"\nwhere = { enbled = true }\n[[population]]\nname = "y"\n')

    assert folder.faults() == [
        f'{FILE} › population "x" › where.enbled: no connection has a filter "enbled". Did you mean "enabled"?',
        f'{FILE} › population "y" › where: is missing. Write it like where = {{ enabled = true }}.',
    ]


def test_measure_without_default_is_asked_for_only_where_there_are_several(folder: Folder) -> None:
    folder.mapping(with_count('count = { from = "psa" }'))
    assert folder.faults() == []

    folder.mapping(with_count('count = { from = "psa", where = { billable = true, board = ["A", "B"] } }'))
    assert folder.faults() == []


def test_faulty_rule_is_judged_to_its_end(folder: Folder) -> None:
    folder.mapping(
        '[[customer]]\nname = "Contoso"\nmode = "pots"\n[[population]]\nname = "p"\nwher = {}\n'
        + RULE.replace('sku = "SPB"', 'sku = 5, population = "p"').replace('"cloud"', '"clod"').replace("psa", "pas")
        + 'round = "upp"\ncustomers = ["Contoso", "Fabrikam"]\nbought = { from = "cloud", sku = "x", measure = "y" }\n'
    )

    assert folder.faults() == [
        f'{FILE} › population "p" › wher: unknown key. Did you mean "where"?',
        f'{FILE} › customer "Contoso" › mode: must be "observe", "propose" or "post".',
        PREMIUM + 'count.sku: must be text, or a list of texts, like sku = "SPB".',
        PREMIUM + 'round: must be "none", "up", "down" or "nearest".',
        PREMIUM + 'count.from: no connection is called "clod". Did you mean "cloud"?',
        PREMIUM + 'bought.measure: cloud has no measure "y"; it has purchased.',
        PREMIUM + 'bill.to: no connection is called "pas". Did you mean "psa"?',
        PREMIUM + 'customers: no customer is called "Fabrikam".',
    ]


def test_connection_that_is_itself_at_fault_is_not_judged_again(folder: Folder) -> None:
    folder.config("", CONFIG.replace('kind = "cloud"', 'kind = "halopsa"'))
    folder.mapping(CUSTOMER + RULE.replace('sku = "SPB"', 'measure = "x", where = { y = 1 }'))

    assert folder.faults() == [
        'config.toml › [connections.cloud] › kind: "halopsa" is not available yet in this version. '
        "This version has books, cloud, psa.",
    ]


def test_mappings_folder_that_is_not_there(folder: Folder) -> None:
    folder.config('[syncd]\nmappings = "maps"\n')

    assert folder.faults() == ["maps: there is no such folder. Create it, or correct [syncd] mappings."]

    (folder.path / "maps").write_text("")
    assert folder.faults() == ["maps: is no folder. Create it, or correct [syncd] mappings."]


@pytest.mark.parametrize("kept", ["hashed", "none"])
def test_a_description_may_not_name_people_whom_the_evidence_leaves_out(folder: Folder, kept: str) -> None:
    folder.config(f'[evidence]\nsubjects = "{kept}"\n')
    folder.mapping(RULE + 'description = "{used} seats ({subjects})"\n')

    assert folder.faults() == [
        f'mappings/m.toml › rule "Premium" › description: names people, but [evidence] subjects is "{kept}". '
        'Take {subjects} out, or set subjects = "names".'
    ]


@pytest.mark.parametrize(
    ("counts", "aggregate", "faults"),
    [
        ('{ from = "psa", measure = "hours" }', "last", []),
        ('{ from = "psa", measure = "hours" }', "sum",
         ['aggregate: "sum" would charge "hours" many times: it grows through its period. Use "last".']),
        ('[{ from = "psa", measure = "hours" }, { from = "cloud", sku = "SPB" }]', "last",
         ['count: "hours" counts what happened in a period, and "assigned" what is there. '
          'With true_up = "usage", make two rules of them.']),
    ],
)  # fmt: skip
def test_what_grows_through_a_period_is_not_added_up(
    folder: Folder, counts: str, aggregate: str, faults: list[str]
) -> None:
    folder.mapping(
        f'''{CUSTOMER}
[[rule]]
name = "Premium"
count = {counts}
bill = {{ to = "psa", agreement = "Managed*", product = "BP" }}
true_up = "usage"
aggregate = "{aggregate}"
'''
    )

    assert folder.faults() == [PREMIUM + fault for fault in faults]
