"""The way to one company's ConnectWise: host, code base, sign-in, pinned version. Knows no record.

Paths are relative to the API (`company/companies`). The code base is not part of them, because a release of the vendor
moves it: a request frozen yesterday must reach the same record today.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from connectors.connectwise.config import ConnectWiseSettings, api_root
from connectors.connectwise.errors import explain
from connectors.connectwise.payloads import CompanyInfo
from syncd.connect.auth import Basic
from syncd.connect.contract import Context
from syncd.connect.http import Auth, Reply
from syncd.errors import UserFault, VendorError
from syncd.model import NotSent, Unknown, Wire

# On-premise code base; also an alias of every cloud code base.
ALIAS = "v4_6_release"


class Api:
    """Requests to one company's ConnectWise. Thread-safe.

    With `base_url` the code base is the alias; without it, it is asked for at the sign-in site before the first
    request. After a first 404 it is asked for once more: the vendor's releases move it.
    """

    def __init__(self, settings: ConnectWiseSettings, context: Context) -> None:
        self._company = settings.company
        self._site = settings.base_url or settings.site
        self._lock = threading.Lock()
        self._codebase = ALIAS if settings.base_url else ""
        self._looked_again = False
        self.numbered: set[str] = set()  # kinds of lists that are read by page number here; see `paging`
        self.uncounted: set[str] = set()  # kinds of lists that have no count here

        def credentials() -> tuple[str, str]:
            try:
                public = settings.public_key.reveal(context.folder)
                return f"{settings.company}+{public}", settings.private_key.reveal(context.folder)
            except UserFault as fault:
                raise VendorError("unauthorized", f"a key of {context.name} cannot be read: {fault}") from None

        self.http = context.http(
            settings.base_url or api_root(settings.site),
            auth=Basic(credentials),
            headers={
                "clientId": settings.client_id,
                "accept": f"application/vnd.connectwise.com+json; version={settings.api_version}",
            },
            explain=explain,
            also=() if settings.base_url else (settings.site,),
        )

    def read(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        optional: bool = False,
    ) -> Reply:
        """GETs a path. Raises VendorError. `optional`: a 404 here says nothing about the code base."""
        codebase = self._root()
        try:
            return self.http.read(_full(codebase, path), params=params, headers=headers)
        except VendorError as error:
            moved = "" if optional or error.status != 404 else self._moved(codebase)
            if not moved:
                raise
            try:
                reply = self.http.read(_full(moved, path), params=params, headers=headers)
            except VendorError as second:
                raise (error if second.status == 404 else second) from None
        with self._lock:
            self._codebase = moved
        return reply

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once, below the code base that holds now; a 404 is answered as it came and not repeated."""
        try:
            codebase = self._root()
        except VendorError as error:
            return NotSent(str(error))
        return self.http.send(replace(wire, path=_full(codebase, wire.path)))

    def close(self) -> None:
        """Closes the sockets."""
        self.http.close()

    def _root(self) -> str:
        with self._lock:
            if not self._codebase:
                self._codebase = self._discover()
            return self._codebase

    def _moved(self, codebase: str) -> str:
        """Another code base than `codebase` that may serve now; "" where there is none, or one look was made before."""
        with self._lock:
            if self._codebase != codebase:
                return self._codebase
            if self._looked_again:
                return ""
            self._looked_again = True
            try:
                found = self._discover()
            except VendorError:  # the 404 itself is what the caller is told
                return ""
            return found if found != codebase else ""

    def _discover(self) -> str:
        """The code base of the company, asked at its sign-in site without credentials."""
        reply = self.http.read(f"{self._site}/login/companyinfo/{quote(self._company, safe='')}", auth=Auth())
        if reply.body.strip() == b"null":
            raise VendorError(
                "unauthorized",
                f'{self._site} knows no company "{self._company}"; check company (as typed when signing in) and site',
            )
        codebase = (reply.parse(CompanyInfo).codebase or f"{ALIAS}/").strip("/")
        if not re.fullmatch(r"\w[\w.-]*", codebase):
            raise VendorError("malformed", f"{self._site} told a code base that is none: {codebase[:40]!r}")
        return codebase


def _full(codebase: str, path: str) -> str:
    return f"{codebase}/apis/3.0/{path.lstrip('/')}"
