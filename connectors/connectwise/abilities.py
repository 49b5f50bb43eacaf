"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from connectors.connectwise.config import SERIAL_NUMBER
from syncd.connect.contract import Abilities, Delivery, Filter, Measure
from syncd.model import Operation

SERIAL_LENGTH = 50
XREF_LENGTH = 100
NOTE_MARK_LENGTH = 100  # ours: the text of a note has no documented limit

FILTERS = {
    "type": Filter("globs", "Type of the configuration or of the ticket, by name or id."),
    "status": Filter("globs", "Status of the configuration, by name or id."),
    "site": Filter("globs", "Site of the configuration, by name or id."),
    "bill_flag": Filter("flag", "Whether the configuration is marked to be billed."),
    "work_type": Filter("globs", "Work type of the time entry, by name or id."),
    "work_role": Filter("globs", "Work role of the time entry, by name or id."),
    "member": Filter("globs", "Member who entered the time, by identifier or name."),
    "board": Filter("globs", "Service board of the ticket or of the time entry's ticket, by name or id."),
    "billable": Filter("flag", "Whether the time entry is billable to the customer."),
    "when": Filter("texts", 'Which tickets of a period count: those "entered" in it (default) or "closed" in it.'),
}
MEASURES = {
    "devices": Measure(
        "used", "Active configurations; the sku is their type.", frozenset({"type", "status", "site", "bill_flag"})
    ),
    "hours": Measure(
        "used",
        "Actual hours of approved time entries of the period; the sku is their work type.",
        frozenset({"work_type", "work_role", "member", "board", "billable"}),
        of_period=True,
    ),
    "tickets": Measure(
        "used",
        "Service tickets of the period; the sku is their board.",
        frozenset({"type", "board", "when"}),
        of_period=True,
    ),
}

# 429 does not say that nothing was done (the vendor documents only the wait, and its CDN answers 429 as well): the
# outcome of a throttled write is looked for.
_SET = Delivery("S")
_CREATE = Delivery("M", marker=SERIAL_NUMBER, marker_length=SERIAL_LENGTH)
OPERATIONS = {
    Operation.SET_QUANTITY: _SET,
    Operation.END_LINE: _SET,
    Operation.ADD_LINE: _CREATE,
    Operation.POST_LINE: _CREATE,
    Operation.POST_CREDIT: _CREATE,
    Operation.OPEN_TICKET: Delivery("M", marker="externalXRef", marker_length=XREF_LENGTH),
    Operation.NOTE_TICKET: Delivery("M", marker="text", marker_length=NOTE_MARK_LENGTH),
    Operation.CLOSE_TICKET: _SET,
}
# Additions that are made; tickets have their own module.
CREATES = frozenset({Operation.ADD_LINE, Operation.POST_LINE, Operation.POST_CREDIT})
TICKETS = frozenset({Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET})

ABILITIES = Abilities(
    reads=frozenset({"billed", "invoiced", "used"}),
    measures=MEASURES,
    default_measure="devices",
    filters=FILTERS,
    operations=OPERATIONS,
    per_customer=True,
    bill_keys=("agreement", "product"),
    keeps_quantity=True,
    description_length=5900,  # of 6,000: a charge may need room for its mark and units at the end
    feeds=frozenset({"quickbooks", "xero", "netsuite"}),
)
