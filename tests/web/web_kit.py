"""Makers for the tests of the pages: a plan, a cycle, a ledger with entries, and requests without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from syncd.config import Config, ConnectionConfig, EvidenceConfig, WebConfig
from syncd.connect.settings import ConnectionSettings
from syncd.core.entries import EntryState, Intent, Observation
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import House, Mode
from syncd.core.shown import derivation_json
from syncd.core.unmapped import Unmapped
from syncd.core.worth import DRIFT, Worth
from syncd.cycle import Cycle
from syncd.ledger import Ledger
from syncd.model import Moment, Operation, Posting, State, Wire
from syncd.periods import Period
from syncd.web.app import make_app
from syncd.web.board import Board

ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)  # 10:00 in Chicago
MOMENT = Moment(NOW, date(2026, 11, 20), Period(date(2026, 11, 1), date(2026, 11, 30)))
# Everything a page could trip over: markup, quotes, a terminal escape, a mark that reverses the text after it.
NASTY = "<script>alert('x')</script>\"&\x1b[31m\u202eevil"


def clock() -> datetime:
    """It is always NOW."""
    return NOW


def config(mode: Mode = Mode.POST, *, every: timedelta = timedelta(hours=1), cron: str = "", **more: Any) -> Config:
    """A config with two connections, as loading would make it."""
    folder = Path("/nowhere")
    return Config(
        path=folder / "config.toml",
        folder=folder,
        house=House(mode=mode, zone=ZONE),
        every=every,
        cron=cron,
        database="sqlite:///state/syncd.db",
        concurrency=8,
        connections={
            name: ConnectionConfig(name, kind, ConnectionSettings(kind=kind))
            for name, kind in (("m365", "microsoft365"), ("cw", "connectwise"))
        },
        mappings_folder=folder / "mappings",
        evidence=EvidenceConfig("names", timedelta(days=365)),
        alerts=(),
        web=WebConfig("127.0.0.1:8730", "127.0.0.1", 8730),
        warnings=(),
        **more,
    )


def line(
    customer: str = "Contoso Dental",
    *,
    used: str | None = "27",
    billed: str | None = "25",
    action: Action = Action.POST,
    findings: tuple[str, ...] = ("leakage",),
    amount: str | None = "56.00",
    **more: Any,
) -> PlanLine:
    """One line of a plan; by default two seats are leaking."""
    counted, on_line = (Decimal(value) if value is not None else None for value in (used, billed))
    plain: dict[str, Any] = {
        "id": f"line-{customer}",
        "customer": customer,
        "rule": "M365 Business Premium",
        "connection": "cw",
        "bought": None,
        "used": counted,
        "billed": on_line,
        "invoiced": None,
        "states": {"used": State.KNOWN if used is not None else State.UNKNOWN, "billed": State.KNOWN},
        "target": counted,
        "difference": counted - on_line if counted is not None and on_line is not None else None,
        "amount": Decimal(amount) if amount is not None else None,
        "currency": "USD" if amount is not None else "",
        "findings": findings,
        "action": action,
        "reason": "increase is now",
        "mode": Mode.POST,
    }
    if amount is not None:
        drift = Worth(abs(Decimal(amount)), str(more.get("currency", "USD")), "cw")
        plain["worth"] = {finding: drift for finding in findings if finding in DRIFT}
    return PlanLine(**plain | more)


def plan(*lines: PlanLine, mode: Mode = Mode.POST, errors: tuple[ReadError, ...] = (), **more: Any) -> Plan:
    """A plan of these lines."""
    plain: dict[str, Any] = {
        "moment": MOMENT,
        "mode": mode,
        "lines": lines,
        "unmapped_customers": (),
        "unmapped_products": (Unmapped("m365", "VISIO", "Visio", Decimal(3)),),
        "errors": errors,
        "suspects": {},
        "checksum": "abc",
    }
    return Plan(**plain | more)


def cycle(made: Plan, *, waiting: int = 0, in_doubt: int = 0, **more: Any) -> Cycle:
    """A cycle that saw this plan."""
    return Cycle("c000007", made, more.get("entries", ()), waiting, in_doubt, requests=42)


def board_with(made: Cycle | None, **settings: Any) -> Board:
    """A board after this cycle, or before the first."""
    board = Board()
    board.configured(config(**settings))
    if made is not None:
        board.began()
        board.ended_well(made, NOW - timedelta(minutes=2), (18, "f00d" * 16))
    return board


SUBJECTS = json.dumps([["u1", "Avery Brook", "active"], ["u2", NASTY, ""]], separators=(",", ":")).encode()
DIGEST = sha256(SUBJECTS).hexdigest()


def intent(
    number: int = 1,
    customer: str = "Contoso Dental",
    *,
    state: EntryState = EntryState.HELD,
    operation: Operation = Operation.SET_QUANTITY,
    before: str = "25",
    to: str = "27",
    **more: Any,
) -> Intent:
    """A change as a plan would write it down, with the derivation that its explanation shows."""
    shown = line(
        customer,
        derivation={
            "rule": "r",
            "counts": [
                {
                    "connection": "m365", "customer_id": "t1", "query": "assigned", "sku": "SPB", "factor": "2",
                    "name": "Business Premium", "quantity": "27", "subjects": DIGEST, "note": "",
                    "proof": "27 of 27 users in 1 page",
                }
            ],
            "bought": [],
            "steps": [{"text": "used", "result": "37"}, {"text": "less 10 included", "result": "27"}],
            "agreement": "a1", "line": "l1", "unit_price": "28", "site": "cw:a1:p1",
        },
    )  # fmt: skip
    posting = Posting(
        operation=operation, key=f"key-{number}", marker="sd-x-1", customer_id="19", quantity=Decimal(to),
        product="M365-BP", period="2026-11",
    )  # fmt: skip
    plain: dict[str, Any] = {
        "identity": f"cw:line:{number}",
        "line": f"line-{number}",
        "customer": customer,
        "rule": "M365 Business Premium",
        "connection": "cw",
        "period": "2026-11",
        "before": Decimal(before),
        "to": Decimal(to),
        "state": state,
        "decided_by": "policy",
        "posting": posting,
        "wire": Wire("PATCH", "finance/additions/7", b'[{"op":"replace","path":"quantity","value":27}]'),
        "fingerprint": f"print-{number}",
        "amount": Decimal("56.00"),
        "currency": "USD",
        "why": "increase is hold",
        "derivation": derivation_json(shown),
    }
    return Intent(**plain | more)


def one_cycle(ledger: Ledger, *intents: Intent) -> list[str]:
    """A whole cycle that writes these down; the new entries' ids."""
    number = ledger.begin_cycle("post", NOW.astimezone(ZONE))
    made = ledger.write(number, (), intents)
    kept = Observation("m365", "t1", "assigned", State.KNOWN, "d", b"{}", {DIGEST: SUBJECTS})
    ledger.end_cycle(number, {}, [kept], {}, {}, {}, [])
    return [entry.id for entry in made]


@dataclass(frozen=True)
class Answer:
    """What the site answered. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Browser:
    """Asks the site as a server would hand it a request, without a socket."""

    def __init__(self, board: Board, books: Any) -> None:
        self._app = make_app(board, books, clock)

    def get(self, url: str, *, method: str = "GET", **headers: str) -> Answer:
        """One request; `headers` with `_` for `-`. The Host is loopback's unless given."""
        parts = urlsplit(url)
        sent = {"host": "127.0.0.1:8730", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": parts.path, "raw_path": parts.path.encode(), "query_string": parts.query.encode(),
            "root_path": "", "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "server": ("127.0.0.1", 8730), "client": ("127.0.0.1", 50000),
        }  # fmt: skip
        got: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            got.append(message)

        async def ask() -> None:
            try:
                await self._app(scope, receive, send)
            except Exception:
                # Starlette answers with the page for a fault, and hands the fault on to the server's log.
                if not got:
                    raise

        asyncio.run(ask())
        headers_got = {name.decode(): value.decode() for name, value in got[0]["headers"]}
        return Answer(got[0]["status"], headers_got, b"".join(one.get("body", b"") for one in got[1:]))
