"""What the tests of every connector share: the day of the story, a bench with a vendor's double over real HTTP and the
real way out to it, and the admin's folder in which whole cycles run.

Each vendor's kit makes its own Bench of this one and adds what only its tests ask for.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from werkzeug.test import Client

from syncd.clock import real_now
from syncd.config import load
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.registry import Kinds
from syncd.connect.rotating import InMemory, Vault
from syncd.cycle import Cycle, run_cycle
from syncd.ledger import Ledger
from syncd.model import Billing, Filters, Moment, Posting, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Double, Running, serve

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 18, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")
MARKER = "sd-t1-"

Row = dict[str, Any]
D = TypeVar("D", bound=Double)


class Bench(ABC, Generic[D]):
    """One double that listens, and whatever is opened to it. All connections share one vault, as restarts do."""

    def __init__(self, folder: Path, double: D) -> None:
        self.folder = folder
        self.double = double
        self.running: Running = serve(double)
        self.url = self.running.url
        self.moment = MOMENT
        self.vault: Vault = InMemory()
        self.marker = MARKER
        # Of the ways out that are opened next; the wait of a request in seconds.
        self.timeout = 2.0
        self.patience = timedelta(seconds=5)
        self.concurrency = 4
        self.gate: Gate | None = None  # one for all of them, instead of a fresh one for each
        self.gates: list[Gate] = []
        self.ways: list[Http] = []
        self._connections: list[Any] = []

    def close(self) -> None:
        for one in (*self._connections, *self.ways):
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def http(self, base_url: str, **options: Any) -> Http:
        """A way out, as a daemon's but for its waits."""
        self.gates.append(
            self.gate
            or Gate(concurrency=self.concurrency, requests_per_minute=None, patience=self.patience, now=real_now)
        )
        self.ways.append(Http(base_url, gate=self.gates[-1], timeout=self.timeout, first_wait=0.01, **options))
        return self.ways[-1]

    def clock(self) -> datetime:
        """The connections' clock."""
        return self.moment.now

    def _open(self, connector: Any, keys: Mapping[str, Any]) -> Any:
        """A fresh connection; a key that is None is left out."""
        settings = connector.settings.model_validate({name: one for name, one in keys.items() if one is not None})
        context = Context(connector.kind, self.http, self.clock, ZONE, self.folder, self.marker, self.vault)
        self._connections.append(connector.open(settings, context))
        return self._connections[-1]

    @abstractmethod
    def connect(self, **keys: Any) -> Any:
        """A connection that works and remembers nothing but the vault; keys override, None leaves one out."""

    @abstractmethod
    def customer(self) -> RemoteCustomer:
        """The first company of the story; each vendor's own takes what its tests know the others by."""

    def _known(self, who: Any) -> RemoteCustomer:
        one: Any = self.customer
        found: RemoteCustomer = one() if who is None else one(who)
        return found

    def billing(self, who: Any = None, connection: Any = None) -> Billing:
        """What a company is billed."""
        billing: Billing
        [billing] = (connection or self.connect()).lines([self._known(who)], self.moment)
        return billing

    def booked(self, who: Any = None, connection: Any = None) -> Reading:
        """What was invoiced to a company in the period."""
        reading: Reading
        [reading] = (connection or self.connect()).booked([Ask(self._known(who), (Query("invoiced"),))], self.moment)
        return reading

    def reading(self, measure: str, where: Filters = (), who: Any = None, connection: Any = None) -> Reading:
        """What is counted for a company."""
        ask = Ask(self._known(who), (Query(measure, where),))
        reading: Reading
        [reading] = (connection or self.connect()).counts([ask], self.moment)
        return reading

    def refusal(self, posting: Posting, who: Any = None, connection: Any = None) -> str:
        """What the connector says before it is sent; "" is nothing."""
        one = connection or self.connect()
        refused: str = one.refusal(posting, self.billing(who, one), one.products(), self.moment)
        return refused

    def control(self, what: str, **wanted: Any) -> Row:
        """Asks the double's own controls, which must say yes."""
        answer = Client(self.double).post(f"/_sandbox/{what}", json=wanted)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.get_json())

    def lie(self, path: str, change: Callable[[Row], Any]) -> None:
        """Every 200 to a GET whose path ends so is changed on its way."""
        honest = self.double._answer

        def answer(request: Any, fault: str) -> Any:
            response = honest(request, fault)
            if request.path.endswith(path) and response.status_code == 200:
                body = msgspec.json.decode(response.get_data())
                change(body)
                response.set_data(msgspec.json.encode(body))
            return response

        self.double._answer = answer  # type: ignore[method-assign]


# The end of every house's config: a file of counts, and a difference that is acted on when it is first seen.
FILES = """
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
[safety]
settle = 1
"""
SYNCD = """
[syncd]
mode = "post"
timezone = "America/Chicago"
"""


class House:
    """The admin's folder: config, mappings, a file of counts, and the cycles that run over them.

    `connections` are the tables of the vendors; keys that stand before the first one belong to `[syncd]`.
    """

    def __init__(self, folder: Path, connections: str, mappings: str, safety: str = "") -> None:
        self.folder = folder
        self.now = datetime(2026, 11, 20, 10, tzinfo=ZONE)
        (folder / "mappings").mkdir()
        self.configure(connections, safety)
        self.map(mappings)

    def configure(self, connections: str, safety: str = "") -> None:
        """Writes config.toml anew; `safety` comes on top of what FILES says."""
        (self.folder / "config.toml").write_text(SYNCD + connections + FILES + safety, encoding="utf-8")

    def map(self, mappings: str) -> None:
        """Writes the mappings anew."""
        (self.folder / "mappings" / "first.toml").write_text(mappings, encoding="utf-8")

    def count(self, *rows: tuple[str, str, int | str]) -> None:
        """Writes the file of counts anew: customer, sku, quantity."""
        lines = "".join(f"{customer},{sku},{quantity}\n" for customer, sku, quantity in rows)
        (self.folder / "counts.csv").write_text(f"customer,sku,quantity\n{lines}", encoding="utf-8")

    def clock(self) -> datetime:
        return self.now

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """The house's ledger, claimed."""
        config, _ = load(self.folder / "config.toml", Kinds())
        with Ledger.open(config.database, self.clock, folder=config.folder) as opened:
            opened.claim("test")
            yield opened

    def cycle(self) -> Cycle:
        """One cycle, after which the record is whole."""
        config, mappings = load(self.folder / "config.toml", Kinds())
        with self.ledger() as ledger:
            done = run_cycle(config, mappings, Kinds(), ledger, self.clock)
            assert ledger.verify() == []
        return done


def told(done: Cycle) -> dict[str, tuple[str, str]]:
    """Rule -> what was decided, and why."""
    return {line.rule: (str(line.action), line.reason) for line in done.plan.lines}


def actions(done: Cycle) -> dict[str, str]:
    """Rule -> what was decided."""
    return {rule: action for rule, (action, _) in told(done).items()}


def customers(connection: str, *names: str) -> str:
    """The `[[customer]]` tables of customers who have one name everywhere."""
    return "".join(f'[[customer]]\nname = "{one}"\n{connection} = "{one}"\nfiles = "{one}"\n' for one in names)
