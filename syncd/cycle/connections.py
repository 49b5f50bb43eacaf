"""Opens the connections of one cycle: their budget, their way out, the waits that a vendor imposed before, and where
tokens that rotate are kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncd.clock import Clock, real_now
from syncd.config import Config, ConnectionConfig
from syncd.connect.contract import Abilities, Connection, Connector, Context
from syncd.connect.settings import HttpSettings
from syncd.core.keys import mark_prefix
from syncd.core.logins import Login
from syncd.core.rules import Mappings
from syncd.ledger import Ledger, LedgerVault
from syncd.model import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncd.connect.http import Http
    from syncd.connect.limits import Gate

# A vendor's wait that is longer than this, or than a cycle, defers the connection instead of sleeping.
LONGEST_SLEEP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Opened:
    """One connection, open for one cycle. `requests` tells how many HTTP requests it made so far.

    `hasten` is called when postings begin: from then on a vendor's wait longer than the connection's timeout is left to
    a later cycle instead of being slept through. `login_ends`: when the sign-in is over if it is not used before, as
    far as the vendor told when it was used.
    """

    name: str
    connector: Connector
    connection: Connection
    threads: int
    requests: Callable[[], int]
    hasten: Callable[[], None] = lambda: None
    login_ends: Callable[[], datetime | None] = lambda: None

    @property
    def abilities(self) -> Abilities:
        """What its kind can do."""
        return self.connector.abilities

    def default_query(self, mappings: Mappings) -> Query | None:
        """What is asked of every customer, to find what nobody mapped; None where nothing is counted here.

        A billing system is a source only once a rule counts in it: its own devices or hours are no leak.
        """
        refs = [ref for rule in mappings.rules for ref in (*rule.count, *((rule.bought,) if rule.bought else ()))]
        counted = any(ref.connection == self.name for ref in refs)
        if not self.abilities.default_measure or ("billed" in self.abilities.reads and not counted):
            return None
        return Query(self.abilities.default_measure)


@contextmanager
def open_connections(
    config: Config,
    kinds: Mapping[str, Connector],
    clock: Clock,
    ledger: Ledger,
    *,
    remember: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[dict[str, Opened]]:
    """All configured connections, closed at the end. No request is made here.

    The ledger says how this installation marks records and what waits a vendor imposed, and keeps tokens that rotate,
    whoever signs in. `remember`: a cycle also notes new waits there.
    """
    opened: dict[str, Opened] = {}
    try:
        for name, connection in config.connections.items():
            opened[name] = _open(connection, config, kinds, clock, ledger, remember, stop)
        yield opened
    finally:
        for one in opened.values():
            one.connection.close()


def _open(
    connection: ConnectionConfig,
    config: Config,
    kinds: Mapping[str, Connector],
    clock: Clock,
    ledger: Ledger,
    remember: bool,
    stop: threading.Event | None,
) -> Opened:
    from syncd.connect.limits import Gate

    settings = connection.settings
    threads = config.concurrency
    gate: Gate | None = None
    make: Callable[..., Http]
    if isinstance(settings, HttpSettings):
        threads = settings.concurrency or config.concurrency
        gate = Gate(
            concurrency=threads,
            requests_per_minute=settings.requests_per_minute,
            patience=min(config.every, LONGEST_SLEEP),
            now=clock,
            stop=stop,
            remember=(lambda scope, until: ledger.remember_wait(connection.name, scope, until)) if remember else None,
            waits=ledger.waits(connection.name),
        )
        make = _way_out(settings, gate)
    else:
        make = _no_way_out(connection.name)
    connector = kinds[connection.kind]
    vault = LedgerVault(ledger, connection.name)
    context = Context(
        connection.name,
        make,
        clock,
        config.house.zone,
        config.folder,
        mark_prefix(ledger.installation),
        vault,
    )
    return Opened(
        connection.name,
        connector,
        connector.open(settings, context),
        threads,
        (lambda: gate.requests) if gate is not None else (lambda: 0),
        _hasten(settings, gate),
        lambda: vault.ends,
    )


def logins(opened: Mapping[str, Opened]) -> tuple[Login, ...]:
    """The sign-ins that were used in this cycle and whose end is known, by the real clock."""
    now = real_now()
    return tuple(Login(name, ends, now) for name, one in opened.items() if (ends := one.login_ends()) is not None)


def _hasten(settings: object, gate: Gate | None) -> Callable[[], None]:
    if gate is None or not isinstance(settings, HttpSettings):
        return lambda: None
    seconds = settings.timeout.total_seconds()
    return lambda: gate.hasten(seconds)


def _way_out(settings: HttpSettings, gate: Any) -> Callable[..., Http]:
    def make(base_url: str, **options: Any) -> Http:
        from syncd.connect.http import Http

        return Http(
            base_url,
            gate=gate,
            timeout=settings.timeout.total_seconds(),
            first_wait=settings.retry_wait.total_seconds(),
            ca_bundle=settings.ca_bundle,
            proxy=settings.proxy,
            **options,
        )

    return make


def _no_way_out(name: str) -> Callable[..., Http]:
    def make(base_url: str, **options: Any) -> Http:
        raise TypeError(f"connection {name!r} is of a kind without HTTP settings and asked for HTTP")

    return make
