"""Rooms, receivers and a ticket desk for the tests of alerts.

A Room runs the last phase of a cycle on a real ledger, with a plan that the test makes up. What was told is read from
the receivers' own record, never from the ledger.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import web_kit
from stage import empty_ledger
from web_kit import NOW, line, plan

from syncd.alerts.channels import Fared
from syncd.config import Config, WebConfig
from syncd.config.schema import AlertTable
from syncd.connect.contract import Abilities, Delivery
from syncd.core.entries import Entry
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import ReadError, View
from syncd.core.rules import Customer, Mappings, Mode
from syncd.cycle import alerting
from syncd.cycle.connections import Opened
from syncd.errors import VendorError
from syncd.ledger import Ledger
from syncd.model import (
    Absent,
    Found,
    Operation,
    Outcome,
    Posting,
    Receipt,
    RemoteCustomer,
    Sight,
    State,
    Wire,
)

URL = "sqlite:///state/syncd.db"
HOOK = {"to": {"env": "ALERT_URL"}}
TICKETS = {"ticket": {"in": "cw", "board": "Billing", "company": "ACME MSP"}}


class Killed(BaseException):
    """The process dies here."""


def drifting(customer: str = "Contoso Dental", used: int = 27, amount: str | None = "56.00", **more: Any) -> PlanLine:
    """A line that is only observed: used and billed differ."""
    fields = {"action": Action.POST, "mode": Mode.OBSERVE, **more}
    return line(customer, used=str(used), billed="25", amount=amount, **fields)


def unread(customer: str = "Contoso Dental", message: str = "the tenant did not answer") -> tuple[PlanLine, ReadError]:
    """The line while its tenant cannot be read, and the error that says so."""
    fields: dict[str, Any] = {"used": None, "amount": None, "findings": (), "reason": f"used is unknown: {message}"}
    blocked = line(customer, action=Action.BLOCKED, mode=Mode.OBSERVE, **fields)
    return replace(blocked, states={"used": State.UNKNOWN, "billed": State.KNOWN}), ReadError(
        "m365", customer, "timeout", message
    )


@dataclass
class Post:
    """Where messages arrive without a process of their own. `refuses`: the sentence with which none is taken.
    `dies`: "before" or "after" the message was taken."""

    letters: list[dict[str, str]] = field(default_factory=list)
    refuses: str = ""
    dies: str = ""

    def take(self, task: Mapping[str, Any], **_: Any) -> str:
        if self.refuses:
            return self.refuses
        if self.dies == "before":
            raise Killed
        if "body" in task:
            self.letters.append({"title": str(task["title"]), "body": str(task["body"]), "url": str(task["url"])})
        if self.dies == "after":
            raise Killed
        return ""

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.letters]


@dataclass
class Desk:
    """A ticket system that counts what it did. `fails`: operations whose answer is this outcome. `dies` as in Post."""

    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    answers: dict[Operation, Outcome] = field(default_factory=dict)
    dies: str = ""
    blind: bool = False

    kind = "desk"
    abilities = Abilities(
        reads=frozenset(),
        operations={
            one: Delivery("M", "mark", 40, request_life=timedelta(minutes=5))
            for one in (Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET)
        },
    )

    def wire(self, posting: Posting) -> Wire:
        return Wire("POST", "tickets", json.dumps([posting.operation, posting.line_id, posting.description]).encode())

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        assert wire == self.wire(posting)  # frozen bytes
        if self.dies == "before":
            raise Killed
        if posting.operation in self.answers:
            return self.answers[posting.operation]
        self.effects.append(str(posting.operation))
        if posting.operation is Operation.OPEN_TICKET:
            number = str(100 + len(self.tickets))
            self.tickets[number] = {
                "company": posting.customer_id, "board": posting.options["board"], "open": True, "notes": [],
                "summary": posting.options["summary"], "text": posting.description, "marks": [posting.marker],
            }  # fmt: skip
        else:
            number = posting.line_id
            self.tickets[number]["marks"].append(posting.marker)
            if posting.operation is Operation.CLOSE_TICKET:
                self.tickets[number]["open"] = False
            else:
                self.tickets[number]["notes"].append(posting.description)
        if self.dies == "after":
            raise Killed
        return Receipt(number if posting.operation is Operation.OPEN_TICKET else f"n{len(self.effects)}")

    def find(self, posting: Posting) -> Sight:
        if self.blind:
            raise VendorError("unavailable", "the desk does not answer")
        for number, ticket in self.tickets.items():
            if posting.marker in ticket["marks"]:
                return Found(number)
        return Absent()

    @property
    def open(self) -> list[str]:
        return [number for number, ticket in self.tickets.items() if ticket["open"]]


class Room:
    """A ledger, channels and a clock; `cycle` is the last phase of one cycle."""

    def __init__(self, folder: Path, tables: Sequence[dict[str, object]], mode: Mode = Mode.POST) -> None:
        database = folder / "state" / "syncd.db"
        database.parent.mkdir(parents=True)
        database.touch(0o600)
        database.write_bytes(empty_ledger())  # quicker than migrating one for each test
        self.folder = folder
        self.now = NOW
        self.post = Post()
        self.desk = Desk()
        self.mode = mode
        self.tables = list(tables)
        self.tags: dict[str, tuple[str, ...]] = {}
        self.companies: tuple[RemoteCustomer, ...] | None = (RemoteCustomer("19", "ACME MSP", ("ACME",)),)
        self.linked = False
        self.ledger = self.opened()

    def opened(self) -> Ledger:
        ledger = Ledger.open(URL, lambda: self.now, folder=self.folder)
        ledger.claim("test")
        return ledger

    def dies(self) -> None:
        """The process is gone; another one starts."""
        self.ledger.close()
        self.post.dies = self.desk.dies = ""
        self.ledger = self.opened()

    @property
    def config(self) -> Config:
        made = replace(
            web_kit.config(self.mode),
            folder=self.folder,
            alerts=tuple(AlertTable.model_validate(one) for one in self.tables),
        )
        return replace(made, web=WebConfig("127.0.0.1:8730", "127.0.0.1", 8730, linked=self.linked))

    def cycle(
        self,
        *lines: PlanLine | tuple[PlanLine, ReadError],
        errors: tuple[ReadError, ...] = (),
        ended: Sequence[Entry] = (),
        after: timedelta = timedelta(hours=1),
        stop: threading.Event | None = None,
        **more: Any,
    ) -> tuple[Fared, ...]:
        """The alerts of one cycle that found these lines; then time passes."""
        number = self.ledger.begin_cycle("post", self.now)
        flat = [one[0] if isinstance(one, tuple) else one for one in lines]
        told = (*errors, *(one[1] for one in lines if isinstance(one, tuple)))
        made: Plan = plan(*flat, mode=self.mode, errors=told, **{"unmapped_products": (), **more})
        opened = {"cw": Opened("cw", self.desk, self.desk, 1, lambda: 0)}  # type: ignore[arg-type]
        customers = tuple(Customer(one.customer, {}, self.tags.get(one.customer, ())) for one in flat)
        scene = alerting.Scene(
            self.config, Mappings(customers), self.ledger, opened, {"cw": View("cw", self.companies)}, number, made,
            ended, self.now, stop,
        )  # fmt: skip
        fared = alerting.tell(scene)
        self.now += after
        return fared

    def own(self) -> list[tuple[str, str]]:
        """(operation, state) of everything in the outbox."""
        return [(str(one.intent.operation), str(one.state)) for one in self.ledger.entries(own=True)]


class Webhook:
    """Receives over real HTTP. `answer`: the status; `location`: where a redirect points; `hang`: seconds before it
    answers."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer = 200
        self.location = ""
        self.hang = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers))
                end = time.monotonic() + outer.hang
                while time.monotonic() < end and not outer.closing.is_set():
                    # A byte now and then keeps a reader's own time-out from passing.
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: " if not getattr(self, "begun", 0) else b"x")
                    self.begun = 1
                    self.wfile.flush()
                    time.sleep(0.05)
                if outer.answer == 200:
                    outer.received.append(json.loads(body))
                self.send_response(outer.answer)
                if outer.location:
                    self.send_header("Location", outer.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name that the server calls

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """As Apprise writes it."""
        return f"json://user:hunter2secret@127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self) -> Webhook:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Mailbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=default)))
        return "250 kept"


def stamp(moment: datetime) -> str:
    """As messages write an instant."""
    return f"{moment.astimezone(web_kit.ZONE):%Y-%m-%d %H:%M}"
