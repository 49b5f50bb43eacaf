"""The way to Partner Center: its errors in words, and collections that are read to their end. Knows no meaning of rows.

A collection goes on where `links.next` says so, with the headers that stand there; its `totalCount` is the number of
rows on that page. A page that lacks rows, a link that comes twice and a row that shows two faces are errors: nobody
ever holds half a list.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlsplit

from connectors.partnercenter.config import PartnerCenterSettings
from connectors.partnercenter.payloads import Collection, Link, Problem, Throttled
from connectors.partnercenter.signing import AGAIN, signer
from syncd.connect.contract import Context
from syncd.connect.http import Reply, explain_plainly
from syncd.errors import VendorError

Row = TypeVar("Row")

CONTINUATION = "ms-continuationtoken"
MAX_PAGES = 2000
_BOM = b"\xef\xbb\xbf"  # met by integrators in front of the JSON
_LEFT = "20002"
_MEANING = {
    _LEFT: ("not_found", "there is no commerce relationship with this customer any more"),
    "60003": ("not_found", "there is no such tenant"),
    "20003": ("not_found", "there is no such subscription"),
}


@dataclass(frozen=True, slots=True)
class Whole(Generic[Row]):
    """A collection that was read whole; `proof` says how that is known. `addresses`: what its pages call themselves."""

    rows: tuple[Row, ...]
    proof: str
    addresses: tuple[str, ...]


class Api:
    """Requests to Partner Center. Only GETs leave, besides the sign-in. Thread-safe."""

    def __init__(self, settings: PartnerCenterSettings, context: Context) -> None:
        self.http = context.http(
            f"{settings.root}/v1",
            also=(settings.login_root,),
            headers={"accept": "application/json", "ms-contract-version": "v1", "x-locale": "en-US"},
            explain=explain,
            auth=signer(settings, context),
        )

    def read(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        scope: str = "",
    ) -> Reply:
        """GETs a path. Raises VendorError. Each call bears its own ids, which Microsoft asks for in support cases."""
        ids = {"ms-requestid": str(uuid.uuid4()), "ms-correlationid": str(uuid.uuid4())}
        reply = self.http.read(path, params=params, headers={**(headers or {}), **ids}, scope=scope)
        return replace(reply, body=reply.body.removeprefix(_BOM))

    def whole(
        self,
        path: str,
        shape: type[Row],
        *,
        what: str,
        key: Callable[[Row], str],
        params: Mapping[str, str | int] | None = None,
        scope: str = "",
    ) -> Whole[Row]:
        """Everything from the first page to the last. Raises VendorError, `incomplete` where pages contradict
        themselves."""
        of: Any = Collection[shape]  # type: ignore[valid-type]
        rows: dict[str, Row] = {}
        seen: set[str] = set()
        addresses: list[str] = []
        counted = True
        query, headers = dict(params or {}), dict[str, str]()
        for number in range(1, MAX_PAGES + 1):
            page: Collection[Row] = self.read(path, params=query, headers=headers, scope=scope).parse(of)
            if page.total_count is not None and page.total_count != len(page.items):
                raise _cut(f"page {number} of {what} has {len(page.items)} of the {page.total_count} rows it tells")
            counted = counted and page.total_count is not None
            for row in page.items:
                if rows.setdefault(key(row), row) != row:
                    raise _cut(f"{what} show {key(row)} twice, differently: they changed while read")
            if page.links and page.links.this and page.links.this.uri:
                addresses.append(page.links.this.uri)
            following = page.links.next if page.links else None
            headers = _headers(following)
            token = headers.get(CONTINUATION)
            if not token:
                if following is not None and following.uri:
                    raise _cut(f"page {number} of {what} names a further one without its continuation token")
                told = ", as many as each page tells" if counted else ""
                pages = f"{number} page{'s' if number > 1 else ''}"
                return Whole(
                    tuple(rows.values()), f"{len(rows)} {what} in {pages}, to the last{told}", tuple(addresses)
                )
            if token in seen:
                raise _cut(f"{what} go round in circles after page {number}")
            seen.add(token)
            query = {**dict(params or {}), **_query(following, path), "seekOperation": "Next"}
        raise _cut(f"{what} go on beyond {MAX_PAGES} pages")

    def close(self) -> None:
        """Closes the sockets."""
        self.http.close()


def _cut(message: str) -> VendorError:
    return VendorError("incomplete", message)


def _headers(link: Link | None) -> dict[str, str]:
    """What the next page wants to be sent along; the vendor's own headers only: no answer re-signs a request."""
    given = {one.key.lower(): one.value for one in (link.headers if link else None) or ()}
    return {name: value for name, value in given.items() if name.startswith("ms-")}


def _query(link: Link | None, path: str) -> dict[str, str]:
    """The query of the server's own address where that can be read: some are broken ("?size=2?seekOperation=Next")."""
    parts = urlsplit(link.uri or "") if link else urlsplit("")
    if not parts.path.rstrip("/").endswith(path.rsplit("/", 1)[-1]) or "?" in parts.query:
        return {}
    return {name: value for name, value in parse_qsl(parts.query) if name != "seekOperation"}


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful answer."""
    code, message = explain_plainly(reply)
    request = reply.headers.get("ms-requestid", "")
    told = f"{message}, request-id {request[:40]}" if request else message
    body = reply.try_parse(Problem)
    if reply.status == 401:
        return "unauthorized", f"{told}: the token is refused. Was it made with MFA? {AGAIN}"
    if body is None:
        if reply.try_parse(Throttled) is not None:
            return code, told
        return code, f"{told}, and not with Partner Center's own error (a proxy in between?)"
    if str(body.code) in _MEANING:
        code, what = _MEANING[str(body.code)]
        return code, f"{told}: {what} (code {body.code})"
    if reply.status == 403:
        return code, f"{told} (code {body.code}): the service user needs the role AdminAgents, and the app its consent"
    return code, f"{told} (code {body.code})"
