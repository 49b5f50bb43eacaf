"""How a declared connection signs its requests. Secrets are read anew for each signature; none is kept or shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from connectors.http_json.config import BasicAuth, BearerAuth, HeaderAuth, HttpJsonSettings, OAuth2
from syncd.connect import auth, rotating
from syncd.connect.contract import Context
from syncd.connect.http import Auth, Reply, Request, Response
from syncd.connect.settings import Secret
from syncd.errors import VendorError

# RFC 6749, 5.2: an error is named by one word, which holds neither secret nor person.
_ERROR_WORD = re.compile(r"[a-z_]{1,40}")


class _TokenError(msgspec.Struct):
    error: str = ""


class Signature(Auth):
    """Adds the declared headers, then lets the sign-in flow sign. The headers go to the API alone."""

    def __init__(self, headers: Callable[[], Mapping[str, str]], flow: Auth | None) -> None:
        self._headers = headers
        self._flow = flow or Auth()
        self.requires_response_body = self._flow.requires_response_body

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Signs; refreshing is the flow's matter."""
        for name, value in self._headers().items():
            request.headers[name] = value
        yield from self._flow.auth_flow(request)


def signature(settings: HttpJsonSettings, context: Context, pause: Callable[[float], None]) -> Signature:
    """The signature of one connection; nothing is read yet. `pause` sleeps between two sign-ins."""
    folder = context.folder

    def headers() -> dict[str, str]:
        given = {name: revealed(value, folder) for name, value in settings.headers.items()}
        match settings.auth:
            case BearerAuth(token=token):
                given["authorization"] = f"Bearer {revealed(token, folder)}"
            case HeaderAuth(name=name, value=value):
                given[name] = revealed(value, folder)
        for name, text in given.items():
            if not text.isascii() or not text.isprintable():
                words = f"what the header {name} should say holds a line break or letters beyond ASCII"
                raise VendorError("unauthorized", words)
        return given

    match settings.auth:
        case BasicAuth(username=username, password=password):
            return Signature(headers, auth.Basic(lambda: (revealed(username, folder), revealed(password, folder))))
        case OAuth2():
            return Signature(headers, _oauth2(settings.auth, settings, context, pause))
    return Signature(headers, None)


def revealed(value: str | Secret, folder: Path) -> str:
    """The text itself. Raises UserFault where a secret cannot be read."""
    return value.reveal(folder) if isinstance(value, Secret) else value


def _oauth2(keys: OAuth2, settings: HttpJsonSettings, context: Context, pause: Callable[[float], None]) -> Auth:
    folder = context.folder

    def client_headers() -> dict[str, str]:
        given = {"accept": "application/json", "user-agent": "syncd"}
        if keys.client_auth == "body":
            return given
        pair = ":".join(revealed(one, folder) if one else "" for one in (keys.client_id, keys.client_secret))
        return {**given, "authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def form(grant: str, **fields: str) -> dict[str, str]:
        asked: dict[str, Any] = {"grant_type": grant, **fields, "scope": keys.scope, "audience": keys.audience}
        if keys.client_auth == "body":
            for name, value in (("client_id", keys.client_id), ("client_secret", keys.client_secret)):
                asked[name] = revealed(value, folder) if value else ""
        return {name: value for name, value in asked.items() if value}

    seed = keys.refresh_token
    if seed is not None:
        return rotating.RotatingToken(
            settings.sign_in_url,
            context.vault,
            lambda: revealed(seed, folder),
            lambda refresh: form("refresh_token", refresh_token=refresh),
            refusal,
            headers=client_headers,
        )
    user, password = keys.username, keys.password

    def fields() -> dict[str, str]:
        if user is None or password is None:
            return form("client_credentials")
        return form("password", username=revealed(user, folder), password=revealed(password, folder))

    return auth.ClientCredentials(
        settings.sign_in_url,
        fields,
        lambda reply: None if _later(reply) else refusal(reply),
        wait=settings.retry_wait.total_seconds(),
        pause=pause,
        headers=client_headers,
    )


def _later(reply: Reply) -> bool:
    return reply.status == 429 or reply.status >= 500


def refusal(reply: Reply) -> VendorError:
    """What a token endpoint's answer means."""
    told = reply.try_parse(_TokenError)
    word = f" ({told.error})" if told and _ERROR_WORD.fullmatch(told.error) else ""
    code = "unavailable" if _later(reply) else "unauthorized"
    mend = "" if _later(reply) else ". Check auth: token_url, client and secret"
    return VendorError(code, f"the sign-in answered with status {reply.status}{word}{mend}", status=reply.status)
