"""Logs: JSON lines off a terminal, a readable line on one, to standard error; secrets and escapes never get through.

Owns the processors and the way of the standard library's loggers into them. Does not own what is logged. What always
holds: a line that cannot be written harms nobody (a full disk must not end a posting), a trace is shown only with
`debug`, and everything a customer typed is text on one line.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "***"
# These tell more than an admin wants, and httpx tells whole addresses: only what went wrong, also in debug.
NOISY = ("httpx", "httpcore", "apscheduler", "uvicorn", "asyncio", "sqlalchemy", "alembic")

_SECRET_KEY = re.compile(
    r"token(?!_url)|secret|passw|authori[sz]ation|api[-_]?key|private[-_]?key|public[-_]?key|cookie|credential|assertion"
    r"|refresh|bearer",
    re.IGNORECASE,
)
_NAMES = (
    r"[\w-]*(?:token|secret|password|passwd|api[-_]?key|private[-_]?key|assertion|signature|credential|authorization)"
    r"|code|sig|pwd"
)
# (pattern, replacement): what is a secret by its shape, wherever it stands in a sentence.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # "basic" is an English word and a Microsoft product: only what looks like base64 of name and password.
    (re.compile(r"\b([Bb]asic)\s+(?=[A-Za-z0-9+/=]*[0-9A-Z=])[A-Za-z0-9+/]{14,}={0,2}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{10,}(?:\.[\w-]+){1,4}"), HIDDEN),
    (re.compile(r"\b(?:sk|rk|pk|whsec)_(?:live_|test_)?\w{8,}"), HIDDEN),
    (re.compile(r"://(?:[^\s/@\"']+|[^\s/@\"':]*:[^\s@\"']+)@"), f"://{HIDDEN}@"),
    (re.compile(rf"(?<![\w-])({_NAMES})=(?!\*)[^\s&\"',;)]+", re.IGNORECASE), rf"\1={HIDDEN}"),
    (re.compile(rf"([\"'](?:{_NAMES})[\"']\s*:\s*)([\"'])(?:\\.|(?!\2).)*\2", re.IGNORECASE), rf"\1\2{HIDDEN}\2"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
)
# C0 and C1 controls, and the marks that reorder or hide text (Unicode bidirectional controls, separators).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_SHORTEST_SECRET = 6

_concealed: frozenset[str] = frozenset()


def configure(*, debug: bool = False, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Sets up all logging of the process; may be called again.

    `quiet`: warnings and worse only, for commands whose output is a table. `debug` adds traces. `stream`: standard
    error by default, looked up at each line.
    """
    level = logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Trouble(debug),
        redact,
    ]
    structlog.configure(
        processors=[*shared, _renderer(stream)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if not isinstance(one, _Bridge)]
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def conceal(secrets: Iterable[str]) -> None:
    """These values, also in base64 and URL-encoded, are hidden from now on in every line. Replaces the earlier ones.

    Values of fewer than 6 characters are left out: hiding them would blot out words.
    """
    global _concealed
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            plain = secret.encode()
            forms |= {secret, quote(secret, safe=""), quote_plus(secret)}
            forms |= {
                base64.b64encode(plain).decode().rstrip("="),
                base64.urlsafe_b64encode(plain).decode().rstrip("="),
            }
    _concealed = frozenset(forms)


def redact(logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Hides secrets by key, shape and value, and makes every text one line without escapes."""
    return {key: _value(key, value) for key, value in line.items()}


def clean(text: str) -> str:
    """The text without control characters, which are written out (`\\x1b`), and without marks that reorder it."""
    return _CONTROL.sub(_written_out, text)


def hide(text: str) -> str:
    """The text without what is a secret by its shape or a known one by its value."""
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(match[0]) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )


def _value(key: str, value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case _ if _SECRET_KEY.search(key):
            return HIDDEN
        case str() if key == "trace":
            return "\n".join(clean(row) for row in hide(value).split("\n"))
        case str():
            return clean(hide(value))
        case bytes():
            return f"{len(value)} bytes"
        case Mapping():
            return {clean(str(name)): _value(str(name), inner) for name, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_value(key, inner) for inner in value]
    return clean(hide(str(value)))  # a Secret says *** of itself


class _Trouble:
    """Turns an exception into one sentence and the place where it arose; the trace is added in debug mode alone."""

    def __init__(self, debug: bool) -> None:
        self._debug = debug

    def __call__(self, logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
        told = line.pop("exc_info", None)
        line.pop("stack_info", None)
        error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else None
        if told is True:
            error = sys.exc_info()[1]
        if error is None:
            return line
        line.setdefault("error", f"{type(error).__name__}: {error}")
        if frames := traceback.extract_tb(error.__traceback__):
            line.setdefault("at", f"{Path(frames[-1].filename).name}:{frames[-1].lineno}")
        if self._debug:
            # Without the values of local variables: they hold secrets.
            line["trace"] = "".join(traceback.format_exception(error)).rstrip()
        return line


class _Lines:
    """Writes finished lines. A line that cannot be written is lost: logging must never end what it tells about."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        stream = self._stream or sys.stderr
        try:
            stream.write(message + "\n")
            stream.flush()
        except (OSError, ValueError):  # disk full, pipe closed, stream closed: the work goes on
            return

    debug = info = warning = error = critical = exception = fatal = log = msg


class _Bridge(logging.Handler):
    """Hands the records of the standard library's loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        try:
            sentence = record.getMessage().strip()
        except (TypeError, ValueError):  # a library's broken format string
            sentence = str(record.msg)
        log.log(record.levelno, sentence, logger=record.name, exc_info=record.exc_info)


def _renderer(stream: TextIO | None) -> Processor:
    if (stream or sys.stderr).isatty():
        console = structlog.dev.ConsoleRenderer(
            colors="NO_COLOR" not in os.environ, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        )

        def readable(logger: WrappedLogger, method: str, line: MutableMapping[str, Any]) -> str:
            trace = line.pop("trace", None)
            return f"{console(logger, method, line)}" + (f"\n{trace}" if trace else "")

        return readable
    return structlog.processors.JSONRenderer(serializer=_json, sort_keys=False)


def _json(line: Mapping[str, Any], **_: Any) -> str:
    first = {name: line[name] for name in ("timestamp", "level", "event") if name in line}
    return json.dumps({**first, **line}, ensure_ascii=False, default=str)
