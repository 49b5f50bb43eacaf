"""The model source: counts of SKUs by customer, with every lie that a source can tell. See `sim_estate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from sim_estate import Estate, Faults, run_out

from syncd.connect.contract import Abilities, Ask, Context, Measure, SignIn
from syncd.connect.settings import ConnectionSettings
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, RemoteCustomer, State

# What may be wrong with a source.
COUNT_FAULTS = (
    "down",
    "cut",
    "partial",
    "wrong_tenant",
    "list_down",
    "silent",  # no answer for a customer at all
    "stale",
    # Lies that no connector can see. They are told only where the safety limits are an MSP's.
    "empty",  # zero for everybody, as a known number
    "half",  # half of every count
    "list_short",  # the customer list lacks somebody
    "zero_one",  # zero for one customer
)
LIES = frozenset({"empty", "half", "list_short", "zero_one"})


class SourceModel:
    """Counts of SKUs by customer. `present`: who is still a customer there."""

    kind, title, sandbox = "counts", "Model counts", ""
    settings = ConnectionSettings

    def __init__(self, name: str, estate: Estate, counts: dict[tuple[str, str], int], *, together: bool) -> None:
        self.name, self.estate, self.counts = name, estate, counts
        self.present = {customer for customer, _ in counts}
        self.faults = Faults()
        self.past: list[dict[tuple[str, str], int]] = []
        self.abilities = source_abilities(together)

    def open(self, settings: Any, context: Context) -> Any:
        return SourceSession(self)

    def true_count(self, customer: str, sku: str) -> int:
        return self.counts[customer, sku] if customer in self.present else 0

    def cycle_begins(self) -> None:
        """Keeps a snapshot for stale readings, and lets faults run out."""
        self.past = [*self.past[-3:], dict(self.counts)]

    def cycle_ends(self) -> None:
        run_out(self.faults)


def source_abilities(together: bool) -> Abilities:
    """`together`: one read covers all customers, and its end spoils the rest."""
    return Abilities(
        reads=frozenset({"used"}),
        measures={"seats": Measure("used", "seats")},
        default_measure="seats",
        per_customer=not together,
    )


class SourceSession:
    """An open connection to a source."""

    def __init__(self, model: SourceModel) -> None:
        self.model, self.estate = model, model.estate

    def sign_in(self) -> SignIn:
        return SignIn("model")

    def _told(self, kind: str) -> bool:
        if kind not in self.model.faults.reads:
            return False
        self.estate.hits[f"counts {kind}"] += 1
        return True

    def customers(self) -> Sequence[RemoteCustomer]:
        self.estate.boundary(f"{self.model.name}.customers")
        if self._told("list_down"):
            raise VendorError("unavailable", "the customer list did not come")
        shown = sorted(self.model.present)
        if self.model.faults.victim in shown and self._told("list_short"):
            shown.remove(self.model.faults.victim)
        self.estate.boundary(f"{self.model.name}.customers.after")
        return [RemoteCustomer(one, one.title()) for one in shown]

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        model, faults = self.model, self.model.faults
        self.estate.boundary(f"{model.name}.counts")
        if self._told("down"):
            raise VendorError("timeout", "no answer")
        counts = model.counts
        if model.past and self._told("stale"):
            lag = faults.lags[0]
            faults.lags.append(faults.lags.pop(0))
            counts = model.past[-min(lag + 1, len(model.past))]
        for position, ask in enumerate(asks):
            who = ask.customer.id
            for query in ask.queries:
                self.estate.boundary(f"{model.name}.counts.row")
                if position >= len(asks) // 2 and self._told("cut"):
                    raise VendorError("incomplete", "the pages ended early")
                if who == faults.victim and self._told("wrong_tenant"):
                    raise VendorError("wrong_tenant", "the answer is another tenant's")
                if who == faults.victim and self._told("silent"):
                    continue
                known = {sku: number for (one, sku), number in counts.items() if one == who}
                state, why = State.KNOWN, ""
                if who == faults.victim and self._told("partial"):
                    known, state, why = dict(list(known.items())[:1]), State.PARTIAL, "a page is missing"
                if self._told("empty") or (who == faults.victim and self._told("zero_one")):
                    known = dict.fromkeys(known, 0)
                if self._told("half"):
                    known = {sku: number // 2 for sku, number in known.items()}
                yield Reading(
                    who,
                    query,
                    state,
                    tuple(Count(sku, sku, Decimal(number)) for sku, number in sorted(known.items())),
                    proof=f"{len(known)} of {len(known)} rows" if state is State.KNOWN else "",
                    code="incomplete" if why else "",
                    reason=why,
                )

    def close(self) -> None:
        """Nothing is held."""
