"""What the connector declares that it can do, for `syncd check` and the ledger. Imports nothing that does it."""

from __future__ import annotations

from datetime import timedelta

from syncd.connect.contract import Abilities, Delivery
from syncd.model import Operation

# A metadata value holds 500 characters, an identifier of a meter event 100 (docs.stripe.com/metadata, meter events).
METADATA_LENGTH = 500
IDENTIFIER_LENGTH = 100
DESCRIPTION_LENGTH = 250
# "At least 24 hours"; after that the key makes a new object (docs.stripe.com/idempotency).
KEY_LIFE = timedelta(hours=24)

# "Rate limiters run before the API's idempotency layer" (docs.stripe.com/error-low-level); a 429 with `lock_timeout`
# comes from behind it and is not taken for harmless (post.py).
OPERATIONS = {
    Operation.SET_QUANTITY: Delivery("S", throttled_is_harmless=True),
    Operation.ADD_LINE: Delivery(
        "K", marker="metadata", marker_length=METADATA_LENGTH, key_life=KEY_LIFE, throttled_is_harmless=True
    ),
    Operation.POST_LINE: Delivery(
        "K", marker="metadata", marker_length=METADATA_LENGTH, key_life=KEY_LIFE, throttled_is_harmless=True
    ),
    # Events are counted some time after they were taken: they are looked for that long before they are sent again,
    # and sent again well within the life of their identifier.
    Operation.REPORT_USAGE: Delivery(
        "K",
        marker="identifier",
        marker_length=IDENTIFIER_LENGTH,
        key_life=KEY_LIFE,
        request_life=timedelta(hours=2),
        throttled_is_harmless=True,
    ),
}

ABILITIES = Abilities(
    reads=frozenset({"billed", "invoiced"}),
    operations=OPERATIONS,
    per_customer=True,
    bill_keys=("price",),
    bill_options=("subscription", "meter"),
    keeps_quantity=True,
    description_length=DESCRIPTION_LENGTH,
)
