"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from datetime import timedelta

from syncd.connect.contract import Abilities, Delivery
from syncd.model import Operation

CHARGE, INVOICE = "charge", "invoice"
DOCUMENTS = (CHARGE, INVOICE)
# Marks have 24 characters; the memo of a document holds those of all its lines and must stay below 999 characters.
MARK_LENGTH = 40
LINES = 10
DESCRIPTION_LENGTH = 1000

# A second POST with the same externalId is refused without time limit, which is the vendor's own key (class K). The
# server works on a request for up to 15 minutes. That a throttled call did nothing is documented nowhere.
REQUEST_LIFE = timedelta(minutes=15)
_CREATE = Delivery("K", marker="memo", marker_length=MARK_LENGTH, request_life=REQUEST_LIFE)
OPERATIONS = {Operation.POST_LINE: _CREATE, Operation.POST_CREDIT: _CREATE}

ABILITIES = Abilities(
    reads=frozenset({"invoiced"}),
    operations=OPERATIONS,
    per_customer=False,  # one request at a time: whole lists cost fewer requests than one list for each customer
    bill_keys=("item",),
    bill_options=("document",),
    keeps_quantity=False,
    description_length=DESCRIPTION_LENGTH,
    documents=LINES,
)
