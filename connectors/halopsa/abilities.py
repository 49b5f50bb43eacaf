"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from syncd.connect.contract import Abilities, Delivery, Filter, Measure
from syncd.model import Operation

# Halo documents no limit of these fields; syncd's marks have 24 characters.
MARK_LENGTH = 50
DESCRIPTION_LENGTH = 4000

FILTERS = {
    "type": Filter("globs", "Type of the device or of the ticket, by name or id."),
    "status": Filter("globs", "Status of the device, by name or id."),
    "site": Filter("globs", "Site of the device or of the user, by name or id."),
    "term": Filter("globs", "Billing cycle or term of the licence (Monthly, P1Y)."),
    "vendor": Filter("globs", "Vendor, manufacturer or distributor of the licence."),
    "charge_rate": Filter("globs", "Charge rate of the time entry, by id."),
    "agent": Filter("globs", "Agent who entered the time, by name or id."),
    "billable": Filter("flag", "Whether the time entry is billable."),
    "team": Filter("globs", "Team of the ticket."),
    "when": Filter("texts", 'Which tickets of a period count: those that "occurred" in it (the only choice).'),
}
MEASURES = {
    "devices": Measure(
        "used", "Active devices (assets); the sku is their type.", frozenset({"type", "status", "site"})
    ),
    "users": Measure(
        "used",
        'Active users without service accounts and those marked "ignore automated billing"; the sku is "users".',
        frozenset({"site"}),
    ),
    "licences": Measure(
        "used",
        "Counts of active software licences and subscriptions; the sku is the product's.",
        frozenset({"term", "vendor"}),
    ),
    "hours": Measure(
        "used",
        'Hours of the period by how they are billed; the sku is "chargeable", "contract", "non-chargeable" or "open".',
        frozenset({"charge_rate", "agent", "billable"}),
        of_period=True,
    ),
    "tickets": Measure(
        "used", "Tickets of the period; the sku is their type.", frozenset({"type", "team", "when"}), of_period=True
    ),
}

# Nobody documents that a throttled call did nothing (no rate limit is documented at all): its outcome is looked for.
_SET = Delivery("S")
OPERATIONS = {
    Operation.SET_QUANTITY: _SET,
    Operation.ADD_LINE: Delivery("M", marker="comment_2", marker_length=MARK_LENGTH),
    Operation.POST_LINE: Delivery("M", marker="reference", marker_length=MARK_LENGTH),
    Operation.OPEN_TICKET: Delivery("M", marker="summary", marker_length=MARK_LENGTH),
    Operation.NOTE_TICKET: Delivery("M", marker="note", marker_length=MARK_LENGTH),
    Operation.CLOSE_TICKET: _SET,
}
TICKETS = frozenset({Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET})

ABILITIES = Abilities(
    reads=frozenset({"billed", "invoiced", "used"}),
    measures=MEASURES,
    default_measure="licences",
    filters=FILTERS,
    operations=OPERATIONS,
    per_customer=True,
    bill_keys=("agreement", "product"),
    bill_options=("via",),
    keeps_quantity=True,
    description_length=DESCRIPTION_LENGTH - 100,
    feeds=frozenset({"xero", "quickbooks"}),
)
