"""Calls in one tenant: single answers, whole collections, and Graph's errors in words.

Owns paging and its proof. What the rows mean is `read`'s business. A collection is either read to its end or raises:
nobody ever holds half of one.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from connectors.microsoft365.payloads import Fault, FaultBody, Page
from connectors.microsoft365.permissions import needed
from connectors.microsoft365.tokens import Tokens
from syncd.connect.http import Auth, Http, Reply, explain_plainly
from syncd.errors import VendorError

Row = TypeVar("Row")

# Without it Graph refuses a filter over `$count`; it is not carried over by a nextLink, so every page sends it
# (advanced query capabilities on directory objects).
EVENTUAL = {"ConsistencyLevel": "eventual"}
# Left as they are in OData options; a space becomes %20, because "+" is only a space to some readers.
_SAFE = "$/,'():"
# 2,000 pages of 999 users: a collection that goes on beyond this is a circle with changing links.
MAX_PAGES = 2000
NON_PREMIUM = "Authentication_RequestFromNonPremiumTenantOrB2CTenant"


class CutShort(VendorError):
    """A collection ended early or contradicts itself: its readings are PARTIAL."""

    def __init__(self, message: str) -> None:
        super().__init__("incomplete", message)


class Refused(VendorError):
    """Graph said 403; `reason` is its own code, because it tells a missing right from a missing feature."""

    def __init__(self, error: VendorError, reason: str) -> None:
        super().__init__(error.code, str(error), status=403)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rows(Generic[Row]):
    """A whole collection, and how that is known."""

    rows: tuple[Row, ...]
    proof: str


@dataclass(slots=True)
class Service:
    """What all tenants of one connection share. `batching` falls to False where Graph's front knows no $batch."""

    http: Http
    tokens: Tokens
    first_wait: float
    batching: bool = True

    def tenant(self, tenant: str, auth: Auth | None = None) -> Graph:
        """Calls in one tenant, signed with that tenant's token."""
        return Graph(self, tenant, auth or self.tokens.tenant(tenant))


@dataclass(frozen=True, slots=True)
class Graph:
    """Calls in one tenant. Throttling there keeps only this tenant waiting."""

    service: Service
    tenant: str
    auth: Auth

    def read(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        accept: Collection[int] = (200,),
    ) -> Reply:
        """One call, repeated while Graph says "not now". Raises VendorError; a 403 as `Refused`.

        Each call carries a `client-request-id` of its own, which Microsoft asks for in support cases.
        """
        reply = self.service.http.read(
            path,
            method="GET" if json is None else "POST",
            headers={"client-request-id": str(uuid.uuid4()), **(headers or {})},
            json=json,
            auth=self.auth,
            scope=self.tenant,
            accept={*accept, 403},
        )
        if reply.status == 403:
            raise refused(reply)
        return reply

    def rows(
        self,
        shape: Callable[[Reply], Page[Row]],
        first: Reply,
        *,
        key: Callable[[Row], str],
        what: str,
        headers: Mapping[str, str] | None = None,
    ) -> Rows[Row]:
        """Everything from the first page's answer to the last page.

        Equal rows under one `key` count once; different ones, a declared count that is not met, a link that comes
        twice and a page without `value` raise. `headers` go onto every page.
        """
        page = shape(first)
        declared, found, seen, pages = page.count, dict[str, Row](), set[str](), 1
        while True:
            for row in page.value:
                if found.setdefault(key(row), row) != row:
                    raise CutShort(f"the list of {what} shows one record twice, differently; it changed while read.")
            if page.next_link is None:
                break
            if page.next_link in seen or not page.next_link or pages >= MAX_PAGES:
                raise CutShort(f"the list of {what} goes round in circles after page {pages}.")
            seen.add(page.next_link)
            page = shape(self.read(page.next_link, headers=headers))
            pages += 1
        if declared is not None and declared != len(found):
            raise CutShort(f"the list of {what} has {len(found)} of the {declared} records that Graph counts.")
        of = f" of {declared}" if declared is not None else ""
        return Rows(tuple(found.values()), f"{len(found)}{of} {what} in {pages} page{'s' if pages > 1 else ''}")


def url(path: str, **options: str | int) -> str:
    """A path with OData options, written as Microsoft writes them: url("users", top=5) is users?$top=5."""
    return f"{path}?" + "&".join(f"${name}={quote(str(value), safe=_SAFE)}" for name, value in options.items())


def fault_code(reply: Reply) -> tuple[str, str]:
    """(Graph's own error code, request id); both "" where the body is not Graph's error shape.

    The innermost code is the most telling one, except where it only repeats the status.
    """
    body = reply.try_parse(FaultBody)
    if body is None:
        return "", ""
    code, request_id, fault = "", "", body.error
    while True:
        if fault.code and not fault.code.isdigit():
            code = fault.code
        request_id = fault.request_id or request_id
        deeper: Fault | None = fault.inner or fault.inner_lower
        if deeper is None:
            return code, request_id
        fault = deeper


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful answer. Graph's prose is left out: it can name people."""
    code, message = explain_plainly(reply)
    name, request_id = fault_code(reply)
    if not name:
        return code, f"{message}, and not with Graph's own error (a proxy in between?)"
    told = f"{message} ({name}{f', request-id {request_id}' if request_id else ''})"
    match reply.status:
        case 403 if name == NON_PREMIUM:
            told += ". The tenant has no Entra ID P1 or P2"
        case 403 if permission := needed(reply.where):
            told += f". The tenant must grant {permission}"
        case 401:
            told += ". The token is refused: check base_url and token_url, both of one cloud"
        case 501:
            code = "unsupported"
    return code, told


def refused(reply: Reply) -> Refused:
    """A 403, with Graph's own code kept."""
    code, message = explain(reply)
    return Refused(VendorError(code, message, status=403), fault_code(reply)[0])


def page_of(row: type[Any]) -> Callable[[Reply], Page[Any]]:
    """Reads a page of such rows; the caller's annotation says which."""

    def shape(reply: Reply) -> Page[Any]:
        page: Page[Any] = reply.parse(Page[row])  # type: ignore[valid-type]
        return page

    return shape
