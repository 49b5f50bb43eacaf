"""Message channels as the posting machine sees them: a kind with one operation, NOTIFY, that a fenced process delivers.

A message is declared at-least-once: no service tells whether it showed a message, and reading it twice harms nobody.
So whatever was not surely delivered is sent again, under the same key with the same bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncd.alerts import sender
from syncd.connect.contract import Abilities, Delivery
from syncd.connect.settings import ConnectionSettings, Secret
from syncd.errors import UserFault
from syncd.model import Absent, Found, NotSent, Operation, Outcome, Posting, Receipt, Sight, Wire

# The longest that one message may take; all channels of a cycle are told side by side.
SECONDS = 15
_LOOK = 0.1
# What the process may know of ours: where programs, certificates and proxies are, never a secret.
_LENT = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
ABILITIES = Abilities(
    reads=frozenset(), operations={Operation.NOTIFY: Delivery("D", request_life=timedelta(0))}, keeps_quantity=False
)


class Messenger:
    """The connector of message channels; `open` is never asked, because their addresses stand in `[[alerts]]`."""

    kind = "alerts"
    title = "Alerts"
    settings = ConnectionSettings
    abilities = ABILITIES
    sandbox = ""

    def open(self, settings: Any, context: Any) -> Any:
        """Channels are made from `[[alerts]]`, not from a connection."""
        raise TypeError("a message channel is no connection")


class Messages:
    """One channel, open for one cycle. `to` is None where the channel is no longer configured: nothing leaves then."""

    def __init__(self, to: Secret | None, folder: Path, stop: threading.Event | None = None) -> None:
        self._to = to
        self._folder = folder
        self._stop = stop
        self._delivered: set[str] = set()

    def wire(self, posting: Posting) -> Wire:
        """What is handed over, without the address: that is a secret."""
        body = {"title": posting.options["summary"], "body": posting.description}
        return Wire("NOTIFY", "", json.dumps(body, ensure_ascii=False, sort_keys=True).encode())

    def find(self, posting: Posting) -> Sight:
        """Found only where this very process was told that it was delivered; else nobody can tell."""
        return Found("") if posting.key in self._delivered else Absent()

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Hands the message over."""
        if self._to is None:
            return NotSent("its channel is no longer configured")
        try:
            address = self._to.reveal(self._folder)
        except UserFault as fault:
            return NotSent(fault.faults[0].what)
        problem = hand_over({"url": address, **json.loads(wire.body)}, stop=self._stop)
        if problem:
            return NotSent(problem)
        self._delivered.add(posting.key)
        return Receipt("")

    def close(self) -> None:
        """Nothing is kept open."""


def address_problem(to: Secret, folder: Path) -> str:
    """What is wrong with a channel's address, in words that do not repeat it; "" where Apprise can use it."""
    try:
        return hand_over({"url": to.reveal(folder)})
    except UserFault as fault:
        return fault.faults[0].what


def hand_over(
    task: Mapping[str, Any],
    *,
    seconds: float = SECONDS,
    stop: threading.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """What went wrong, as words for a sentence; "" where all is well. Takes `seconds` at most, then the process is
    killed; also when `stop` is set."""
    command = [sys.executable, "-P", str(Path(sender.__file__))]
    environment = {name: os.environ[name] for name in _LENT if name in os.environ}
    # Where Apprise is found does not depend on how syncd itself was started.
    environment["PYTHONPATH"] = os.pathsep.join(one for one in sys.path if one)
    end = clock() + seconds
    given: bytes | None = json.dumps({**task, "seconds": seconds}).encode()
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and script
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for syncd, which ends this one itself
        )
    except OSError as error:
        return f"the process that sends it could not be started ({error.strerror})"
    with process:
        while True:
            try:
                answer, _ = process.communicate(given, timeout=_LOOK)
                break
            except subprocess.TimeoutExpired:
                given = None
                stopped = stop is not None and stop.is_set()
                if stopped or clock() >= end:
                    process.kill()
                    return "syncd was stopping" if stopped else f"its server did not answer within {seconds:.0f} s"
    try:
        return str(json.loads(answer)["problem"])
    except (ValueError, KeyError):
        return "the process that sends it died"
