"""A connector that fails is an error of its vendor's lines: not the end of the others, and never a second bill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_kit import Watch, intent

from syncd.connect.contract import Abilities, Delivery
from syncd.core.entries import EntryState
from syncd.cycle.connections import Opened
from syncd.cycle.posting import post_all, recover
from syncd.errors import Fault, UserFault
from syncd.ledger import Ledger
from syncd.model import Absent, Found, Operation, Outcome, Posting, Receipt, Sight, Wire

PLANNED, POSTED, UNKNOWN = EntryState.PLANNED, EntryState.POSTED, EntryState.UNKNOWN


@dataclass
class Vendor:
    """Keeps what it was sent. `finding`, `sending`: what fails instead, each time. `room`: charges on a document."""

    finding: Callable[[], None] = lambda: None
    sending: Callable[[], None] = lambda: None
    room: int = 10
    kept: list[str] = field(default_factory=list)

    def together(self, posting: Posting) -> str:
        return posting.customer_id

    def gather(self, postings: Sequence[Posting]) -> Wire:
        if len(postings) > self.room:
            raise ValueError("more charges than a reference can name")
        return Wire("POST", "/documents", " ".join(one.marker for one in postings).encode())

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        self.kept.append(wire.body.decode())
        self.sending()
        return Receipt("document", "echo")

    def find(self, posting: Posting) -> Sight:
        self.finding()
        return Found("document") if any(posting.marker in one for one in self.kept) else Absent()


def opened(**vendors: Vendor) -> dict[str, Opened]:
    abilities = Abilities(frozenset(), operations={Operation.POST_LINE: Delivery("K")}, documents=10)
    connector: Any = SimpleNamespace(abilities=abilities)
    return {name: Opened(name, connector, one, 1, lambda: 0) for name, one in vendors.items()}  # type: ignore[arg-type]


def line(name: str, connection: str = "cw") -> Any:
    made = intent(f"lines:{connection}:{name}", key=name, operation=Operation.POST_LINE, before="0", to="3")
    posting = replace(made.posting, marker=f"sd-test-{name}", customer_id="12", period="2026-11")
    return replace(made, posting=posting, wire=Wire("POST", "/documents", posting.marker.encode()),
                   connection=connection)  # fmt: skip


def fails() -> None:
    raise ZeroDivisionError("a person's typing error")


def locked() -> None:
    raise UserFault(Fault("config.toml › [connections.cw] › private_key", "the file cannot be read."))


@pytest.mark.parametrize(("fault", "code"), [(fails, "malformed"), (locked, "unauthorized")])
def test_a_look_that_fails_is_an_error_of_that_vendor(ledger: Ledger, fault: Callable[[], None], code: str) -> None:
    ledger.write("c1", [], [line("a"), line("b", "other")])
    there = opened(cw=Vendor(finding=fault), other=Vendor())

    done, errors, *_ = post_all(ledger, there, {"a", "b"})

    assert [entry.intent.key for entry in done] == ["b"]
    assert [(one.connection, one.code) for one in errors] == [("cw", code)]
    assert [entry.state for entry in ledger.entries(states={PLANNED})] == [PLANNED]


def test_what_cannot_be_looked_at_stays_unknown_and_the_rest_is_settled(ledger: Ledger, watch: Watch) -> None:
    for entry in ledger.write("c1", [], [line("a"), line("b", "other")]):
        ledger.sending(entry)

    errors = recover(ledger, opened(cw=Vendor(finding=fails), other=Vendor(kept=["sd-test-b"])), watch())

    assert [(one.connection, one.code) for one in errors] == [("cw", "malformed")]
    assert {entry.intent.key: entry.state for entry in ledger.entries()} == {"a": UNKNOWN, "b": POSTED}


def test_a_sending_that_fails_may_have_been_received(ledger: Ledger, watch: Watch) -> None:
    ledger.write("c1", [], [line("a"), line("b", "other")])
    vendor = Vendor(sending=fails)
    there = opened(cw=vendor, other=Vendor())
    vendor.finding = lambda: fails() if vendor.kept else None

    done, *_ = post_all(ledger, there, {"a", "b"})
    assert {entry.intent.key: entry.state for entry in done} == {"a": UNKNOWN, "b": POSTED}
    assert "the connector failed on the answer (ZeroDivisionError)" in done[0].note

    vendor.finding = lambda: None
    watch.move(hours=1)
    assert recover(ledger, there, watch()) == []
    assert len(vendor.kept) == 1
    assert {entry.state for entry in ledger.entries()} == {POSTED}


def test_a_secret_that_cannot_be_read_to_sign_with_lets_nothing_leave_and_ends_no_cycle(ledger: Ledger) -> None:
    ledger.write("c1", [], [line("a"), line("b", "other")])
    there = opened(cw=Vendor(sending=locked), other=Vendor())

    done, *_ = post_all(ledger, there, {"a", "b"})

    assert {entry.intent.key: entry.state for entry in done} == {"a": PLANNED, "b": POSTED}
    assert "private_key" in done[0].note


@pytest.mark.parametrize(("room", "documents"), [(5, [5]), (4, [2, 3]), (2, [2, 1, 2]), (1, [1] * 5)])
def test_charges_that_do_not_fit_on_one_document_stand_on_several(
    ledger: Ledger, room: int, documents: list[int]
) -> None:
    names = list("abcde")
    ledger.write("c1", [], [line(name) for name in names])
    vendor = Vendor(room=room)

    post_all(ledger, opened(cw=vendor), names)

    assert [len(one.split()) for one in vendor.kept] == documents
    assert sorted(" ".join(vendor.kept).split()) == [f"sd-test-{name}" for name in names]
    assert {entry.state for entry in ledger.entries()} == {POSTED}
    assert ledger.verify() == []
    assert post_all(ledger, opened(cw=vendor), names).ended == []
