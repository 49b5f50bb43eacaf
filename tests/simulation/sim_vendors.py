"""Model billing systems in memory, which act on the bytes that they are sent, as the real ones do.

They know nothing of syncd's ledger, and keep a record of their own: each delivery (key and bytes) and each effect (what
changed, by which key and mark, when). Class S sets a quantity, class M creates a line with our mark, class K creates
one under the vendor's own key, which it may forget. What a connector sees of them, and which lies, is `sim_session`'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sim_estate import DATED, KEY_LIFE, REQUEST_LIFE, Delivered, Effect, Estate, Faults, Row, run_out
from sim_session import BillingSession

from syncd.connect.contract import Abilities, Context, Delivery
from syncd.connect.settings import ConnectionSettings
from syncd.model import Operation, Posting
from syncd.periods import Period


class BillingModel:
    """Agreements and lines, one agreement for each customer. `keyed`: creates carry the vendor's own key (class K)."""

    title, sandbox = "Model billing", ""
    settings = ConnectionSettings

    def __init__(
        self, name: str, estate: Estate, customers: Sequence[str], products: Sequence[str], *,
        keyed: bool, tells_period: bool, versions: bool,
    ) -> None:  # fmt: skip
        self.name, self.estate, self.kind = name, estate, "keyed" if keyed else "marked"
        self.customers, self.products = list(customers), list(products)
        self.keyed, self.tells_period, self.versions = keyed, tells_period, versions
        self.rows: dict[str, Row] = {}
        self.invoiced_through: dict[str, date] = {}
        self.locked_through: date | None = None
        self.keys: dict[str, tuple[datetime, bytes, str]] = {}
        self.faults = Faults()
        self.past: list[dict[str, Row]] = []
        self.pending: list[Delivered] = []
        self.deliveries: list[tuple[str, bytes]] = []
        self.effects: list[Effect] = []
        self.history: dict[str, list[tuple[int, str]]] = {}  # line -> (quantity, by whom), oldest first
        self.removed: set[str] = set()  # lines that a colleague took away
        self.looked: dict[str, int | None] = {}  # key -> the quantity that the last look under it showed
        self.abilities = billing_abilities(keyed)
        self.number = 100

    def open(self, settings: Any, context: Context) -> Any:
        return BillingSession(self, context)

    def add(self, customer: str, product: str, units: int, **more: Any) -> Row:
        """A line of a person's, or of a request's."""
        self.number += 1
        row = Row(f"{self.name}{self.number}", customer, product, units, **more)
        self.rows[row.id] = row
        self.history[row.id] = [(units, row.by)]
        return row

    def clear(self) -> None:
        """No fault is left."""
        self.faults.clear()

    def invoice(self, customers: Sequence[str], period: Period, today: date, *, locks: bool) -> None:
        """The current period is invoiced; with `locks` the one before is closed."""
        self.invoiced_through = dict.fromkeys(customers, period.last)
        if locks:
            self.locked_through = period.first - timedelta(days=1)

    def carried(self, posting: Posting, body: bytes) -> list[Posting]:
        """What a request carries, by key, mark and product."""
        return [posting]

    def home(self, line: str) -> str:
        """What the vendor calls the record in which a line stands."""
        return line

    def cycle_begins(self) -> None:
        """Keeps a snapshot for stale readings, as it stands before anything of the cycle."""
        self.past = [*self.past[-3:], {name: replace(row) for name, row in self.rows.items()}]

    def cycle_ends(self) -> None:
        """Lets faults run out."""
        run_out(self.faults)

    # What happens there

    def rival(self, line: str, units: int | None) -> None:
        """Somebody sets a line's quantity, or touches it without changing it (None)."""
        row = self.rows.get(line)
        if row is None:
            return
        row.version += 1
        row.by = "a colleague"
        if units is not None:
            row.units = units
            self.history[line].append((units, row.by))

    def recurring(self, customer: str, product: str, today: date) -> list[Row]:
        """The lines that bill every period."""
        return [
            row
            for row in self.rows.values()
            if (row.customer, row.product, row.once) == (customer, product, False)
            and (row.ends is None or row.ends >= today)
        ]

    def arrive(self, *, everything: bool = False) -> None:
        """What was on its way for long enough lands."""
        due = [one for one in self.pending if everything or one.lands <= self.estate.now]
        for one in due:
            self.pending.remove(one)
            self.estate.hits["a late request landed"] += 1
            self.receive(one.body)

    def receive(self, body: bytes) -> tuple[str, str]:
        """Acts on a request: (remote id, "") or ("", why it is refused)."""
        asked = json.loads(body)
        key, operation, units = asked["key"], asked["operation"], int(asked["quantity"])
        starts = date.fromisoformat(asked["starts"]) if asked["starts"] else None
        ends = date.fromisoformat(asked["ends"]) if asked["ends"] else None
        if operation in (Operation.SET_QUANTITY, Operation.END_LINE):
            row = self.rows.get(asked["line"])
            if row is None:
                return "", "the line does not exist"
            if self.versions and asked["version"] and asked["version"] != str(row.version):
                self.estate.hits["a version refused"] += 1
                return "", "the line was changed meanwhile"
            before = row.units
            row.version += 1
            row.by = "syncd"
            if operation == Operation.SET_QUANTITY:
                row.units = units
            else:
                row.ends = ends
            self.history[row.id].append((row.units, "syncd"))
            self._note(Effect(key, "", operation, row.customer, row.product, row.id, before, units, None, self.now))
            return row.id, ""
        if self.keyed and key in self.keys:
            since, first, remote = self.keys[key]
            if self.now - since < KEY_LIFE:
                self.estate.hits["a key replayed"] += 1
                return (remote, "") if first == body else ("", "the key was used for another request")
            self.estate.hits["a key expired"] += 1
        if operation in DATED and self.locked_through is not None and starts and starts <= self.locked_through:
            self.estate.hits["a closed period refused"] += 1
            return "", f"the period up to {self.locked_through} is closed"
        signed = -units if operation == Operation.POST_CREDIT else units
        row = self.add(
            asked["customer"], asked["product"], signed, starts=starts,
            ends=ends if operation in DATED else None, once=operation in DATED, marker=asked["marker"], by="syncd",
        )  # fmt: skip
        if self.keyed:
            self.keys[key] = (self.now, body, row.id)
        self._note(
            Effect(key, row.marker, operation, row.customer, row.product, row.id, 0, signed, row.starts, self.now)
        )
        return row.id, ""

    @property
    def now(self) -> datetime:
        return self.estate.now

    def _note(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.estate.done(self, effect)


def billing_abilities(keyed: bool) -> Abilities:
    """What a mapping may ask of a billing model."""
    made = (
        Delivery("K", "note", 40, key_life=KEY_LIFE, request_life=REQUEST_LIFE, throttled_is_harmless=True)
        if keyed
        else Delivery("M", "note", 40, request_life=REQUEST_LIFE, throttled_is_harmless=True)
    )
    put = Delivery("S", request_life=REQUEST_LIFE, throttled_is_harmless=True)
    return Abilities(
        reads=frozenset({"billed"}),
        operations=MappingProxyType(
            {
                Operation.SET_QUANTITY: put,
                Operation.END_LINE: put,
                Operation.ADD_LINE: made,
                Operation.POST_LINE: made,
                Operation.POST_CREDIT: made,
            }
        ),
        bill_keys=("agreement", "product"),
    )
