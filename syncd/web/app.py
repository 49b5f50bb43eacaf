"""The routes: three for machines, five pages for people. All of them read; none changes anything."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from syncd import __version__
from syncd.clock import Clock
from syncd.core.entries import EntryState
from syncd.core.policy import Action
from syncd.core.shown import quantity_text
from syncd.errors import SyncdError
from syncd.logs import clean
from syncd.web import books as ledger_books
from syncd.web import show
from syncd.web.board import Board, Snapshot
from syncd.web.books import Books
from syncd.web.guard import Guard
from syncd.web.health import stuck, unready
from syncd.web.metrics import CONTENT_TYPE, Metrics

# The overview looks again by itself; pages that are read or filtered stay as they are.
REFRESH = {"refresh": "30"}
_ASSETS = {"site.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}


def make_app(board: Board, books: Books, clock: Clock, hosts: Collection[str] = ()) -> ASGIApp:
    """The whole site. `hosts`: names besides loopback's own under which it is asked."""
    site = _Site(board, books, clock)
    routes = [
        Route("/healthz", site.healthz),
        Route("/readyz", site.readyz),
        Route("/metrics", site.metrics),
        Route("/", site.overview),
        Route("/drift", site.drift),
        Route("/held", site.held),
        Route("/ledger", site.ledger),
        Route("/ledger/{id}", site.entry),
        Route("/static/{name}", site.asset),
    ]
    handlers: Any = {HTTPException: site.refused, SyncdError: site.unreadable, Exception: site.failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), hosts)


