"""The pages for people: what they show, in what order, and that what others wrote stays text."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from web_kit import (
    DIGEST,
    NASTY,
    NOW,
    SUBJECTS,
    ZONE,
    Browser,
    board_with,
    config,
    cycle,
    intent,
    line,
    one_cycle,
    plan,
)

from syncd.core.entries import EntryState
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import Mode
from syncd.ledger import Ledger
from syncd.model import Operation, State
from syncd.web import books, show
from syncd.web.board import Board


def words(page: str) -> str:
    """The page's text without its tags, blanks made single."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_overview_tells_leaking_and_overbilled_money_alike(shared_ledger: Ledger) -> None:
    made = plan(
        line("Alder", amount="56.00"),
        line("Birch", amount=None),
        line("Cedar", used="20", billed="23", findings=("overbilling",), amount="-84.00", action=Action.HOLD),
        line("Dogwood", findings=("leakage",), amount="1200", currency="EUR"),
    )
    text = words(Browser(board_with(cycle(made, waiting=1)), shared_ledger).get("/").text)

    assert "Leaking each period 1,200.00 EUR 56.00 USD 3 lines, 1 without a known price" in text
    assert "Overbilled each period 84.00 USD 1 line" in text
    assert "1 change waits for a person." in text
    assert "Cycle c000007 ended 2 min ago (09:58), took" in text


def test_every_finding_says_what_it_means(shared_ledger: Ledger) -> None:
    named = [
        "changed amount",
        "invoiced elsewhere",
        "negative quantity",
        "oscillation",
        "sku not seen",
        "unknown meter",
    ]
    made = plan(*(line(f"Customer {one}", findings=(one, "threshold 80% of 50")) for one in named))
    text = words(Browser(board_with(cycle(made)), shared_ledger).get("/").text)

    assert "changed amount what syncd posted shows other money now 1" in text
    assert all(f"{one} {show.FINDING_WORDS[one]} 1" in text for one in named)
    assert "threshold 80% of 50 6" in text  # its name says it all


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (cycle(plan(line(findings=(), action=Action.NONE))), "Everything that is used is billed."),
        (cycle(plan(line(action=Action.SETTLE))), "1 line differs. Nothing waits for you."),
        (cycle(plan(line(action=Action.BLOCKED)), waiting=2), "1 line cannot be judged until something is mended."),
        (cycle(plan(line()), in_doubt=1), "1 posting went out and the answer was lost. syncd keeps looking."),
        (cycle(plan(line(), suspects={"m365": "fell"})), "m365 fell too far to be believed."),
        (None, "The first cycle is running."),
    ],
)
def test_the_overview_begins_with_the_one_thing_to_know(shared_ledger: Ledger, made: object, sentence: str) -> None:
    page = Browser(board_with(made), shared_ledger).get("/").text  # type: ignore[arg-type]

    assert f"<h1>{sentence}" in page


def test_the_overview_tells_faults_of_the_files_in_full(shared_ledger: Ledger) -> None:
    board = board_with(cycle(plan(line())))
    board.faulty(('mappings/a.toml › rule "Premium" › count.from: unknown connection "m356". Did you mean "m365"?',))
    page = words(Browser(board, shared_ledger).get("/").text)

    assert "The files have faults. Cycles are skipped until they are mended." in page
    assert "Did you mean &#34;m365&#34;?" in page


def test_drift_lists_the_most_urgent_first_and_leaves_out_what_is_well(shared_ledger: Ledger) -> None:
    made = plan(
        line("Settling", action=Action.SETTLE),
        line("Well", findings=(), action=Action.NONE),
        line("Held small", action=Action.HOLD, amount="1"),
        line("Held large", action=Action.HOLD, amount="-500"),
        line("Blocked", action=Action.BLOCKED),
        line("Shelf", action=Action.NONE, findings=("shelfware",)),
    )
    browser = Browser(board_with(cycle(made)), shared_ledger)

    def customers(url: str) -> list[str]:
        return re.findall(r'<td class="who"><strong>([^<]+)', browser.get(url).text)

    assert customers("/drift") == ["Blocked", "Held large", "Held small", "Settling", "Shelf"]
    assert customers("/drift?action=hold") == ["Held large", "Held small"]
    assert customers("/drift?action=all&customer=Well") == ["Well"]
    assert customers("/drift?customer=Nobody") == []
    assert len(customers("/drift?action=all")) == 6


