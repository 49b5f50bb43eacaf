"""What is news about a condition: new, grown, repeated, over; each once, whatever the order and however often."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.episodes import Condition, Conditions, Episode, News, Word, advance, merge

START = datetime(2026, 11, 20, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)


def condition(key: str = "line:a", size: int = 2, money: str | None = None, kind: str = "drift") -> Condition:
    amount = Decimal(money) if money is not None else None
    return Condition(key, (kind,), f"{key} differs", "Mend it.", Decimal(size), amount, "USD" if money else "")


class Channel:
    """What one channel remembers, and all it was told."""

    def __init__(self) -> None:
        self.known: dict[str, Episode] = {}
        self.now = START

    def hears(self, *found: Condition, blind: frozenset[str] = frozenset(), after: timedelta = HOUR) -> list[str]:
        seen = Conditions(found, lambda said: said.key in blind)
        self.known, news = advance(self.known, seen, self.now, DAY)
        self.now += after
        return [f"{one.word} {one.now.key}" for one in news]


def test_the_life_of_an_episode() -> None:
    channel = Channel()
    assert channel.hears(condition()) == ["new line:a"]
    assert channel.hears(condition()) == []
    assert channel.hears(condition(size=3)) == ["grown line:a"]
    assert channel.hears(condition(size=2)) == []  # less is no news
    assert channel.hears(condition(size=3)) == []  # no more than was told
    assert channel.hears() == ["over line:a"]
    assert channel.hears() == []
    assert channel.hears(condition()) == ["new line:a"]


def test_it_is_repeated_once_a_day_while_it_lasts() -> None:
    channel = Channel()
    heard = [channel.hears(condition()) for _ in range(50)]
    assert [number for number, news in enumerate(heard) if news] == [0, 24, 48]
    assert heard[24] == ["repeated line:a"]
    assert channel.known["line:a"].since == START


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        (condition(money="10.00"), condition(money="10.01"), True),
        (condition(money="10.00"), condition(money="-10.01"), True),
        (condition(money="10.00"), condition(money="9.99"), False),
        (condition(), condition(money="10.00"), False),  # a price that became known is no growth
        (condition(kind="drift"), condition(kind="failed"), True),
    ],
)
def test_what_counts_as_grown(before: Condition, after: Condition, grown: bool) -> None:
    channel = Channel()
    channel.hears(before)
    assert channel.hears(after) == (["grown line:a"] if grown else [])


def of_customers(*names: str) -> Condition:
    kept = replace(condition("source:m365:consent", 1, kind="source"), customers=names)
    return replace(kept, size=Decimal(len(names) or 1))


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        (("Koa",), ("Fir",), True),  # one was mended, another one broke in the same cycle
        (("Fir", "Koa"), ("Elm", "Fir"), True),
        (("Fir", "Koa"), ("Elm",), True),  # fewer, and not the same
        (("Fir", "Koa"), ("Fir",), False),
        (("Koa",), (), True),  # the whole source
        ((), ("Koa",), False),  # it was among them
    ],
)
def test_others_whom_nobody_was_told_of_are_growth(
    before: tuple[str, ...], after: tuple[str, ...], grown: bool
) -> None:
    channel = Channel()
    channel.hears(of_customers(*before))
    assert channel.hears(of_customers(*after)) == (["grown source:m365:consent"] if grown else [])
    assert channel.hears(of_customers(*after)) == []


def test_other_things_that_nobody_mapped_are_growth_once_their_names_are_kept() -> None:
    channel = Channel()
    channel.hears(condition("unmapped:m365"))  # as an older program kept it
    assert channel.hears(replace(condition("unmapped:m365"), things=("SPB", "VISIO"))) == []
    channel.hears()
    channel.hears(replace(condition("unmapped:m365"), things=("SPB", "VISIO")))
    assert channel.hears(replace(condition("unmapped:m365"), things=("EMS", "SPB"))) == ["grown unmapped:m365"]


def test_what_could_not_be_judged_is_neither_over_nor_repeated() -> None:
    channel = Channel()
    channel.hears(condition())
    for _ in range(30):
        assert channel.hears(blind=frozenset({"line:a"})) == []
    assert channel.hears(condition()) == ["repeated line:a"]
    assert channel.hears() == ["over line:a"]


def test_a_filter_decides_what_begins_and_never_hides_an_end() -> None:
    seen = Conditions((condition("line:a"), condition("line:b", kind="held")))
    known, news = advance({}, seen, START, DAY, lambda one: one.kind == "held")
    assert [one.now.key for one in news] == ["line:b"]
    known, news = advance(known, seen, START + 2 * DAY, DAY, lambda one: False)
    assert (list(known), news) == (["line:b"], ())
    known, news = advance(known, Conditions(()), START + 2 * DAY, DAY, lambda one: False)
    assert (known, [one.word for one in news]) == ({}, [Word.OVER])


def news(word: Word, key: str = "line:a", size: int = 2) -> News:
    before = condition(key, size - 1) if word in (Word.GROWN, Word.REPEATED) else None
    return News(word, condition(key, size), START, before)


@pytest.mark.parametrize(
    ("waiting", "fresh", "told"),
    [
        (Word.NEW, Word.GROWN, Word.NEW),
        (Word.NEW, Word.REPEATED, Word.NEW),
        (Word.NEW, Word.OVER, Word.OVER),
        (Word.GROWN, Word.REPEATED, Word.GROWN),
        (Word.REPEATED, Word.GROWN, Word.GROWN),
        (Word.GROWN, Word.OVER, Word.OVER),
        (Word.OVER, Word.NEW, Word.NEW),
    ],
)
def test_a_message_that_takes_the_place_of_another_tells_each_thing_once(
    waiting: Word, fresh: Word, told: Word
) -> None:
    merged = merge([news(waiting), news(Word.NEW, "line:b")], [news(fresh, size=5)])
    assert {one.now.key: one.word for one in merged} == {"line:a": told, "line:b": Word.NEW}
    [one] = [one for one in merged if one.now.key == "line:a"]
    assert one.now.size == 5
    assert one.before is None or one.before.size < 5


_KEYS = st.sampled_from(["line:a", "line:b", "source:m365:timeout", "unmapped:m365"])
_FOUND = st.dictionaries(_KEYS, st.builds(lambda size, money: (size, money), st.integers(1, 4), st.integers(0, 3)))
_CYCLES = st.lists(st.tuples(_FOUND, st.frozensets(_KEYS), st.integers(1, 30)), max_size=12)


def made(found: dict[str, tuple[int, int]]) -> list[Condition]:
    return [condition(key, size, str(money)) for key, (size, money) in found.items()]


@given(_CYCLES)
def test_what_holds_of_every_history(cycles: list[tuple[dict[str, tuple[int, int]], frozenset[str], int]]) -> None:
    known: dict[str, Episode] = {}
    now = START
    open_, said = set[str](), dict[str, datetime]()
    for found, blind, hours in cycles:
        seen = Conditions(tuple(made(found)), lambda one, blind=blind: one.key in blind)  # type: ignore[misc]
        after, told = advance(known, seen, now, DAY)
        again, nothing = advance(after, seen, now, DAY)
        assert (again, nothing) == (after, ())  # the same once more is no news
        turned = Conditions(tuple(reversed(seen.found)), seen.blind)
        assert advance(dict(reversed(known.items())), turned, now, DAY) == (after, told)  # no order matters
        for one in told:
            key = one.now.key
            assert (one.word is Word.NEW) == (key not in open_)
            assert (one.word is Word.OVER) == (key not in found)
            if one.word is Word.OVER:
                assert key not in blind
                open_.remove(key)
            if one.word is Word.REPEATED:
                assert now - said[key] >= DAY
            open_ |= set() if one.word is Word.OVER else {key}
            said[key] = now
        assert set(after) == open_ >= set(found)
        known, now = after, now + timedelta(hours=hours)


@given(st.lists(_FOUND, min_size=1, max_size=8))
def test_messages_that_were_never_sent_end_as_one_that_tells_how_it_stands(
    cycles: list[dict[str, tuple[int, int]]],
) -> None:
    known: dict[str, Episode] = {}
    waiting: tuple[News, ...] = ()
    ever = set[str]()
    for number, found in enumerate(cycles):
        known, fresh = advance(known, Conditions(tuple(made(found))), START + number * HOUR, DAY)
        waiting = merge(waiting, fresh)
        ever |= set(found)
    words = {one.now.key: one.word for one in waiting}
    assert set(words) == ever
    assert {key for key, word in words.items() if word is Word.NEW} == set(cycles[-1])
    assert {key for key, word in words.items() if word is Word.OVER} == ever - set(cycles[-1])
