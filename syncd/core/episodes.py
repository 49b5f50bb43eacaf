"""Episodes: how long something has been wrong, and what is news about it. Pure.

A condition is what one cycle found wrong; `episodes_found` makes them. An episode is a condition that has been told to
somebody, as it was last told. Each channel remembers its own episodes, because what is news depends on what was said
there. What always holds: the same conditions twice are no news; an end is said once; what a cycle could not judge is
neither over nor new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from syncd.money import ZERO


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong now.

    `key` names it for as long as it lasts. `kinds`: the reasons of `[[alerts]] on` that it answers to, the first one is
    what it is called. `what` is one sentence with who and how much, `mend` what to do. `customers` and `connections`
    are those concerned; no customer means the whole source. `size` counts in units, lines, customers or products;
    `money` is for one billing period, None where no price is known. `began`: since when it has been so, where that is
    known better than by when a channel first heard of it. `things`: what it is of besides customers, only to see that
    another one came in the place of one that was mended.
    """

    key: str
    kinds: tuple[str, ...]
    what: str
    mend: str
    size: Decimal = Decimal(1)
    money: Decimal | None = None
    currency: str = ""
    customers: tuple[str, ...] = ()
    connections: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    began: datetime | None = None
    things: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What it is called."""
        return self.kinds[0]


@dataclass(frozen=True, slots=True)
class Episode:
    """A condition that was told, as it was last told. `since` is when it was first seen, `said_at` when last told."""

    said: Condition
    since: datetime
    said_at: datetime


class Word(StrEnum):
    """What is new about an episode."""

    NEW = "new"
    GROWN = "grown"
    REPEATED = "repeated"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell. `now` is the condition; for OVER as it was last told. `before`: as it was told before."""

    word: Word
    now: Condition
    since: datetime
    before: Condition | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that one cycle found. `blind(said)`: whether the cycle could not have seen this condition, had it still been
    there (its source failed to read); then its absence says nothing."""

    found: tuple[Condition, ...]
    blind: Callable[[Condition], bool] = lambda said: False


def advance(
    known: Mapping[str, Episode],
    seen: Conditions,
    now: datetime,
    repeat: timedelta,
    wanted: Callable[[Condition], bool] = lambda condition: True,
) -> tuple[dict[str, Episode], tuple[News, ...]]:
    """(the episodes from now on, what is news), the weightiest first.

    `wanted` judges what is begun and told; an episode that was told once is followed to its end even where the filter
    was changed meanwhile. Nothing unresolved is repeated before `repeat` has passed since it was last told.
    """
    after: dict[str, Episode] = {}
    news: list[News] = []
    for condition in seen.found:
        before = known.get(condition.key)
        if before is None:
            if wanted(condition):
                after[condition.key] = Episode(condition, condition.began or now, now)
                news.append(News(Word.NEW, condition, condition.began or now))
            continue
        word = _word(before, condition, now, repeat) if wanted(condition) else None
        after[condition.key] = before
        if word is not None:
            after[condition.key] = replace(before, said=condition, said_at=now)
            news.append(News(word, condition, before.since, before.said))
    for key, episode in known.items():
        if key in after:
            continue
        if seen.blind(episode.said):
            after[key] = episode
        else:
            news.append(News(Word.OVER, episode.said, episode.since))
    return dict(sorted(after.items())), by_weight(news)


def _word(before: Episode, now: Condition, at: datetime, repeat: timedelta) -> Word | None:
    if grew(before.said, now):
        return Word.GROWN
    return Word.REPEATED if at - before.said_at >= repeat else None


def grew(before: Condition, now: Condition) -> bool:
    """Whether it is more than was last told, has become something else (a drift that nobody may post any more), or
    concerns somebody whom nobody was told of: one was mended while another one broke."""
    if now.kind != before.kind or now.size > before.size or reaches_further(before, now):
        return True
    if now.money is None or now.currency != before.currency:
        return False
    return before.money is not None and abs(now.money) > abs(before.money)


def reaches_further(before: Condition, now: Condition) -> bool:
    """Whether it names a customer or thing that it did not name before, or the whole source instead of some of it.

    Where nothing was named it was the whole source already, or was told before syncd kept the names.
    """
    if before.customers and (not now.customers or not set(now.customers) <= set(before.customers)):
        return True
    return bool(before.things) and not set(now.things) <= set(before.things)


def merge(waiting: Iterable[News], fresh: Iterable[News]) -> tuple[News, ...]:
    """What a message says that takes the place of one that was not sent, or may not have been: each thing once.

    What nobody was told yet stays new, with its newest numbers; what ended meanwhile is told as over, and when it
    began.
    """
    told = {one.now.key: one for one in waiting}
    for one in fresh:
        before = told.get(one.now.key)
        told[one.now.key] = one if before is None else _later(before, one)
    return by_weight(told.values())


def _later(before: News, now: News) -> News:
    if now.word in (Word.NEW, Word.OVER) or before.word is Word.OVER:
        return now
    if before.word is Word.NEW:
        return replace(now, word=Word.NEW, before=None)
    word = Word.GROWN if Word.GROWN in (before.word, now.word) else now.word
    return replace(now, word=word, before=before.before)


def by_weight(news: Iterable[News]) -> tuple[News, ...]:
    """New, grown, repeated, over; in each the most money first, then the largest, then by name."""
    order = tuple(Word)
    return tuple(sorted(news, key=lambda one: (order.index(one.word), *weight(one.now))))


def weight(condition: Condition) -> tuple[Decimal, Decimal, str]:
    """Sorts the weightiest condition first."""
    money = condition.money if condition.money is not None else ZERO
    return -abs(money), -condition.size, condition.key
