"""kill -9 at every step of a document that two postings share (RELIABILITY, T1, T2, with the books).

What the books' double made is asked afterwards: one document, both lines in it, to the same bytes as without a death.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from death_books import BooksStage, credit_memo, estimate
from death_points import instants
from death_stage import QUIET, Scene, Stage, Zygote, keep
from test_death_posting import asked_of, half_written, judge, killed_while_held, survive, twice

from syncd.core.entries import EntryState
from syncd.cycle import posting

pytestmark = pytest.mark.slow
BOOK_SCENES: dict[str, Callable[[Stage], None]] = {"estimate": estimate, "credit_memo": credit_memo}


@pytest.fixture(scope="module")
def books(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Scene]]:
    """A scene by its name, played once without a death."""
    stage = BooksStage(tmp_path_factory.mktemp("books") / "stage", zygote)
    played: dict[str, Scene] = {}

    def get(name: str) -> Scene:
        if name not in played:
            played[name] = Scene.play(stage, tmp_path_factory.mktemp("moments"), BOOK_SCENES[name])
        return played[name]

    yield get
    stage.close()


def test_two_postings_share_one_claim_one_request_and_two_looks(books: Callable[[str], Scene]) -> None:
    played = books("estimate")
    names = {part.split(":")[0] for step in played.steps for part in step.name.split("/")}
    # What the PSA's scenes cannot reach (test_death_posting) is a step here.
    assert "ledger.sending_together" in names
    assert {f"books.{one}" for one in asked_of(posting, "connection")} <= names
    documents = {tuple(effect.split()[:2]) for effect in played.end.effects}
    assert len(documents) == 1
    assert len(played.end.entries) == 2
    assert len({entry[4] for entry in played.end.entries}) == 1  # both name the same document


def test_a_death_half_way_through_the_request_and_the_answer(books: Callable[[str], Scene]) -> None:
    played = books("estimate")
    deaths = {point: step for step, point in instants(played.steps) if point in (10, 13)}
    for point, step in deaths.items():
        survive(played, step, point)
    assert len(deaths) == 2


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", BOOK_SCENES)
def test_a_death_at_every_step_of_a_shared_document(books: Callable[[str], Scene], name: str) -> None:
    played = books(name)
    deaths = [(step, point) for step, point in instants(played.steps) if 4 < point < 17]
    deaths = deaths if name == "estimate" else deaths[::3]  # the steps are the same, in other tables of the books
    for step, point in deaths:
        survive(played, step, point)
    assert len(deaths) >= 10


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("acts", "late"), [("before", False), ("after", False), ("after", True), ("never", False)])
def test_the_books_have_the_request_in_their_hand(books: Callable[[str], Scene], acts: str, late: bool) -> None:
    played = books("estimate")
    killed_while_held(played, acts, lands_late=late)
    flying = EntryState.UNKNOWN if late else EntryState.SENDING
    assert {entry.state for entry in played.stage.entries()} == {flying}
    played.judge(acts)


@pytest.mark.timeout(600)
def test_a_second_death_while_one_of_two_lines_is_settled(books: Callable[[str], Scene]) -> None:
    """The first line is found, and the process dies before the other is looked for."""
    played = books("estimate")
    killed_while_held(played, "before")
    moment = keep(played.stage, played.scratch)
    hit = twice(
        played, [(moment, played.stage.steps_of("run", "--once", "--json"))], lambda _, point: point in (19, 20, 15)
    )
    assert hit[20]


@pytest.mark.timeout(300)
def test_a_death_in_the_renewal_of_the_sign_in(books: Callable[[str], Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    """Crash point 22: the books renew the token at every sign-in, and the process dies before, while or after it keeps
    the new one. The one before lives for another day."""
    monkeypatch.setattr("connectors.quickbooks.sandbox_front.ROTATES", timedelta(0))
    played = books("estimate")
    stage = played.stage
    steps = [step for step in played.steps if step.name.startswith("books.sign_in/")]
    assert {step.phase for step in steps} == {"before", "half", "after"}
    for step in steps:
        played.die(step)
        half_written(stage, step)
        stage.now += QUIET
        judge(played, 22, step)
