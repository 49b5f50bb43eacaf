"""A vendor that does not exist, over real HTTP: every way of paging and of signing in that a declaration may name.

A backup vendor that knows the MSP's companies as accounts, with their devices and their seats. Shares no code with what
reads. Beside the kit's controls under `/_sandbox`: `POST lie {"what": …}` makes its answers wrong while they look right
(see LIES), `POST device {"account": …, "add" | "remove": n}` moves devices.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

TOKEN = "sandbox-token"  # noqa: S105 - a sandbox's, known to everybody
KEY = "sandbox-key"
SECRET = "sandbox-secret"  # noqa: S105
PAGINGS = ("link", "next_url", "cursor", "page", "offset", "none", "last_id")
SIGN_INS = ("bearer", "basic", "header", "oauth2")
LIES = (
    "repeat_cursor",  # each page names the same further one
    "repeat_page",  # the paging parameter is ignored
    "empty_more",  # pages are empty and name further ones
    "wrong_total",
    "moving_total",  # the total grows with each answer
    "other_host",  # the next page lies elsewhere
    "narrow",  # a token without scope: fewer rows, status 200
    "clamp",  # a page past the end is the last page again
    "mixed",  # whoever asks for one account is given another's devices
)
PREFIX = "vault-"


class JsonSandbox:
    """The double's state and routes; `double` is what is served.

    `paging` and `sign_in` say which protocol it speaks, `totals` whether lists say how long they are, `bare` whether a
    list stands alone without a wrapper. `longest_page` caps every page whatever was asked for. `raw` puts JSON as text
    in the place of a row's quantity. Lists are ordered by id, and cursors stand behind an id, so that nothing shifts.
    """

    def __init__(
        self,
        world: World,
        *,
        paging: str = "link",
        sign_in: str = "bearer",
        totals: bool = True,
        bare: bool = False,
        longest_page: int = 100,
    ) -> None:
        assert paging in PAGINGS
        assert sign_in in SIGN_INS
        self.paging, self.sign_in, self.totals, self.bare = paging, sign_in, totals, bare
        self.client_auth = "body"
        self.scope = ""
        self.lies: set[str] = set()
        self.raw: dict[str, str] = {}
        self.tokens: dict[str, int] = {TOKEN: -1}  # token -> how many more requests it signs
        self.uses = -1  # of a token that is given out; -1: without end
        self.refresh = "refresh-1"
        self.accounts = [{"id": company.identifier, "name": company.name} for company in world.companies]
        self.devices = [
            _device(account, number, f"{company.identifier.lower()}-{number:02}")
            for company, account in zip(world.companies, self.accounts, strict=True)
            for number in range(1, company.devices + 1)
        ]
        self.seats = [
            {"id": f"{account['id']}-{held.sku.part}", "account": account, "plan": held.sku.part, "seats": held.bought}
            for company, account in zip(world.companies, self.accounts, strict=True)
            for held in company.licences
        ]
        self._answered = 0
        self._visits = 0
        self.double = double = _Contracted(self, longest_page)
        double.route("POST", "/oauth/token", self._token)
        double.route("GET", "/v2/accounts", lambda request: self._listed(request, self.accounts))
        double.route("GET", "/v2/devices", lambda request: self._listed(request, self.devices))
        double.route("GET", "/v2/seats", lambda request: self._listed(request, self.seats))
        double.route("GET", "/v2/accounts/<id_>/devices", self._devices_of)
        double.route("POST", "/_sandbox/lie", self._lie)
        double.route("POST", "/_sandbox/device", self._move_devices)

    # Signing in

    def _token(self, request: Request) -> Any:
        given = request.form
        if self.client_auth == "basic":
            client, secret = self._basic(request)
        else:
            client, secret = given.get("client_id", ""), given.get("client_secret", "")
        grant = given.get("grant_type", "")
        if (client, secret) != (KEY, SECRET):
            return json_response({"error": "invalid_client"}, 401)
        if self.scope and given.get("scope") != self.scope:
            return json_response({"error": "invalid_scope"}, 400)
        answer: dict[str, Any] = {"token_type": "Bearer", "expires_in": 3600}
        if grant == "refresh_token":
            if given.get("refresh_token") != self.refresh:
                return json_response({"error": "invalid_grant"}, 400)
            self.refresh = answer["refresh_token"] = secrets.token_urlsafe(12)
        elif grant == "password":
            if (given.get("username"), given.get("password")) != (KEY, SECRET):
                return json_response({"error": "invalid_grant"}, 400)
        elif grant != "client_credentials":
            return json_response({"error": "unsupported_grant_type"}, 400)
        answer["access_token"] = secrets.token_urlsafe(12)
        self.tokens[answer["access_token"]] = self.uses
        return answer

    def _signed(self, request: Request) -> bool:
        match self.sign_in:
            case "basic":
                return self._basic(request) == (KEY, SECRET)
            case "header":
                return request.headers.get("X-Api-Key") == SECRET
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        left = self.tokens.get(token, 0)
        if scheme != "Bearer" or left == 0 or (self.sign_in == "oauth2" and token == TOKEN):
            return False
        self.tokens[token] = left - 1 if left > 0 else left
        return True

    @staticmethod
    def _basic(request: Request) -> tuple[str, str]:
        given = request.authorization
        return (given.username or "", given.password or "") if given and given.type == "basic" else ("", "")

    # Lists

    def _devices_of(self, request: Request, id_: str) -> Any:
        known = [account["id"] for account in self.accounts]
        if id_ not in known:
            return json_response({"message": "no such account"}, 404)
        if "mixed" in self.lies:
            id_ = next(one for one in known if one != id_)
        return self._listed(request, [row for row in self.devices if row["account"]["id"] == id_])

    def _listed(self, request: Request, rows: list[dict[str, Any]]) -> Any:
        if not self._signed(request):
            return json_response({"message": "unauthorized"}, 401)
        wanted = {name: value for name, value in request.args.items() if rows and name in ("state", "plan")}
        rows = sorted(rows, key=lambda row: str(row["id"]))
        rows = [row for row in rows if all(str(row.get(name)) == value for name, value in wanted.items())]
        if "narrow" in self.lies:
            rows = rows[: max(len(rows) // 3, 1)]
        self._answered += 1
        total = len(rows) + ("wrong_total" in self.lies) + (self._answered if "moving_total" in self.lies else 0)
        page, further = self._cut(request, rows)
        if "empty_more" in self.lies:
            page = []
        return self._sent(request, [self._shown(row) for row in page], further, total)

    def _cut(self, request: Request, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
        """The page asked for, and the cursor behind it; "" where nothing follows."""
        asked = request.args
        size = min(int(asked.get("size", self.double.longest_page)), self.double.longest_page)
        if self.paging == "none":
            return rows, ""
        if self.paging in ("page", "offset"):
            start = (int(asked.get("page", 1)) - 1) * size if self.paging == "page" else int(asked.get("offset", 0))
            if "repeat_page" in self.lies:
                start = 0
            if "clamp" in self.lies and start >= len(rows):
                start = (len(rows) - 1) // size * size
            return rows[start : start + size], ""
        behind = asked.get("after", "") if self.paging == "last_id" else _opened(asked.get("cursor", ""))
        left = [row for row in rows if str(row["id"]) > behind]
        page = rows[:size] if "repeat_page" in self.lies else left[:size]
        more = len(left) > size or bool(self.lies & {"repeat_cursor", "empty_more"})
        last = rows[:1] if "repeat_cursor" in self.lies else page[-1:] or rows[:1]
        return page, _sealed(str(last[0]["id"])) if more and last else ""

    def _sent(self, request: Request, rows: list[Any], further: str, total: int) -> Any:
        root = "http://elsewhere.example" if "other_host" in self.lies else request.host_url.rstrip("/")
        query = urlencode({**request.args, "cursor": further})
        link = f"{root}{request.path}?{query}" if further else None
        headers = {"Link": f'<{link}>; rel="next"'} if link and self.paging == "link" else {}
        if self.bare or self.paging == "last_id":
            return json_response(rows, headers=headers)
        meta: dict[str, Any] = {"total": total} if self.totals else {}
        if self.paging == "cursor":
            meta["next"] = further or None
        if self.paging == "next_url":
            meta["next"] = link
        return json_response({"items": rows, "meta": meta}, headers=headers)

    def _shown(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if row["id"] in self.raw:
            return {**row, "seats": msgspec.Raw(self.raw[row["id"]].encode())}
        return row

    # Controls

    def visit(self) -> None:
        """One device leaves and one comes: lists change and stay as long as they were."""
        self._visits += 1
        account = self.accounts[0]
        ids = {row["id"] for row in self.devices}
        fresh = next(f"{PREFIX}a{number:03}" for number in range(999, 0, -1) if f"{PREFIX}a{number:03}" not in ids)
        guests = [row for row in self.devices if str(row["id"]).startswith(PREFIX)]
        if guests:
            self.devices.remove(guests[0])
        self.devices.append(_device(account, 1, f"guest-{self._visits}", id_=fresh))

    def _lie(self, request: Request) -> Any:
        what = request.get_json().get("what", "")
        if what and what not in LIES:
            return json_response({"error": f"no lie is called {what!r}", "lies": list(LIES)}, 400)
        self.lies = {what} if what else set()
        return {"lies": sorted(self.lies)}

    def _move_devices(self, request: Request) -> Any:
        asked = request.get_json()
        account = next((one for one in self.accounts if asked.get("account") in (one["id"], one["name"])), None)
        if account is None:
            return json_response({"error": f"no account is called {asked.get('account')!r}"}, 404)
        own = [row for row in self.devices if row["account"]["id"] == account["id"]]
        for number in range(int(asked.get("add", 0))):
            made = len(own) + number + 1
            self.devices.append(_device(account, made, f"{account['id'].lower()}-{made:02}"))
        for row in own[len(own) - int(asked.get("remove", 0)) :] if asked.get("remove") else []:
            self.devices.remove(row)
        return {"account": account["id"], "devices": sum(row["account"]["id"] == account["id"] for row in self.devices)}


class _Contracted(Double):
    """What the contract suite asks of a double beyond the kit."""

    tells_totals = True

    def __init__(self, owner: JsonSandbox, longest_page: int) -> None:
        super().__init__(
            "http_json",
            throttled=self._slow_down,
            unauthorized=lambda: json_response({"message": "unauthorized"}, 401),
        )
        self._owner = owner
        self.longest_page = longest_page
        self.retry_after = "1"

    def shift(self) -> None:
        """Rows move between two pages."""
        self._owner.visit()

    def _slow_down(self) -> Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return json_response({"message": "too many requests"}, 429, headers)


def build(world: World, **options: Any) -> Double:
    """The double of one World; options are those of `JsonSandbox`."""
    double = JsonSandbox(world, **options).double
    double.settings = {
        "auth": TOKEN,
        "request": "/v2/devices",
        "paginate": "link",
        "records": "items",
        "customer": "account.id",
        "customer_name": "account.name",
        "sku": "plan",
        "subject": "hostname",
        "total": "meta.total",
    }
    return double


def _device(account: Mapping[str, str], number: int, hostname: str, id_: str = "") -> dict[str, Any]:
    return {
        "id": id_ or f"{account['id']}-{number:04}",
        "account": dict(account),
        "plan": "SERVER" if number <= 2 else "WORKSTATION",
        "hostname": hostname,
        "state": "active",
    }


def _sealed(id_: str) -> str:
    return base64.urlsafe_b64encode(id_.encode()).decode()


def _opened(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor.encode()).decode() if cursor else ""
