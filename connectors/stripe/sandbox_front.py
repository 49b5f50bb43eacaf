"""The double's front: keys and their permissions, the version, forms with brackets, the idempotency store, lists.

Holds no records. Shares no code with the connector.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Double, dumps
from syncd.sandbox.world import World

Row = dict[str, Any]
Params = dict[str, Any]
Handler = Callable[..., Any]

VERSION = "2026-10-28.endive"
DAY_LONG = 86_400
_PATH_KEY = re.compile(r"\[([^\]]*)\]")
_LIST = {"limit", "starting_after", "ending_before", "expand"}


@dataclass
class Kept:
    """What was answered under an idempotency key."""

    params: str
    status: int
    body: bytes
    at: float


class Stop(Exception):
    """An error answer. `began`: the endpoint had begun to work, so that the answer is stored."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str = "", began: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.began = status, message, code, param, began
        self.type = "idempotency_error" if code == "idempotency_error" else "invalid_request_error"
        if status >= 500:
            self.type = "api_error"


def missing(what: str, number: str, param: str = "id") -> Stop:
    """Stripe's answer for an id that is not there."""
    return Stop(404 if param == "id" else 400, f"No such {what}: '{number}'", code="resource_missing", param=param)


class Front(Double):
    """What every request passes. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        api_key: str = "rk_test_51SyncdSandbox0000000000",
        live: bool = False,
        forbidden: Collection[str] = (),
        key_life: float = DAY_LONG,
        longest_page: int = 100,
    ) -> None:
        super().__init__(
            "stripe", now=_clock(world.today), throttled=lambda: self.error(Stop(429, "Too many", code="rate_limit")),
            unauthorized=lambda: self.error(Stop(401, "Invalid API Key provided: rk_test_****0000")),
        )  # fmt: skip
        self.api_key, self.live = api_key, live
        self.forbidden = set(forbidden)
        self.key_life = key_life
        self.longest_page = longest_page
        self.kept: dict[str, Kept] = {}
        self.under_way: set[str] = set()
        # What the next writes meet: "500 done", "500 nothing" (both stored), "lock", "in use".
        self.troubles: list[str] = []
        self._numbers = itertools.count(1)
        self.settings = {"api_key": api_key}

    def seconds(self) -> int:
        """The double's time as Stripe writes it."""
        return int(self.now().timestamp())

    # --- requests ----------------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, handler: Handler, *, allowed: str = "", listed: bool = False) -> None:
        """A route under /v1. `allowed`: the names of its parameters, apart from those of lists."""
        names = set(allowed.split()) | {"expand"} | (_LIST if listed else set())
        resource = path.partition("/")[0]

        def handle(request: Request, **values: Any) -> Response:
            answer = self._answered(request, resource, handler, names, values)
            answer.headers["Request-Id"] = f"req_{next(self._numbers):014d}"
            answer.headers["Stripe-Version"] = request.headers.get("Stripe-Version", VERSION)
            return answer

        self.route(method, f"/v1/{path}", handle)

    def _answered(
        self, request: Request, resource: str, handler: Handler, names: set[str], values: Mapping[str, Any]
    ) -> Response:
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        try:
            self._admit(request, resource)
            params = nested(self._given(request))
            text = json.dumps([request.path, params], sort_keys=True)
            if known := self._replay(key, text):
                return known
            if strange := sorted(set(params) - names):
                raise Stop(400, f"Received unknown parameter: {strange[0]}", code="parameter_unknown", param=strange[0])
            trouble = self.troubles.pop(0) if request.method == "POST" and self.troubles else ""
            if trouble == "lock":
                raise Stop(429, "This object cannot be accessed right now", code="lock_timeout")
            if trouble == "in use":
                raise Stop(409, "There is currently another in-progress request", code="idempotency_key_in_use")
            body, status = b"", 200
            try:
                if trouble != "500 nothing":
                    body = dumps(handler(params, **values))
                if trouble:
                    raise Stop(500, "An unknown error occurred", began=True)
            except Stop as stop:
                if not stop.began:
                    raise
                status, body = stop.status, self.error(stop).get_data()
            if key and not self.ignoring():
                self.kept[key] = Kept(text, status, body, self.now().timestamp())
        except Stop as stop:
            return self.error(stop)
        return Response(body, status, mimetype="application/json")

    def _given(self, request: Request) -> list[tuple[str, str]]:
        if request.method != "POST":
            return list(request.args.items(multi=True))
        # Not `request.form`, which would leave nothing for the record.
        return parse_qsl(request.get_data(as_text=True), keep_blank_values=True)

    def error(self, stop: Stop) -> Response:
        """Stripe's error body."""
        told: Row = {"type": stop.type, "message": stop.message}
        told |= {name: value for name, value in (("code", stop.code), ("param", stop.param)) if value}
        return Response(dumps({"error": told}), stop.status, mimetype="application/json")

    def _admit(self, request: Request, resource: str) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = base64.b64decode(given).decode().removesuffix(":")
        if given != self.api_key:
            raise Stop(401, f"Invalid API Key provided: {given[:8]}****{given[-4:]}")
        if resource in self.forbidden:
            raise Stop(403, f"The provided key does not have the required permissions for '{resource}'")
        if request.headers.get("Stripe-Version", "") != VERSION:
            raise Stop(400, "Invalid Stripe API version: name the one that this double speaks")
        if request.method == "POST" and request.mimetype != "application/x-www-form-urlencoded":
            raise Stop(400, "Invalid request: send a form")

    def _replay(self, key: str, text: str) -> Response | None:
        known = self.kept.get(key) if key else None
        if known is None:
            return None
        if self.now().timestamp() - known.at >= self.key_life:
            del self.kept[key]
            return None
        if known.params != text:
            raise Stop(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with",
                code="idempotency_error",
            )
        return Response(known.body, known.status, mimetype="application/json", headers={"Idempotent-Replayed": "true"})

    # --- lists -------------------------------------------------------------------------------------------------------

    def listed(self, url: str, rows: Iterable[Row], params: Params) -> Row:
        """A page, the newest records first. `rows` in the order in which they were made."""
        ordered = list(rows)[::-1]
        limit = int(params.get("limit", 10))
        if not 1 <= limit <= 100:
            raise Stop(400, "Invalid integer: limit must be between 1 and 100", param="limit")
        if after := params.get("starting_after"):
            place = next((number for number, row in enumerate(ordered) if row["id"] == after), None)
            if place is None:
                raise missing("object", after, "starting_after")
            ordered = ordered[place + 1 :]
        limit = min(limit, self.longest_page)
        return {"object": "list", "url": url, "has_more": len(ordered) > limit, "data": ordered[:limit]}

    def inner(self, url: str, rows: Iterable[Row]) -> Row:
        """A list inside another record, which shows ten at most. `rows` as they stand there."""
        some = list(rows)
        return {"object": "list", "url": url, "has_more": len(some) > 10, "data": some[:10], "total_count": len(some)}


