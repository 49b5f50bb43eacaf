"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from syncd.connect.contract import Abilities, Delivery
from syncd.model import Operation

# A line's description takes 4,000 characters, and so does a private note: each mark with its units, days and item takes
# some 70 of them.
DESCRIPTION_LENGTH = 4000
MARK_LENGTH = 50
DOCUMENT_LINES = 40

# No page documents that a throttled call did nothing. A request is cut by QuickBooks after 120 s, so a lost one lands
# within the usual five minutes or never. `requestid` repeats an answer for a time that is documented nowhere: it guards
# a second sending, and what proves anything is the mark in the private note, found by listing.
_DOCUMENT = Delivery("M", marker="PrivateNote", marker_length=MARK_LENGTH)

ABILITIES = Abilities(
    reads=frozenset({"invoiced"}),
    operations={Operation.POST_LINE: _DOCUMENT, Operation.POST_CREDIT: _DOCUMENT},
    per_customer=False,
    bill_keys=("item",),
    bill_options=("document",),
    keeps_quantity=False,
    description_length=DESCRIPTION_LENGTH,
    documents=DOCUMENT_LINES,
)
