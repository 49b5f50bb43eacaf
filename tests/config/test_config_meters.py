"""What `check` says of rules that report to a meter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from config_kit import CUSTOMER, KINDS, RULE, FakeConnector, Folder

PSA = KINDS["psa"]
METERED = {**KINDS, "psa": FakeConnector("psa", PSA.settings, replace(PSA.abilities, bill_options=("via", "meter")))}
BILL = 'product = "BP" }'
PLACE = 'mappings/m.toml › rule "Premium" › '


def reporting(more: str = 'true_up = "line"\n') -> str:
    return CUSTOMER + RULE.replace(BILL, 'product = "BP", meter = "hours" }') + more


def test_a_rule_reports_to_the_meter_that_it_names(folder: Folder) -> None:
    folder.kinds = METERED
    folder.config("")
    folder.mapping(reporting())
    [rule] = folder.load()[1].rules
    assert rule.bill is not None
    assert (rule.bill.meter, rule.bill.product) == ("hours", "BP")
    assert "meter" not in rule.bill.selectors
    folder.mapping(CUSTOMER + RULE)
    [plain] = folder.load()[1].rules
    assert plain.bill is not None
    assert plain.bill.meter == ""
    assert plain.content != rule.content


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            "",
            'bill.meter: does not go with true_up = "quantity": a meter has usage and no quantity. '
            'Use true_up = "line".',
        ),
        (
            'true_up = "usage"\naggregate = "last"\n',
            'bill.meter: does not go with true_up = "usage": what is known when a period is over comes after its '
            'invoice. Use true_up = "line", which reports while the period runs, or take meter out: a line is posted '
            "then.",
        ),
        (
            'true_up = "line"\nprice = { model = "unit", unit = 2 }\n',
            "price: does not go with a meter, whose usage is charged by its own price.",
        ),
        (
            'true_up = "line"\nprorate = "daily"\n',
            "prorate: does nothing with a meter, which is charged for what was used.",
        ),
        (
            'true_up = "line"\ncreate = true\n',
            "create: adds no metered line. Add it by hand, and take create out.",
        ),
    ],
)
def test_what_does_not_go_with_a_meter_is_a_fault(folder: Folder, more: str, fault: str) -> None:
    folder.kinds = METERED
    folder.config("")
    folder.mapping(reporting(more))
    assert folder.faults() == [PLACE + fault]


def test_a_kind_without_meters_knows_no_such_key(folder: Folder) -> None:
    folder.config("")
    folder.mapping(reporting())
    [fault] = folder.faults()
    assert fault.startswith(f"{PLACE}bill.meter: unknown key.")
