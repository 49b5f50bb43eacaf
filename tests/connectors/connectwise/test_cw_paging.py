"""Lists are read whole or not at all: forward-only paging, the fall-back by page number, and what proves the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from cw_kit import Bench
from werkzeug.wrappers import Request, Response

from connectors.connectwise.sandbox_front import missing
from syncd.errors import VendorError
from syncd.model import State
from syncd.sandbox.kit import json_response

COMPANIES = "/v4_6_release/apis/3.0/company/companies"


def grow(bench: Bench, rows: int) -> set[str]:
    """Companies with gaps between their ids."""
    table = bench.double.tables["company/companies"]
    sample = table[251]
    table.clear()
    for number in range(rows):
        table[300 + 3 * number] = {**sample, "id": 300 + 3 * number, "identifier": f"C{number}"}
    return {str(one) for one in table}


def asked(bench: Bench, path: str = COMPANIES) -> list[dict[str, str]]:
    return [dict(one.query) for one in bench.double.requests if one.path == path]


def spoil(bench: Bench, change: Callable[[Request, list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Puts a poisoned list of companies in the place of the honest one."""

    def poisoned(request: Request, rows: Iterable[dict[str, Any]]) -> Response:
        after = int(request.args.get("pageId", 0))
        return json_response(change(request, [row for row in rows if row["id"] > after]))

    bench.double.listed = poisoned  # type: ignore[method-assign]


def test_forward_only_pages_go_on_until_the_count_is_reached(bench: Bench) -> None:
    ids = grow(bench, 2300)
    assert {one.id for one in bench.connect().customers()} == ids
    first, *others = asked(bench)
    assert (first["pageId"], first["pageSize"]) == ("0", "1000")
    assert [one["pageId"] for one in others] == [str(300 + 3 * 999), str(300 + 3 * 1999)]
    assert all("orderBy" not in one and "page" not in one for one in [first, *others])
    assert bench.double.requests[0].headers["pagination-type"] == "forward-only"


def test_a_list_without_a_count_is_read_to_the_empty_page(bench: Bench) -> None:
    ids = grow(bench, 1300)
    bench.double.counted = lambda request, rows: missing()  # type: ignore[method-assign]
    assert {one.id for one in bench.connect().customers()} == ids
    assert [one["pageId"] for one in asked(bench)] == ["0", str(300 + 3 * 999), str(300 + 3 * 1299)]
    assert len(asked(bench, f"{COMPANIES}/count")) == 1  # it is not asked for again


def test_half_of_the_additions_is_not_taken_for_the_whole(bench: Bench) -> None:
    """A mark on the half that is missing would be posted a second time."""
    honest = bench.double.listed

    def half(request: Request, rows: Iterable[dict[str, Any]]) -> Response:
        served = list(rows)
        return honest(request, served[: len(served) // 2] if request.path.endswith("additions") else served)

    bench.double.listed = half  # type: ignore[method-assign]
    billing = bench.billing()
    assert (billing.state, billing.code) == (State.UNKNOWN, "incomplete")


def test_short_pages_are_not_the_end(bench: Bench) -> None:
    ids = grow(bench, 50)
    spoil(bench, lambda request, rows: rows[:7])
    assert {one.id for one in bench.connect().customers()} == ids


def test_a_server_that_ignores_the_header_is_read_by_page_number(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forward_only=False)
    ids = grow(bench, 2300)
    assert {one.id for one in bench.connect().customers()} == ids
    numbered = [one for one in asked(bench) if "page" in one]
    assert [one["page"] for one in numbered] == ["1", "2", "3", "4"] * 2  # several pages must be read alike twice
    assert {one["orderBy"] for one in numbered} == {"id asc"}
    assert bench.double.requests[-1].path == f"{COMPANIES}/count"


def test_a_small_list_of_such_a_server_is_whole_too(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forward_only=False)
    assert bench.billing().state is State.KNOWN
    assert len(bench.billing().lines) == 2
    assert len(bench.connect().customers()) == 3


def test_a_row_that_slides_onto_the_next_page_is_kept_once_and_a_lost_one_is_found(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(forward_only=False)
    grow(bench, 1500)
    table = bench.double.tables["company/companies"]
    honest = bench.double.listed
    shifts = [(100, True), (303, False)]  # one row is added before the first page's end, another is taken away

    def shifting(request: Request, rows: Iterable[dict[str, Any]]) -> Response:
        answer = honest(request, rows)
        if request.args.get("page") == "1" and shifts:
            number, add = shifts.pop(0)
            if add:
                table[number] = {**table[300], "id": number}
            else:
                del table[number]
        return answer

    bench.double.listed = shifting  # type: ignore[method-assign]
    assert {one.id for one in bench.connect().customers()} == {str(one) for one in table}
    assert shifts == []


@pytest.mark.parametrize(
    "lie",
    [
        lambda request, rows: rows[:20],  # half of it, again and again
        lambda request, rows: [],
        lambda request, rows: sorted(rows, key=lambda row: -row["id"])[:20],
    ],
    ids=["half", "nothing", "unordered"],
)
def test_a_list_that_contradicts_its_count_is_incomplete(bench: Bench, lie: Callable[..., Any]) -> None:
    grow(bench, 40)
    spoil(bench, lambda request, rows: lie(request, rows) if int(request.args.get("pageId", 0)) < 340 else [])
    with pytest.raises(VendorError) as raised:
        bench.connect().customers()
    assert raised.value.code == "incomplete"
    assert re.search(r"gave \d+ rows and its count says 40", str(raised.value))


def test_an_empty_list_is_compared_with_its_count(bench: Bench) -> None:
    honest = bench.double.listed

    def nothing(request: Request, rows: Iterable[dict[str, Any]]) -> Response:
        return json_response([]) if request.path.endswith("additions") else honest(request, rows)

    bench.double.listed = nothing  # type: ignore[method-assign]
    billing = bench.billing()
    assert (billing.state, billing.code) == (State.UNKNOWN, "incomplete")


def test_a_broken_page_spoils_the_list_and_never_shortens_it(bench: Bench) -> None:
    grow(bench, 1200)
    bench.double.fail("truncate", path="company/companies$", after=1, times=20)
    with pytest.raises(VendorError) as raised:
        bench.connect().customers()
    assert raised.value.code == "unavailable"


def test_a_page_that_fails_once_is_read_again(bench: Bench) -> None:
    ids = grow(bench, 1200)
    for what in ("500_before", "drop_before", "throttle", "truncate"):
        bench.double.retry_after = "0"
        bench.double.fail(what, path="company/companies$", after=1)
    assert {one.id for one in bench.connect().customers()} == ids


def test_a_row_without_a_required_field_is_named(bench: Bench) -> None:
    del bench.double.tables["company/companies"][252]["identifier"]
    with pytest.raises(VendorError, match=r"missing required field `identifier` - at `\$\[1\]`"):
        bench.connect().customers()
