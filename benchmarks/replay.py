"""Precomputed bytes in place of the vendors: record one real cycle against the sandboxes, then replay its answers.

`record` runs `syncd run --once` against the sandboxes of both vendors, over real HTTP, and keeps every exchange.
`serve` answers the same requests from memory, with any latency, so that what is measured is the client: the sandboxes
compute their answers and would be slower than it. A request that was not recorded is answered with 404 and counted;
a benchmark with one is void.

    python replay.py record CUSTOMERS FOLDER     writes FOLDER/exchanges and FOLDER/requests
    python replay.py serve FOLDER LATENCY_MS     prints its port, serves until its standard input ends
"""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import msgspec
from world import NOW, make_world, write_files

KINDS = ("connectwise", "microsoft365")
# The `syncd` script of whichever environment runs this.
SYNCD = (sys.executable, "-c", "from syncd.cli.main import main; main()")
SECRET = "sandbox-secret"  # known to everybody; a recording holds only what it opened
# What a new answer says anew, or what belongs to the connection and not to the answer.
_DROPPED = frozenset({"connection", "content-length", "date", "server", "transfer-encoding", "keep-alive"})
_OURS = b"/_replay"
ANYWHERE = "http://replay.invalid"  # stands in a recording for the address of whoever answers


class Exchange(msgspec.Struct, array_like=True):
    """One request as it came over the wire, and its answer. `group`: which connection of syncd asked."""

    group: str
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    status: int = 0
    answered: list[tuple[str, str]] = []
    content: bytes = b""


def key_of(method: bytes, target: bytes, authorization: bytes, body: bytes) -> bytes:
    """What makes two requests ask for the same. Batches differ by their body, and tenants by their token alone."""
    return b"\n".join((method, target, authorization, body))


# Recording


class Recorder:
    """A double with a tape in front: passes everything on and keeps it."""

    def __init__(self, double: Any, tape: list[Exchange], lock: threading.Lock) -> None:
        self._double = double
        self._tape = tape
        self._lock = lock

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        headers = [
            (name.removeprefix("HTTP_").replace("_", "-").lower(), value)
            for name, value in environ.items()
            if name.startswith("HTTP_") and name not in ("HTTP_HOST", "HTTP_CONNECTION")
        ]
        if environ.get("CONTENT_TYPE"):
            headers.append(("content-type", environ["CONTENT_TYPE"]))
        told = Exchange(self._double.kind, environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers, body)
        with self._lock:
            self._tape.append(told)  # at once: the order of the requests, not of the answers

        def start(status: str, answered: list[tuple[str, str]], *rest: Any) -> Any:
            told.status, told.answered = int(status.split()[0]), list(answered)
            return start_response(status, answered, *rest)

        told.content = b"".join(self._double(environ, start))
        return [told.content]


def record(customers: int, folder: Path) -> None:
    """One real cycle against the sandboxes; its exchanges, and its requests alone, as files in `folder`."""
    from syncd.connect.registry import Kinds
    from syncd.sandbox.kit import Double, serve

    world, tape, lock = make_world(customers), list[Exchange](), threading.Lock()
    running = {}
    for kind in KINDS:
        module, _, function = Kinds()[kind].sandbox.partition(":")
        double = getattr(importlib.import_module(module), function)(world)
        double.per_minute = 0  # ConnectWise's throttling would be recorded, and then replayed for ever
        running[kind] = serve(cast(Double, Recorder(double, tape, lock)))
    with tempfile.TemporaryDirectory() as scratch:
        config = write_files(Path(scratch), world, {kind: one.url for kind, one in running.items()})
        done = subprocess.run(
            [*SYNCD, "--config", str(config), "--json", "run", "--once"],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    for double in running.values():
        double.stop()
    if done.returncode != 0:
        raise SystemExit(f"the recorded cycle ended with {done.returncode}: {done.stderr[-2000:]}")
    lines = len(json.loads(done.stdout)["lines"])
    if lines != customers * len(world.skus) or any(one.status != 200 for one in tape):
        raise SystemExit(f"the recorded cycle is not a clean one: {lines} lines of {customers} customers")
    for one in tape:  # absolute links lead to the recorder; the replay puts its own address there
        for double in running.values():
            one.content = one.content.replace(double.url.encode(), ANYWHERE.encode())
            one.answered = [(name, value.replace(double.url, ANYWHERE)) for name, value in one.answered]
            one.target = one.target.removeprefix(double.url)
    (folder / "exchanges").write_bytes(msgspec.msgpack.encode(tape))
    asked = [Exchange(one.group, one.method, one.target, one.headers, one.body) for one in tape]
    (folder / "requests").write_bytes(msgspec.msgpack.encode(asked))


def environment() -> dict[str, str]:
    """The environment of every measured process: nothing of syncd's comes from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNCD_")}
    return {**kept, "SYNCD_NOW": NOW, "BENCH_SECRET": SECRET}


def read_tape(path: Path) -> list[Exchange]:
    """The exchanges of a file that `record` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Exchange])


