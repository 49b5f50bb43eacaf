"""Sign-in to Halo: where the tokens are, for which tenant, and that a token without scopes is none.

Owns the token request and the words for its errors; fetching, renewing and the one repeat on 401 are
`syncd.connect.auth.ClientCredentials`. A token that was asked for without a scope is issued gladly and refused
everywhere afterwards, so the scopes that a token was given are looked at before it signs anything.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import closing
from urllib.parse import quote

from connectors.halopsa.config import HaloSettings
from connectors.halopsa.errors import words
from connectors.halopsa.payloads import AuthInfo, TokenScope
from syncd.connect.auth import ClientCredentials
from syncd.connect.contract import Context
from syncd.connect.http import Auth, Http, Reply, Request, Response, origin
from syncd.connect.retry import NOT_NOW
from syncd.errors import UserFault, VendorError

_TRIES = 3
_EVERYTHING = frozenset({"all", "all:standard", "admin"})


class Signer:
    """Signs requests of one connection. Thread-safe; looks at `authinfo` once, before the first token."""

    def __init__(self, http: Http, settings: HaloSettings, context: Context) -> None:
        self._http = http
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()
        self._auth: Scoped | None = None

    def auth(self) -> Scoped:
        """What signs. Raises VendorError where it cannot be found out where the tokens are."""
        with self._lock:
            if self._auth is None:
                self._auth = self._make()
            return self._auth

    def _make(self) -> Scoped:
        settings = self._settings
        told = AuthInfo()
        if not (settings.token_url and settings.tenant):
            told = self._authinfo()
        root = f"{settings.token_url}/auth" if settings.token_url else self._root(told.auth_url)
        tenant = settings.tenant or (told.tenant_id or "").strip()
        address = f"{root}/token" + (f"?tenant={quote(tenant, safe='')}" if tenant else "")
        inner = ClientCredentials(
            address,
            self._form,
            _Refusals().explain,
            wait=settings.retry_wait.total_seconds(),
            pause=self._http.gate.pause,
        )
        return Scoped(inner, settings.scopes)

    def _authinfo(self) -> AuthInfo:
        """What Halo says about its sign-in, without credentials; nothing where it has no such page."""
        try:
            return self._http.read("authinfo", auth=Auth()).parse(AuthInfo)
        except VendorError as error:
            if error.code in ("not_found", "forbidden", "unauthorized"):
                return AuthInfo()
            raise

    def _root(self, told: str | None) -> str:
        """The root of the sign-in. Halo's word is taken only for the host that the admin named."""
        base = self._settings.base_url.removesuffix("/api")
        root = (told or "").strip().rstrip("/") or f"{base}/auth"
        if origin(root) != origin(base):
            raise VendorError(
                "unauthorized",
                f"Halo says that it signs in at another host ({root.partition('://')[2].partition('/')[0]}); if that "
                "is yours, name it as token_url: the secret goes nowhere that the config does not name",
            )
        return root

    def _form(self) -> Mapping[str, str]:
        try:
            secret = self._settings.client_secret.reveal(self._context.folder)
        except UserFault as fault:
            raise VendorError("unauthorized", f"a key of {self._context.name} cannot be read: {fault}") from None
        return {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": secret,
            "scope": " ".join(self._settings.scopes),
        }


class Scoped(Auth):
    """Signs as `inner` does, and stops at a token that has none of the scopes that were asked for."""

    requires_response_body = True

    def __init__(self, inner: Auth, wanted: list[str]) -> None:
        self._inner = inner
        self._wanted = wanted
        self.scopes = ""  # of the token in force, as the vendor tells

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Passes everything through; raises VendorError at a token without scope."""
        with closing(self._inner.auth_flow(request)) as flow:  # it holds a lock while it fetches
            asked = next(flow)
            while True:
                response = yield asked
                if asked is not request:
                    response.read()
                    self._look(response)
                try:
                    asked = flow.send(response)
                except StopIteration:
                    return

    def _look(self, response: Response) -> None:
        if response.status_code != 200:
            return
        told = Reply(200, {}, response.content, where="the sign-in").try_parse(TokenScope)
        if told is None or told.scope is None:
            return
        self.scopes = told.scope
        if not told.scope.strip():
            raise VendorError(
                "unauthorized",
                "Halo issued a token without any scope, which it refuses everywhere afterwards. Missing: "
                f"{', '.join(self._wanted)}. Grant them to the API application under its Permissions",
            )


def lacking(wanted: list[str], told: str) -> list[str]:
    """The scopes that were asked for and not given. `edit:x` includes `read:x`; `all` includes everything."""
    given = set(told.replace(",", " ").split())
    if not given or given & _EVERYTHING:
        return []
    return [one for one in wanted if one not in given and one.replace("read:", "edit:") not in given]


class _Refusals:
    """Words for refused token requests; lets one be repeated that may pass a little later.

    A count that was left by a request which passed at last only makes the next one give up one try earlier.
    """

    def __init__(self) -> None:
        self._tries = 0

    def explain(self, reply: Reply) -> VendorError | None:
        """The error to raise, or None to ask again."""
        if reply.status in NOT_NOW:
            self._tries += 1
            if self._tries < _TRIES:
                return None
            self._tries = 0
            code = "throttled" if reply.status == 429 else "unavailable"
            return VendorError(code, f"Halo puts the sign-in off with status {reply.status}", status=reply.status)
        said = words(reply)
        if said and "invalid_scope" in said:
            return VendorError(
                "unauthorized",
                "Halo does not give the API application every scope that was asked for (invalid_scope). Grant them "
                "under its Permissions, or list fewer as scopes",
                status=reply.status,
            )
        says = f" ({said})" if said else ""
        return VendorError(
            "unauthorized",
            f"Halo refused the sign-in{says}. Check client_id, client_secret and tenant",
            status=reply.status,
        )
