"""The named steps of a process, and what happens to it there: it is killed, stopped, or only noted.

Runs in the child. Nothing in syncd knows of it: public functions of the ledger, of every connection and of the posting
module are wrapped from outside, and below them every commit, every request on its way to the wire and back, and every
write and sync that SQLite asks of the disk. A step is named after the functions that it lies in
("ledger.sending/disk.wal.sync"), so a new function is a new step without a word here.
"""

from __future__ import annotations

import ctypes
import inspect
import os
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import wraps
from importlib.metadata import entry_points
from typing import Any

# Half-way phases exist where a call moves bytes.
BEFORE, HALF, AFTER = "before", "half", "after"


@dataclass
class Steps:
    """What this process does at its steps. `at`: (name, occurrence, phase) of the one where `signal` strikes it.

    `fail_disk`: the n-th call to the disk and all after it fail with this SQLite result code; 0 is none. `once`: only
    that one. `seen`: calls to the disk so far.
    """

    at: tuple[str, int, str] | None = None
    signal: int = signal.SIGKILL
    record: int = -1
    fail_disk: int = 0
    code: int = 0
    once: bool = False
    seen: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)


here = Steps()
_where = threading.local()


def begin(steps: Steps) -> None:
    """From now on, this process follows `steps`."""
    global here
    here = steps


def scopes() -> list[str]:
    """The paths of the wrapped functions that this thread is in, outermost first."""
    found: list[str] | None = getattr(_where, "scopes", None)
    if found is None:
        found = _where.scopes = []
    return found


def inside(name: str) -> str:
    """The name with the path of what this thread is in."""
    return "/".join((*scopes()[-1:], name))


def strikes(name: str, phase: str) -> bool:
    """Notes the step; whether this is the one."""
    path = inside(name)
    with here.lock:
        here.counts[path, phase] += 1
        nth = here.counts[path, phase]
    if here.record >= 0:
        os.write(here.record, f"{path}\t{nth}\t{phase}\n".encode())
    return here.at == (path, nth, phase)


def reach(name: str, phase: str) -> None:
    """The process is at a step; it may be its last."""
    if strikes(name, phase):
        end()


def end() -> None:
    """What was planned for this process happens now."""
    os.kill(os.getpid(), here.signal)


def scope(name: str, function: Callable[..., Any], word: Callable[..., str] | None = None) -> Callable[..., Any]:
    """The function as a step of that name, and as the place of the steps inside it. A generator's every answer is a
    step too. `word` adds to the name what tells two calls apart."""

    @wraps(function)
    def stepped(*arguments: Any, **options: Any) -> Any:
        called = name + (word(*arguments, **options) if word else "")
        reach(called, BEFORE)
        scopes().append(inside(called))
        try:
            result = function(*arguments, **options)
        finally:
            scopes().pop()
        if inspect.isgenerator(result):
            return _answers(called, result)
        reach(called, AFTER)
        return result

    return stepped


def _answers(name: str, answers: Iterator[Any]) -> Iterator[Any]:
    while True:
        scopes().append(inside(name))
        try:
            one = next(answers)
        except StopIteration:
            return
        finally:
            scopes().pop()
        reach(name, AFTER)
        yield one


