"""A rehearsal: real reads once, sandbox writes, the real system and the real ledger as they were."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rehearse_kit import play, untouched
from stage import ALDER, BIRCHWOOD, DOGWOOD, ELM, EXCHANGE, PREMIUM, STANDARD, VISIO, Done, Stage, rule

from syncd.connect.registry import Kinds
from syncd.errors import UserFault
from syncd.ledger import Ledger
from syncd.rehearse.mischief import Killed
from syncd.sandbox.kit import Effect

Raise = Callable[..., Stage]
# Whole cycles into doubles, one after the other; the quick part of it is test_rehearse_guard.
pytestmark = pytest.mark.slow


def outcomes(done: Done) -> dict[str, str]:
    return {line["customer"]: line["outcome"] for line in done.json["lines"]}


def test_what_would_be_posted_is_posted_into_a_sandbox_and_nowhere_else(stage: Stage) -> None:
    stage.configure(mode="observe", settle=2)

    done = stage.run("rehearse", "--json")

    assert done.status == 0, done.err
    (entry,) = done.json["entries"]
    assert (entry["customer"], entry["from"], entry["to"], entry["state"], entry["effects"]) == (
        ALDER, "25", "27", "posted", 1,
    )  # fmt: skip
    assert set(outcomes(done).values()) == {"on target"}
    assert done.json["plan"]["lines"][0]["billed"] == "25"  # what the real system says stands beside it
    assert done.json["sentence"] == "1 changes, every change exactly once."
    assert untouched(stage)


def test_the_real_systems_are_read_as_often_as_by_plan(stage: Stage) -> None:
    assert stage.run("plan").status == 3
    once = len(stage.psa.requests), len(stage.graph.double.requests)

    assert stage.run("rehearse").status == 0

    assert (len(stage.psa.requests), len(stage.graph.double.requests)) == (2 * once[0], 2 * once[1])


def test_the_table_tells_the_change_its_effects_and_the_closing_figures(raise_stage: Raise) -> None:
    stage = raise_stage(4)

    done = stage.run("rehearse")

    assert done.status == 0
    for words in ("Would have been posted", "25 → 27", "Held for a person", DOGWOOD, "1 held", "exactly once"):
        assert words in done.out


def test_what_is_held_stays_held_and_is_told(raise_stage: Raise) -> None:
    stage = raise_stage(4)

    done = stage.run("rehearse", "--json")

    assert done.status == 0
    assert outcomes(done)[DOGWOOD] == "held"
    held = [one for one in done.json["entries"] if one["state"] == "held"]
    assert [(one["customer"], one["effects"]) for one in held] == [(DOGWOOD, 0)]
    assert untouched(stage)


def test_with_approve_held_it_goes_on(raise_stage: Raise) -> None:
    stage = raise_stage(4)

    done = stage.run("rehearse", "--approve-held", "--json")

    assert done.status == 0
    assert outcomes(done)[DOGWOOD] == "on target"
    assert {(one["customer"], one["effects"]) for one in done.json["entries"]} == {(ALDER, 1), (DOGWOOD, 1)}
    assert untouched(stage)


def test_a_customer_that_only_observes_is_rehearsed_in_mode_post(stage: Stage) -> None:
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"mode": "observe"})

    done = stage.run("rehearse", "--json", SYNCD_MODE="observe")

    assert [one["state"] for one in done.json["entries"]] == ["posted"]
    assert untouched(stage)


def test_dated_lines_prorating_and_new_lines_are_rehearsed_too(raise_stage: Raise) -> None:
    stage = raise_stage(8)
    stage.map(
        rule("Premium", PREMIUM, prorate="daily"),
        rule("Standard", STANDARD, true_up="line"),
        rule("Exchange", EXCHANGE),
        rule("Visio", VISIO, create=True),
    )

    done = stage.run("rehearse", "--json")

    posted = [one for one in done.json["entries"] if one["state"] == "posted"]
    assert {one["operation"] for one in posted} == {"set_quantity", "post_line", "add_line"}
    assert {one["effects"] for one in posted} == {1}
    assert done.json["strays"] == 0
    assert untouched(stage)


def test_it_goes_on_from_a_copy_of_the_ledger(stage: Stage) -> None:
    stage.map(rule("Premium", PREMIUM, true_up="line"))
    assert stage.cycle().status == 0
    stage.hire(ALDER, 2)
    before = stage.entries(), len(stage.effects), len(stage.writes())
    stage.pass_time(hours=1)

    done = stage.run("rehearse", "--json")

    (entry,) = done.json["entries"]
    assert (entry["operation"], entry["from"], entry["to"], entry["effects"]) == ("post_line", "2", "4", 1)
    assert (stage.entries(), len(stage.effects), len(stage.writes())) == before
    assert stage.verified()


def test_a_running_daemon_is_no_hindrance_and_is_not_disturbed(stage: Stage) -> None:
    with Ledger.open(f"sqlite:///{stage.database}", lambda: stage.now, folder=stage.folder) as daemon:
        daemon.claim("run")

        assert stage.run("rehearse").status == 0

        assert daemon.begin_cycle("post", stage.now)  # its claim still holds


def test_what_could_not_be_read_is_told_and_the_rest_rehearsed(stage: Stage) -> None:
    stage.break_tenant(BIRCHWOOD, "consent")

    done = stage.run("rehearse", "--json")

    assert done.status == 1
    assert outcomes(done)[BIRCHWOOD] == "blocked"
    assert [(one["customer"], one["code"]) for one in done.json["errors"]] == [(BIRCHWOOD, "consent")]
    assert [one["customer"] for one in done.json["entries"]] == [ALDER]


def test_lines_that_could_not_be_read_are_not_made_up(stage: Stage) -> None:
    stage.psa.fail("html", path="agreements/1001/additions", times=99)

    done = stage.run("rehearse", "--json")

    assert done.status == 1
    assert outcomes(done)[ALDER] == "blocked"
    assert done.json["entries"] == []


def test_a_psa_that_does_not_answer_is_an_error_and_nothing_is_rehearsed_there(stage: Stage) -> None:
    stage.psa.fail("html", path="company/companies", times=99)

    done = stage.run("rehearse", "--json")

    assert done.status == 1
    assert set(outcomes(done).values()) == {"blocked"}
    assert untouched(stage)


def test_a_kind_without_a_sandbox_is_refused_by_the_name_of_its_connection(stage: Stage) -> None:
    kinds = {**Kinds(), "connectwise": replace(Kinds()["connectwise"], sandbox="")}  # type: ignore[type-var]

    with pytest.raises(UserFault, match=r'\[connections\.cw\]: the kind "connectwise" brings no sandbox'):
        play(stage, kinds)
    assert not stage.psa.requests


def test_a_sandbox_that_cannot_be_filled_is_refused(stage: Stage) -> None:
    graph = "connectors.microsoft365.sandbox:build"
    kinds = {**Kinds(), "connectwise": replace(Kinds()["connectwise"], sandbox=graph)}  # type: ignore[type-var]

    with pytest.raises(UserFault, match="cannot be filled with what was read yet"):
        play(stage, kinds)


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A web hook on loopback, and what it was told."""
    told: list[bytes] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port, told
        finally:
            server.shutdown()
            thread.join()