def in_range(value: int, bounds: Any) -> bool:
    """Whether a time passes a filter like `created[gte]`."""
    if not isinstance(bounds, dict):
        return bounds is None or value == int(bounds)
    tests = {"gte": value.__ge__, "gt": value.__gt__, "lte": value.__le__, "lt": value.__lt__}
    return all(tests[name](int(bound)) for name, bound in bounds.items())


def nested(flat: Iterable[tuple[str, str]]) -> Params:
    """`a[b][c]=1&l[0]=2&l[]=3` as nested dicts and lists."""
    found: Params = {}
    for name, value in flat:
        parts = [name.partition("[")[0], *_PATH_KEY.findall(name)]
        place: Any = found
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        last = parts[-1] or str(len(place))
        place[last] = value
    return {name: _as_list(value) for name, value in found.items()}


def _as_list(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isdigit() for key in value):
        return [_as_list(value[key]) for key in sorted(value, key=int)]
    return {key: _as_list(inner) for key, inner in value.items()}


def whole(params: Params, name: str) -> int:
    """A parameter that must be a whole number."""
    text = str(params[name])
    if not re.fullmatch(r"-?\d+", text):
        raise Stop(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def exact(params: Params, name: str) -> Decimal:
    """A parameter that is a decimal with at most twelve places."""
    text = str(params[name])
    if not re.fullmatch(r"-?\d+(\.\d{1,12})?", text):
        raise Stop(400, f"Invalid decimal: {text}", param=name)
    return Decimal(text)


def _clock(today: date) -> Callable[[], datetime]:
    """The real time where the world is of today, else a clock that began at six in the evening of its day."""
    began = datetime.now(UTC)
    if began.date() == today:
        return lambda: datetime.now(UTC)
    noon = datetime(today.year, today.month, today.day, 18, tzinfo=UTC)
    return lambda: noon + max(datetime.now(UTC) - began, timedelta())
