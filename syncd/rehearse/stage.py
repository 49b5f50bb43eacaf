"""The stage of a rehearsal: for each connection that posts, a local double that holds what was really read.

Everything else is played back from tape. What always holds: a connection on this stage speaks to its own double on
loopback and to no other address; whatever tries another one ends the rehearsal.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from syncd.config import Config, ConnectionConfig
from syncd.connect.contract import Abilities, Connection, Connector, Context
from syncd.connect.http import Http, origin
from syncd.connect.rotating import InMemory
from syncd.connect.settings import ConnectionSettings, is_loopback
from syncd.core.rules import Mappings, TrueUp
from syncd.errors import Fault, UserFault
from syncd.model import BilledLine, Billing, Moment, Outcome, Posting, RemoteCustomer, Sight, State, Wire
from syncd.rehearse.tape import PlayedBack, Recording, Tape, WouldWrite, reading_only
from syncd.sandbox.fill import fill, is_stand_in
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import small_msp

# A request to a double lands at once, or when its fault says; this is how long a lost one may still land there.
REQUEST_LIFE = timedelta(seconds=1)
_QUICK = {"timeout": "1s", "retry_wait": "0.02s", "concurrency": 8}

Fate = Callable[[str], None]


def spared(where: str) -> None:
    """Nothing happens to a process that nobody kills."""


@dataclass
class Played:
    """A connector for one connection of the rehearsal; see `syncd.connect.contract.Connector`."""

    kind: str
    title: str
    settings: type[ConnectionSettings]
    abilities: Abilities
    opens: Callable[[Any, Context], Connection]
    sandbox: str = ""

    def open(self, settings: Any, context: Context) -> Connection:
        """The connection."""
        return self.opens(settings, context)


@dataclass
class Theatre:
    """All connections of one rehearsal. `doubles`: connection name -> its double, for those that post."""

    config: Config
    kinds: Mapping[str, Connector]
    tapes: dict[str, Tape] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    unlike: dict[str, dict[str, str]] = field(default_factory=dict)
    fate: Fate = spared

    @property
    def doubles(self) -> dict[str, Double]:
        """The doubles that can be posted into."""
        return {name: one.double for name, one in self.running.items()}

    def close(self) -> None:
        """Ends the doubles."""
        for one in self.running.values():
            one.stop()

    # Reading the real systems

    def recording(self) -> tuple[Config, Mapping[str, Connector]]:
        """Config and connectors under which everything real is read once, and nothing can be sent."""
        return self._each(self._recorder)

    def _recorder(self, one: ConnectionConfig) -> tuple[ConnectionSettings, Connector]:
        real = self.kinds[one.kind]
        tape = self.tapes.setdefault(one.name, Tape(one.name))

        def opens(settings: Any, context: Context) -> Connection:
            lent = replace(context, http=reading_only(context.http, one.name))
            return Recording(real.open(settings, lent), tape)

        return one.settings, Played(one.kind, real.title, real.settings, real.abilities, opens)

    # The doubles

    def set_up(self, names: Sequence[str], today: date) -> None:
        """Serves a double for each of these connections and fills it from its tape."""
        for name in names:
            double = build(self.kinds[self.config.connections[name].kind], today)
            tape = self.tapes[name]
            fill(double, tape.answers["customers"], tape.answers["products"], tape.billings().values())
            double.effects.clear()
            double.requests.clear()
            self.running[name] = serve(double)

    def playing(self) -> tuple[Config, Mapping[str, Connector]]:
        """Config and connectors of the rehearsal itself."""
        return self._each(self._player)

    def _player(self, one: ConnectionConfig) -> tuple[ConnectionSettings, Connector]:
        real, tape = self.kinds[one.kind], self.tapes[one.name]
        if one.name not in self.running:
            mute = replace(real.abilities, operations={})
            return one.settings, Played(one.kind, real.title, real.settings, mute, lambda *_: PlayedBack(tape))
        running = self.running[one.name]
        quick = {
            operation: replace(delivery, request_life=REQUEST_LIFE)
            for operation, delivery in real.abilities.operations.items()
        }

        def opens(settings: Any, context: Context) -> Connection:
            lent = replace(context, http=only_to(running.url, context.http, one.name), vault=InMemory())
            return OnStage(real.open(settings, lent), tape, self.unlike.get(one.name, {}), self.fate)

        settings = _settings(real, running)
        return settings, Played(one.kind, real.title, real.settings, replace(real.abilities, operations=quick), opens)

    def _each(
        self, play: Callable[[ConnectionConfig], tuple[ConnectionSettings, Connector]]
    ) -> tuple[Config, Mapping[str, Connector]]:
        """Every connection as a kind of its own, because two of one kind may be played differently."""
        connections: dict[str, ConnectionConfig] = {}
        kinds: dict[str, Connector] = {}
        for name, one in self.config.connections.items():
            settings, kinds[name] = play(one)
            connections[name] = replace(one, kind=name, settings=settings)
        return replace(self.config, connections=connections, alerts=()), kinds

    def compare(self, opened: Mapping[str, Connection], moment: Moment) -> None:
        """Reads every double once and notes the customers whose lines it does not show as they were read."""
        for name in self.running:
            stage = opened[name]
            assert isinstance(stage, OnStage)
            known = self.tapes[name].billings()
            everybody = {one.id: one for one in self.tapes[name].answers["customers"]}
            self.unlike[name] = {
                id_: difference
                for id_, billing in known.items()
                if (difference := stage.unlike(everybody[id_], billing, moment))
            }


class OnStage(PlayedBack):
    """A connection whose lines are those of its double; all else is as it was read."""

    def __init__(self, inner: Connection, tape: Tape, left_out: Mapping[str, str], fate: Fate) -> None:
        super().__init__(tape)
        self._inner = inner
        self._left_out = left_out
        self._fate = fate

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """The double's lines, in the agreements that were read."""
        known = self.tape.billings()
        for customer in customers:
            recorded = known.get(customer.id)
            if customer.id in self._left_out:
                yield Billing(customer.id, State.UNKNOWN, code="unsupported", reason=self._left_out[customer.id])
            elif recorded is None or not recorded.agreements:
                yield from super().lines([customer], moment)
            else:
                for shown in self._inner.lines([customer], moment):
                    yield replace(shown, agreements=recorded.agreements) if shown.state is State.KNOWN else shown

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Any], moment: Moment) -> str:
        """The connector's own judgement."""
        return self._inner.refusal(posting, billing, products, moment)

    def wire(self, posting: Posting) -> Wire:
        """The connector's own bytes."""
        return self._inner.wire(posting)

    def together(self, posting: Posting) -> str:
        """The connector's own word."""
        return self._inner.together(posting)

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The connector's own bytes."""
        return self._inner.gather(postings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """To the double."""
        self._fate("before sending")
        answer = self._inner.send(posting, wire)
        self._fate("after sending")
        return answer

    def find(self, posting: Posting) -> Sight:
        """In the double."""
        self._fate("before looking")
        sight = self._inner.find(posting)
        self._fate("after looking")
        return sight

    def close(self) -> None:
        """Closes the sockets."""
        self._inner.close()

    def unlike(self, customer: RemoteCustomer, read: Billing, moment: Moment) -> str:
        """What the double shows otherwise than it was read, in words; "" where nothing."""
        if not read.agreements:
            return ""
        (shown,) = list(self._inner.lines([customer], moment))
        before, now = ({_told(line): line for line in one.lines} for one in (read, shown))
        odd = [line.id for told, line in (before | now).items() if told not in before or told not in now]
        if shown.state is not State.KNOWN:
            return f"its sandbox cannot show these lines ({shown.reason}), so they are not rehearsed"
        if not odd:
            return ""
        return f"its sandbox cannot show line {sorted(odd)[0]} as it was read, so this customer is not rehearsed"


def _told(line: BilledLine) -> tuple[Any, ...]:
    """What of a line decides about posting to it."""
    return (
        line.id, line.agreement_id, line.product_id, line.quantity, line.starts, line.ends, line.once, line.marker,
        bool(line.obstacle),
    )  # fmt: skip


# --- the guard --------------------------------------------------------------------------------------------------------


def only_to(url: str, make: Callable[..., Http], name: str) -> Callable[..., Http]:
    """A way out that leads to this address on loopback and nowhere else. Raises WouldWrite at anything else.

    `Http` speaks to the origins it was made with and to no other, follows no redirect and takes no proxy from the
    environment; so it is enough that none but the double's is among them.
    """
    if not is_loopback(urlsplit(url).hostname or ""):
        raise WouldWrite(f"{name}: a rehearsal posts to loopback only, not to {urlsplit(url).hostname}")

    def made(base_url: str, **options: Any) -> Http:
        for root in (base_url, *options.get("also", ())):
            if root and origin(root) != origin(url):
                raise WouldWrite(f"{name}: a rehearsal speaks to its sandbox only, not to {urlsplit(root).hostname}")
        if options.get("proxy"):
            raise WouldWrite(f"{name}: a rehearsal uses no proxy")
        return make(base_url, **options)

    return made


def _settings(real: Connector, running: Running) -> ConnectionSettings:
    """The settings of a connection to its double: none of the real one's, no secret, no proxy."""
    keys = {**running.double.settings, "base_url": running.url, "token_url": running.url, **_QUICK}
    return real.settings.model_validate({"kind": real.kind, **keys})


def build(connector: Connector, today: date) -> Double:
    """A fresh double of this kind."""
    module, _, function = connector.sandbox.partition(":")
    made: Double = getattr(importlib.import_module(module), function)(small_msp(customers=1, today=today))
    return made


def posting_names(config: Config, mappings: Mappings) -> list[str]:
    """The connections that rules post to."""
    named = {rule.bill.connection for rule in mappings.rules if rule.bill and rule.true_up is not TrueUp.ALERT}
    return [name for name in config.connections if name in named]


def refuse_strangers(config: Config, kinds: Mapping[str, Connector], names: Sequence[str], today: date) -> None:
    """Raises UserFault for every connection that is posted to and has no sandbox that can take its place."""
    faults = []
    for name in names:
        connector = kinds[config.connections[name].kind]
        if not connector.abilities.operations:
            continue
        place = f"{config.path.name} › [connections.{name}]"
        mend = "Rules that bill there cannot be rehearsed; leave them out, or let them wait in propose."
        if not connector.sandbox:
            faults.append(Fault(place, f'the kind "{connector.kind}" brings no sandbox to rehearse in.', mend))
        elif not is_stand_in(build(connector, today)):
            what = f'the sandbox of "{connector.kind}" cannot be filled with what was read yet.'
            faults.append(Fault(place, what, mend))
    if faults:
        raise UserFault(faults)
