"""What could belong together, with a score and the reason: proposals for a person, never a mapping.

Owns the nouns of a proposal and the choice among candidates. Who resembles whom is judged in `suggest_customers` and
`suggest_rules`. What always holds: nothing is proposed where two candidates are near, in either direction, so no id is
proposed for two; the order in which systems tell their customers and products changes nothing. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from syncd.core.keys import digest

L = TypeVar("L", bound=Hashable)
R = TypeVar("R", bound=Hashable)

# What each kind of evidence is worth. The gaps are meant: see NEAR.
SAME_ID = 100
SAME_KEY = 97
SAME_DOMAIN = 95
SAME_NAME = 90
SAME_BUT_FORM = 88
SAME_LABEL = 82
MOST_FOR_ALIKE = 75
# A name that agrees besides a key.
AGREES = 5
# Names less alike than this (of 100) are not spoken of.
ALIKE = 85
# Candidates whose scores differ by less than this are both possible: a person decides. Ids outweigh a name, a domain
# does not, and names that are merely alike never rival one that is the same.
NEAR = 10


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A customer or a rule as it could be written. `extends`: the name of the mapped one that would only get `block`'s
    keys; empty where it is new. `ids`: (connection, id) of all that it would map.

    `score` is 0 to 100 and not a probability; 100 is a shared id.
    """

    kind: Literal["customer", "rule"]
    name: str
    score: int
    reason: str
    block: Mapping[str, Any] = field(hash=False)
    ids: tuple[tuple[str, str], ...]
    extends: str = ""

    @property
    def mark(self) -> str:
        """Names this proposal for ever: what it would map, not how it scored."""
        return digest("suggest", self.kind, self.extends, *(part for one in self.ids for part in one))[:10]


@dataclass(frozen=True, slots=True, order=True)
class Open:
    """Something unmapped for which nothing is proposed. `near`: whether candidates were found that a person must
    choose from."""

    kind: Literal["customer", "product"]
    connection: str
    id: str
    name: str
    reason: str
    near: bool = False


@dataclass(frozen=True, slots=True)
class Pair(Generic[L, R]):
    """Two records that may be one, and why (a clause: "the domain contoso.com is the same")."""

    left: L
    right: R
    score: int
    reason: str


def pick(pairs: Iterable[Pair[L, R]]) -> tuple[tuple[Pair[L, R], ...], dict[L, tuple[Pair[L, R], ...]]]:
    """(pairs that have no near rival on either side, for every other left its near candidates and their rivals)."""
    by_left: dict[L, list[Pair[L, R]]] = defaultdict(list)
    by_right: dict[R, list[Pair[L, R]]] = defaultdict(list)
    for pair in pairs:
        by_left[pair.left].append(pair)
        by_right[pair.right].append(pair)
    chosen, doubtful = [], {}
    for left, candidates in by_left.items():
        near = _near(candidates)
        rivals = {rival for one in near for rival in _near(by_right[one.right])}
        if len(near) == 1 and rivals == set(near):
            chosen.append(near[0])
        else:
            doubtful[left] = tuple(
                sorted({*near, *rivals}, key=lambda one: (-one.score, str(one.left), str(one.right)))
            )
    return tuple(sorted(chosen, key=lambda one: (str(one.left), str(one.right)))), doubtful


def _near(candidates: list[Pair[L, R]]) -> list[Pair[L, R]]:
    best = max(one.score for one in candidates)
    return [one for one in candidates if one.score > best - NEAR]


def ranked(found: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    """Customers before rules, the surest first."""
    return tuple(sorted(found, key=lambda one: (one.kind, -one.score, one.name, one.ids)))


def told(names: Iterable[str]) -> str:
    """At most four names, and how many more."""
    found = sorted(set(names))
    return ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
