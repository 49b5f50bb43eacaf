"""A vendor that throttles a write for long: the cycle goes on, the wait is remembered, and nothing is posted twice."""

from __future__ import annotations

import time
from collections.abc import Callable

from stage import ADDITIONS, ALDER, BIRCHWOOD, Stage

from syncd.ledger import Ledger


def test_a_long_pause_asked_of_a_write_leaves_the_rest_to_a_later_cycle(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 2)
    stage.psa.retry_after = "600"
    stage.psa.fail("throttle", method="PATCH", path=ADDITIONS)

    began = time.monotonic()
    struck = stage.cycle()
    assert time.monotonic() - began < 60
    assert struck.status == 1
    states = sorted(one["state"] for one in stage.entries())
    assert states == ["planned", "unknown"]  # the vendor does not say that a throttled write did nothing
    assert [one["code"] for one in struck.json["errors"]] == ["deferred"]
    assert len(stage.writes()) == 1
    with Ledger.open("sqlite:///state/syncd.db", lambda: stage.now, folder=stage.folder) as ledger:
        assert (ledger.waits("cw")[""] - stage.now).total_seconds() == 600

    stage.pass_time(minutes=11)
    assert stage.cycle().status == 0
    assert {one["state"] for one in stage.entries()} == {"posted"}
    assert len(stage.effects_of(ALDER)) == len(stage.effects_of(BIRCHWOOD)) == 1
    assert stage.cycle().json["entries"] == []
