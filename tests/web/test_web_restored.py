"""A ledger that went back is told to whoever watches, until everything was read once."""

from __future__ import annotations

from syncd.web.board import Board
from syncd.web.health import unready
from syncd.web.metrics import Metrics


def test_a_restored_ledger_is_not_ready_until_it_was_looked_through() -> None:
    board = Board()
    board.forgot(True)
    assert any(one.startswith("ledger_restored: ") for one in unready(board.show(), board.monotonic()))
    board.forgot(False)
    assert not any("restored" in one for one in unready(board.show(), board.monotonic()))


def test_a_restored_ledger_is_measured() -> None:
    board = Board()
    metrics = Metrics(board)
    for restored in (True, False):
        board.forgot(restored)
        assert f"syncd_ledger_restored {int(restored)}.0" in metrics.text().decode()
