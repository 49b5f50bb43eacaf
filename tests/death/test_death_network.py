"""A bad network between syncd and the PSA: each fault at each request of a posting cycle (T3), over the real command.

The vendor's own answers that are lost or wrong are in tests/cycle/test_lost_answers.py; here it is the bytes between.
Refused connections and name look-ups are there and in the outcome table's own tests.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator

import pytest
from death_proxy import DELIVERED, Proxy, Strike
from death_stage import BIRCHWOOD, QUIET, End, Scene, put_back, rest, whole

from syncd.core.entries import EntryState

WRITE = {
    "set_quantity": ("PATCH", r"/additions/\d+$"),
    "add_line": ("POST", r"/additions$"),
    "end_line": ("PATCH", r"/additions/\d+$"),
    "post_line": ("POST", r"/additions$"),
    "post_credit": ("POST", r"/additions$"),
}
# A vendor without keys makes two of a request that arrives twice; that is another test's matter.
CREATES = frozenset({"add_line", "post_line", "post_credit"})


@pytest.fixture
def through(scene: Callable[[str], Scene]) -> Iterator[Callable[[str], tuple[Scene, Proxy]]]:
    """A scene that reaches its PSA through a proxy, and has little patience."""
    proxies: list[Proxy] = []

    def get(name: str) -> tuple[Scene, Proxy]:
        played = scene(name)
        put_back(played.stage, played.start)
        proxies.append(Proxy(played.stage._serving.url))
        played.stage.configure(url=proxies[-1].url, timeout="0.3s")
        return played, proxies[-1]

    yield get
    for one in proxies:
        one.close()


def struck(played: Scene, proxy: Proxy, strike: Strike) -> int:
    """One run in which a request is struck; its exit status."""
    proxy.aim(strike)
    status = played.stage.run()
    assert proxy.struck, f"it never came to {strike}"
    return status


def at_write(played: Scene, proxy: Proxy, name: str, kind: str) -> None:
    """The write itself is struck."""
    before = len(played.stage.psa.effects)
    status = struck(played, proxy, Strike(kind, *WRITE[name]))
    delivered = DELIVERED[kind]
    states = [one.state for one in played.stage.entries()][before:]
    if delivered:
        assert states == [EntryState.POSTED]  # found by looking, at once
    else:
        assert (status, states) == (1, [EntryState.UNKNOWN])  # and shown as such in this cycle
        assert played.stage.run() == 1  # not repeated while the request may still arrive
        assert len(played.stage.psa.effects) == before
        played.stage.now += QUIET
    rest(played.stage)
    assert End.of(played.stage) == played.end, kind
    assert whole(played.stage)


@pytest.mark.parametrize("kind", ["too short", "twice"])
def test_a_fault_at_the_write(through: Callable[[str], tuple[Scene, Proxy]], kind: str) -> None:
    at_write(*through("set_quantity"), "set_quantity", kind)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", DELIVERED)
def test_every_fault_at_every_write(through: Callable[[str], tuple[Scene, Proxy]], kind: str) -> None:
    for name in WRITE:
        if kind == "late" or (kind == "twice" and name in CREATES):
            continue
        at_write(*through(name), name, kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CREATES - {"add_line"}))
def test_a_create_that_the_network_doubles_is_told_and_nothing_is_added(
    through: Callable[[str], tuple[Scene, Proxy]], name: str
) -> None:
    """No client can prevent it where the vendor has no keys. The mark shows it: a sentence names both records."""
    played, proxy = through(name)
    before = len(played.stage.psa.effects)
    assert struck(played, proxy, Strike("twice", *WRITE[name])) == 1
    for _ in range(3):
        assert played.stage.run() == 1
        shown = json.loads((played.stage.folder / f"out-{played.stage._runs}").read_text())
        assert any("bear the mark" in one["message"] and "by hand" in one["message"] for one in shown["errors"])
        played.stage.now += QUIET
    assert len(played.stage.psa.effects) == before + 2
    surplus = int(played.stage.psa.effects[-1].record)
    del played.stage.psa.tables["additions"][surplus]  # the person does as told
    rest(played.stage)
    assert whole(played.stage)
    assert len(played.stage.psa.effects) == before + 2


def late(played: Scene, proxy: Proxy, name: str) -> None:
    """The request is lost on the way, and arrives while syncd waits for it: it is found, and not sent again."""
    before = len(played.stage.psa.effects)
    assert struck(played, proxy, Strike("late", *WRITE[name])) == 1
    assert played.stage.run() == 1
    assert len(played.stage.psa.effects) == before
    proxy.deliver()
    assert len(played.stage.psa.effects) == before + 1
    played.stage.now += QUIET
    rest(played.stage)
    assert End.of(played.stage) == played.end
    assert whole(played.stage)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITE)
def test_every_request_that_arrives_late_is_found(through: Callable[[str], tuple[Scene, Proxy]], name: str) -> None:
    late(*through(name), name)


@pytest.mark.slow
def test_an_old_value_that_lands_after_a_newer_one_is_seen_and_not_overwritten(
    through: Callable[[str], tuple[Scene, Proxy]],
) -> None:
    """Later than any request lives: the vendor shows 27 again where 30 was posted. A person is asked, nothing moves."""
    played, proxy = through("set_quantity")
    stage = played.stage
    assert struck(played, proxy, Strike("late", *WRITE["set_quantity"])) == 1
    delayed, proxy.kept = proxy.kept, []
    stage.now += QUIET
    assert stage.run() == 0  # sent again: 27
    seats = stage.folder / "seats.csv"
    seats.write_text(seats.read_text().replace(",27", ",30"))
    stage.now += QUIET * 4
    assert stage.run() == 0
    assert [one.detail["quantity"]["to"] for one in stage.psa.effects] == [27, 30]
    proxy.kept = delayed
    proxy.deliver()
    assert [one.detail["quantity"]["to"] for one in stage.psa.effects] == [27, 30, 27]
    stage.now += QUIET * 4
    assert stage.run() == 3
    shown = json.loads((stage.folder / f"out-{stage._runs}").read_text())
    [line] = shown["lines"]
    assert line["action"] == "hold"
    assert "syncd wrote 30, the line was changed" in line["reason"]
    assert len(stage.psa.effects) == 3
    assert stage.run("approve", "--all", "--by", "Dana") == 0
    rest(stage)
    assert stage.psa.effects[-1].detail["quantity"]["to"] == 30
    assert whole(stage)


def sites(played: Scene) -> list[tuple[str, str]]:
    """Every address that a cycle reads from, once: (method, pattern)."""
    found = {}
    for step in played.steps:
        if match := re.search(r"/(GET) (\S+) write$", step.name):
            found[match[2]] = (match[1], "/" + re.escape(match[2]).replace(r"\#", r"\d+") + "$")
    return list(found.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [kind for kind in DELIVERED if kind != "late"])
def test_every_fault_at_every_read(through: Callable[[str], tuple[Scene, Proxy]], kind: str) -> None:
    """A spoiled read is repeated or is an error; it is never a number, and what was due is posted once."""
    played, proxy = through("post_line")
    addresses = sites(played)
    assert len(addresses) > 6
    for method, path in addresses:
        put_back(played.stage, played.start)
        played.stage.configure(url=proxy.url, timeout="0.3s")
        status = struck(played, proxy, Strike(kind, method, path))
        assert status in (0, 1), path
        assert len(played.stage.psa.effects) <= len(played.end.effects)
        rest(played.stage)
        assert End.of(played.stage) == played.end, (kind, path)
        assert whole(played.stage)


def test_nobody_listens(scene: Callable[[str], Scene]) -> None:
    """Refused connections are certainly not received: nothing is in doubt, and the next cycle posts."""
    played = scene("post_line")
    put_back(played.stage, played.start)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    played.stage.configure(url=f"http://127.0.0.1:{port}")
    assert played.stage.run() == 1
    assert [one for one in played.stage.entries() if one.intent.customer == BIRCHWOOD] == []
    played.stage.configure(url=played.stage._serving.url)
    played.judge("nobody listened")
