"""The pages in a real browser: nothing beyond the window's edge, every word readable, nothing asked of anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from chromium import PROGRAM, Chromium
from web_kit import board_with, clock, cycle, intent, line, one_cycle, plan

from syncd.core.entries import EntryState
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.ledger import Ledger
from syncd.web import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed: apt-get install chromium"),
]
LONG = "Whitfield, Abernathy & Partners Accountants and Consultants (Manchester and Salford) Limited"
# What is drawn beyond the right edge of what holds it; a table that is meant to be moved sideways may.
WIDER = """
[...document.querySelectorAll("body *")]
  .filter(one => !one.closest(".scroll, pre") && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.tagName + "." + one.className)
"""
HIDDEN = (
    '[...document.querySelectorAll(".scroll")].map(one => one.scrollWidth - one.clientWidth).filter(one => one > 0)'
)
# Text that stands out less than WCAG 2.2 asks (1.4.3): 4.5 to 1, 3 to 1 where it is large.
FAINT = """
(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const over = (top, under) => {
    const alpha = top[3] === undefined ? 1 : top[3];
    return [0, 1, 2].map(index => top[index] * alpha + under[index] * (1 - alpha));
  };
  const ground = one => {
    const above = [];
    for (let node = one; node; node = node.parentElement) above.push(parts(getComputedStyle(node).backgroundColor));
    return above.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  return [...document.querySelectorAll("body *")]
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .filter(one => one.getClientRects().length)
    .map(one => {
      const style = getComputedStyle(one), under = ground(one), text = over(parts(style.color), under);
      const [a, b] = [light(text), light(under)].sort((x, y) => y - x);
      const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
      return [(a + 0.05) / (b + 0.05), large ? 3 : 4.5, one.className + ": " + one.textContent.trim().slice(0, 30)];
    })
    .filter(([ratio, least]) => ratio < least)
    .map(([ratio, , what]) => ratio.toFixed(2) + " " + what);
})()
"""


@pytest.fixture(scope="module")
def site(shared_ledger: Ledger) -> Iterator[Server]:
    """A house in which everything happened, with long names and large sums."""
    lines = [
        line(LONG, findings=("leakage", "books gap", "foreign edit"), amount="1234567.89", rule=f"{LONG} (per seat)"),
        *(
            line(f"{action} {LONG}", action=action, reason=f"a reason of some length, about {LONG}")
            for action in Action
        ),
        line("Cedar", used=None, amount=None, findings=("changed amount",), action=Action.BLOCKED),
        line("Dogwood", findings=("shelfware",), bought=Decimal(30), invoiced=Decimal(20), currency="EUR"),
    ]
    errors = (ReadError("m365", LONG, "consent", "the tenant has not agreed: " + "0123456789abcdef" * 8),)
    states = (EntryState.HELD, EntryState.PLANNED)
    one_cycle(shared_ledger, *(intent(n, LONG, state=state) for n, state in enumerate(states, start=9000)))
    running = Server("127.0.0.1", 0, board_with(cycle(plan(*lines, errors=errors), waiting=3)), shared_ledger, clock)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(params=["/", "/drift", "/drift?action=all", "/held", "/ledger", "entry", "/nowhere"])
def page(request: pytest.FixtureRequest, site: Server, shared_ledger: Ledger) -> str:
    """The address of each page."""
    entry = shared_ledger.entries(limit=1, newest=True)[0].id
    return site.url + (f"/ledger/{entry}" if request.param == "entry" else str(request.param))


@pytest.mark.parametrize("width", [1280, 900, 390])
def test_nothing_is_drawn_beyond_the_edge(browser: Chromium, page: str, width: int) -> None:
    browser.open(page, width=width)

    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(WIDER) == []
    if width == 1280:
        assert browser.ask(HIDDEN) == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_stands_out(browser: Chromium, page: str, dark: bool) -> None:
    browser.open(page, dark=dark)

    assert browser.ask('matchMedia("(prefers-color-scheme: dark)").matches') is dark
    assert browser.ask("document.body.innerText.length") > 50
    assert browser.ask(FAINT) == []


def test_nobody_else_is_asked_and_nothing_is_complained_of(browser: Chromium, page: str, site: Server) -> None:
    browser.asked.clear()
    browser.told.clear()
    browser.open(page)

    assert browser.ask("document.title")
    assert f"{site.url}/static/site.css" in " ".join(browser.asked)
    assert [one for one in browser.asked if not one.startswith(site.url)] == []
    complaints = [one for one in browser.told if "404" not in one]  # the page that is not there says so
    assert complaints == []
