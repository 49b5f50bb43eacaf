"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from syncd.connect.contract import Abilities, Delivery
from syncd.model import Operation

# `Reference` takes 255 characters (no public source says so of the API; the screen does). A charge needs at most 60.
REFERENCE_LENGTH = 255
CHARGES = 4
# A line's description takes 4,000; an invoice that a customer reads is better served by less.
DESCRIPTION_LENGTH = 1000
# Digits after the point that a unit price keeps with `unitdp=4`, and that a quantity keeps.
PLACES = 4

# Xero has a key of its own (Idempotency-Key), but tells nowhere for how long it lasts. The mark in `Reference`, found
# by listing the contact's documents, holds for ever; so does the number, which Xero takes once. That a throttled call
# did nothing is written nowhere either: its outcome is looked for.
_DOCUMENT = Delivery("M", marker="Reference", marker_length=REFERENCE_LENGTH)
OPERATIONS = {Operation.POST_LINE: _DOCUMENT, Operation.POST_CREDIT: _DOCUMENT}

ABILITIES = Abilities(
    reads=frozenset({"invoiced"}),
    operations=OPERATIONS,
    bill_keys=("item",),
    keeps_quantity=False,
    description_length=DESCRIPTION_LENGTH,
    documents=CHARGES,
)
