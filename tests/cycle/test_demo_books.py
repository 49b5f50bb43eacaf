"""The demo's MSP through whole cycles: five books beside three that bill; what was raised since is told apart."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.changed_amounts import FINDING
from syncd.cycle import run_cycle
from syncd.demo import NAMES, Stage, start_doubles, write_files
from syncd.ledger import Ledger
from syncd.sandbox.world import small_msp

NOW = datetime(2026, 11, 20, 10, tzinfo=ZoneInfo("America/Chicago"))


@pytest.mark.slow
def test_the_demo_ties_out_but_for_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_NOW", NOW.isoformat())
    kinds = Kinds()
    world = small_msp(today=NOW.date())
    stage = Stage(world, start_doubles([kind for kind in kinds if kind in NAMES], world=world))
    try:
        config, mappings = load(write_files(tmp_path, stage, every=4, port=18999), kinds)
        with Ledger.open(config.database, lambda: NOW, folder=tmp_path) as ledger:
            ledger.claim("test")
            done = [run_cycle(config, mappings, kinds, ledger, lambda: NOW) for _ in range(3)][-1]
            stage.discounts("Elm Street Accounting", "9.50")
            after = run_cycle(config, mappings, kinds, ledger, lambda: NOW)
    finally:
        for one in stage.running.values():
            one.stop()

    assert done.plan.errors == ()
    ties = {(one.customer, one.connection): one for one in done.plan.tie_outs}
    assert ties["Koa Property Management", "altpay"].agrees is True
    gingko = ties["Gingko Architects", "netsuite"]
    raised = {row.product: str(row.since) for row in gingko.rows if row.since}
    assert list(raised) == ["M365-BP"]
    assert raised["M365-BP"].startswith("raised by 1 since the invoice of 2026-11-01 (entry ")
    assert gingko.reason.startswith("BACKUP: 18 billed, none invoiced (")  # the charge waits for its release
    fir = ties["Fir Logistics", "qbo"]  # raised by one, and two are missing in the books besides
    assert [row.since for row in fir.rows if row.product == "M365-BS"] == [None]
    assert [one.what for one in stage.running["netsuite"].double.effects] == ["create"]
    assert stage.running["alternative_payments"].double.effects == []
    koa = next(one for one in done.plan.lines if one.customer == "Koa Property Management" and one.invoiced is not None)
    assert (koa.connection, koa.billed, koa.invoiced, koa.findings) == ("cw", Decimal(6), Decimal(6), ())

    [elm] = [one for one in after.plan.lines if FINDING in one.findings]
    assert elm.customer == "Elm Street Accounting"
    assert "charges 100.00 USD for 21 instead of the 109.50 that syncd posted on 2026-11-20" in elm.reason
