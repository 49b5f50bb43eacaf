"""Several postings share one document of the books: one request, one claim, and a look for each.

The vendor is a folder of documents in memory. It reads the database beside the ledger when a request reaches it, as
somebody would after a crash right then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_kit import Watch, intent, raw

from syncd.connect.contract import Abilities, Delivery
from syncd.connect.documents import charge, charges, legible, note
from syncd.core.entries import Entry, EntryState, Intent
from syncd.cycle.connections import Opened
from syncd.cycle.posting import post_all, recover
from syncd.errors import VendorError
from syncd.ledger import Ledger, request_of
from syncd.model import Absent, Found, Moved, NotSent, Operation, Outcome, Posting, Receipt, Refused, Sight, Wire
from syncd.model import Unknown as Lost

PLANNED, POSTED, FAILED, UNKNOWN = EntryState.PLANNED, EntryState.POSTED, EntryState.FAILED, EntryState.UNKNOWN


def document(*postings: Posting) -> Wire:
    """One request whose bytes name all that it holds."""
    text = note(charge(posting, 2) for posting in postings)
    return Wire("POST", "/estimates", json.dumps({"note": text}).encode())


@dataclass
class Books:
    """A vendor that keeps documents. `does`: whether it does what it is asked; `answers`: what it says instead of a
    receipt, in turn; `bad`: a mark that it refuses; `emptied`: a person empties each note at once. `written`: the
    entries in flight when a request came."""

    folder: Path
    does: bool = True
    bad: str = ""
    emptied: bool = False
    answers: list[Outcome] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    written: list[int] = field(default_factory=list)

    def together(self, posting: Posting) -> str:
        return f"{posting.customer_id}/{posting.period}" if posting.options.get("document") else ""

    def gather(self, postings: Sequence[Posting]) -> Wire:
        return document(*postings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        with raw(self.folder) as database:
            sending = database.execute("SELECT count(*) FROM entry WHERE state = 'sending'")
            self.written += [count for (count,) in sending]
        self.asked.append(wire.body)
        told = json.loads(wire.body)["note"]
        if self.bad and self.bad in told:
            return Refused("invalid", "the product is inactive")
        if self.does:
            self.kept.append("" if self.emptied else told)
        return self.answers.pop(0) if self.answers else Receipt("document", "echo")

    def find(self, posting: Posting) -> Sight:
        for number, told in enumerate(self.kept, 1):
            for one in charges(told):
                if one.mark == posting.marker:
                    return Found(f"document {number}", one.units)
        return Moved("a document without its note", perhaps=True) if "" in self.kept else Absent()


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def opened(books: Books, most: int = 10) -> dict[str, Opened]:
    abilities = Abilities(frozenset(), operations={Operation.POST_LINE: Delivery("K")}, documents=most)
    connector: Any = SimpleNamespace(abilities=abilities)
    connection: Any = books
    return {"cw": Opened("cw", connector, connection, 1, lambda: 0)}


def line(name: str, customer: str = "12", **options: str) -> Intent:
    """A dated line of a rule; its key is the name."""
    made = intent(f"lines:cw:12:7:{name}:2026-11", key=name, operation=Operation.POST_LINE, before="0", to="3")
    posting = replace(
        made.posting,
        marker=f"sd-test-{name}",
        customer_id=customer,
        quantity=Decimal(3),
        amount=Decimal("42.00"),
        unit_price=Decimal("14.00"),
        starts=date(2026, 11, 1),
        ends=date(2026, 11, 30),
        period="2026-11",
        options={"document": "estimate", **options},
    )
    return replace(made, posting=posting, wire=document(posting), before=Decimal(0), to=Decimal(3))


@pytest.fixture
def three(ledger: Ledger) -> Sequence[Entry]:
    return ledger.write("c000001", [], [line("first"), line("second"), line("third")])


KEYS = ("first", "second", "third")


def states(ledger: Ledger, *keys: str) -> list[EntryState]:
    found = [ledger.by_key(key) for key in keys or KEYS]
    return [entry.state for entry in found if entry is not None]


def marks(body: bytes) -> list[str]:
    return [one.mark.removeprefix("sd-test-") for one in charges(json.loads(body)["note"])]


def test_rules_of_one_customer_and_period_share_a_document(
    ledger: Ledger, books: Books, three: Sequence[Entry]
) -> None:
    done, errors, *_ = post_all(ledger, opened(books), KEYS)
    assert errors == []
    assert [marks(body) for body in books.asked] == [["first", "second", "third"]]
    assert books.written == [3], "all three were claimed before anything left"
    assert [entry.state for entry in done] == [POSTED] * 3
    assert {entry.remote_id for entry in done} == {"document 1"}


def test_what_was_sent_stands_in_the_record_of_each(ledger: Ledger, books: Books, three: Sequence[Entry]) -> None:
    post_all(ledger, opened(books), KEYS)
    for entry in three:
        assert request_of(entry, []).body == entry.intent.wire.body, "what would be sent, before anything was"
        sent = request_of(entry, ledger.events(entry.id))
        assert (sent.path, sent.body) == ("/estimates", books.asked[0])
    assert ledger.verify() == []


def test_other_customers_and_full_documents_have_their_own(ledger: Ledger, books: Books) -> None:
    ledger.write("c000001", [], [line("a"), line("b", customer="13"), line("c"), line("d"), line("alone", document="")])
    post_all(ledger, opened(books, most=2), ("a", "b", "c", "d", "alone"))
    assert [marks(body) for body in books.asked] == [["a", "c"], ["b"], ["d"], ["alone"]]


def test_one_line_that_is_refused_keeps_no_other_from_being_billed(
    ledger: Ledger, books: Books, three: Sequence[Entry]
) -> None:
    books.bad = "sd-test-second"
    post_all(ledger, opened(books), KEYS)
    assert [marks(body) for body in books.asked] == [["first", "second", "third"], ["first"], ["second"], ["third"]]
    assert states(ledger) == [POSTED, FAILED, POSTED]
    assert len(books.kept) == 2


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_answer_is_looked_up_for_each_and_nothing_is_billed_twice(
    ledger: Ledger, books: Books, three: Sequence[Entry], watch: Watch, landed: bool
) -> None:
    books.does, books.answers = landed, [Lost("the connection broke")]
    post_all(ledger, opened(books), KEYS)
    assert states(ledger) == [POSTED if landed else UNKNOWN] * 3
    books.does = True
    watch.move(hours=1)
    recover(ledger, opened(books), watch.now)
    post_all(ledger, opened(books), KEYS)
    assert states(ledger) == [POSTED] * 3
    assert len(books.kept) == 1
    assert len(set(books.asked)) == 1, "every attempt under a document's number sends the same bytes"


def test_a_document_that_lost_its_note_keeps_a_lost_answer_from_being_sent_again(
    ledger: Ledger, books: Books, three: Sequence[Entry], watch: Watch
) -> None:
    books.emptied, books.answers = True, [Lost("the connection broke")]
    post_all(ledger, opened(books), KEYS)
    for _ in range(2):
        watch.move(hours=1)
        troubles = recover(ledger, opened(books), watch.now)
        post_all(ledger, opened(books), KEYS)
        assert states(ledger) == [UNKNOWN] * 3
        assert [one.message for one in troubles] == [
            f"the outcome of entry {entry.id} stays unknown: a document without its note" for entry in three
        ]
        assert {one.code for one in troubles} == {"in_doubt"}
    assert len(books.asked) == 1


def test_a_document_that_lost_its_note_keeps_nothing_new_from_being_billed(
    ledger: Ledger, books: Books, three: Sequence[Entry]
) -> None:
    """What was never sent cannot be in it: it would be planned and overtaken in each cycle, and never billed."""
    books.kept.append("")
    post_all(ledger, opened(books), KEYS)
    assert states(ledger) == [POSTED] * 3
    assert len(books.asked) == 1


def test_one_that_was_superseded_meanwhile_leaves_the_document(
    ledger: Ledger, books: Books, three: Sequence[Entry], watch: Watch
) -> None:
    books.does, books.answers = False, [NotSent("connection refused")]
    post_all(ledger, opened(books), KEYS)
    assert states(ledger) == [PLANNED] * 3
    ledger.write("c000002", [(three[1].id, "no longer wanted")], [])
    books.does = True
    post_all(ledger, opened(books), KEYS)
    assert [marks(body) for body in books.asked] == [["first", "second", "third"], ["first", "third"]]
    assert states(ledger) == [POSTED, EntryState.SUPERSEDED, POSTED]


def test_one_that_is_no_longer_planned_keeps_all_from_leaving(
    ledger: Ledger, books: Books, three: Sequence[Entry]
) -> None:
    stale = list(three)
    ledger.write("c000002", [(three[1].id, "no longer wanted")], [])
    assert ledger.sending_together(stale, document(*[entry.intent.posting for entry in stale])) == []
    assert states(ledger) == [PLANNED, EntryState.SUPERSEDED, PLANNED]


def test_one_whose_mark_is_there_already_is_not_sent_again(
    ledger: Ledger, books: Books, three: Sequence[Entry]
) -> None:
    books.kept.append(note([charge(three[0].intent.posting, 2)]))
    post_all(ledger, opened(books), KEYS)
    assert [marks(body) for body in books.asked] == [["second", "third"]]
    assert states(ledger) == [POSTED] * 3


@pytest.mark.parametrize(
    "told",
    [
        "3 20261101-20261131",
        "3 20261130-20261101",
        "3 00001101-20261130",
        "3/0 20261101-20261130",
        "0 20261101-20261130",
    ],
)
def test_a_typo_in_a_note_forgets_no_mark_and_breaks_nothing(told: str) -> None:
    wrong, right = charges(f"sd-test-first {told}; sd-test-second 12.5/1 20261101-20261130")
    assert (wrong.mark, wrong.readable) == ("sd-test-first", False)
    assert (right.mark, right.readable, right.shown(Decimal(1))) == ("sd-test-second", True, Decimal("12.5"))
    with pytest.raises(VendorError, match="the mark sd-test-first"):
        wrong.shown(Decimal(3))
    legible([right], "the invoice 7", "memo")
    with pytest.raises(VendorError, match="the invoice 7 bears syncd's mark sd-test-first") as one:
        legible([right, wrong], "the invoice 7", "memo")
    assert one.value.code == "malformed"
    assert "put the memo back as it was" in str(one.value)
