"""The way to Pax8: sign-in, its errors in words, and lists that are read whole or not at all. Knows no record.

Paging counts pages from 0 over a set that changes while it is read, so a list is whole when as many different rows
came as every page said there are; where it has several pages, two passes one after the other must show the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from connectors.pax8.config import Pax8Settings
from connectors.pax8.payloads import Page, Problem, TokenProblem
from syncd.connect.auth import ClientCredentials
from syncd.connect.contract import Context
from syncd.connect.http import Reply, explain_plainly
from syncd.connect.retry import NOT_NOW
from syncd.errors import VendorError

Row = TypeVar("Row")

AUDIENCE = "https://api.pax8.com"  # fixed by the vendor, also where a gateway or sandbox stands in for the host
PAGE_SIZE = 200  # the vendor's limit; the default of 10 would cost twenty times the calls
PASSES = 5
MAX_PAGES = 2000
_WORDS = 200


@dataclass(frozen=True, slots=True)
class Whole(Generic[Row]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[Row, ...]
    proof: str


class Api:
    """Requests to Pax8. Only GETs leave, besides the sign-in. Thread-safe."""

    def __init__(self, settings: Pax8Settings, context: Context) -> None:
        self.http = context.http(
            f"{settings.root}/v1",
            also=(settings.token_root,),
            headers={"accept": "application/json"},
            explain=explain,
        )
        self._auth = ClientCredentials(
            f"{settings.token_root}/v1/token",
            lambda: {
                "client_id": settings.client_id,
                "client_secret": settings.client_secret.reveal(context.folder),
                "audience": AUDIENCE,
                "grant_type": "client_credentials",
            },
            _sign_in_refused,
            wait=settings.retry_wait.total_seconds(),
            pause=self.http.gate.pause,
            as_json=True,
        )

    def read(self, path: str, params: Mapping[str, str | int] | None = None) -> Reply:
        """GETs a path. Raises VendorError."""
        return self.http.read(path, params=params, auth=self._auth)

    def whole(
        self,
        path: str,
        shape: type[Row],
        *,
        what: str,
        params: Mapping[str, str | int] | None = None,
        key: Callable[[Row], str] | None = None,
    ) -> Whole[Row]:
        """All rows of a list. `key` tells rows apart; None where they bear no id. Raises VendorError, `incomplete`
        where the list does not add up in several passes."""
        before: dict[str, Row] | None = None
        trouble = ""
        for _ in range(PASSES):
            rows, pages, trouble = self._pass(path, shape, params or {}, key)
            if trouble:
                before = None
                continue
            if pages == 1 or rows == before:
                times = "" if pages == 1 else ", twice alike"
                return Whole(
                    tuple(rows.values()),
                    f"{len(rows)} of {len(rows)} {what} in {pages} page{'s' if pages > 1 else ''}{times}",
                )
            before, trouble = rows, "other rows in each pass"
        raise VendorError("incomplete", f"the list of {what} does not add up in {PASSES} passes: {trouble}")

    def _pass(
        self, path: str, shape: type[Row], params: Mapping[str, str | int], key: Callable[[Row], str] | None
    ) -> tuple[dict[str, Row], int, str]:
        """(rows by key, pages read, what is wrong with them)."""
        page_shape: Any = Page[shape]  # type: ignore[valid-type]
        rows: dict[str, Row] = {}
        total: int | None = None
        for asked in range(MAX_PAGES):
            reply = self.read(path, {**params, "page": asked, "size": PAGE_SIZE})
            answer: Page[Row] = reply.parse(page_shape)
            told = answer.page
            if told.number != asked:
                return rows, asked, f"page {asked} was asked for, page {told.number} came"
            if total is not None and told.total_elements != total:
                return rows, asked, f"first there were {total} rows, then {told.total_elements}"
            total = told.total_elements
            for row in answer.content:
                rows[key(row) if key else str(len(rows))] = row
            if asked + 1 >= told.total_pages:
                lack = "" if len(rows) == total else f"{len(rows)} of {total} rows came"
                return rows, asked + 1, lack
            if not answer.content:
                return rows, asked, f"page {asked} of {told.total_pages} is empty"
        return rows, MAX_PAGES, f"more than {MAX_PAGES} pages"

    def close(self) -> None:
        """Closes the sockets."""
        self.http.close()


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful answer, with the vendor's words."""
    code, message = explain_plainly(reply)
    body = reply.try_parse(Problem)
    if body is None or not (body.type or body.message):
        return code, f"{message}, and not with Pax8's own error (a proxy in between?)"
    details = [detail.message for detail in body.details or () if detail.message]
    told = "; ".join(part for part in (body.message or body.type, *details) if part)
    message += f": {told[:_WORDS]}"
    if reply.status == 401:
        message += ". The token is refused: check client_id, client_secret and base_url"
    if reply.status == 403:
        message += ". The credentials lack the right to read this; create partner credentials in Pax8 › Integrations"
    return code, message


def _sign_in_refused(reply: Reply) -> VendorError | None:
    """The error of a refused sign-in, None where it is worth asking again."""
    if reply.status in NOT_NOW:
        return None
    body = reply.try_parse(TokenProblem)
    if body is None or not body.error:
        code = "unauthorized" if reply.status in (400, 401, 403) else "unavailable"
        return VendorError(
            code,
            f"the sign-in failed with status {reply.status} and no reason. Check token_url and proxy.",
            status=reply.status,
        )
    return VendorError(
        "unauthorized",
        f"the sign-in was refused ({body.error[:40]}). Check client_id and client_secret, or create new ones in "
        "Pax8 › Integrations › API credentials.",
        status=reply.status,
    )