def test_a_number_that_is_not_known_shows_its_state_and_no_number(shared_ledger: Ledger) -> None:
    one = line(
        used=None,
        bought=Decimal(30),
        states={"used": State.PARTIAL, "billed": State.KNOWN, "bought": State.KNOWN},
        action=Action.BLOCKED,
    )
    page = Browser(board_with(cycle(plan(one))), shared_ledger).get("/drift").text

    assert '<td class="n"><span class="unsure">partial</span></td>' in page
    assert '<td class="n">30</td>' in page


def test_drift_is_cut_into_pages(shared_ledger: Ledger) -> None:
    made = plan(*(line(f"Customer {number:04}") for number in range(show.LINES_PAGE + 3)))
    browser = Browser(board_with(cycle(made)), shared_ledger)
    first, second = (browser.get(f"/drift?page={number}").text for number in (1, 2))

    assert first.count('<td class="who">') == show.LINES_PAGE
    assert second.count('<td class="who">') == 3
    assert "201 to 203 of 203 lines" in words(second)
    assert browser.get("/drift?page=0").status == 404
    assert browser.get("/drift?page=x").status == 404


OURS = frozenset(
    "action alt aria-current aria-hidden aria-label charset class content for height href id lang method name rel rx "
    "selected src title type value width".split()
)


class Seen(HTMLParser):
    """The names of all attributes on a page."""

    names: set[str]

    @classmethod
    def of(cls, page: str) -> set[str]:
        parser = cls()
        parser.names = set()
        parser.feed(page)
        return parser.names

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}


@pytest.fixture
def nasty(ledger: Ledger) -> Browser:
    """A site in which everything that others write is hostile."""
    ids = one_cycle(ledger, intent(1, NASTY, why=NASTY, rule=NASTY), intent(2, NASTY, state=EntryState.PLANNED))
    made = plan(
        line(NASTY, rule=NASTY, reason=NASTY, findings=("leakage", NASTY)),
        errors=(ReadError("m365", NASTY, "malformed", NASTY), ReadError("cw", "", "malformed", NASTY)),
        suspects={"m365": NASTY},
    )
    board = board_with(cycle(made, waiting=1, entries=tuple(ledger.entries())))
    board.failed(NASTY)
    board.doubted(NASTY)
    browser = Browser(board, ledger)
    browser.ids = ids  # type: ignore[attr-defined]
    return browser


def test_what_others_wrote_stays_text_on_every_page(nasty: Browser) -> None:
    ids: list[str] = nasty.ids  # type: ignore[attr-defined]
    for url in ("/", "/drift", "/drift?action=all", "/held", "/ledger", *(f"/ledger/{one}" for one in ids)):
        answer = nasty.get(url)

        assert answer.status == 200, url
        assert "&lt;script&gt;alert" in answer.text, url
        assert "<script" not in answer.text, url
        assert "\x1b" not in answer.text, url
        assert "\u202e" not in answer.text, url
        # Its quotes end no attribute: a parser finds nothing but what the templates wrote.
        assert Seen.of(answer.text) <= OURS, url


def test_held_names_the_exact_command(ledger: Ledger) -> None:
    held, planned = one_cycle(ledger, intent(1), intent(2, "Fabrikam", state=EntryState.PLANNED))
    page = Browser(board_with(cycle(plan(line()), waiting=1)), ledger).get("/held").text

    assert f'syncd approve {held} --by "YOUR NAME"' in page
    assert f'syncd reject {held} --why "REASON" --by "YOUR NAME"' in page
    assert planned not in page
    assert "not available yet" in page
    assert "Held since 2026-11-20 10:00: increase is hold" in words(page)


def test_the_ledger_shows_the_newest_first_with_what_was_asked_for_by_hand(ledger: Ledger) -> None:
    moments = iter([NOW.replace(minute=minute) for minute in range(60) for _ in range(10)])
    ledger._clock = lambda: next(moments)
    ids = [*one_cycle(ledger, intent(1)), *one_cycle(ledger, intent(2)), *one_cycle(ledger)]
    by_hand = [entry.id for entry in ledger.write("", (), [intent(3, "Fabrikam")])]
    cut_off = ledger.begin_cycle("post", NOW.astimezone(ZONE))
    unfinished = [entry.id for entry in ledger.write(cut_off, (), [intent(4, state=EntryState.PLANNED)])]
    browser = Browser(board_with(cycle(plan(line()))), ledger)

    def shown(url: str) -> list[str]:
        return re.findall(r'href="/ledger/([a-z2-7]{10,})"', browser.get(url).text)

    assert sorted(shown("/ledger")) == sorted([*ids, *by_hand, *unfinished])
    assert shown("/ledger") == [*unfinished, *by_hand, *reversed(ids)]
    assert shown("/ledger?state=planned") == unfinished
    assert shown("/ledger?customer=Fabrikam") == by_hand
    assert shown("/ledger?state=posted") == []


