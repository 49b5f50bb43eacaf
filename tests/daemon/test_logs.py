"""Logs: no secret in any shape, no trace unless asked, nothing that a customer typed does more than be read."""

from __future__ import annotations

import base64
import io
import json
import logging
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from syncd import logs
from syncd.connect.settings import Secret

CANARY = "cAn4ry/Wert+7f3a"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's own: each test leaves it as it was."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    yield
    logs.conceal(())
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def told(stream: io.StringIO) -> list[dict[str, Any]]:
    """The lines as a log shipper reads them."""
    return [json.loads(row) for row in stream.getvalue().splitlines()]


def test_off_a_terminal_each_line_is_json_with_its_context() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    with structlog.contextvars.bound_contextvars(cycle="c000007"):
        structlog.get_logger().info("posting", customer="Lärche", to=Decimal("27"), done=True, count=3)
    [line] = told(stream)
    line.pop("timestamp")

    assert line == {
        "level": "info", "event": "posting", "cycle": "c000007", "customer": "Lärche", "to": "27", "done": True,
        "count": 3,
    }  # fmt: skip


def test_on_a_terminal_a_line_is_for_people() -> None:
    stream = Terminal()
    logs.configure(stream=stream)
    structlog.get_logger().info("posting", customer="Contoso")

    assert "posting" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_quiet_lets_only_warnings_through() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, quiet=True)
    log = structlog.get_logger()
    log.info("small")
    log.warning("large")

    assert [line["event"] for line in told(stream)] == ["large"]


SHAPES = {
    "authorization": f"Bearer {CANARY}",
    "sentence": f"asked with Authorization: Bearer {CANARY} and was refused",
    "basic": "header Basic " + base64.b64encode(f"user:{CANARY}".encode()).decode(),
    "client_secret": CANARY,
    "refresh_token": CANARY,
    "api_key": CANARY,
    "password": CANARY,
    "nested": {"private_key": CANARY, "deep": [{"x-api-key": CANARY}]},
    "address": f"GET https://host.example/token?access_token={CANARY}&page=2",
    "form": f"grant_type=x&client_secret={CANARY}&scope=y",
    "body": json.dumps({"access_token": CANARY, "expires_in": 3600}),
    "userinfo": f"postgresql+psycopg://syncd:{CANARY}@db.example/syncd",
    "object": Secret(literal=CANARY),
    "objects": [Secret(literal=CANARY)],
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_is_hidden_by_key_and_by_shape(shape: str, debug: bool) -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.configure(stream=stream, debug=debug)
        structlog.get_logger().warning("call", **{shape: SHAPES[shape]})

        assert CANARY not in stream.getvalue()
        assert base64.b64encode(f"user:{CANARY}".encode()).decode() not in stream.getvalue()
        assert "***" in stream.getvalue()


@pytest.mark.parametrize(
    "form",
    [CANARY, quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode()],
    ids=["plain", "in a URL", "base64"],
)
def test_a_known_secret_is_hidden_wherever_it_stands(form: str) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, debug=True)
    logs.conceal([CANARY])
    try:
        raise ValueError(f"the vendor said {form}!")
    except ValueError:
        structlog.get_logger().exception("failed", words=f"also here: {form}")

    assert form.rstrip("=") not in stream.getvalue()
    assert "the vendor said ***" in stream.getvalue()


def test_words_that_only_sound_like_secrets_stay() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    logs.conceal(["abc"])
    sentence = "Basic subscriptions of Microsoft 365 Business Basic: 27 tokens, abc, see https://host.example/a?page=2"
    structlog.get_logger().info("read", what=sentence, tokens=3, token_url="https://login.example", key="k1")
    [line] = told(stream)

    assert (line["what"], line["tokens"], line["token_url"], line["key"]) == (
        sentence,
        3,
        "https://login.example",
        "k1",
    )


def test_what_a_customer_typed_cannot_drive_the_terminal_or_begin_a_line() -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.configure(stream=stream)
        structlog.get_logger().info("read", customer='Evil\x1b[2J\r\n{"event":"forged"}\u202e')

        assert "\x1b[2J" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()
        assert len(stream.getvalue().splitlines()) == 1
        assert "Evil\\" in stream.getvalue()


def fail() -> None:
    secret_local = CANARY
    raise RuntimeError(f"no luck ({len(secret_local)})")


@pytest.mark.parametrize("make", [io.StringIO, Terminal])
def test_an_error_is_one_line_and_debug_adds_the_trace_without_values(make: type[io.StringIO]) -> None:
    shown = {}
    for debug in (False, True):
        stream = make()
        logs.configure(stream=stream, debug=debug)
        try:
            fail()
        except RuntimeError:
            structlog.get_logger().exception("cycle_failed")
        shown[debug] = stream.getvalue()

    assert len(shown[False].splitlines()) == 1
    assert "RuntimeError: no luck (16)" in shown[False]
    assert "test_logs.py:" in shown[False]
    assert "Traceback" not in shown[False]
    assert "Traceback" in shown[True]
    assert CANARY not in shown[True]


def test_the_libraries_speak_through_the_same_door_from_warnings_on() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, debug=True)
    logging.getLogger("httpx").info(f"HTTP Request: GET https://host.example/?token={CANARY}")
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("apscheduler.scheduler").warning("skipped %s", "job\n")
    try:
        fail()
    except RuntimeError:
        logging.getLogger("uvicorn.error").exception(f"broke with Bearer {CANARY}")
    lines = told(stream)

    assert [(line["logger"], line["level"], line["event"]) for line in lines] == [
        ("apscheduler.scheduler", "warning", "skipped job"),
        ("uvicorn.error", "error", "broke with Bearer ***"),
    ]
    assert lines[1]["error"] == "RuntimeError: no luck (16)"


def test_setting_up_twice_writes_once() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    logs.configure(stream=stream)
    logging.getLogger("uvicorn.error").warning("once")

    assert len(told(stream)) == 1


class Full(io.StringIO):
    """A log file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Full(), closed):
        try:
            logs.configure(stream=stream)
        except ValueError:  # a closed stream does not say whether it is a terminal
            continue
        structlog.get_logger().error("lost")
    logs.configure(stream=Full())
    structlog.get_logger().error("lost")


def test_threads_write_whole_lines() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    log = structlog.get_logger()
    writers = [threading.Thread(target=lambda: [log.info("read", text="x" * 200) for _ in range(50)]) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()

    assert len(told(stream)) == 200
