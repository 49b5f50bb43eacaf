"""What people read of an episode: the subject and body of a message, the words of a ticket. Pure, plain text.

Who, how much, since when and what to do stand in every line; the weightiest is read first. Everything is one line of
printable text without marks that reorder it: most of it was written by vendors and customers.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from syncd.core.episodes import Condition, News, Word, reaches_further
from syncd.core.episodes_desk import listed
from syncd.money import ZERO, plain, plain_money

# So many lines a message lists before it says how many more there are.
LINES = 20
SUBJECT = 120
_LONGEST = 600
_HEADINGS = {
    Word.NEW: "New",
    Word.GROWN: "Grown or changed",
    Word.REPEATED: "Still there",
    Word.OVER: "Over",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it is sent."""

    subject: str
    body: str


def letter(news: Sequence[News], zone: ZoneInfo, *, page: str = "", witness: tuple[int, str] | None = None) -> Letter:
    """One message with all its news, sorted by weight. `page` is the dashboard's address, "" where there is none.

    `witness`: length and end of the ledger's record, for whoever keeps it where the record's owner cannot change it.
    """
    parts = [_counts(news), ""]
    left = LINES
    for word in Word:
        mine = [one for one in news if one.word is word]
        if not mine or left <= 0:
            continue
        parts += [_HEADINGS[word], *(f"- {_line(one, zone)}" for one in mine[:left]), ""]
        left -= len(mine)
    if len(news) > LINES:
        parts += [f"… and {len(news) - LINES} more.", ""]
    if page:
        parts += [f"Dashboard: {page}"]
    if witness is not None:
        parts += [f"The ledger's record has {witness[0]} events and ends in {witness[1]}."]
    return Letter(_subject(news), "\n".join(parts).rstrip() + "\n")


def opening(news: News, zone: ZoneInfo) -> Letter:
    """The ticket that an episode opens."""
    now = news.now
    body = [f"{_capital(line_of(now.what))}.", "", f"Since {stamp(news.since, zone)}."]
    if now.mend:
        body += [f"What to do: {line_of(now.mend)}"]
    body += ["", "syncd opened this ticket, notes here when it grows and closes it when it is over."]
    return Letter(_cut(f"syncd: {now.kind}: {line_of(now.what)}", 100), "\n".join(body) + "\n")


def note(news: News, zone: ZoneInfo) -> Letter:
    """What is noted on a ticket: grown, or over."""
    if news.word is Word.OVER:
        return Letter("", f"Over. It began {stamp(news.since, zone)}: {line_of(news.now.what)}.\n")
    was = f" Before: {_was(news.before, news.now)}." if news.before else ""
    return Letter("", f"{_capital(line_of(news.now.what))}.{was}\nWhat to do: {line_of(news.now.mend)}\n")


def stamp(instant: datetime, zone: ZoneInfo) -> str:
    """An instant in the MSP's zone: `2026-11-20 10:00`."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"


def line_of(text: str) -> str:
    """Text of others as one line: no control characters, no marks that reorder or hide, no endless length."""
    kept = (" " if one.isspace() or unicodedata.category(one) == "Cc" else one for one in text)
    shown = "".join(one for one in kept if unicodedata.category(one) not in ("Cf", "Cs", "Co", "Zl", "Zp"))
    return _cut(" ".join(shown.split()), _LONGEST).rstrip(".")


def _line(one: News, zone: ZoneInfo) -> str:
    now = one.now
    since = f"since {stamp(one.since, zone)}"
    if one.word is Word.OVER:
        return f"{now.kind}: {line_of(now.what)} ({since})"
    grown = ""
    if one.word is Word.GROWN and one.before is not None:
        was = _was(one.before, now)
        grown = f"; before: {one.before.kind}, {was}" if one.before.kind != now.kind else f"; before: {was}"
    return f"{now.kind}: {line_of(now.what)} ({since}{grown}). {line_of(now.mend)}."


def _was(before: Condition, now: Condition) -> str:
    """How much it was; and of whom, where it is of others now."""
    whom = f", {line_of(listed(before.customers))}" if before.customers and reaches_further(before, now) else ""
    return _amount(before) + whom


def _amount(condition: Condition) -> str:
    money = ""
    if condition.money is not None and condition.currency:
        money = f", {plain_money(condition.money, condition.currency)} {condition.currency} a period"
    return f"{plain(condition.size)}{money}"


def _subject(news: Sequence[News]) -> str:
    """`syncd: 2 held, 1 failed, 1 over; 154.00 USD a period`"""
    standing = [one.now for one in news if one.word is not Word.OVER]
    kinds = Counter(one.kind for one in standing)
    parts = [f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda one: (-one[1], one[0]))]
    if len(standing) < len(news):
        parts.append(f"{len(news) - len(standing)} over")
    worth = _sums(standing)
    return _cut("syncd: " + ", ".join(parts) + (f"; {worth} a period" if worth else ""), SUBJECT)


def _counts(news: Sequence[News]) -> str:
    words = Counter(one.word for one in news)
    named = {Word.NEW: "new", Word.GROWN: "grown or changed", Word.REPEATED: "still there", Word.OVER: "over"}
    return ", ".join(f"{words[word]} {named[word]}" for word in Word if words[word]) + "."


def _sums(found: Iterable[Condition]) -> str:
    """The money of all of them, by currency; "" where none is priced."""
    sums: dict[str, Decimal] = {}
    for one in found:
        if one.money:
            sums[one.currency] = sums.get(one.currency, ZERO) + abs(one.money)
    return " + ".join(f"{plain_money(amount, name)} {name}" for name, amount in sorted(sums.items()))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
