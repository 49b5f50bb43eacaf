"""The stage of the deaths with the books: two rules of one customer whose lines share one document in QuickBooks.

The first request of a process is that for a token, and the double renews its refresh token on the way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from death_process import Zygote
from death_stage import CONFIG, TODAY, Stage

from connectors.quickbooks.sandbox import build
from syncd.sandbox.world import small_msp

WHO = "Alder Dental Group"
BOOKS = """
[connections.books]
kind = "quickbooks"
base_url = "{url}"
token_url = "{url}"
realm_id = "9341453000000007"
client_id = "sandbox-client"
client_secret = {{ env = "QBO_SECRET" }}
refresh_token = {{ env = "QBO_TOKEN" }}
retry_wait = "0.01s"
timeout = "{timeout}"
"""
_PSA = CONFIG[CONFIG.index("[connections.cw]") : CONFIG.index("[web]")]
RULE = """
[[rule]]
name = "{name}"
count = {{ from = "seats", sku = "{item}", measure = "quantity" }}
bill = {{ to = "books", item = "{item}"{form} }}
true_up = "line"
decrease = "now"
price = {{ model = "unit", unit = 14.00, currency = "USD" }}
"""


class BooksStage(Stage):
    """As `Stage`, with the books instead of the PSA."""

    config = CONFIG.replace(_PSA, BOOKS)
    customer = '[[customer]]\nname = "{name}"\nseats = "{name}"\nbooks = "{name}"\n'

    def __init__(self, folder: Path, zygote: Zygote) -> None:
        super().__init__(folder, zygote)
        self.form = ""

    def double(self) -> Any:  # another vendor than the stage was made for
        return build(small_msp(customers=3, today=TODAY), per_minute=0, batches_per_minute=0)

    def environ(self) -> dict[str, str]:
        return {**super().environ(), "QBO_SECRET": "sandbox-secret", "QBO_TOKEN": "AB11-sandbox-refresh-token"}


def _count(stage: Stage, form: str, *counts: int) -> None:
    items = ("M365-BP", "M365-BS")
    rules = "".join(RULE.format(name=item, item=item, form=form) for item in items)
    stage.write(rules, {(WHO, item): count for item, count in zip(items, counts, strict=True)})


def estimate(stage: Stage) -> None:
    """One estimate of two lines is due."""
    _count(stage, "", 3, 27)


def credit_memo(stage: Stage) -> None:
    """Less is due of both lines of an invoice that stands: one credit memo."""
    form = ', document = "invoice"'
    _count(stage, form, 9, 27)
    assert stage.run() == 0
    _count(stage, form, 8, 26)