class Watched:
    """A connection whose functions are steps; which ones there are is read off the contract."""

    def __init__(self, name: str, connection: Any) -> None:
        from syncd.connect.contract import Connection

        self._connection = connection
        for word, _ in inspect.getmembers(Connection, inspect.isfunction):
            if not word.startswith("_") and hasattr(connection, word):
                setattr(self, word, scope(f"{name}.{word}", getattr(connection, word)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def watch() -> None:
    """Wraps syncd in this process, once."""
    _watch_ledger()
    _watch_posting()
    _watch_connectors()
    _watch_signing()
    _watch_commits()
    _watch_wire()
    watch_disk()


def _watch_ledger() -> None:
    from syncd.ledger import Ledger

    def to_state(ledger: Any, entry: Any, state: Any, **said: Any) -> str:
        return f":{state}"

    for word, function in inspect.getmembers(Ledger, inspect.isfunction):
        if not word.startswith("_"):
            setattr(Ledger, word, scope(f"ledger.{word}", function, to_state if word == "settle" else None))
    Ledger.open = classmethod(scope("ledger.open", Ledger.open.__func__))  # type: ignore[assignment,attr-defined,method-assign]


def _watch_posting() -> None:
    import syncd.cycle
    from syncd.cycle import posting

    for word, function in inspect.getmembers(posting, inspect.isfunction):
        if function.__module__ == posting.__name__:
            stepped = scope(f"posting.{word}", function)
            for module in (posting, syncd.cycle):
                if getattr(module, word, None) is function:
                    setattr(module, word, stepped)


def _watch_connectors() -> None:
    done = set()
    for point in entry_points(group="syncd.connectors"):
        kind = type(point.load())
        if kind in done:
            continue
        done.add(kind)
        setattr(kind, "open", _watching(kind.open))  # noqa: B010 - a dataclass may be frozen, its class is not


def _watching(function: Callable[..., Any]) -> Callable[..., Any]:
    def opened(connector: Any, settings: Any, context: Any) -> Any:
        return Watched(context.name, function(connector, settings, context))

    return opened


def _watch_signing() -> None:
    """Of a connection's parallel reads, whichever comes first signs in for all: its steps bear no reader's name."""
    from syncd.connect.auth import ClientCredentials
    from syncd.connect.rotating import RotatingToken

    for kind in (ClientCredentials, RotatingToken):
        setattr(kind, "_current", _signing(kind._current))  # noqa: B010


def _signing(current: Callable[..., Generator[Any, Any, str]]) -> Callable[..., Generator[Any, Any, str]]:
    @wraps(current)
    def signing(auth: Any, refused: str) -> Generator[Any, Any, str]:
        reader = inside("").rpartition("/")[0]
        scopes().append(f"{reader.rpartition('/')[2].partition('.')[0]}.sign_in")
        try:
            return (yield from current(auth, refused))
        finally:
            scopes().pop()

    return signing


def _watch_commits() -> None:
    from sqlalchemy.engine.default import DefaultDialect

    setattr(DefaultDialect, "do_commit", scope("commit", DefaultDialect.do_commit))  # noqa: B010


def _watch_wire() -> None:
    import httpx
    from httpcore._backends import sync

    handle = httpx.HTTPTransport.handle_request

    def handle_request(transport: Any, request: Any) -> Any:
        path = re.sub(r"^/v[\w.]+/apis/3\.0/", "", request.url.path)
        _where.request = f"{request.method} " + re.sub(r"\d+", "#", path)
        _where.answered = False
        return handle(transport, request)

    connect, write, read = sync.SyncBackend.connect_tcp, sync.SyncStream.write, sync.SyncStream.read

    def connect_tcp(backend: Any, *arguments: Any, **options: Any) -> Any:
        reach(f"{_where.request} connect", BEFORE)
        stream = connect(backend, *arguments, **options)
        reach(f"{_where.request} connect", AFTER)
        return stream

    def write_all(stream: Any, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        reach(f"{_where.request} write", BEFORE)
        if strikes(f"{_where.request} write", HALF):
            write(stream, buffer[: len(buffer) // 2], timeout)
            end()
            buffer = buffer[len(buffer) // 2 :]
        write(stream, buffer, timeout)
        reach(f"{_where.request} write", AFTER)

    def read_some(stream: Any, max_bytes: int, timeout: float | None = None) -> bytes:
        if _where.answered:  # how many pieces an answer comes in is the network's affair
            rest: bytes = read(stream, max_bytes, timeout)
            return rest
        _where.answered = True
        reach(f"{_where.request} read", BEFORE)
        if strikes(f"{_where.request} read", HALF):
            read(stream, 40, timeout)  # the status line, and not all headers
            end()
        told: bytes = read(stream, max_bytes, timeout)
        reach(f"{_where.request} read", AFTER)
        return told

    httpx.HTTPTransport.handle_request = handle_request  # type: ignore[assignment,method-assign]
    sync.SyncBackend.connect_tcp = connect_tcp  # type: ignore[assignment,method-assign]
    sync.SyncStream.write = write_all  # type: ignore[assignment,method-assign]
    sync.SyncStream.read = read_some  # type: ignore[assignment,method-assign]


# The disk: SQLite's own table of what it asks of a file (sqlite.org/c3ref/io_methods.html), with two entries replaced.

_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Flagged = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
# The name stays a pointer: SQLite reads parameters behind its end.
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_MEMBERS = 19  # iVersion and 18 functions, version 3; an older table is shorter and not copied beyond its end
_X_WRITE, _X_SYNC = 3, 5
_FILES = {0x100: "db", 0x800: "journal", 0x80000: "wal"}


class _Methods(ctypes.Structure):
    _fields_ = [("members", ctypes.c_void_p * _MEMBERS)]


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    ]


_kept: list[Any] = []  # what C points to must live
_files: dict[int, str] = {}


def watch_disk() -> bool:
    """Makes writes and syncs of SQLite into steps; False where this Python's SQLite cannot be reached."""
    import _sqlite3

    try:
        library = ctypes.CDLL(_sqlite3.__file__)
        find = library.sqlite3_vfs_find
        library.sqlite3_libversion.restype = ctypes.c_char_p
        if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
            return False
    except (OSError, AttributeError):
        return False
    find.restype = ctypes.POINTER(_Vfs)
    vfs = find(None).contents
    opening = _Open(vfs.open)
    tables: dict[int, _Methods] = {}

    def open_(vfs_: int, name: int, file: int, flags: int, out: int) -> int:
        result = int(opening(vfs_, name, file, flags, out))
        kind = next((word for bit, word in _FILES.items() if flags & bit), "")
        if result == 0 and kind:
            _files[file] = kind
            pointer = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            address = pointer[0]
            if address is not None and address not in tables:
                tables[address] = _watched_methods(address)
            if address is not None:
                pointer[0] = ctypes.addressof(tables[address])
        return result

    replaced = _Open(open_)
    _kept.extend((opening, replaced, tables))
    vfs.open = ctypes.cast(replaced, ctypes.c_void_p).value
    return True


def _watched_methods(address: int) -> _Methods:
    methods = _Methods()
    ctypes.memmove(ctypes.addressof(methods), address, ctypes.sizeof(_Methods))
    writing, syncing = _Write(methods.members[_X_WRITE]), _Flagged(methods.members[_X_SYNC])

    def write(file: int, content: int, amount: int, offset: int) -> int:
        name = f"disk.{_files.get(file, '')}.write"
        reach(name, BEFORE)
        if code := _refused():
            return code
        if strikes(name, HALF):
            writing(file, content, amount // 2, offset)
            end()
        result = int(writing(file, content, amount, offset))
        reach(name, AFTER)
        return result

    def sync(file: int, flags: int) -> int:
        name = f"disk.{_files.get(file, '')}.sync"
        reach(name, BEFORE)
        if code := _refused():
            return code
        result = int(syncing(file, flags))
        reach(name, AFTER)
        return result

    made = _Write(write), _Flagged(sync)
    _kept.extend((*made, writing, syncing, methods))
    methods.members[_X_WRITE] = ctypes.cast(made[0], ctypes.c_void_p).value
    methods.members[_X_SYNC] = ctypes.cast(made[1], ctypes.c_void_p).value
    return methods


def _refused() -> int:
    """The disk's answer to this call: 0, or the SQLite result code that it fails with."""
    with here.lock:
        here.seen += 1
        if not here.fail_disk or here.seen < here.fail_disk or (here.once and here.seen > here.fail_disk):
            return 0
    if here.record >= 0:
        os.write(here.record, b"disk refused\t1\tbefore\n")
    return here.code
