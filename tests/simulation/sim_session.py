"""An open connection to a model billing system: what it shows, what it takes, and every lie that it can tell.

The faults are armed from outside; every one that is told counts a hit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from sim_estate import CREATES, REQUEST_LIFE, VERY_LATE, Delivered, Row

from syncd.connect.contract import Context, SignIn
from syncd.errors import VendorError
from syncd.model import (
    Absent,
    Agreement,
    BilledLine,
    Billing,
    Found,
    Moment,
    Moved,
    NotSent,
    Operation,
    Outcome,
    Posting,
    Product,
    Receipt,
    Refused,
    RemoteCustomer,
    Sight,
    State,
    Unknown,
    Wire,
)
from syncd.periods import month_of

if TYPE_CHECKING:
    from sim_vendors import BillingModel


class BillingSession:
    """An open connection to a billing system."""

    model: BillingModel
    counted = False  # whether lists are held against a count, which a torn one does not match

    def __init__(self, model: BillingModel, context: Context) -> None:
        self.model, self.estate, self.context = model, model.estate, context
        self.faults = model.faults

    def sign_in(self) -> SignIn:
        return SignIn("model")

    def _told(self, kind: str) -> bool:
        if kind not in self.faults.reads:
            return False
        self.estate.hits[f"lines {kind}"] += 1
        return True

    def customers(self) -> Sequence[RemoteCustomer]:
        self.estate.boundary(f"{self.model.name}.customers")
        if self._told("list_down"):
            raise VendorError("unavailable", "the customer list did not come")
        return [RemoteCustomer(one, one.title()) for one in self.model.customers]

    def products(self) -> Sequence[Product]:
        self.estate.boundary(f"{self.model.name}.products")
        if self._told("products_down"):
            raise VendorError("incomplete", "the products ended early")
        return [Product(one, one, one, unit_price=Decimal(10)) for one in self.model.products]

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        model = self.model
        self.estate.boundary(f"{model.name}.lines")
        if self._told("down"):
            raise VendorError("timeout", "no answer")
        model.arrive()
        rows = model.rows
        if model.past and self._told("stale"):
            lag = self.faults.lags[0]
            self.faults.lags.append(self.faults.lags.pop(0))
            rows = model.past[-min(lag + 1, len(model.past))]
        for customer in customers:
            self.estate.boundary(f"{model.name}.lines.row")
            if customer.id == self.faults.victim and self._told("cut"):
                raise VendorError("incomplete", "the pages ended early")
            shown = [
                self._line(row) for row in rows.values() if row.customer == customer.id and self._standing(row, moment)
            ]
            if customer.id == self.faults.victim and shown:
                if self._told("half"):
                    reason = f"{len(shown) // 2} of {len(shown)} rows came"
                    yield Billing(customer.id, State.PARTIAL, code="incomplete", reason=reason)
                    continue
                if self.counted and any([self._told("double"), self._told("gap")]):
                    raise VendorError("incomplete", "other rows came than were counted")
                if self._told("double"):
                    shown.append(shown[len(shown) // 2])
                if self._told("gap"):
                    shown.pop(len(shown) // 2)
            agreement = self._agreement(customer, moment)
            yield Billing(customer.id, State.KNOWN, (agreement,), tuple(shown), proof=f"{len(shown)} rows")

    def _agreement(self, customer: RemoteCustomer, moment: Moment) -> Agreement:
        return Agreement(
            f"a-{customer.id}",
            customer.id,
            "Managed Services",
            period=month_of(moment.today) if self.model.tells_period else None,
            invoiced_through=self.model.invoiced_through.get(customer.id),
            currency="USD",
        )

    def _standing(self, row: Row, moment: Moment) -> bool:
        return row.ends is None or row.ends >= moment.today

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        return ""

    def wire(self, posting: Posting) -> Wire:
        asked = {
            "operation": str(posting.operation),
            "key": posting.key,
            "marker": posting.marker,
            "customer": posting.customer_id,
            "line": posting.line_id,
            "product": posting.product_id,
            "quantity": str(posting.quantity),
            "starts": posting.starts.isoformat() if posting.starts else "",
            "ends": posting.ends.isoformat() if posting.ends else "",
            "version": posting.version,
        }
        return Wire("POST", f"/{posting.operation}", json.dumps(asked, sort_keys=True).encode())

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        model = self.model
        self.estate.boundary(f"{model.name}.send")
        fault = self.faults.writes.pop(0) if self.faults.writes else "ok"
        if fault == "very_late" and posting.operation is not Operation.SET_QUANTITY:
            fault = "late"
        self.estate.hits[f"write {fault}"] += 1
        if fault != "unsent":
            model.deliveries += [(one.key, wire.body) for one in model.carried(posting, wire.body)]
            self.estate.sent(model, posting, wire.body)
        answer = self._answer(fault, posting, wire.body)
        self.estate.boundary(f"{model.name}.send.after")
        return answer

    def _answer(self, fault: str, posting: Posting, body: bytes) -> Outcome:
        model = self.model
        match fault:
            case "unsent":
                return NotSent("the connection was refused")
            case "throttled":
                return NotSent("the vendor throttles")
            case "throttled_unclear":
                return Unknown("answered with 429 by something before the vendor")
            case "refused":
                return Refused("invalid", "the vendor does not want it")
            case "error_before" | "dies_on_line":
                return Unknown("answered with 500")
            case "ignored":
                return Receipt(posting.line_id)
            case "late" | "very_late":
                wait = VERY_LATE if fault == "very_late" else REQUEST_LIFE - timedelta(seconds=1)
                # A request on its way lands by the real time, whatever any clock shows.
                model.pending.append(Delivered(model.now + wait, body))
                return Unknown("no answer in time")
        remote, why = model.receive(body)
        if fault in ("lost", "error_after"):
            return Unknown("the answer was lost" if fault == "lost" else "answered with 500")
        return Refused("conflict", why) if why else Receipt(remote)

    def find(self, posting: Posting) -> Sight:
        model = self.model
        self.estate.boundary(f"{model.name}.find")
        if self.faults.finds > 0:
            self.faults.finds -= 1
            self.estate.hits["find down"] += 1
            raise VendorError("timeout", "no answer")
        model.arrive()
        row = model.rows.get(posting.line_id)
        model.looked[posting.key] = row.units if row is not None else None
        sight = self._look(posting)
        self.estate.boundary(f"{model.name}.find.after")
        return sight

    def _look(self, posting: Posting) -> Sight:
        if posting.operation in CREATES:
            bearing = [row for row in self.model.rows.values() if row.marker == posting.marker]
            if len(bearing) > 1:
                raise VendorError("invalid", f"{len(bearing)} lines bear the mark {posting.marker}")
            return Found(bearing[0].id, Decimal(abs(bearing[0].units))) if bearing else Absent()
        row = self.model.rows.get(posting.line_id)
        if row is None:
            return Moved(f"the line {posting.line_id} no longer exists")
        if posting.operation is Operation.END_LINE:
            if row.ends is not None:
                return Found(row.id) if row.ends == posting.ends else Moved(f"the line {row.id} ends on {row.ends}")
            return Absent() if row.units == posting.before else Moved(f"the line {row.id} shows {row.units}")
        if row.units == posting.quantity:
            return Found(row.id, Decimal(row.units))
        if row.units == posting.before:
            return Absent()
        return Moved(f"the line {row.id} shows {row.units}, last written by {row.by}")

    def _line(self, row: Row) -> BilledLine:
        return BilledLine(
            row.id,
            f"a-{row.customer}",
            row.customer,
            row.product,
            row.product,
            row.product,
            Decimal(row.units),
            unit_price=None if row.once else Decimal(10),  # a dated line may charge a share of it
            starts=row.starts,
            ends=row.ends,
            once=row.once,
            marker=row.marker,
            version=str(row.version),
            changed_by=row.by,
        )

    def close(self) -> None:
        """Nothing is held."""
