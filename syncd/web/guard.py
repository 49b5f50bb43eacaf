"""What holds for every answer: the security headers, and that only this machine's own names are answered.

The Host header is checked because the pages need no sign-in on loopback: a foreign web page whose name resolves to
127.0.0.1 (DNS rebinding) would otherwise read them through its visitor's browser. Requests that another site started
are refused for the same reason (`Sec-Fetch-Site`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncd.connect.settings import is_loopback

HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "x-robots-tag": "noindex, nofollow",
    "cache-control": "no-store",
}


class Guard:
    """The outermost layer: also errors leave through it."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(one.casefold() for one in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in own]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_ours(headers.get(b"host", "")):
            refusal = PlainTextResponse("This name is not served here; open it as 127.0.0.1 or localhost.\n", 421)
            await refusal(scope, receive, guarded)
        elif headers.get(b"sec-fetch-site") == "cross-site" and headers.get(b"sec-fetch-mode") != "navigate":
            await PlainTextResponse("Requests from other sites are not answered.\n", 403)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _is_ours(self, host: str) -> bool:
        name = host.casefold()
        name = name[: name.find("]") + 1] if name.startswith("[") else name.partition(":")[0]
        return bool(name) and (name in self._hosts or is_loopback(name))
