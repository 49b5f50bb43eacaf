"""A Graph that answers from memory, word for word, and short lists of users for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import MOMENT
from werkzeug.wrappers import Request, Response

from connectors.microsoft365 import connector
from connectors.microsoft365.connection import Microsoft365Connection
from syncd.clock import real_now
from syncd.connect.contract import Ask
from syncd.model import Count, Filters, Query, Reading, RemoteCustomer, State
from syncd.sandbox.kit import Double

TENANT = "84841066-274d-4ec0-a5c1-276be684bdd3"
ORGANIZATION = f'{{"value":[{{"id":"{TENANT.upper()}","displayName":"Contoso"}}]}}'
# Microsoft's documented sample of subscribedSkus, cut to the fields that are selected.
SKUS = """{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#subscribedSkus","value":[
 {"skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46","skuPartNumber":"SPB","appliesTo":"User","capabilityStatus":"Enabled",
  "consumedUnits":23,"prepaidUnits":{"enabled":25,"suspended":0,"warning":1,"lockedOut":0},
  "subscriptionIds":["43d26afe-cb98-48b9-acc4-ae3ef2ac6c51"],"id":"x_cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"}]}"""
PURCHASES = """{"value":[{"id":"43d26afe-cb98-48b9-acc4-ae3ef2ac6c51","skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46",
 "skuPartNumber":"SPB","status":"Enabled","totalLicenses":26,"isTrial":false}]}"""


class Recorded(connector_kit.Bench[Double]):
    """A Graph from memory: path below /v1.0 -> answers as (status, headers, body), the last one for ever."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Double("recorded"))
        self.answers: dict[str, list[tuple[int, dict[str, str], str]]] = {}
        self.double.route("POST", "/<tenant>/oauth2/v2.0/token", lambda request, tenant: {"access_token": "t"})
        self.double.route("GET", "/v1.0/<path:path>", lambda request, path: self._answer(path))
        self.double.route("POST", "/v1.0/$batch", self._batch)
        self.say("organization", ORGANIZATION)
        self.say("subscribedSkus", SKUS)
        self.say("directory/subscriptions", PURCHASES)

    def say(self, path: str, body: str, status: int = 200, **headers: str) -> None:
        self.answers.setdefault(path, []).insert(0, (status, headers, body))

    def _batch(self, request: Request) -> Any:
        return self._answer("$batch") if "$batch" in self.answers else Response(status=405)

    def _answer(self, path: str) -> Response:
        if path not in self.answers:
            return Response("{}", 404)
        answers = self.answers[path]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(body, status, headers=headers, mimetype="application/json")

    def clock(self) -> datetime:
        return real_now()

    def connect(self, **keys: Any) -> Microsoft365Connection:
        given = {"client_id": "c", "client_secret": "s", "retry_wait": timedelta(milliseconds=5), **keys}
        opened: Microsoft365Connection = self._open(
            connector,
            {"kind": "microsoft365", "tenant_id": "partner", "base_url": self.url, "token_url": self.url, **given},
        )
        return opened

    def customer(self) -> RemoteCustomer:
        return RemoteCustomer(TENANT, "Contoso")

    def ask(self, *measures: str, where: Filters = ()) -> list[Reading]:
        ask = Ask(self.customer(), tuple(Query(measure, where) for measure in measures))
        return list(self.connect().counts([ask], MOMENT))

    def count(self, measure: str = "consumed") -> Count:
        (reading,) = self.ask(measure)
        assert reading.state == State.KNOWN, reading.reason
        return reading.counts[0]


def units(recorded: Recorded, consumed: int) -> None:
    """Lets Microsoft's own count agree with a short list of users."""
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", SKUS.replace('"consumedUnits":23', f'"consumedUnits":{consumed}'))


def users(*rows: str, count: int | None = None) -> str:
    declared = f'"@odata.count":{len(rows) if count is None else count},'
    return f'{{{declared}"value":[{",".join(rows)}]}}'


def user(number: int, **fields: str) -> str:
    shown = {
        "id": f'"{number}"',
        "userPrincipalName": f'"user{number}@contoso.example"',
        "accountEnabled": "true",
        "assignedLicenses": '[{"skuId":"CBDC14AB-d96c-4c30-b9f4-6ada7cdc1d46","disabledPlans":[]}]',
        **fields,
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in shown.items() if value) + "}"
