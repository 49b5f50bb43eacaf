"""What was really read, kept whole and read once: a connection that records, and one that plays back.

Recording never writes: its way out has no sending, and its own `send` refuses. Playing back never goes out at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from syncd.connect.contract import Ask, Connection, Feed, SignIn
from syncd.connect.http import Http
from syncd.errors import SyncdError, UserFault, VendorError
from syncd.model import (
    Billing,
    Moment,
    Outcome,
    Posting,
    Product,
    Reading,
    RemoteCustomer,
    Sight,
    State,
    Wire,
)

T = TypeVar("T")


class WouldWrite(SyncdError):
    """A rehearsal was about to write, or to speak, to where it must not: a fault of the program, and the end of it."""


@dataclass
class Tape:
    """The answers of one connection, and the failures. Thread-safe while it is recorded."""

    name: str
    answers: dict[Hashable, Any] = field(default_factory=dict)
    failures: dict[Hashable, VendorError] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, what: Hashable, read: Callable[[], T]) -> T:
        """Reads one thing and keeps the answer, or the failure, which is raised again."""
        try:
            answer = read()
        except VendorError as error:
            self.fail([what], error)
            raise
        except UserFault as fault:  # a secret that can no longer be read
            self.fail([what], VendorError("unauthorized", str(fault)))
            raise
        with self.lock:
            self.answers[what] = answer
        return answer

    def keep_each(
        self, wanted: Iterable[Hashable], read: Callable[[], Iterable[T]], key: Callable[[T], Hashable]
    ) -> Iterator[T]:
        """Keeps every answer of one read; what it did not answer fails with it."""
        missing = dict.fromkeys(wanted)
        try:
            for answer in read():
                with self.lock:
                    self.answers[key(answer)] = answer
                missing.pop(key(answer), None)
                yield answer
        except VendorError as error:
            self.fail(missing, error)
            raise
        except UserFault as fault:
            self.fail(missing, VendorError("unauthorized", str(fault)))
            raise

    def fail(self, what: Iterable[Hashable], error: VendorError) -> None:
        """Keeps a failure of these."""
        with self.lock:
            self.failures.update(dict.fromkeys(what, error))

    def play(self, what: Hashable) -> Any:
        """The answer again. Raises the VendorError that stood in its place."""
        if what in self.answers:
            return self.answers[what]
        if what in self.failures:
            raise self.failures[what]
        raise VendorError("unavailable", f"{self.name} gave no answer to this when it was read for the rehearsal")

    def play_each(self, wanted: Iterable[Hashable]) -> Iterator[Any]:
        """Every answer there is, then the first failure."""
        missing = []
        for what in wanted:
            if what in self.answers:
                yield self.answers[what]
            else:
                missing.append(what)
        if missing:
            self.play(missing[0])

    def listed(self) -> bool:
        """Whether the lists that lines rest on, customers and products, were read whole."""
        return {"customers", "products"} <= self.answers.keys()

    def billings(self) -> dict[str, Billing]:
        """Customer id -> its lines, of those that were read whole."""
        found = (one for one in self.answers.values() if isinstance(one, Billing))
        return {one.customer_id: one for one in found if one.state is State.KNOWN}


def _of_period(what: str, moment: Moment) -> str:
    """What is counted of a period may be asked for again when the period is over: the two are not one answer."""
    return f"{what} of {moment.period}"


def _asked(what: str, asks: Sequence[Ask]) -> list[Hashable]:
    return [(what, ask.customer.id, query) for ask in asks for query in ask.queries]


def _counted(what: str) -> Callable[[Reading], Hashable]:
    return lambda reading: (what, reading.customer_id, reading.query)


class Recording:
    """A real connection whose reads are kept; it sends nothing."""

    def __init__(self, inner: Connection, tape: Tape) -> None:
        self._inner = inner
        self._tape = tape

    def sign_in(self) -> SignIn:
        """Passed on."""
        return self._inner.sign_in()

    def customers(self) -> Sequence[RemoteCustomer]:
        """Read and kept."""
        return self._tape.keep("customers", lambda: tuple(self._inner.customers()))

    def products(self) -> Sequence[Product]:
        """Read and kept."""
        return self._tape.keep("products", lambda: tuple(self._inner.products()))

    def feeds(self) -> Sequence[Feed]:
        """Read and kept."""
        return self._tape.keep("feeds", lambda: tuple(self._inner.feeds()))

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Read and kept, subjects and all."""
        read = lambda: self._inner.counts(asks, moment)  # noqa: E731
        what = _of_period("counts", moment)
        return self._tape.keep_each(_asked(what, asks), read, _counted(what))

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Read and kept."""
        return self._tape.keep_each(
            [("lines", one.id) for one in customers],
            lambda: self._inner.lines(customers, moment),
            lambda billing: ("lines", billing.customer_id),
        )

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Read and kept."""
        read = lambda: self._inner.booked(asks, moment)  # noqa: E731
        return self._tape.keep_each(_asked("booked", asks), read, _counted("booked"))

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Passed on: pure."""
        return self._inner.refusal(posting, billing, products, moment)

    def wire(self, posting: Posting) -> Wire:
        """Passed on: pure."""
        return self._inner.wire(posting)

    def together(self, posting: Posting) -> str:
        """Passed on: pure."""
        return self._inner.together(posting)

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """Passed on: pure."""
        return self._inner.gather(postings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Never."""
        raise WouldWrite(f"{self._tape.name}: a rehearsal does not write to a real system")

    def find(self, posting: Posting) -> Sight:
        """Passed on: it only reads."""
        return self._inner.find(posting)

    def close(self) -> None:
        """Passed on."""
        self._inner.close()


