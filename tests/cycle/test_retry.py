"""Retry: a refused posting is told, and tried again only when a person asks or something moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stage import ALDER, Stage


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def states(stage: Stage) -> list[tuple[str, str, str]]:
    return [(one["from"], one["to"], one["state"]) for one in stage.entries()]


def test_a_refused_posting_is_told_and_tried_again_only_when_asked(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.psa.fail("unauthorized", method="PATCH")
    done = stage.cycle()
    assert done.status == 1
    [entry] = done.json["entries"]
    assert (entry["state"], entry["attempts"]) == ("failed", 1)
    assert "The login credentials or client id are not valid" in entry["note"]  # the vendor's own words

    for _ in range(2):
        standing = stage.cycle()
        assert standing.status == 1
        assert standing.line(ALDER)["action"] == "blocked"
        assert entry["id"] in standing.line(ALDER)["reason"]
    assert len(stage.writes()) == 1

    again = stage.run("retry", entry["id"], "--by", "Dana", "--json")
    assert again.status == 0, again.err
    [second] = again.json["entries"]
    assert (second["state"], second["to"], second["decided_by"]) == ("planned", "27", "person:Dana")
    assert second["key"] != entry["key"]
    posted = stage.cycle()
    assert posted.status == 0, posted.err
    assert stage.quantity(ALDER) == 27
    assert states(stage) == [("25", "27", "failed"), ("25", "27", "posted")]
    assert stage.cycle().status == 0
    assert stage.verified()


def test_a_refused_posting_is_planned_anew_when_the_count_moves(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.psa.fail("unauthorized", method="PATCH")
    stage.cycle()
    stage.hire(ALDER, 1)
    assert stage.cycle().status == 0
    assert states(stage) == [("25", "27", "failed"), ("25", "28", "posted")]
    failed, posted = stage.entries()
    late = stage.run("retry", failed["id"], "--by", "Dana")
    assert late.status == 2
    assert f"its line went on since: entry {posted['id']} is posted" in late.err
    assert len(stage.entries()) == 2


def test_retry_is_for_failed_postings_only(alder: Stage) -> None:
    done = alder.run("retry", alder.entry()["id"], "--by", "Dana")
    assert done.status == 2
    assert "is posted; only a failed posting can be retried" in done.err
