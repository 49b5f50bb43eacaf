"""A double of Microsoft's sign-in host and of Microsoft Graph, over real HTTP. Shares no code with what reads.

Both live on one port. Beside the kit's controls under `/_sandbox`: `POST tenant` breaks or mends a tenant,
`POST people` gives and takes licences, `POST purchases` buys. Faithful where a reader can go wrong: advanced queries,
opaque paging, batches, throttling, error bodies, tokens bound to their tenant, reports on another host.
"""

from __future__ import annotations

import random
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from werkzeug.wrappers import Request, Response

from connectors.microsoft365.sandbox_answers import Answer, refusal, sent, slow_down
from connectors.microsoft365.sandbox_signin import SignInHost, Token
from connectors.microsoft365.sandbox_state import (
    TENANT_FAULTS,
    Bought,
    TenantState,
    find_tenant,
    tenants_of,
)
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

ALL_ROLES = (
    "Directory.Read.All",
    "LicenseAssignment.Read.All",
    "Organization.Read.All",
    "User.Read.All",
    "AuditLog.Read.All",
    "Reports.Read.All",
    "GroupMember.Read.All",
)
_DEFAULT_USER = ("id", "displayName", "userPrincipalName", "mail", "jobTitle")
_DIRECTORY = "Directory.Read.All"


@dataclass(frozen=True)
class Call:
    """One call to Graph, alone or inside a batch."""

    tenant: TenantState
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    root: str
    roles: frozenset[str]