class PlayedBack:
    """A connection that says again what was read, and goes nowhere."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def sign_in(self) -> SignIn:
        """Nobody is asked."""
        return SignIn(f"{self.tape.name}, as it was read")

    def customers(self) -> Sequence[RemoteCustomer]:
        """As read."""
        found: Sequence[RemoteCustomer] = self.tape.play("customers")
        return found

    def products(self) -> Sequence[Product]:
        """As read."""
        found: Sequence[Product] = self.tape.play("products")
        return found

    def feeds(self) -> Sequence[Feed]:
        """As read."""
        found: Sequence[Feed] = self.tape.play("feeds")
        return found

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """As read."""
        return self.tape.play_each(_asked(_of_period("counts", moment), asks))

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """As read."""
        return self.tape.play_each([("lines", one.id) for one in customers])

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """As read."""
        return self.tape.play_each(_asked("booked", asks))

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Nothing is posted here."""
        return f"{self.tape.name} takes no part in this rehearsal's postings"

    def wire(self, posting: Posting) -> Wire:
        """Never asked: a connection that is only played back declares no operation."""
        return self._closed()

    def together(self, posting: Posting) -> str:
        """Never asked either."""
        return self._closed()

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """Never asked either."""
        return self._closed()

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Never."""
        return self._closed()

    def find(self, posting: Posting) -> Sight:
        """Cannot tell: nobody is asked."""
        raise VendorError("unsupported", f"{self.tape.name} is not asked in a rehearsal")

    def close(self) -> None:
        """Nothing is open."""

    def _closed(self) -> NoReturn:
        raise WouldWrite(f"{self.tape.name}: a rehearsal does not write to a real system")


def reading_only(make: Callable[..., Http], name: str) -> Callable[..., Http]:
    """A way out that can read and not send."""

    def made(base_url: str, **options: Any) -> Http:
        http = make(base_url, **options)

        def send(*_: object, **__: object) -> NoReturn:
            raise WouldWrite(f"{name}: a rehearsal does not write to a real system")

        http.send = send  # type: ignore[method-assign]
        return http

    return made
