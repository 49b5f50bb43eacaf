"""A sign-in that ends is told from fourteen days before, once, and is over when a person signed in anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from core_kit import world

from syncd.core.episodes_found import conditions
from syncd.core.logins import Login
from syncd.core.resolve import ReadError

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(days=14, seconds=1), ""),
        (timedelta(days=14), "the sign-in of qbo ends on 2026-12-04 (UTC), in 14 days"),
        (timedelta(days=1, hours=3), "the sign-in of qbo ends on 2026-11-21 (UTC), in 1 day"),
        (timedelta(hours=3), "the sign-in of qbo ends on 2026-11-20 (UTC), within a day"),
        (timedelta(days=-1), "the sign-in of qbo ended on 2026-11-19 (UTC)"),
    ],
)
def test_what_is_told_of_a_sign_in_that_ends(left: timedelta, told: str) -> None:
    plan = replace(world(used=25, billed=25).plan(), logins=(Login("qbo", NOW + left, NOW),))
    found = [one for one in conditions(plan, (), (), {}).found if one.key == "login:qbo"]
    assert [one.what.partition(";")[0] for one in found] == ([told] if told else [])
    for one in found:
        assert (one.kinds, one.connections) == (("source",), ("qbo",))
        assert "refresh_token" in one.mend


def test_a_cycle_that_could_not_sign_in_does_not_end_it() -> None:
    plan = replace(world(used=25, billed=25).plan(), logins=(Login("qbo", NOW + timedelta(days=3), NOW),))
    [said] = [one for one in conditions(plan, (), (), {}).found if one.key == "login:qbo"]
    silent = replace(plan, logins=(), errors=(ReadError("qbo", "", "unavailable", "no answer"),))
    assert conditions(silent, (), (), {}).blind(said) is True
    assert conditions(replace(plan, logins=()), (), (), {}).blind(said) is False
