"""`source_drop` and what counts a period: a new month that begins at nothing is no source that fell."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from core_kit import World, count, known, reading, reads, world

from syncd.core.sources import measure_of, suspect_sources
from syncd.model import Query

HOURS = Query("hours", (("work_type", ("Remote",)),))


def fallen(query: Query, *, gone: bool = False) -> World:
    """Contoso was last believed with 100 of a measure, and has 2 of it now, or is gone."""
    found = world().but(readings=reads(reading("t1", count("X", 2), query=query)))
    found = found.remembering(customers=known("m365", t1={str(query): 100}))
    return found.but(listed={**found.listed, "m365": ()}) if gone else found


def suspects(found: World, *of_period: str) -> dict[str, str]:
    views = {name: replace(view, of_period=frozenset(of_period)) for name, view in found.views.items()}
    return suspect_sources(views, found.resolution, found.past, Decimal(25))


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("query", [Query("hours"), HOURS])
def test_what_counts_a_period_may_begin_at_nothing(query: Query, gone: bool) -> None:
    assert suspects(fallen(query, gone=gone), "hours") == {}
    assert list(suspects(fallen(query, gone=gone))) == ["m365"]  # a count of what is there may not


def test_a_filter_is_no_part_of_the_measure() -> None:
    assert (measure_of(str(HOURS)), measure_of("hours")) == ("hours", "hours")