class GraphSandbox:
    """The double's state and routes; `double` is what is served.

    `page_size` caps the pages of users, `batching` False leaves `$batch` out, `opaque` gives tokens nobody can look
    into, `certificate` is the PEM of the certificate whose signature is asked for, `roles` what the app was granted.
    """

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        certificate: str = "",
        page_size: int = 999,
        batching: bool = True,
        opaque: bool = False,
        roles: tuple[str, ...] = ALL_ROLES,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.world = world
        self.tenants = tenants_of(world)
        self._page_size, self._batching = page_size, batching
        self._cursors: dict[str, int] = {}
        self._downloads: dict[str, tuple[str, datetime]] = {}
        self._reports: dict[str, list[datetime]] = {}
        self._dice = random.Random(world.seed)  # noqa: S311 - shuffles parts, no secret
        self.double = double = Double(
            "microsoft365",
            now=now,
            throttled=lambda: sent(slow_down()),
            unauthorized=lambda: sent(refusal(401, "InvalidAuthenticationToken")),
        )
        self.sign_in = SignInHost(
            self.tenants, double.now, client_id, client_secret, certificate, opaque, frozenset(roles)
        )
        double.route("POST", "/<tenant>/oauth2/v2.0/token", self.sign_in.answer)
        double.route("GET", "/v1.0/<path:path>", self._get)
        double.route("POST", "/v1.0/$batch", self._batch)
        double.route("GET", "/report-files/<key>", self._download)
        double.route("POST", "/_sandbox/tenant", self._break_tenant)
        double.route("POST", "/_sandbox/people", self._move_people)
        double.route("POST", "/_sandbox/purchases", self._buy)

    # Graph

    def _get(self, request: Request, path: str) -> Response:
        called = self._signed(request)
        if isinstance(called, Answer):
            return sent(called, request)
        tenant, token = called
        headers = {name.lower(): value for name, value in request.headers}
        call = Call(tenant, path, dict(request.args), headers, request.host_url.rstrip("/"), token.roles)
        return sent(self._answer(call), request)

    def _batch(self, request: Request) -> Response:
        called = self._signed(request)
        if isinstance(called, Answer):
            return sent(called, request)
        if not self._batching:
            return sent(refusal(404, "BadRequest"), request)
        tenant, token = called
        wanted = request.get_json().get("requests", [])
        ids = [one.get("id") for one in wanted]
        if not 1 <= len(wanted) <= 20 or len(set(ids)) != len(ids):
            return sent(refusal(400, "BadRequest"), request)
        parts = []
        for one in wanted:
            path, _, query = one["url"].lstrip("/").partition("?")
            headers = {name.lower(): value for name, value in one.get("headers", {}).items()}
            call = Call(tenant, path, dict(parse_qsl(query)), headers, request.host_url.rstrip("/"), token.roles)
            answer = self._answer(call)
            parts.append(
                {"id": one["id"], "status": answer.status, "headers": answer.headers or {}, "body": answer.body}
            )
        self._dice.shuffle(parts)
        if tenant.struck("drop_part"):
            parts.pop()
        return sent(Answer(200, {"responses": parts}), request)

    def _signed(self, request: Request) -> tuple[TenantState, Token] | Answer:
        token = self.sign_in.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if token is None or token.until <= self.double.now() or self.tenants[token.tenant].struck("stale_token"):
            return refusal(401, "InvalidAuthenticationToken")
        return self.tenants[token.tenant], token

    def _answer(self, call: Call) -> Answer:
        if call.tenant.struck("throttle"):
            return slow_down()
        for pattern, roles, show in self._routes():
            found = re.fullmatch(pattern, call.path)
            if found is None:
                continue
            if call.tenant.struck("forbidden") or not call.roles & {_DIRECTORY, *roles}:
                return refusal(403, "Authorization_RequestDenied")
            answer = show(call, *found.groups())
            if call.tenant.struck("no_value") and isinstance(answer.body, dict):
                answer.body.pop("value", None)
            return answer
        return refusal(400, "BadRequest")

    def _routes(self) -> tuple[tuple[str, tuple[str, ...], Callable[..., Answer]], ...]:
        return (
            ("contracts", (), self._contracts),
            ("organization", ("Organization.Read.All",), self._organization),
            ("subscribedSkus", ("LicenseAssignment.Read.All", "Organization.Read.All"), self._products),
            (r"directory/subscriptions", ("Organization.Read.All",), self._purchases),
            ("users", ("User.Read.All",), self._users),
            ("groups", ("GroupMember.Read.All",), self._groups),
            ("groups/([^/]+)/(transitiveMembers|members)", ("GroupMember.Read.All",), self._members),
            (r"reports/getOffice365ActiveUserDetail\(period='D30'\)", ("Reports.Read.All",), self._report),
            ("admin/reportSettings", ("ReportSettings.Read.All",), self._report_settings),
        )

    def _contracts(self, call: Call) -> Answer:
        if call.tenant.id != self.world.partner_tenant:
            return _rows(call, [])
        rows = [
            {
                "id": str(uuid.uuid5(uuid.UUID(company.tenant_id), "contract")),
                "customerId": company.tenant_id,
                "defaultDomainName": company.domain,
                "displayName": company.name,
                "contractType": "ResellerPartner",
            }
            for company in self.world.companies
        ]
        return self._paged(call, rows)

    def _organization(self, call: Call) -> Answer:
        shown = str(uuid.uuid4()) if call.tenant.struck("wrong_tenant") else call.tenant.id
        domain = {
            "name": call.tenant.domain,
            "isDefault": True,
            "isInitial": True,
            "capabilities": "",
            "type": "Managed",
        }
        row = {"id": shown, "displayName": call.tenant.name, "countryLetterCode": "US", "verifiedDomains": [domain]}
        return _rows(call, [row])

    def _products(self, call: Call) -> Answer:
        if "$filter" in call.query:
            return refusal(400, "Request_UnsupportedQuery")
        answer = _rows(call, [] if call.tenant.struck("empty") else _selected(call, call.tenant.products()))
        if call.tenant.struck("moving"):
            call.tenant.hire(call.tenant.bought[0].sku, 1, self.double.now())
        return answer

    def _purchases(self, call: Call) -> Answer:
        if call.tenant.struck("no_purchases"):
            return refusal(403, "Authorization_RequestDenied")
        return _rows(call, call.tenant.purchases())

    def _users(self, call: Call) -> Answer:
        wanted = call.query.get("$filter", "")
        advanced = call.headers.get("consistencylevel") == "eventual" and call.query.get("$count") == "true"
        fields = call.query.get("$select", "").split(",") if "$select" in call.query else list(_DEFAULT_USER)
        if {"mailboxSettings", "aboutMe", "hireDate"} & set(fields):
            return refusal(501, "NotImplemented")
        if "signInActivity" in fields and call.tenant.struck("no_premium"):
            return refusal(403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")
        if "signInActivity" in fields and "AuditLog.Read.All" not in call.roles:
            return refusal(403, "Authorization_RequestDenied")
        rows = call.tenant.people()
        if wanted == "assignedLicenses/$count ne 0":
            if not advanced:
                return refusal(400, "Request_UnsupportedQuery")
            rows = [row for row in rows if row["assignedLicenses"]]
        elif one := re.fullmatch(r"assignedLicenses/any\(x:x/skuId eq ([0-9a-f-]{36})\)", wanted):
            rows = [row for row in rows if any(held["skuId"] == one[1] for held in row["assignedLicenses"])]
        elif one := re.fullmatch(r"accountEnabled eq (true|false)", wanted):
            rows = [row for row in rows if row["accountEnabled"] is (one[1] == "true")]
        elif wanted:
            return refusal(400, "Request_UnsupportedQuery")
        rows = [{name: row[name] for name in ("id", *fields) if name in row} for row in rows]
        return self._paged(call, rows, counted=advanced, most=120 if "signInActivity" in fields else 999)

    def _groups(self, call: Call) -> Answer:
        rows = [{"id": group.id, "displayName": group.name, "groupTypes": []} for group in call.tenant.groups]
        if "$filter" in call.query:
            one = re.fullmatch(r"displayName eq '((?:[^']|'')*)'", call.query["$filter"])
            if one is None:
                return refusal(400, "Request_UnsupportedQuery")
            name = one[1].replace("''", "'").casefold()
            rows = [row for row in rows if str(row["displayName"]).casefold() == name]
        return self._paged(call, rows)

    def _members(self, call: Call, group: str, how: str) -> Answer:
        found = next((one for one in call.tenant.groups if one.id == group), None)
        if found is None:
            return refusal(404, "Request_ResourceNotFound")
        return self._paged(call, call.tenant.inside(found, nested=how == "transitiveMembers"))

    def _report_settings(self, call: Call) -> Answer:
        return Answer(200, {"displayConcealedNames": call.tenant.faults.get("concealed", 0) != 0})

    def _report(self, call: Call) -> Answer:
        now = self.double.now()
        asked = [one for one in self._reports.get(call.tenant.id, []) if one > now - timedelta(minutes=10)]
        if len(asked) >= 14:
            return slow_down()
        self._reports[call.tenant.id] = [*asked, now]
        key = secrets.token_urlsafe(24)
        self._downloads[key] = (call.tenant.id, now + timedelta(minutes=5))
        here = call.root.partition("://")[2]
        elsewhere = (
            here.replace("127.0.0.1", "localhost") if "127.0.0.1" in here else here.replace("localhost", "127.0.0.1")
        )
        if call.tenant.struck("foreign_report"):
            elsewhere = "files.attacker.example"
        return Answer(302, None, {"Location": f"http://{elsewhere}/report-files/{key}"})

    def _download(self, request: Request, key: str) -> Response:
        if "Authorization" in request.headers:
            self.double.effect("credential_leak", key)
            return Response("a token has no business here", 400)
        tenant, until = self._downloads.get(key, ("", self.double.now()))
        if until <= self.double.now():
            return Response("the link has expired", 403)
        noon = datetime.combine(self.world.today, time(12), UTC)
        return Response(self.tenants[tenant].report(noon).encode(), mimetype="application/octet-stream")

    def _paged(self, call: Call, rows: list[dict[str, Any]], *, counted: bool = False, most: int = 999) -> Answer:
        if not call.query.get("$top", "100").isdigit():
            return refusal(400, "Request_BadRequest")
        cursor = call.query.get("$skiptoken")
        if cursor is not None and cursor not in self._cursors:
            return refusal(400, "Directory_ExpiredPageToken")
        start = self._cursors[cursor] if cursor else 0
        size = min(int(call.query.get("$top", "100")), self._page_size, most)
        end = start + size
        page = rows[start:end]
        if start and page and call.tenant.struck("repeat"):
            page = [rows[start - 1], *page[1:]]
        body: dict[str, Any] = {"@odata.context": f"{call.root}/v1.0/$metadata#{call.path}", "value": page}
        if counted and not start:
            body["@odata.count"] = len(rows)
        if end < len(rows) and not (call.path == "users" and call.tenant.struck("cut")):
            following = secrets.token_urlsafe(12)
            self._cursors[following] = end
            root = "http://graph.attacker.example" if call.tenant.struck("foreign_link") else call.root
            query = urlencode({**call.query, "$skiptoken": following})
            body["@odata.nextLink"] = f"{root}/v1.0/{call.path}?{query}"
        return Answer(200, body)

    # Controls

    def _asked_tenant(self, asked: Mapping[str, Any]) -> TenantState:
        found = find_tenant(self.tenants, str(asked.get("tenant", "")))
        if found is None:
            raise ValueError(f"no tenant is called {asked.get('tenant')!r}")
        return found

    def _break_tenant(self, request: Request) -> Any:
        asked = request.get_json()
        try:
            tenant = self._asked_tenant(asked)
        except ValueError as error:
            return json_response({"error": str(error)}, 404)
        fault = asked.get("fault", "")
        if fault and fault not in TENANT_FAULTS:
            return json_response({"error": f"no fault is called {fault!r}", "faults": list(TENANT_FAULTS)}, 400)
        if not fault:
            tenant.faults.clear()
        else:
            tenant.faults[fault] = int(asked.get("times", -1))  # -1: until it is mended
        return {"tenant": tenant.id, "faults": tenant.faults}

    def _move_people(self, request: Request) -> Any:
        asked = request.get_json()
        try:
            tenant = self._asked_tenant(asked)
            sku = tenant.sku_id(asked["sku"])
        except (ValueError, KeyError) as error:
            return json_response({"error": f"{error} is not here"}, 404)
        tenant.hire(sku, int(asked.get("add", 0)), self.double.now())
        if asked.get("remove"):
            tenant.dismiss(sku, int(asked["remove"]))
        held = sum(sku in account.held for account in tenant.accounts)
        return {"tenant": tenant.id, "sku": asked["sku"], "assigned": held}

    def _buy(self, request: Request) -> Any:
        asked = request.get_json()
        try:
            tenant = self._asked_tenant(asked)
        except ValueError as error:
            return json_response({"error": str(error)}, 404)
        sku = asked.get("sku_id") or next((one.guid for one in self.world.skus if one.part == asked["sku"]), "")
        if not sku:
            return json_response({"error": "name sku_id for a product that the sandbox does not know"}, 400)
        tenant.parts[sku] = asked["sku"]
        if asked.get("company_wide"):
            tenant.company_wide.add(sku)
        bought = Bought(
            str(uuid.uuid4()),
            sku,
            int(asked["quantity"]),
            status=asked.get("status", "Enabled"),
            trial=bool(asked.get("trial", False)),
            created=self.double.now(),
        )
        tenant.bought.append(bought)
        return {"tenant": tenant.id, "purchase": bought.id}


def build(world: World, **options: Any) -> Double:
    """The double of one World; options are those of `GraphSandbox`."""
    double = GraphSandbox(world, **options).double
    double.settings = {
        "tenant_id": world.partner_tenant,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
    }
    return double


def _selected(call: Call, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if "$select" not in call.query:
        return rows
    names = {"id", *call.query["$select"].split(",")}
    return [{name: value for name, value in row.items() if name in names} for row in rows]


def _rows(call: Call, rows: list[dict[str, Any]]) -> Answer:
    return Answer(200, {"@odata.context": f"{call.root}/v1.0/$metadata#{call.path}", "value": rows})