def test_nobody_is_alerted_by_a_rehearsal(raise_stage: Raise) -> None:
    stage = raise_stage(4)
    with listener() as (port, told):
        with stage.config_path.open("a", encoding="utf-8") as file:
            file.write(f'\n[[alerts]]\nto = "json://127.0.0.1:{port}"\non = ["held"]\n')

        assert stage.run("rehearse").status == 0
        assert told == []

        stage.cycle()
        assert told  # the same held change, in earnest, is told


# --- faults -----------------------------------------------------------------------------------------------------------


def test_faults_and_kills_leave_every_change_made_once(raise_stage: Raise) -> None:
    stage = raise_stage(5)
    stage.map(rule("Premium", PREMIUM), rule("Standard", STANDARD), rule("Visio", VISIO, create=True))

    done = stage.run("rehearse", "--faults", "--seed", "3", "--approve-held", "--json")

    told = done.json
    assert done.status == 0, done.err
    assert told["exactly_once"]
    assert {one["customer"]: one["effects"] for one in told["entries"]} == {ALDER: 1, DOGWOOD: 1, ELM: 1}
    faults, kills = told["interruptions"]["faults"], told["interruptions"]["kills"]
    assert sum(kills.values()) > 3
    assert {"drop_after", "500_after", "truncate"} & faults.keys()  # the answer was lost after the change was made
    assert f"{sum(faults.values()) + sum(kills.values())} interruptions" in told["sentence"]
    assert untouched(stage)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_msp_of_thirty_survives_every_seed(raise_stage: Raise, seed: int) -> None:
    stage = raise_stage(30)
    stage.map(
        rule("Premium", PREMIUM, prorate="daily"),
        rule("Standard", STANDARD, true_up="line"),
        rule("Exchange", EXCHANGE),
        rule("Visio", VISIO, create=True),
    )

    done = play(stage, faults=True, seed=seed, approve_held=True)

    assert done.once
    assert done.exit_status == 0
    assert len(done.changes) > 20
    assert done.faults + done.kills > len(done.changes)
    assert untouched(stage)


def test_a_process_that_dies_after_writing_down_leaves_a_whole_record(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an entry names (who held the seats) is durable with it, and not only at the end of its cycle."""
    write = Ledger.write

    def and_die(self: Ledger, *given: Any, **named: Any) -> Any:
        write(self, *given, **named)
        raise Killed("after writing the intentions down")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "write", and_die)
        with pytest.raises(Killed):
            stage.cycle()

    assert stage.entry()["state"] == "planned"
    assert stage.verified()
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27


def test_effects_are_what_the_double_noted_and_not_what_the_ledger_says(stage: Stage) -> None:
    from connectors.connectwise.sandbox_fill import times

    done = play(stage)
    posting = done.changes[0].entry.intent.posting

    assert times(stage.psa, posting) == 0  # the real one has seen none
    stage.psa.effects += [Effect("change_addition", "30100", {"quantity": {"from": 25, "to": Decimal(27)}})] * 2
    assert times(stage.psa, posting) == 2
    assert times(stage.psa, replace(posting, quantity=Decimal(26))) == 0


def test_the_scratch_folder_is_gone(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    assert stage.run("rehearse").status == 0

    assert list(scratch.iterdir()) == []
