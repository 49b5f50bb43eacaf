"""Why QuickBooks would refuse a posting, or must not be asked: one clear reason each. Pure.

Judged from what was read in this cycle. Each sentence names the record and the mend.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.quickbooks.abilities import ABILITIES, MARK_LENGTH
from connectors.quickbooks.documents import DEFAULT, ENTITIES, ESTIMATE, entity_of
from connectors.quickbooks.read import Facts
from syncd.model import BilledLine, Billing, Moment, Operation, Posting, Product
from syncd.money import plain

_PLACES = 2  # QuickBooks keeps amounts in hundredths, whatever the currency


def refusal(
    posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment, facts: Facts | None, taxed: bool
) -> str:
    """The reason, "" where it may be sent. `facts`: the company's settings, None where they were not read. `taxed`:
    whether the books name a tax code for the line, or need none."""
    if posting.operation not in ABILITIES.operations:
        return f"QuickBooks cannot take the operation {posting.operation}; it takes {', '.join(ABILITIES.operations)}"
    document = posting.options.get("document", DEFAULT)
    if document not in ENTITIES:
        return f'document = "{document}" is unknown to QuickBooks; it takes {" or ".join(ENTITIES)}'
    product = next((one for one in products if one.id == posting.product_id), None)
    if product is None:
        return f"QuickBooks has no item #{posting.product_id} {posting.product}".rstrip()
    if product.obstacle:
        return product.obstacle
    return _form(posting) or _account(posting, billing, facts) or _books(posting, billing, product, facts, taxed)


def _form(posting: Posting) -> str:
    if not posting.marker or len(posting.marker) > MARK_LENGTH or not posting.marker.isascii():
        return f"the mark must be 1 to {MARK_LENGTH} plain characters"
    if posting.quantity <= 0:
        return f"{plain(posting.quantity)} units cannot be posted; it takes more than none"
    if posting.starts is None or posting.ends is None or posting.ends < posting.starts:
        return "a document needs the days that it covers, the last one not before the first"
    if posting.amount is None and posting.unit_price is None:
        priced = f" in {posting.currency}" if posting.currency else ""
        return f"a document needs a price{priced}: neither the rule nor the QuickBooks item {posting.product} tells one"
    if posting.amount is not None and posting.amount != round(posting.amount, _PLACES):
        return f"QuickBooks keeps hundredths of {posting.currency}; {plain(posting.amount)} does not fit"
    return ""


def _account(posting: Posting, billing: Billing, facts: Facts | None) -> str:
    account = next((one for one in billing.agreements if one.id == posting.customer_id), None)
    if account is None:
        return ""
    if account.obstacle:
        return account.obstacle
    currency = account.currency or (facts.home_currency if facts else "")
    if posting.currency and currency and posting.currency != currency:
        return (
            f'the QuickBooks customer "{account.name}" is billed in {currency}, not in {posting.currency}; set the '
            "currency of the rule's price, or name another customer"
        )
    through = account.invoiced_through
    if through is not None and posting.ends is not None and posting.ends <= through:
        return (
            f"the books are closed through {through}, and the document would be dated {posting.ends}; reopen them in "
            "QuickBooks (Settings › Advanced › Accounting), or bill it by hand"
        )
    return ""


def _books(posting: Posting, billing: Billing, product: Product, facts: Facts | None, taxed: bool) -> str:
    if posting.operation == Operation.POST_CREDIT:
        return _open_estimate(posting, billing)
    if facts and entity_of(posting) == ESTIMATE and not facts.preferences.sales_forms_prefs.allow_estimates:
        return (
            "estimates are switched off in QuickBooks; switch them on (Settings › Sales), or set "
            'document = "invoice" in the rule'
        )
    return "" if taxed else _untaxed(product)


def _untaxed(product: Product) -> str:
    return (
        f"neither the QuickBooks item {product.identifier} nor the customer has a sales tax code; set one in "
        "QuickBooks, syncd invents none"
    )


def _open_estimate(posting: Posting, billing: Billing) -> str:
    """An estimate bills nobody, so a credit memo against it would give money away: a person amends the estimate."""
    standing: list[BilledLine] = [
        line
        for line in billing.lines
        if line.id.startswith(f"{ESTIMATE.lower()} ")
        and line.product_id == posting.product_id
        and (posting.starts is None or line.ends is None or line.ends >= posting.starts)
        and (posting.ends is None or line.starts is None or line.starts <= posting.ends)
    ]
    if not standing:
        return ""
    which = ", ".join(line.name.partition(": ")[0] for line in standing)
    less = plain(posting.quantity)
    return (
        f"{less} fewer {posting.product} are due, and their charge is still an estimate: take {less} off in the "
        f"{which} instead of crediting what nobody was invoiced"
    )
