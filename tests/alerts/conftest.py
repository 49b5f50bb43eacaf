"""A room for the tests of alerts: a ledger, channels, and receivers on loopback."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

for folder in ("web", "cycle", "daemon"):  # their kits: made-up plans, the stage with the vendors' doubles, a daemon
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from aiosmtpd.controller import Controller  # noqa: E402
from alerts_kit import Mailbox, Room, Webhook  # noqa: E402 - the kit itself needs those folders


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is reached directly, whatever this machine's environment says."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Room]]:
    """Rooms with the `[[alerts]]` tables given; their messages go to `room.post` instead of Apprise."""
    made: list[Room] = []

    def make(*tables: dict[str, object], real: bool = False) -> Room:
        made.append(Room(tmp_path / f"room{len(made)}", tables))
        if not real:
            monkeypatch.setattr("syncd.alerts.messages.hand_over", made[-1].post.take)
        return made[-1]

    yield make
    for room in made:
        room.ledger.close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A receiver of JSON webhooks over real HTTP."""
    with Webhook() as receiver:
        yield receiver


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server on loopback, and its port."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()