class _Site:
    def __init__(self, board: Board, books: Books, clock: Clock) -> None:
        self._board = board
        self._books = books
        self._clock = clock
        self._metrics = Metrics(board)
        self._templates = Environment(
            loader=PackageLoader("syncd.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_finalize,
        )
        self._templates.globals.update(
            version=__version__,
            action_words=show.ACTION_WORDS,
            state_words=show.STATE_WORDS,
            operation_words=show.OPERATION_WORDS,
            mode_words=show.MODE_WORDS,
            entry_money=show.entry_money,
            quantity=quantity_text,
            sentence_of=show.sentence_of,
            took=show.took,
        )

    # For machines

    def healthz(self, request: Request) -> Response:
        """Whether the process works on: 503 only where a cycle is stuck."""
        reason = stuck(self._board.show(), self._board.monotonic())
        return JSONResponse({"ok": not reason, "reasons": [reason] if reason else []}, 503 if reason else 200)

    def readyz(self, request: Request) -> Response:
        """Whether syncd does its work at present."""
        reasons = unready(self._board.show(), self._board.monotonic())
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    # For people

    def overview(self, request: Request) -> Response:
        """What to know first."""
        now = self._board.show()
        tone, sentence = show.headline(now, unready(now, self._board.monotonic()))
        lines = now.cycle.plan.lines if now.cycle else ()
        return self._page(
            "overview.html",
            now,
            headers=REFRESH,
            tone=tone,
            sentence=sentence,
            leaking=show.sum_of(lines, "leakage"),
            overbilled=show.sum_of(lines, "overbilling"),
            findings=show.findings_of(lines),
            chips=show.action_chips(now.cycle.plan, "", "") if now.cycle else [],
            recent=ledger_books.newest(self._books).entries[:6],
        )

    def drift(self, request: Request) -> Response:
        """The plan, line by line."""
        now = self._board.show()
        action = _one_of(request, "action", [*map(str, Action), "all"])
        customer = request.query_params.get("customer", "")
        number = _number(request)
        lines = show.choose(now.cycle.plan, action, customer) if now.cycle else []
        start = (number - 1) * show.LINES_PAGE
        shown = [show.row(line) for line in lines[start : start + show.LINES_PAGE]]
        everyone = sorted({line.customer for line in now.cycle.plan.lines}, key=str.casefold) if now.cycle else []
        return self._page(
            "drift.html",
            now,
            rows=shown,
            with_bought=any(row.bought.text for row in shown),
            with_invoiced=any(row.invoiced.text for row in shown),
            chips=show.action_chips(now.cycle.plan, customer, action) if now.cycle else [],
            customers=everyone,
            action=action,
            customer=customer,
            total=len(lines),
            start=start,
            page=number,
            last=max(-(-len(lines) // show.LINES_PAGE), 1),
        )

    def held(self, request: Request) -> Response:
        """What waits for a person, and the command that decides it."""
        return self._page("held.html", self._board.show(), waiting=ledger_books.held(self._books))

    def ledger(self, request: Request) -> Response:
        """The newest entries."""
        state = _one_of(request, "state", list(map(str, EntryState)))
        customer = request.query_params.get("customer", "")
        found = ledger_books.newest(self._books, state=EntryState(state) if state else None, customer=customer)
        return self._page(
            "ledger.html",
            self._board.show(),
            found=found,
            state=state,
            customer=customer,
            states=list(EntryState),
        )

    def entry(self, request: Request) -> Response:
        """One entry explained: how the number came about, what was sent, what happened."""
        entry = ledger_books.find(self._books, request.path_params["id"])
        if entry is None:
            raise HTTPException(404, "There is no such entry in the ledger.")
        derivation = entry.intent.derivation
        return self._page(
            "entry.html",
            self._board.show(),
            entry=entry,
            line=derivation,
            how=derivation.get("derivation", {}),
            counts=ledger_books.counts_of(self._books, entry),
            steps=ledger_books.steps(self._books, entry),
            body=ledger_books.body(self._books, entry),
        )

    def asset(self, request: Request) -> Response:
        """Stylesheet and icon; there is nothing else to load."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404, "There is no such page.")
        content = resources.files("syncd.web").joinpath("static", name).read_bytes()
        return Response(content, headers={"content-type": _ASSETS[name]})

    # What went wrong

    def refused(self, request: Request, error: Exception) -> Response:
        """404, 405 and their like."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) else ""
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        words = {404: "There is no such page.", 405: "Pages here can only be read."}.get(status, "")
        own = detail if detail.endswith(".") else words
        return self._page("error.html", self._board.show(), status=status, headers=headers, sentence=own)

    def unreadable(self, request: Request, error: Exception) -> Response:
        """The ledger could not be read just now."""
        return self._page("error.html", self._board.show(), status=503, sentence=str(error))

    def failed(self, request: Request, error: Exception) -> Response:
        """A fault of ours: the log has it, the page shows nothing of it."""
        return self._page("error.html", self._board.show(), status=500, sentence="This page failed. The log says more.")

    def _page(
        self,
        template: str,
        now: Snapshot,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        **shown: Any,
    ) -> Response:
        present = self._clock()

        def when(moment: datetime) -> str:
            return f"{moment.astimezone(now.zone):%Y-%m-%d %H:%M:%S}"

        page = self._templates.get_template(template).render(
            now=now,
            here=template.removesuffix(".html"),
            status=status,
            when=when,
            ago=lambda moment: show.ago(moment, present),
            own_modes=_own_modes(now),
            **shown,
        )
        return HTMLResponse(page, status, headers)


def _own_modes(now: Snapshot) -> int:
    """How many customers have another mode than the house."""
    if now.cycle is None:
        return 0
    return len({line.customer for line in now.cycle.plan.lines if line.mode is not now.cycle.plan.mode})


def _finalize(value: Any) -> Any:
    """Every text that a template prints, without control characters. Markup is ours and stays."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _one_of(request: Request, name: str, allowed: Collection[str]) -> str:
    given = request.query_params.get(name, "")
    if given and given not in allowed:
        raise HTTPException(404, f"There is no such {name}.")
    return given


def _number(request: Request) -> int:
    given = request.query_params.get("page", "1")
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:6]) <= 100_000):
        raise HTTPException(404, "There is no such page.")
    return int(given[:6])
