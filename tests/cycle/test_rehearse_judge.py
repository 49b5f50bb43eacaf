"""What a rehearsal judges by: changes made twice, changes nobody asked for, and how faithfully the double stands in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rehearse_kit import play
from stage import ALDER, PREMIUM, Stage, rule

from syncd.model import Posting, Wire
from syncd.rehearse import Change
from syncd.rehearse.stage import OnStage

# Whole cycles into doubles, one after the other; the quick part of it is test_rehearse_guard.
pytestmark = pytest.mark.slow


# --- the judge --------------------------------------------------------------------------------------------------------


def test_a_change_that_was_made_twice_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect is sown: every request is sent twice. The double counts, whatever the ledger says."""
    stage.map(rule("Premium", PREMIUM, true_up="line"))
    once = OnStage.send

    def twice(self: OnStage, posting: Posting, wire: Wire) -> Any:
        once(self, posting, wire)
        return once(self, posting, wire)

    monkeypatch.setattr(OnStage, "send", twice)

    done = stage.run("rehearse", "--json")

    assert done.status == 1
    assert [(one["state"], one["effects"]) for one in done.json["entries"]] == [("unknown", 2)]
    assert not done.json["exactly_once"]
    assert not done.json["settled"]
    assert "1 NOT made exactly once" in done.json["sentence"]


def test_a_change_that_nobody_asked_for_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    once = OnStage.send

    def and_more(self: OnStage, posting: Posting, wire: Wire) -> Any:
        other = Wire(wire.method, wire.path, wire.body.replace(b"27", b"99"), wire.headers)
        self._inner.send(posting, other)
        return once(self, posting, wire)

    monkeypatch.setattr(OnStage, "send", and_more)

    done = play(stage)

    assert (done.strays, done.once, done.exit_status) == (1, False, 1)


def test_what_still_waits_ends_with_3(stage: Stage) -> None:
    done = play(stage)

    assert replace(done, rests=False).exit_status == 3
    assert done.exit_status == 0
    assert not replace(done, changes=(Change(done.changes[0].entry, 0),)).once


# --- the double stands in faithfully ----------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["cancelled_day", "invoicing", "marker"])
def test_settings_of_the_real_connection_need_not_be_the_sandboxes(stage: Stage, option: str) -> None:
    settings = {"cancelled_day": "free", "invoicing": "arrears", "marker": "Sync Ref"}
    stage.configure(cw={option: settings[option]})
    stage.psa.inclusive = option != "cancelled_day"
    stage.map(rule("Premium", PREMIUM, true_up="line", decrease="now"))
    assert stage.cycle().status == 0
    stage.hire(ALDER, 1)
    stage.pass_time(hours=1)

    done = play(stage)

    assert (done.errors, done.once, done.exit_status) == ((), True, 0)
    assert [(one.entry.intent.before, one.entry.intent.to) for one in done.changes] == [(2, 3)]


@pytest.mark.parametrize(
    ("cycle", "starts", "period"),
    [
        ("Monthly", "2025-01-15", "2026-11-15/2026-12-14"),
        ("Quarterly", "2025-02-01", "2026-11-01/2027-01-31"),
        ("Annual", "2025-03-10", "2026-03-10/2027-03-09"),
    ],
)
def test_agreements_of_every_cycle_read_back_as_they_were(stage: Stage, cycle: str, starts: str, period: str) -> None:
    stage.psa.tables["finance/agreements"][1001] |= {
        "billingCycle": {"id": 1, "name": cycle},
        "invoicingCycle": "ContractYear",
        "billStartDate": f"{starts}T00:00:00Z",
        "nextInvoiceDate": "2027-03-10T00:00:00Z",
    }
    stage.map(rule("Premium", PREMIUM, true_up="line"))

    done = play(stage)

    assert (done.errors, done.exit_status) == ((), 0)
    assert [one.entry.intent.period for one in done.changes] == [period]


def test_a_customer_whose_lines_the_sandbox_cannot_show_is_left_out_and_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.connectwise import sandbox_fill

    honest = sandbox_fill._addition

    def wrong(line: Any) -> dict[str, Any]:
        row = honest(line)
        return {**row, "quantity": row["quantity"] + 1} if line.id == "30100" else row

    monkeypatch.setattr(sandbox_fill, "_addition", wrong)

    done = play(stage)

    assert done.exit_status == 1
    assert [(one.customer, one.code) for one in done.errors] == [(ALDER, "unsupported")]
    assert "cannot show line 30100 as it was read" in done.errors[0].message
    assert done.changes == ()
