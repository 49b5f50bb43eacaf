"""The double's front: code base, sign-in, rights, throttling; and lists with filters, fields and both ways of paging.

Holds no records. Every answer carries the vendor's headers, and a field that no client knows.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from connectors.connectwise.sandbox_conditions import BadCondition, Test, compiled, custom_fields
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

Row = dict[str, Any]
ALIAS = "v4_6_release"


class Front(Double):
    """What every request passes. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        company: str = "acme",
        public_key: str | None = None,
        private_key: str | None = None,
        client_id: str | None = None,
        codebase: str = "v2026_1",
        forward_only: bool = True,
        forbidden: Collection[str] = (),
        absent: Collection[str] = (),
        per_minute: int = 1000,
        cdn: bool = False,
        retry_after: str = "1",
    ) -> None:
        began = time.monotonic()
        noon = datetime.combine(world.today, datetime.min.time(), UTC) + timedelta(hours=12)
        super().__init__(
            "connectwise",
            now=lambda: noon + timedelta(seconds=time.monotonic() - began),
            throttled=self._too_many,
            unauthorized=lambda: error(401, "Unauthorized", "The login credentials or client id are not valid."),
        )
        self.company = company
        self.public_key, self.private_key, self.client_id = public_key, private_key, client_id
        self.codebase = codebase
        self.forward_only = forward_only
        self.forbidden, self.absent = set(forbidden), set(absent)
        self.per_minute, self.cdn, self.retry_after = per_minute, cdn, retry_after
        self.stamped = noon
        self.tells_totals = True  # every list has a count: the contract suite holds the connector to it
        self.longest_page = 1000
        self._tokens, self._filled = float(per_minute), time.monotonic()

    def api(self, method: str, rule: str, right: str, handler: Callable[..., Any]) -> None:
        def guarded(request: Request, codebase: str, **values: Any) -> Response:
            refusal = self._guard(request, codebase, right or "{area}/{kind}".format(**values))
            if refusal is None:
                try:
                    answer = handler(request, **values)
                except BadCondition as bad:
                    answer = error(400, "InvalidObject", str(bad))
                response = answer if isinstance(answer, Response) else json_response(answer)
            else:
                response = refusal
            response.headers["api-current-version"] = "2026.4"
            response.headers["x-cw-request-id"] = str(uuid.uuid4())
            if response.mimetype == "application/json":
                wanted = request.headers.get("accept", "")
                version = wanted.partition("version=")[2] or "2026.4"
                response.headers["Content-Type"] = f"application/vnd.connectwise.com+json; version={version}"
            return response

        self.route(method, rule, guarded)

    def _guard(self, request: Request, codebase: str, right: str) -> Response | None:
        if codebase not in (ALIAS, self.codebase):
            return Response("<html><body>404 - File or directory not found.</body></html>", 404, mimetype="text/html")
        if self.per_minute and not self._take_token():
            return self._too_many()
        sent_id = request.headers.get("clientid", "")
        if not sent_id or (self.client_id is not None and sent_id != self.client_id):
            return error(401, "Unauthorized", "A valid clientId header is required.")
        if not self._signed_in(request):
            if codebase == ALIAS:  # on the alias a wrong login looks like a missing page
                return error(404, "NotFound", "The requested resource was not found.")
            return error(401, "Unauthorized", "The login credentials are not valid.")
        if right in self.absent:
            return error(404, "NotFound", "The requested resource was not found.")
        if right in self.forbidden:
            return error(403, "Forbidden", "You do not have the required security role.")
        return None

    def _signed_in(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except ValueError:
            return False
        company, plus, public = user.partition("+")
        return (
            scheme == "Basic"
            and plus == "+"
            and company.lower() == self.company.lower()
            and bool(public and password)
            and self.public_key in (None, public)
            and self.private_key in (None, password)
        )

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(float(self.per_minute), self._tokens + (now - self._filled) * self.per_minute / 60)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _too_many(self) -> Response:
        headers = {"Retry-After": self.retry_after}
        if self.cdn:
            return Response("error code: 1015", 429, headers=headers, mimetype="text/plain")
        text = f"Too many requests. Please try again in {self.retry_after} seconds."
        return json_response({"error": "ConnectWiseAPI", "message": text}, 429, headers)

    def listed(self, request: Request, rows: Iterable[Row]) -> Response:
        found = self.filtered(request, rows)
        size = min(int(request.args.get("pageSize", 25)), self.longest_page)
        headers = {}
        if self.forward_only and request.headers.get("pagination-type", "").lower() == "forward-only":
            if "orderBy" in request.args:
                return error(400, "InvalidObject", "orderBy is not supported with forward-only pagination")
            after = int(request.args.get("pageId", 0))
            page = [row for row in sorted(found, key=_id) if row["id"] > after][:size]
            if page:
                headers["Link"] = _link(request, "next", pageId=page[-1]["id"])
        else:
            found = _ordered(found, request.args.get("orderBy", ""))
            number = max(int(request.args.get("page", 1)), 1)
            last = max((len(found) + size - 1) // size, 1)
            page = found[(number - 1) * size : number * size]
            links = [_link(request, "next", page=number + 1), _link(request, "last", page=last)] * (number < last)
            links += [_link(request, "first", page=1), _link(request, "prev", page=number - 1)] * (number > 1)
            if links:
                headers["Link"] = ", ".join(links)
        shown = [self.shown(row, request.args.get("fields", "")) for row in page]
        return json_response(shown, headers=headers)

    def counted(self, request: Request, rows: Iterable[Row]) -> Row:
        return {"count": len(self.filtered(request, rows))}

    def one(self, request: Request, rows: Iterable[Row], number: int) -> Any:
        row = next((row for row in rows if row["id"] == number), None)
        return self.shown(row, request.args.get("fields", "")) if row else missing()

    def filtered(self, request: Request, rows: Iterable[Row]) -> list[Row]:
        every = list(rows)
        names = {name for row in every for name in row}
        test: Test = compiled(request.args.get("conditions", ""), lambda field: not every or field in names)
        found = [row for row in every if test(row)]
        if extra := request.args.get("customFieldConditions", ""):
            inner = custom_fields(extra)
            found = [row for row in found if inner(row)]
        return found

    def shown(self, row: Row, fields: str) -> Row:
        """A record as answered: the wanted fields, and one that no client knows."""
        stamped = {"lastUpdated": f"{self.stamped:%Y-%m-%dT00:00:00Z}", "updatedBy": "Admin1"}
        whole = {"_info": stamped, **row, "fieldOfANewerRelease": {"value": 1}}
        if not fields:
            return whole
        shown: Row = {}
        for field in fields.split(","):
            head, _, below = field.strip().partition("/")
            if head not in whole:
                continue
            value = whole[head]
            if below and isinstance(value, dict):
                shown.setdefault(head, {})[below] = value.get(below)
            else:
                shown[head] = value
        return shown


def error(status: int, code: str, message: str, errors: list[Row] | None = None) -> Response:
    """The usual shape of an error."""
    return json_response({"code": code, "message": message, "errors": errors}, status)


def invalid(resource: str, faults: list[tuple[str, str]]) -> Response:
    """400 with the faults of an object."""
    details = [
        {"code": "InvalidField", "message": text, "resource": resource, "field": field} for text, field in faults
    ]
    return error(400, "InvalidObject", f"{resource} object is invalid", details)


def missing() -> Response:
    """404 of a record."""
    return error(404, "NotFound", "The requested resource was not found.")


def _id(row: Row) -> int:
    number: int = row["id"]
    return number


def _ordered(rows: list[Row], order: str) -> list[Row]:
    field, _, way = order.partition(" ")
    if not field:
        return rows

    def key(row: Row) -> tuple[bool, Any]:
        value: Any = row
        for part in field.split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        return value is None, value if value is not None else 0

    return sorted(rows, key=key, reverse=way.strip().lower() == "desc")


def _link(request: Request, relation: str, **changes: int) -> str:
    arguments = {**request.args, **{name: str(value) for name, value in changes.items()}}
    return f'<{request.base_url}?{urlencode(arguments)}>; rel="{relation}"'
