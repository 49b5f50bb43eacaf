"""What syncd is compared with: programs that download and parse the same pages, and do nothing else.

    python rivals.py bare FOLDER ADDRESS THREADS     (a) same HTTP library, same threads for each connection
    python rivals.py naive FOLDER ADDRESS            (b) one request after the other, as a first script does it

Both know all requests beforehand, from the recording: no page waits for a link in the one before, no tenant for its
token. That is less work than any real reader has, so both are lower bounds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import httpx
import msgspec
from replay import Exchange, read_tape


def bare(requests: list[Exchange], address: str, threads: int) -> int:
    """Every connection's requests through one client and one pool of threads; tokens first. Returns bytes read."""

    def fetch(client: httpx.Client, one: Exchange) -> int:
        answer = client.request(one.method, one.target, headers=one.headers, content=one.body)
        answer.raise_for_status()
        msgspec.json.decode(answer.content)
        return len(answer.content)

    def all_of(group: list[Exchange]) -> int:
        with (
            httpx.Client(base_url=address, verify=False, trust_env=False) as client,
            ThreadPoolExecutor(threads) as pool,
        ):
            return sum(pool.map(lambda one: fetch(client, one), group))

    groups = [list(group) for _, group in groupby(sorted(requests, key=_group), key=lambda one: one.group)]
    with ThreadPoolExecutor(len(groups)) as pool:
        return sum(pool.map(all_of, groups))


def _group(one: Exchange) -> tuple[str, bool]:
    return one.group, "/token" not in one.target


def naive(requests: list[Exchange], address: str) -> int:
    """One after the other, parsed with the standard library. Returns bytes read."""

    def answers() -> Iterator[int]:
        with httpx.Client(base_url=address, verify=False, trust_env=False) as client:
            for one in requests:
                answer = client.request(one.method, one.target, headers=one.headers, content=one.body)
                answer.raise_for_status()
                json.loads(answer.content)
                yield len(answer.content)

    return sum(answers())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", folder, address, threads]:
            print(bare(read_tape(Path(folder) / "requests"), address, int(threads)))
        case ["naive", folder, address]:
            print(naive(read_tape(Path(folder) / "requests"), address))
        case _:
            raise SystemExit(__doc__)