# Replaying


class Desk:
    """The answers by request, and what was asked so far. Times are monotonic seconds."""

    def __init__(self, tape: Iterable[Exchange], address: str, latency: float) -> None:
        self.latency = latency
        self.answers: dict[bytes, bytes] = {}
        self.forget()
        for one in tape:
            authorization = next((value for name, value in one.headers if name == "authorization"), "")
            content = one.content.replace(ANYWHERE.encode(), address.encode())
            head = [f"HTTP/1.1 {one.status} Replayed"]
            head += [
                f"{name}: {value.replace(ANYWHERE, address)}"
                for name, value in one.answered
                if name.lower() not in _DROPPED
            ]
            head.append(f"content-length: {len(content)}")
            key = key_of(one.method.encode(), one.target.encode(), authorization.encode(), one.body)
            self.answers.setdefault(key, "\r\n".join([*head, "", ""]).encode() + content)

    def forget(self) -> None:
        """Begins to count anew."""
        self.requests, self.bytes, self.first, self.last = 0, 0, 0.0, 0.0
        self.strangers: list[str] = []

    def answer(self, method: bytes, target: bytes, authorization: bytes, body: bytes) -> bytes:
        """The recorded bytes; 404 where there are none."""
        found = self.answers.get(key_of(method, target, authorization, body))
        self.requests += 1
        self.first = self.first or time.monotonic()
        if found is None:
            self.strangers.append(f"{method.decode()} {target.decode()}")
            return b"HTTP/1.1 404 Not recorded\r\ncontent-length: 2\r\n\r\n{}"
        self.bytes += len(found)
        return found

    def told(self) -> dict[str, Any]:
        """What was asked since `forget`. `seconds`: from the first request to the last answer."""
        return {
            "requests": self.requests,
            "bytes": self.bytes,
            "seconds": self.last - self.first,
            "strangers": self.strangers[:5],
        }


class Wire(asyncio.Protocol):
    """One keep-alive connection. Reads no more of HTTP than our own clients send."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            first, *rest = self._held[:end].split(b"\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (row.partition(b":") for row in rest)}
            after = end + 4 + int(headers.get(b"content-length", b"0"))
            if len(self._held) < after:
                return
            body, self._held = self._held[end + 4 : after], self._held[after:]
            method, target, _ = first.split(b" ", 2)
            self._take(method, target, headers.get(b"authorization", b""), body)

    def _take(self, method: bytes, target: bytes, authorization: bytes, body: bytes) -> None:
        if target == _OURS:
            told = json.dumps(self._desk.told()).encode()
            self._desk.forget()
            self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(told) + told)
            return
        answer = self._desk.answer(method, target, authorization, body)
        if self._desk.latency:
            asyncio.get_running_loop().call_later(self._desk.latency, self._write, answer)
        else:
            self._write(answer)
        self._desk.last = time.monotonic() + self._desk.latency

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


async def serve_tape(folder: Path, latency: float) -> None:
    """Serves on a free loopback port, which is printed, until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    desks: list[Desk] = []
    server = await loop.create_server(lambda: Wire(desks[0]), "127.0.0.1", 0, backlog=128)
    port = server.sockets[0].getsockname()[1]
    desks.append(Desk(read_tape(folder / "exchanges"), f"http://127.0.0.1:{port}", latency))
    loop.add_reader(sys.stdin, ended.set)
    print(port, flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", customers, folder]:
            record(int(customers), Path(folder))
        case ["serve", folder, latency]:
            asyncio.run(serve_tape(Path(folder), float(latency) / 1000))
        case _:
            raise SystemExit(__doc__)
