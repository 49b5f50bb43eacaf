"""The way to one NetSuite account: sign-in, and the closed list of what may be asked of it. Knows no field.

REST can also transform, overwrite and delete, and PUT by an external id creates or silently overwrites. None of them is
on the list, so no mistake elsewhere can reach them: a write is a POST that creates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.errors import explain, words
from connectors.netsuite.signing import signer
from syncd.connect.contract import Context
from syncd.connect.http import Reply, json_bytes
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

SUITEQL = "query/v1/suiteql"
RECORD = "record/v1"
READABLE = re.compile(rf"{RECORD}/(customer|(invoice|creditMemo|charge)(/(\d+|eid:[a-z0-9_-]+))?)")
WRITABLE = frozenset(f"{RECORD}/{one}" for one in ("invoice", "creditMemo", "charge"))
# Unknown field names would be dropped with a mere warning: a misspelt one must be an error.
_STRICT = (
    ("content-type", "application/json"),
    ("x-netsuite-propertynamevalidation", "Error"),
    ("x-netsuite-propertyvaluevalidation", "Error"),
)


def permitted(method: str, path: str) -> bool:
    """Whether a request is on the list. `path` is relative to the services' root, without a query."""
    if method == "GET":
        return READABLE.fullmatch(path) is not None
    return method == "POST" and path in WRITABLE


def create(record: str, body: Mapping[str, Any]) -> Wire:
    """The request that creates one record."""
    return Wire("POST", f"{RECORD}/{record}", json_bytes(body), _STRICT)


class Api:
    """Requests to one account. Thread-safe."""

    def __init__(self, settings: NetSuiteSettings, context: Context) -> None:
        self._http = context.http(
            settings.root,
            explain=explain,
            also=(settings.token_url,) if settings.token_url else (),
            headers={"accept": "application/json"},
        )
        self._auth = signer(
            settings,
            context.folder,
            wait=settings.retry_wait.total_seconds() * 5,
            pause=self._http.gate.pause,
        )

    def read(self, path: str, *, params: Mapping[str, str | int] | None = None) -> Reply:
        """GETs records. Raises VendorError."""
        _hold("GET", path)
        return self._http.read(path, params=params, auth=self._auth)

    def one(self, path: str) -> Reply | None:
        """GETs one record with its lines; None where NetSuite itself says that there is none. Raises VendorError."""
        _hold("GET", path)
        reply = self._http.read(path, params={"expandSubResources": "true"}, auth=self._auth, accept=(200, 404))
        if reply.status == 200:
            return reply
        if words(reply) is None:
            code, sentence = "unavailable", f"{reply.where} answered 404, and not in NetSuite's words: a wrong address?"
            raise VendorError(code, sentence, status=404)
        return None

    def query(self, text: str, limit: int) -> Reply:
        """Asks in SuiteQL. Raises VendorError."""
        return self._http.read(
            SUITEQL,
            method="POST",
            params={"limit": limit, "offset": 0},
            headers={"prefer": "transient"},
            json={"q": text},
            auth=self._auth,
        )

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once. Raises VendorError `unsupported` for what is not on the list, before anything leaves."""
        _hold(wire.method, wire.path)
        return self._http.send(wire, auth=self._auth)

    def close(self) -> None:
        """Closes the sockets."""
        self._http.close()


def _hold(method: str, path: str) -> None:
    if not permitted(method, path):
        raise VendorError("unsupported", f"syncd never asks NetSuite for {method} {path}")
