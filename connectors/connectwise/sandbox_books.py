"""The double's books: its records, what is billed of each addition, and the run that makes invoices.

An invoice is immutable once made; the additions on it are kept in `invoice_contents`, and shown as product lines only
where the double is told to, because the vendor does not document that they are.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.connectwise import sandbox_billing as billing
from connectors.connectwise import sandbox_state as state
from connectors.connectwise.sandbox_front import Front
from syncd.sandbox.world import World

Row = dict[str, Any]


class Books(Front):
    """Records and billing. See `sandbox.build` for the options."""

    def __init__(self, world: World, *, inclusive: bool = True, invoice_lines: bool = False, **front: Any) -> None:
        super().__init__(world, **front)
        self.world = world
        self.inclusive = inclusive
        self.invoice_lines = invoice_lines
        self.tables = state.tables(world)
        self.sub_lists: dict[str, dict[int, Row]] = {}
        self.billed: set[tuple[int, date]] = set()
        self.invoice_contents: dict[int, tuple[Row, ...]] = {}
        self.next_id = 90_000
        self._settle_start()

    def recaps(self) -> list[Row]:
        """The PSA's summary of each agreement's invoicing."""
        rows = []
        for agreement in self.tables["finance/agreements"].values():
            mine = [
                one for one in self.tables["finance/invoices"].values() if one["agreement"]["id"] == agreement["id"]
            ]
            latest = max(mine, key=lambda one: one["date"], default=None)
            row = {
                "id": agreement["id"],
                "name": agreement["name"],
                "companyName": agreement["company"]["name"],
                "agreementStatus": self.status_of(agreement),
                "nextInvoiceDate": agreement["nextInvoiceDate"],
            }
            if latest:
                row |= {"lastInvoiceDate": latest["date"], "lastInvoiceNumber": latest["invoiceNumber"]}
            rows.append(row)
        return rows

    def export(self, batch: int) -> None:
        """What an accounting export does: every invoice that is in no batch yet is put into this one."""
        with self.lock:
            for row in self.tables["finance/invoices"].values():
                row.setdefault("glBatch", {"id": batch, "name": f"GL-{batch}"})

    def make_invoice(self, agreement: Row) -> int:
        """Files the next invoice of a top agreement and moves its next invoice date; the invoice's number."""
        first = billing.as_day(agreement["nextInvoiceDate"])
        assert first is not None
        period = billing.span_from(first, agreement)
        lines = []
        for owner in self.agreements().values():
            if self.dated(owner) is not agreement:
                continue
            for row in self.additions_of(owner["id"]):
                for span, quantity, amount in billing.charges(
                    row, owner, agreement, period, self.billed, self.inclusive
                ):
                    lines.append(
                        {
                            "addition": row["id"],
                            "product": row["product"],
                            "from": span.first.isoformat(),
                            "quantity": quantity,
                            "amount": amount,
                            "description": row["invoiceDescription"],
                        }
                    )
        number = self._file_invoice(agreement, first, lines)
        agreement["nextInvoiceDate"] = billing.as_text(period.last + timedelta(days=1))
        return number

    def _file_invoice(self, agreement: Row, dated: date, lines: list[Row]) -> int:
        self.next_id += 1
        number = self.next_id
        total = sum((line["amount"] for line in lines), Decimal(0)) + Decimal(agreement["billAmount"])
        self.tables["finance/invoices"][number] = {
            "id": number,
            "invoiceNumber": str(number),
            "type": "Agreement",
            "status": {"id": 1, "name": "New"},
            "company": agreement["company"],
            "agreement": {"id": agreement["id"], "name": agreement["name"]},
            "applyToType": "Agreement",
            "applyToId": agreement["id"],
            "date": billing.as_text(dated),
            "agreementAmount": total,
            "productTotal": Decimal(0),
            "serviceTotal": Decimal(0),
            "expenseTotal": Decimal(0),
            "subtotal": total,
            "salesTax": Decimal(0),
            "total": total,
            "balance": total,
        }
        self.invoice_contents[number] = tuple(lines)
        for line in lines if self.invoice_lines else ():
            self.next_id += 1
            self.tables["procurement/products"][self.next_id] = {
                "id": self.next_id,
                "catalogItem": line["product"],
                "description": line["description"],
                "quantity": line["quantity"],
                "extPrice": line["amount"],
                "billableOption": "Billable",
                "agreement": {"id": agreement["id"], "name": agreement["name"]},
                "company": agreement["company"],
                "invoice": {"id": number, "identifier": str(number)},
            }
        return number

    def _settle_start(self) -> None:
        """Everything up to the day before the next invoice date is billed; the current month has its invoice."""
        for row in self.tables["additions"].values():
            self.computed(row)
            self.touch(row, "Admin1")
        current = self.today().replace(day=1)
        for agreement in self.agreements().values():
            if agreement.get("parentAgreement"):
                continue
            for owner in self.agreements().values():
                if self.dated(owner) is agreement:
                    for row in self.additions_of(owner["id"]):
                        spans = billing.spans(agreement, current - timedelta(days=1))
                        self.billed |= {(row["id"], span.first) for span in spans}
            agreement["nextInvoiceDate"] = billing.as_text(current)
            self.make_invoice(agreement)

    def today(self) -> date:
        """The double's own day."""
        return self.now().date()

    def agreements(self) -> dict[int, Row]:
        """All agreements by id."""
        return self.tables["finance/agreements"]

    def additions_of(self, agreement: int) -> list[Row]:
        """An agreement's additions, ended ones too."""
        return [row for row in self.tables["additions"].values() if row["agreementId"] == agreement]

    def addition(self, agreement: int, number: int) -> Any:
        """One addition, None where that agreement has none of that number."""
        row = self.tables["additions"].get(number)
        return row if row is not None and row["agreementId"] == agreement else None

    def dated(self, agreement: Row) -> Row:
        """The agreement whose dates bill this one: its parent, else itself."""
        parent = agreement.get("parentAgreement")
        return self.agreements().get(parent["id"], agreement) if parent else agreement

    def computed(self, row: Row) -> None:
        """Fills an addition's computed fields."""
        owner = self.agreements()[row["agreementId"]]
        billing.compute(row, owner, self.dated(owner), self.today(), self.inclusive)

    def touch(self, row: Row, by: str) -> None:
        """Each change gets a later time than the one before, although times are told in whole seconds."""
        self.stamped = max(self.now().replace(microsecond=0), self.stamped + timedelta(seconds=1))
        row["_info"] = {
            **row.get("_info", {"dateEntered": f"{self.stamped:%Y-%m-%dT%H:%M:%SZ}", "enteredBy": by}),
            "lastUpdated": f"{self.stamped:%Y-%m-%dT%H:%M:%SZ}",
            "updatedBy": by,
        }

    def status_of(self, row: Row) -> str:
        """The computed status of an agreement."""
        if row.get("cancelledFlag"):
            return "Cancelled"
        ends = None if row.get("noEndingDateFlag") else billing.as_day(row.get("endDate"))
        if ends is not None and ends < self.today():
            return "Expired"
        starts = billing.as_day(row.get("startDate"))
        return "Inactive" if starts is not None and starts > self.today() else "Active"