def test_more_entries_than_a_page_are_told(ledger: Ledger) -> None:
    one_cycle(ledger, *(intent(number) for number in range(books.PAGE + 1)))
    found = books.newest(ledger)

    assert (len(found.entries), found.more) == (books.PAGE, True)


def test_a_ledger_that_was_quiet_for_long_still_shows_its_last_entry(ledger: Ledger) -> None:
    browser = Browser(board_with(None), ledger)
    empty = words(browser.get("/ledger").text)
    [id_] = one_cycle(ledger, intent(1))
    for _ in range(3):
        one_cycle(ledger)

    assert "No entry yet." in empty
    assert f'href="/ledger/{id_}"' in browser.get("/ledger").text


def test_an_entry_is_explained_from_count_to_bytes(ledger: Ledger) -> None:
    [id_] = one_cycle(ledger, intent(1, state=EntryState.PLANNED))
    sending = ledger.sending(ledger.entries()[0])
    assert sending is not None
    ledger.settle(sending, EntryState.POSTED, note="read back as 27", remote_id="30900")
    page = Browser(board_with(cycle(plan(line()))), ledger).get(f"/ledger/{id_}").text
    text = words(page)

    assert "Set the quantity from 25 to 27 in cw, +56.00 USD . Done, and read back." in text
    assert "27 of 27 users in 1 page" in text
    assert "× 2" in text
    assert "used 37 less 10 included 27" in text
    assert "Who or what was counted: 2 of SPB Avery Brook active" in text
    assert "PATCH finance/additions/7" in text
    assert "[{&#34;op&#34;:&#34;replace&#34;,&#34;path&#34;:&#34;quantity&#34;,&#34;value&#34;:27}]" in page
    assert [*re.findall(r'<li class="t-(\w+)">', page)] == ["planned", "sending", "posted"]
    assert "read back as 27" in text
    assert "Record there 30900" in text


def test_an_entry_without_a_derivation_is_shown_all_the_same(ledger: Ledger) -> None:
    [id_] = one_cycle(ledger, intent(1, derivation={}, undo_of="abcdefghij", operation=Operation.SET_QUANTITY))
    answer = Browser(board_with(None), ledger).get(f"/ledger/{id_[:6]}")

    assert answer.status == 200
    assert "No count is kept with this entry." in answer.text


def test_an_id_that_could_be_several_or_none_is_not_guessed(ledger: Ledger) -> None:
    one_cycle(ledger, intent(1))
    browser = Browser(board_with(None), ledger)

    assert [browser.get(f"/ledger/{id_}").status for id_ in ("ab", "zzzzzz", "%3Cscript%3E")] == [404, 404, 404]


@pytest.mark.parametrize(
    ("operation", "before", "to", "text"),
    [
        (Operation.SET_QUANTITY, "25", "27", "+56.00 USD"),
        (Operation.SET_QUANTITY, "27", "25", "−56.00 USD"),
        (Operation.POST_CREDIT, "3", "1", "−56.00 USD"),
        (Operation.POST_LINE, "0", "2", "+56.00 USD"),
        (Operation.REPORT_USAGE, "0", "2", "+56.00 USD"),
        (Operation.REPORT_USAGE, "3", "1", "−56.00 USD"),
    ],
)
def test_money_is_signed_by_what_the_customer_pays(
    ledger: Ledger, operation: Operation, before: str, to: str, text: str
) -> None:
    # Dated lines must fit what the ledger sums; only the words are looked at here.
    one_cycle(ledger, intent(1))
    entry = ledger.entries()[0]
    changed = intent(1, operation=operation, before=before, to=to)

    assert show.entry_money(replace(entry, intent=changed)) == text


def test_a_ledger_that_cannot_be_read_is_said_calmly(ledger: Ledger) -> None:
    board = board_with(cycle(plan(line())))
    ledger.place.path.rename(ledger.place.path.with_suffix(".gone"))
    ledger.place.engine.dispose()
    answer = Browser(board, ledger).get("/held")

    assert answer.status == 503
    assert "cannot be opened" in answer.text
    assert Browser(board, ledger).get("/healthz").status == 200


def test_the_mode_in_force_is_shown(shared_ledger: Ledger) -> None:
    board = Board()
    board.configured(config(Mode.PROPOSE))

    assert '<span class="pill mode-propose"' in Browser(board, shared_ledger).get("/held").text


def test_the_subjects_of_the_kit_are_what_their_digest_says() -> None:
    assert sha256(SUBJECTS).hexdigest() == DIGEST
