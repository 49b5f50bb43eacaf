"""The way to one company: sign-in, and the closed list of what may be asked of it. Knows no record.

QuickBooks deletes, voids, mails and rewrites documents by the same kind of request that creates one. None of that is on
the list: syncd queries, and creates estimates, invoices and credit memos. So no mistake elsewhere can reach a document
that stands already, its own ones included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from connectors.quickbooks.config import QuickBooksSettings
from connectors.quickbooks.errors import explain, fault
from connectors.quickbooks.payloads import Batch, Listed
from connectors.quickbooks.query import Where, counted
from connectors.quickbooks.signing import signer
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.connect.retry import Again
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

T = TypeVar("T")

# Intuit ignores anything older since August 2025; named all the same, so that a later default changes nothing here.
MINOR_VERSION = "75"
# What Intuit says a throttled app waits; its answers name no time of their own.
PAUSE = 60.0
_WRITABLE = "estimate|invoice|creditmemo"
_SELECT = re.compile(r"SELECT (\*|\*, Sku|COUNT\(\*\)) FROM [A-Za-z]+( WHERE .*)?( ORDERBY .*)?", re.DOTALL)


class Api:
    """Requests to one company. Thread-safe."""

    def __init__(self, settings: QuickBooksSettings, context: Context) -> None:
        self._http = context.http(
            settings.root, explain=self._explained, also=(settings.login_root,), auth=signer(settings, context)
        )
        self.realm = settings.realm_id
        self._company = f"company/{settings.realm_id}"
        self._create = re.compile(
            rf"{self._company}/(?:{_WRITABLE})\?minorversion={MINOR_VERSION}&requestid=[a-z0-9-]{{8,50}}"
        )

    def query(self, statement: str) -> Reply:
        """Asks one query. Raises VendorError, also for a fault that comes with status 200."""
        _hold(statement)
        return self._read(f"{self._company}/query", params={"query": statement, "minorversion": MINOR_VERSION})

    def rows(self, entity: str, shape: type[T], statement: str) -> list[T]:
        """The rows of one page. Raises VendorError."""
        reply = self.query(statement)
        return _rows(reply, reply.parse(Listed).query_response, entity, shape)

    def count(self, entity: str, where: Sequence[Where] = ()) -> int:
        """How many there are. Raises VendorError."""
        reply = self.query(counted(entity, where))
        return _total(reply, reply.parse(Listed).query_response)

    def batch(self, statements: Sequence[str]) -> list[tuple[Reply, Mapping[str, msgspec.Raw]]]:
        """Several queries in one metered request, at most 30; answers in the order asked. Raises VendorError where one
        of them failed."""
        for one in statements:
            _hold(one)
        asked = [{"bId": str(number), "Query": one} for number, one in enumerate(statements)]
        reply = self._read(
            f"{self._company}/batch",
            method="POST",
            params={"minorversion": MINOR_VERSION},
            json={"BatchItemRequest": asked},
        )
        found = {row.bid: row for row in reply.parse(Batch).batch_item_response}
        answers: list[tuple[Reply, Mapping[str, msgspec.Raw]]] = []
        for number in range(len(statements)):
            row = found.get(str(number))
            if row is not None and row.fault is not None:
                self._raise(replace(reply, body=msgspec.json.encode({"Fault": row.fault})))
            if row is None or row.query_response is None:
                raise VendorError("incomplete", f"{reply.where} left out an answer of the batch")
            answers.append((reply, row.query_response))
        return answers

    def counts(self, asked: Sequence[tuple[str, Sequence[Where]]]) -> list[int]:
        """How many there are of each, in one metered request. Raises VendorError."""
        return [_total(*answer) for answer in self.batch([counted(*one) for one in asked])]

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once. Raises VendorError `unsupported` for what is not on the list, before anything leaves."""
        body = Reply(200, {}, wire.body).try_parse(dict[str, msgspec.Raw])
        if wire.method != "POST" or not self._create.fullmatch(wire.path) or body is None or "Id" in body:
            raise VendorError("unsupported", f"syncd never asks QuickBooks for {wire.method} {wire.path}")
        try:
            reply = self._http.send(wire, headers={"accept": "application/json"})
        except Again as put_off:  # the sign-in was put off: what was to be sent did not leave, or was answered with 401
            return NotSent(str(put_off.error))
        if isinstance(reply, Reply) and reply.status == 429:
            self._pause(reply)
        return reply

    def close(self) -> None:
        """Closes the sockets."""
        self._http.close()

    def _read(self, path: str, **options: Any) -> Reply:
        try:
            reply: Reply = self._http.read(path, headers={"accept": "application/json"}, **options)
        except VendorError as error:
            if error.code != "throttled":
                raise
            raise VendorError(
                "deferred",
                f"{error}: it goes on throttling for minutes. Other apps may use up the company's 500 requests a "
                "minute, or this app's monthly allowance of reads is spent; a later cycle takes it up",
                status=error.status,
            ) from None
        if fault(reply) is not None:
            self._raise(reply)
        return reply

    def _raise(self, reply: Reply) -> None:
        code, message = explain(reply)
        raise VendorError(code, message, status=reply.status)

    def _explained(self, reply: Reply) -> tuple[str, str]:
        if reply.status == 429:
            self._pause(reply)
        return explain(reply)

    def _pause(self, reply: Reply) -> None:
        """Where the answer names no time, everybody waits what Intuit advises."""
        if "retry-after" not in reply.headers:
            self._http.gate.hold(PAUSE)


def _hold(statement: str) -> None:
    if not _SELECT.fullmatch(statement):
        raise VendorError("unsupported", f"syncd never asks QuickBooks for {statement[:60]!r}")


def _rows(reply: Reply, found: Mapping[str, msgspec.Raw], entity: str, shape: type[T]) -> list[T]:
    told = found.get(entity)
    if told is None:
        return []
    return replace(reply, body=bytes(told)).parse(list[shape])  # type: ignore[valid-type]


def _total(reply: Reply, found: Mapping[str, msgspec.Raw]) -> int:
    told = found.get("totalCount")
    if told is None:
        raise VendorError("malformed", f"{reply.where} answered a COUNT without totalCount")
    return replace(reply, body=bytes(told)).parse(int)
