"""syncd's marks in Stripe's metadata, and syncd's own invoice items: what one stands for, whether it still counts.

`syncd_op` on an invoice item is a note (`connect.documents`) that names the mark, the units and the days; beside it
stand the price and the subscription that it was posted for. On a subscription item `syncd_added` is the mark of the
posting that made it, `syncd_set` that of the last change of its quantity: two names, so that one does not wipe out the
other. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from connectors.stripe.payloads import Catalogued, InvoiceItem, Price, id_of
from syncd.connect.documents import Charge, charges
from syncd.errors import VendorError
from syncd.money import number

OP = "syncd_op"
PRICE = "syncd_price"
SUBSCRIPTION = "syncd_subscription"
ADDED = "syncd_added"
SET = "syncd_set"
# What stands on every invoice item of syncd's.
_NAMES = (OP, PRICE, SUBSCRIPTION)


def product_id(price: str, product: str) -> str:
    """How syncd names a price as a product: with Stripe's product, which a line of its own must name. Both last."""
    return f"{price}/{product}"


def price_of(product: str) -> str:
    """The price's id in what `product_id` made."""
    return product.partition("/")[0]


def product_of(product: str) -> str:
    """Stripe's product in what `product_id` made."""
    return product.partition("/")[2]


def named(price: Price) -> str:
    """`product_id` of a price as read."""
    product = price.product.id if isinstance(price.product, Catalogued) else price.product
    return product_id(price.id, product)


@dataclass(frozen=True, slots=True)
class Own:
    """An invoice item that syncd made, this installation or another. `invoice`: the one that took it, "" while it is
    pending; `discountable`: Stripe shows that coupons lower it."""

    id: str
    customer: str
    subscription: str
    product: str
    charge: Charge
    quantity: Decimal
    amount: int
    currency: str
    invoice: str
    discountable: bool

    @property
    def units(self) -> Decimal:
        """The units that it stands for now, also where a person changed its quantity."""
        return self.charge.shown(self.quantity)


def bears(metadata: Mapping[str, str]) -> bool:
    """Whether any of what syncd writes onto an invoice item stands there."""
    return any(metadata.get(name) for name in _NAMES)


def own(row: InvoiceItem) -> Own | None:
    """What an invoice item stands for, if syncd made it: as long as any of its metadata stands, for one that lost its
    mark alone would be billed a second time. Raises VendorError `malformed` where the metadata was changed."""
    metadata = row.metadata or {}
    if not bears(metadata):
        return None
    found = noted(metadata.get(OP, ""))
    if found is None or len(found) != 1 or not all(name in metadata for name in _NAMES):
        raise VendorError(
            "malformed",
            f"the Stripe invoice item {row.id} bears syncd's mark, but its metadata ({', '.join(_NAMES)}) no longer "
            f"says what it charges; delete it, or put the metadata back: {OP} as the mark, the units, the first and "
            f'the last day ("sd-… 3 20261101-20261130", see Stripe\'s event log), {PRICE} as price/product, '
            f"{SUBSCRIPTION} as the subscription's id",
        )
    parent = row.parent.subscription_details if row.parent else None
    return Own(
        row.id,
        id_of(row.customer),
        id_of(parent.subscription if parent else None) or metadata[SUBSCRIPTION],
        metadata[PRICE],
        found[0],
        decimal(row.quantity_decimal, row.id),
        row.amount,
        row.currency,
        id_of(row.invoice),
        row.discountable is True,
    )


def noted(text: str) -> tuple[Charge, ...] | None:
    """The charges that a note names; None where a person's hand made one of them impossible: sent as nothing, or in
    days that are none."""
    found = charges(text)
    return found if all(one.readable for one in found) else None


def decimal(text: str, where: str) -> Decimal:
    """A decimal text of Stripe's. Raises VendorError `malformed`."""
    try:
        return number(text)
    except ValueError as error:
        raise VendorError("malformed", f"Stripe shows a quantity of {where} that {error}") from None
