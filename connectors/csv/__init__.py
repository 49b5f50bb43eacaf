"""The `csv` kind: counts from exported files, for vendors that offer nothing better.

Owns the connector object and the answers it gives. Does not own the settings (`config`) or the reading of files
(`read`). What always holds: a set of files is either read whole, row by row, or it is an error of the source; nothing
is guessed, rounded or left out to get through, and no customer gets a zero because a file does not name it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, cast

from connectors.csv.config import CsvSettings
from connectors.csv.read import Export, read_export
from syncd.connect.contract import Abilities, Ask, Connection, Connector, Context, Measure, SignIn
from syncd.connect.settings import ConnectionSettings
from syncd.model import Moment, Query, Reading, RemoteCustomer, State

MEASURE = "quantity"
# Exports are made daily to monthly. An older one means that whatever wrote them has probably stopped.
_STALE = timedelta(days=35)


class CsvConnection:
    """The files of one `[connections.NAME]`. Keeps nothing between two reads, so threads share it freely."""

    def __init__(self, settings: CsvSettings, context: Context) -> None:
        self._settings = settings
        self._context = context

    def sign_in(self) -> SignIn:
        """Read everything once: what would fail in a cycle fails here. Raises VendorError."""
        export = self._read()
        newest = datetime.fromtimestamp(export.newest_ns // 1_000_000_000, UTC)
        age = self._context.clock() - newest
        warnings: tuple[str, ...] = ()
        if age > _STALE:
            warnings = (
                f"The newest file of {self._settings.path} was written {age.days} days ago "
                f"({newest.astimezone(self._context.zone):%Y-%m-%d}). Check that the export still runs.",
            )
        return SignIn(identity=export.proof, warnings=warnings)

    def customers(self) -> Sequence[RemoteCustomer]:
        """The distinct values of the customer column over all files, in order. Raises VendorError."""
        return [RemoteCustomer(id=name, name=name) for name in sorted(self._read().counts)]

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query, from one read of all files. Raises VendorError.

        A customer that the files do not name is UNKNOWN with code `not_found`, never a known zero: the core tells a
        customer that is gone from one that was never there (INTERFACE 3.5).
        """
        export = self._read()
        for ask in asks:
            for query in ask.queries:
                yield _reading(export, ask.customer.id, query)

    def close(self) -> None:
        """Nothing is held open between two reads."""

    def _read(self) -> Export:
        return read_export(self._settings, self._context.folder, self._context.name)


class CsvConnector:
    """What the entry point names."""

    kind = "csv"
    title = "CSV files"
    settings: type[ConnectionSettings] = CsvSettings
    abilities = Abilities(
        reads=frozenset({"used", "bought"}),
        measures=MappingProxyType(
            {MEASURE: Measure(number="used", help="Sum of the quantity column, or the number of rows without one.")}
        ),
        default_measure=MEASURE,
        per_customer=False,
    )
    sandbox = ""

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no file is touched yet."""
        # The abilities promise counts alone, so the functions of billing systems are not there.
        return cast(Connection, CsvConnection(settings, context))


def _reading(export: Export, customer_id: str, query: Query) -> Reading:
    if query.measure != MEASURE or query.where:
        reason = f'A csv connection cannot tell "{query}". Ask for measure "{MEASURE}", without filters.'
        return Reading(customer_id, query, State.UNKNOWN, code="unsupported", reason=reason)
    counts = export.counts.get(customer_id)
    if counts is None:
        reason = f'No row names the customer "{customer_id}" ({export.proof} of {export.pattern}).'
        return Reading(customer_id, query, State.UNKNOWN, code="not_found", reason=reason)
    return Reading(customer_id, query, State.KNOWN, counts=counts, proof=export.proof)


connector: Connector = CsvConnector()
