"""Several calls of one tenant in one request, with single calls where there is no `$batch`.

A batch's 200 says only that it was understood (Microsoft Graph, JSON batching): every part has a status of its own,
comes in any order, and may be missing. A missing part is an error, a throttled one is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from connectors.microsoft365.graph import CutShort, Graph, explain, refused
from connectors.microsoft365.payloads import BatchAnswer
from syncd.connect.http import Reply
from syncd.connect.retry import NOT_NOW, Again, reading, retry_after
from syncd.errors import VendorError

# Graph refuses more in one batch.
LIMIT = 20
_NO_BATCH = frozenset({404, 405, 501})

Part = Reply | VendorError


def fetch(graph: Graph, paths: Mapping[str, str]) -> dict[str, Part]:
    """The answer, or the error, of each named path. Raises VendorError where the batch itself failed.

    At most 20 paths, relative to the version's root, with their query.
    """
    assert len(paths) <= LIMIT, "a batch holds 20 calls"
    answers = _together(graph, paths) if graph.service.batching else None
    if answers is None:
        return {name: _alone(graph, path) for name, path in paths.items()}
    return {name: _judged(graph, paths[name], reply) for name, reply in answers.items()}


def _alone(graph: Graph, path: str) -> Part:
    try:
        return graph.read(path)
    except VendorError as error:
        if error.code == "stopped":
            raise
        return error


def _judged(graph: Graph, path: str, reply: Reply) -> Part:
    if reply.status == 200:
        return reply
    if reply.status == 401:  # asked alone, the sign-in flow fetches a fresh token and repeats it once
        return _alone(graph, path)
    if reply.status == 403:
        return refused(reply)
    code, message = explain(reply)
    return VendorError(code, message, status=reply.status)


class _NotYet(VendorError):
    """Parts of a batch that were put off."""


def _together(graph: Graph, paths: Mapping[str, str]) -> dict[str, Reply] | None:
    """The parts' answers, None where this Graph knows no batch. Parts put off to the end keep that answer."""
    answers: dict[str, Reply] = {}
    pending = dict(paths)
    unknown = False

    def attempt() -> None:
        nonlocal unknown
        requests = [{"id": name, "method": "GET", "url": path} for name, path in pending.items()]
        reply = graph.read("$batch", json={"requests": requests}, accept={200, *_NO_BATCH})
        if reply.status != 200:
            unknown = True
            return
        parts = _parts(reply, pending)
        answers.update(parts)
        put_off = [part for part in parts.values() if part.status in NOT_NOW]
        for name, part in parts.items():
            if part.status not in NOT_NOW:
                del pending[name]
        if put_off:
            waits = [retry_after(part.headers.get("retry-after"), datetime.now(UTC)) for part in put_off]
            named = [wait for wait in waits if wait is not None]
            if named:
                graph.service.http.gate.hold(max(named), graph.tenant)
            raise Again(_NotYet("throttled", "parts of a batch were put off"), 0.0 if named else None)

    try:
        reading(attempt, first_wait=graph.service.first_wait, pause=graph.service.http.gate.pause)
    except _NotYet:
        return answers
    if unknown:
        graph.service.batching = False
        return None
    return answers


def _parts(reply: Reply, pending: Mapping[str, str]) -> dict[str, Reply]:
    parts: dict[str, Reply] = {}
    for part in reply.parse(BatchAnswer).responses:
        if part.id not in pending or part.id in parts:
            raise CutShort("the batch answered with a part that was not asked for, or twice.")
        path = pending[part.id].partition("?")[0]
        headers = {name.lower(): str(value) for name, value in part.headers.items()}
        parts[part.id] = Reply(part.status, headers, bytes(part.body), where=f"GET {path}")
    if missing := sorted(set(pending) - set(parts)):
        raise CutShort(f"the batch answered without {', '.join(missing)}.")
    return parts
