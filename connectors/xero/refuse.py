"""Why Xero would refuse a posting, or must not be asked: one clear reason each, which names the record and the mend.
Pure."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.xero.abilities import OPERATIONS, REFERENCE_LENGTH
from connectors.xero.figures import charge, figures
from syncd.connect.documents import FAMILY, charges, note
from syncd.model import Billing, Moment, Posting, Product
from syncd.money import plain, round_money


def refusal(posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
    """The reason, "" where it may be sent."""
    if posting.operation not in OPERATIONS:
        return f"Xero cannot take the operation {posting.operation}; it takes {', '.join(OPERATIONS)}"
    if document := posting.options.get("document", ""):
        return f'document = "{document}" is unknown to Xero; it always takes a draft'
    account = next((one for one in billing.agreements if one.id == posting.customer_id), None)
    if account is not None and account.obstacle:
        return f"{account.obstacle}; restore it in Xero, or map the customer to another contact"
    product = next((one for one in products if one.id == posting.product_id), None)
    if product is None:
        return f"Xero has no item #{posting.product_id} {posting.product}".rstrip()
    if product.obstacle:
        return product.obstacle
    if product.identifier != posting.product:
        return f"the Xero item {posting.product} is called {product.identifier} now; the posting is planned anew"
    if account is not None and account.currency and posting.currency not in ("", account.currency):
        return (
            f'the Xero contact "{account.name}" is billed in {account.currency}, and this is priced in '
            f"{posting.currency}; correct the rule's price or the contact's currency"
        )
    return _form(posting) or _closed(posting, billing)


def _form(posting: Posting) -> str:
    if not posting.marker.startswith(FAMILY) or not posting.marker.isascii():
        return f"the mark must begin with {FAMILY} and hold plain characters only"
    if posting.quantity <= 0:
        return f"{plain(posting.quantity)} units cannot be posted; it takes more than none"
    if posting.starts is None or posting.ends is None or posting.ends < posting.starts:
        return f"a document needs its first and last day, in this order ({posting.starts} to {posting.ends})"
    if posting.amount is None and posting.unit_price is None:
        priced = f" in {posting.currency}" if posting.currency else ""
        return f"a document needs a price{priced}: neither the rule nor the Xero item {posting.product} tells one"
    if posting.amount is not None and posting.amount < 0:
        return f"an amount of {plain(posting.amount)} cannot be posted; a credit is positive too"
    if posting.amount is not None and posting.amount != round_money(posting.amount, posting.currency):
        return f"an amount of {plain(posting.amount)} {posting.currency} is not in whole cents, and Xero would round it"
    try:
        figures(posting)
    except ValueError:
        return f"{plain(posting.quantity)} units at {posting.unit_price} do not fit into Xero's four decimals"
    text = note([charge(posting)])
    if len(text) > REFERENCE_LENGTH or len(charges(text)) != 1:
        return f"the mark and its days need at most {REFERENCE_LENGTH} characters"
    return ""


def _closed(posting: Posting, billing: Billing) -> str:
    """The books are closed on the document's date."""
    through = next((one.invoiced_through for one in billing.agreements if one.id == posting.customer_id), None)
    if through is None or posting.ends is None or posting.ends > through:
        return ""
    return (
        f"Xero's books are closed through {through}, and the document would be dated {posting.ends}; move the lock date"
    )
