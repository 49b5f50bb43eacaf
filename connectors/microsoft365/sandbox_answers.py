"""What the double of Graph answers besides data: errors, throttling, the headers of every answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.microsoft365.sandbox_state import zulu
from syncd.sandbox.kit import json_response

RETRY_AFTER = "0.128"  # Graph's documented sample is a fraction too


@dataclass
class Answer:
    """What Graph answers; `body` None is no body."""

    status: int
    body: Any = None
    headers: dict[str, str] | None = None


def refusal(status: int, code: str) -> Answer:
    """An error as Graph words it; its message may name people."""
    inner = {
        "date": zulu(datetime.now(UTC))[:-1],
        "request-id": str(uuid.uuid4()),
        "client-request-id": str(uuid.uuid4()),
    }
    message = "Explained to people here, sometimes with their names: someone@example.invalid."
    return Answer(status, {"error": {"code": code, "message": message, "innerError": inner}})


def slow_down() -> Answer:
    """Graph's 429, with a fraction of a second to wait."""
    answer = refusal(429, "TooManyRequests")
    answer.body["error"]["innerError"] |= {"code": "429", "status": "429", "message": "Please retry after"}
    answer.headers = {"Retry-After": RETRY_AFTER, "x-ms-throttle-scope": "Tenant_Application/ReadWrite"}
    return answer


def sent(answer: Answer, request: Request | None = None) -> Response:
    """The answer on the wire, with the headers that Graph puts on everything."""
    headers = {
        "request-id": str(uuid.uuid4()),
        "client-request-id": request.headers.get("client-request-id", "") if request else "",
        "x-ms-ags-diagnostic": '{"ServerInfo":{"DataCenter":"Sandbox"}}',
        "x-ms-resource-unit": "1",
        **(answer.headers or {}),
    }
    if answer.body is None:
        return Response(status=answer.status, headers=headers)
    return json_response(answer.body, answer.status, headers)
