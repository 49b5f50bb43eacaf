"""The way to one Halo: sign-in, and the closed list of what may be asked of it. Knows no record.

Halo has calls that turn recurring invoices into real ones, buy seats at Microsoft or delete. They are not on the list,
so no mistake elsewhere can reach them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from connectors.halopsa.config import HaloSettings
from connectors.halopsa.errors import explain
from connectors.halopsa.signing import Signer
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

# Everything that this client may do. Lists and single records are read; five calls write.
READABLE = re.compile(
    r"(Client|AreaAzureTenant|Item|RecurringInvoice|Invoice|InvoiceChange|SoftwareLicence|Asset|Users|Tickets|Actions|"
    r"Team|InstanceInfo)"
    r"(/-?\d+)?"
)
WRITABLE = frozenset(
    {
        "RecurringInvoice/updatelines",  # quantity of a standing line
        "RecurringInvoice/Lines",  # a new line
        "Invoice",  # a draft
        "SoftwareLicence",  # the count of a licence
        "Tickets",
        "Actions",
    }
)


def permitted(method: str, path: str) -> bool:
    """Whether a request is on the list. `path` is relative to the API's root, without a query."""
    if method == "GET":
        return READABLE.fullmatch(path) is not None
    return method == "POST" and path in WRITABLE


class Api:
    """Requests to one Halo. Thread-safe."""

    def __init__(self, settings: HaloSettings, context: Context) -> None:
        self._http = context.http(
            settings.root,
            explain=explain,
            also=(settings.token_url,) if settings.token_url else (),
        )
        self._signer = Signer(self._http, settings, context)
        self.host = urlsplit(settings.base_url).netloc

    def read(self, path: str, *, params: Mapping[str, str | int] | None = None) -> Reply:
        """GETs a path. Raises VendorError."""
        _hold("GET", path)
        return self._http.read(path, params=params, auth=self._signer.auth(), headers={"accept": "application/json"})

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once. Raises VendorError `unsupported` for what is not on the list, before anything leaves."""
        _hold(wire.method, wire.path)
        try:
            auth = self._signer.auth()
        except VendorError as error:
            return NotSent(str(error))
        return self._http.send(wire, auth=auth, headers={"accept": "application/json"})

    def scopes(self) -> str:
        """The scopes of the token in force, "" where there is none yet or Halo does not tell them."""
        return self._signer.auth().scopes

    def close(self) -> None:
        """Closes the sockets."""
        self._http.close()


def _hold(method: str, path: str) -> None:
    if not permitted(method, path):
        raise VendorError("unsupported", f"syncd never asks Halo for {method} {path}")
