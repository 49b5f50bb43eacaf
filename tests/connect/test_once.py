"""What is read once is read once, by whichever thread comes first, and fails alike for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from syncd.connect.once import Once
from syncd.errors import VendorError


class CutShort(VendorError):
    """A connector's own kind of error."""


def test_many_threads_make_one_read() -> None:
    made: list[int] = []

    def read() -> int:
        made.append(1)
        return len(made)

    once = Once(read)
    assert once.known() is None
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: once.get(), range(50))) == {1}
    assert made == [1]
    assert once.known() == 1


def test_a_failure_is_kept_with_its_kind_and_nothing_is_asked_again() -> None:
    tried: list[int] = []

    def read() -> int:
        tried.append(1)
        raise CutShort("incomplete", "47 of 57 rows")

    once = Once(read)
    for _ in range(2):
        with pytest.raises(CutShort, match="47 of 57") as caught:
            once.get()
        assert caught.value.code == "incomplete"
    assert tried == [1]
    assert once.problem() == "47 of 57 rows"
