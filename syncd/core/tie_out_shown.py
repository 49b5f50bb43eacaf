"""The tie-out as JSON and as rows of a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from syncd.core.tie_out import Sum, TieOut
from syncd.money import plain, plain_money


def tie_out_json(one: TieOut) -> dict[str, Any]:
    """One customer, with the lines that differ."""

    def money(value: Decimal | None) -> str | None:
        return plain_money(value, one.currency) if value is not None and one.currency else None

    def side(sums: Sum | None) -> dict[str, Any] | None:
        if sums is None:
            return None
        return {"quantity": plain(sums.quantity), "amount": money(sums.amount), "notes": list(sums.notes)}

    return {
        "customer": one.customer,
        "period": one.period,
        "connection": one.connection,
        "against": list(one.against),
        "agrees": one.agrees,
        "currency": one.currency or None,
        "billed": money(one.billed),
        "invoiced": money(one.invoiced),
        "difference": money(one.difference),
        "reason": one.reason,
        "lines": [
            {
                "product": row.product,
                "billed": side(row.billed),
                "invoiced": side(row.invoiced),
                "difference": money(row.difference),
                "since_invoice": str(row.since) if row.since else None,
            }
            for row in one.rows
        ],
    }


COLUMNS = (
    "customer", "period", "connection", "against", "state", "product", "billed quantity", "billed amount",
    "invoiced quantity", "invoiced amount", "difference", "currency", "note",
)  # fmt: skip


def tie_out_rows(found: Iterable[TieOut]) -> Iterator[tuple[str, ...]]:
    """One row for each product that differs, or was changed since its invoice; one alone for a customer of whom nothing
    differs, or that could not be read."""
    for one in found:
        state = {True: "agrees", False: "differs", None: "unread"}[one.agrees]
        head = (one.customer, one.period, one.connection, " ".join(one.against))

        def money(value: Decimal | None, currency: str = one.currency) -> str:
            return plain_money(value, currency) if value is not None and currency else ""

        if not one.rows:
            totals = ("", money(one.billed), "", money(one.invoiced), money(one.difference))
            yield (*head, state, "", *totals, one.currency, one.reason)
        for row in one.rows:
            sides = [
                cell
                for sums in (row.billed, row.invoiced)
                for cell in ((plain(sums.quantity), money(sums.amount)) if sums else ("", ""))
            ]
            notes = [str(row.since)] if row.since else []
            notes += [note for sums in (row.billed, row.invoiced) if sums for note in sums.notes]
            mine = "since the invoice" if row.since else state
            yield (*head, mine, row.product, *sides, money(row.difference), one.currency, "; ".join(notes))
