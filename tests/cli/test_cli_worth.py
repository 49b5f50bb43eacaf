"""The demo's small MSP with every source: findings in money, and proposals by tenant and external id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.main import hoist, run
from syncd.clock import make_clock
from syncd.demo import DIRECT, NAMES, Stage, start_doubles, write_files
from syncd.sandbox.world import small_msp

KINDS = ["connectwise", "halopsa", "microsoft365", "partnercenter", "pax8", "http_json"]


@pytest.mark.slow
def test_the_demos_msp_shows_findings_in_money_and_its_tenants_propose_customers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.delenv("SYNCD_NOW", raising=False)
    world = small_msp(customers=12, today=make_clock()().date())
    running = start_doubles(KINDS, world=world)
    try:
        config = write_files(tmp_path, Stage(world, running), every=60, port=8730)

        def told(*words: str) -> Any:
            run(hoist(["--config", str(config), *words]))
            return capsys.readouterr().out

        plan = json.loads(told("plan", "--json"))
        assert plan["errors"] == []
        used = {(line["customer"], line["rule"]): line["used"] for line in plan["lines"]}
        for company in world.companies:  # what a declared API tells, and what a portal exports as a file
            assert used[company.name, "Backed-up devices"] is not None
            assert used[company.name, "Antivirus seats"] == str(company.devices)
        worth = {
            (line["customer"], name): (one["amount"], one["currency"], one["from"])
            for line in plan["lines"]
            for name, one in line["worth"].items()
        }
        assert worth == {
            ("Alder Dental Group", "leakage"): ("56.00", "USD", "cw"),
            # Bought at two costs at Pax8: the cost is the one that the PSA keeps on its line.
            ("Alder Dental Group", "shelfware"): ("22.00", "USD", "cw"),
            ("Dogwood Veterinary", "overbilling"): ("84.00", "USD", "cw"),
            ("Dogwood Veterinary", "shelfware"): ("66.00", "USD", "pax8"),
            ("Fir Logistics", "leakage"): ("16.50", "USD", "cw"),
            ("Fir Logistics", "shelfware"): ("25.00", "USD", "pax8"),
            ("Gingko Architects", "leakage"): ("28.00", "USD", "cw"),
            ("Hazel Home Care", "leakage"): ("12.00", "USD", "cw"),
            (DIRECT, "shelfware"): ("23.00", "USD", "pc"),  # what Microsoft's own invoice tells
        }
        table = told("plan")
        assert "4 with shelfware (136.00 USD a period)" in table
        assert "66.00 USD" in table

        for file in (tmp_path / "mappings").glob("*.toml"):
            file.unlink()
        (tmp_path / "mappings" / "msp.toml").write_text("# nothing is mapped yet\n")
        found = json.loads(told("suggest", "--json"))
        reasons = {one["name"]: one["reason"] for one in found["suggestions"] if one["kind"] == "customer"}
        for company in world.companies:
            assert f"the same id {company.tenant_id}" in reasons[company.name]
            assert f"{NAMES['pax8']} " in reasons[company.name]
        assert all(not one.double.effects for one in running.values())
    finally:
        for one in running.values():
            one.stop()
