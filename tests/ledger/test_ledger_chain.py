"""The chain, without a database: every edit shows, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.ledger.chain import Link, faults, genesis, link_hash

HOME = "abcdefgh"


def chain(length: int) -> list[Link]:
    links: list[Link] = []
    previous = genesis(HOME)
    for seq in range(1, length + 1):
        link = Link(seq, f"entry{seq % 3}", f"2026-11-20T16:00:{seq:02}", None, "planned", f'{{"n":{seq}}}')
        links.append(replace(link, hash=link_hash(previous, link)))
        previous = links[-1].hash
    return links


def check(links: list[Link], count: int, head: str) -> list[str]:
    return list(faults(HOME, links, count, head))


def test_a_whole_chain_has_no_fault() -> None:
    links = chain(5)
    assert check(links, 5, links[-1].hash) == []
    assert check([], 0, genesis(HOME)) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", '{"n":99}'),
        ("data", '{"n": 3}'),
        ("entry_id", "entry9"),
        ("at", "2027"),
        ("to_state", "posted"),
        ("from_state", ""),
        ("from_state", "held"),
        ("hash", "0" * 64),
    ],
)
def test_every_column_is_covered(field: str, value: Any) -> None:
    links = chain(5)
    head = links[-1].hash
    links[2] = replace(links[2], **{field: value})
    found = check(links, 5, head)
    assert found
    assert found[0].startswith("event 3 ")
    assert "does not match its hash" in found[0]


def rehashed(links: list[Link]) -> list[Link]:
    altered = replace(links[2], data='{"n":99}')
    links[2] = replace(altered, hash=link_hash(links[1].hash, altered))
    return links


def left_out(links: list[Link]) -> list[Link]:
    del links[2]
    return links


def renumbered(links: list[Link]) -> list[Link]:
    del links[2]
    return [replace(link, seq=seq) for seq, link in enumerate(links, 1)]


def swapped(links: list[Link]) -> list[Link]:
    links[1], links[2] = replace(links[2], seq=2), replace(links[1], seq=3)
    return links


def cut(links: list[Link]) -> list[Link]:
    return links[:3]


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        (rehashed, "event 4 "),
        (left_out, "event 3 is missing"),
        (renumbered, "event 3 "),
        (swapped, "event 2 "),
        (cut, "the record ends at event 3, but it had 5: the last 2 are missing"),
    ],
)
def test_attacks_are_found_and_placed(attack: Callable[[list[Link]], list[Link]], said: str) -> None:
    links = chain(5)
    head = links[-1].hash
    assert said in check(attack(links), 5, head)[0]


def test_a_cut_tail_with_its_head_shows_only_against_a_head_kept_elsewhere() -> None:
    links = chain(5)
    witness = links[-1].hash
    assert check(links[:3], 3, links[2].hash) == []  # declared in the module's own words
    assert check(links[:3], 5, witness)


def test_a_chain_belongs_to_one_installation() -> None:
    links = chain(2)
    assert next(iter(faults("zzzzzzzz", links, 2, links[-1].hash))).startswith("event 1 ")


@given(st.integers(1, 12), st.data())
def test_any_flipped_character_shows(length: int, data: st.DataObject) -> None:
    links = chain(length)
    head = links[-1].hash
    place = data.draw(st.integers(0, length - 1))
    text = links[place].data
    at = data.draw(st.integers(0, len(text) - 1))
    flipped = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
    links[place] = replace(links[place], data=flipped)
    assert check(links, length, head)
