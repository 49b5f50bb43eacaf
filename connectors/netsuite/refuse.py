"""Why NetSuite would refuse a posting, or must not be asked: one clear reason each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.netsuite.abilities import CHARGE, DOCUMENTS, MARK_LENGTH, OPERATIONS
from connectors.netsuite.config import NetSuiteSettings
from syncd.model import Agreement, Billing, Operation, Posting, Product
from syncd.money import plain


def refusal(posting: Posting, billing: Billing, products: Sequence[Product], settings: NetSuiteSettings) -> str:
    """The reason, "" where it may be sent."""
    if posting.operation not in OPERATIONS:
        return f"NetSuite cannot take the operation {posting.operation}; it takes {', '.join(OPERATIONS)}"
    document = posting.options.get("document", CHARGE)
    if document not in DOCUMENTS:
        return f'document = "{document}" is unknown to NetSuite; it takes {" or ".join(DOCUMENTS)}'
    if not posting.customer_id.isdecimal():
        return f"{posting.customer_id!r} is no NetSuite customer id"
    product = next((one for one in products if one.id == posting.product_id), None)
    if product is None:
        return f"NetSuite has no item #{posting.product_id} {posting.product} that sells".replace("  ", " ")
    if product.obstacle:
        return f"{product.obstacle}; name another item in the rule, or mend it in NetSuite"
    if not posting.marker or len(posting.marker) > MARK_LENGTH or not posting.marker.isascii():
        return f"the mark must be 1 to {MARK_LENGTH} plain characters"
    if posting.quantity <= 0:
        return f"{plain(posting.quantity)} units cannot be posted; it takes more than none"
    if posting.starts is None or posting.ends is None or posting.ends < posting.starts:
        return (
            f"a line needs a first billed day and a last one, not before it (from {posting.starts} to {posting.ends})"
        )
    if posting.amount is None and posting.unit_price is None:
        return f"neither the rule nor NetSuite's base price tells what one {product.identifier} costs"
    if posting.amount is not None and posting.amount < 0:
        return f"an amount of {plain(posting.amount)} cannot be posted; a fall is a credit"
    charges = posting.operation == Operation.POST_LINE and document == CHARGE
    if charges and not settings.charge_type:
        return (
            "charges need charge_type in the connection: the internal id of the charge type, which only your account "
            'shows; or set document = "invoice" in the rule'
        )
    account = next((one for one in billing.agreements if one.customer_id == posting.customer_id), None)
    if account is not None and (told := _account(posting, account, charges)):
        return told
    return _standing(posting, billing, product) if posting.operation == Operation.POST_CREDIT else ""


def _account(posting: Posting, account: Agreement, charges: bool) -> str:
    if account.obstacle:
        return f"{account.obstacle}; nothing is posted to it until that is mended in NetSuite"
    if posting.currency and account.currency and posting.currency != account.currency:
        return (
            f"the rule's price is in {posting.currency}, the NetSuite customer {account.name} is billed in "
            f"{account.currency}"
        )
    through = account.invoiced_through
    if not charges and through is not None and posting.ends is not None and posting.ends <= through:
        return f"NetSuite's accounting periods are closed through {through}, and {posting.ends} is one of their days"
    return ""


def _standing(posting: Posting, billing: Billing, product: Product) -> str:
    """A fall while what it falls from is still in a person's hands: that is amended instead of credited."""
    for line in billing.lines:
        alike = line.once and line.product_id == posting.product_id and line.quantity > 0 and not line.obstacle
        if not alike or line.starts is None or line.ends is None or posting.starts is None or posting.ends is None:
            continue
        if line.starts <= posting.ends and posting.starts <= line.ends:
            held = "on hold" if line.id.startswith(CHARGE) else "awaiting approval"
            return (
                f"the NetSuite {line.id} over {plain(line.quantity)} {product.identifier} is still {held}: amend it "
                f"there by {plain(posting.quantity)} instead of crediting it"
            )
    return ""
