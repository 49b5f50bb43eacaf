"""`syncd report duplicates` against the doubles: it reads, posts nothing, and says what it could not see."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.main import hoist, run
from syncd.cli.reporting import NOT_YET
from syncd.clock import make_clock
from syncd.demo import Stage, start_doubles, write_files
from syncd.sandbox.world import small_msp

ALDER, BIRCHWOOD = "Alder Dental Group", "Birchwood Legal LLP"


@dataclass
class House:
    """An MSP of three customers in doubles, and its files."""

    config: Path
    psa: Any
    capture: pytest.CaptureFixture[str]

    def report(self, *options: str) -> tuple[int, str, str]:
        """`report duplicates`: its status, what it printed, what it said of errors."""
        status = run(hoist(["--config", str(self.config), "report", "duplicates", *options]))
        out, err = self.capture.readouterr()
        return status, out, err

    def copy(self, number: int, by: str = "Jo Admin", **fields: Any) -> None:
        """Somebody adds a line like the first one of a customer."""
        first = self.psa.tables["additions"][30_000 + number * 100]
        row = {**first, "id": 88_000 + len(self.psa.tables["additions"]), **fields}
        self.psa.computed(row)
        self.psa.touch(row, by)
        self.psa.tables["additions"][row["id"]] = row


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.delenv("SYNCD_NOW", raising=False)
    world = small_msp(customers=3, today=make_clock()().date())
    running = start_doubles(["connectwise", "microsoft365"], world=world)
    try:
        config = write_files(tmp_path, Stage(world, running), every=60, port=0)
        config.write_text(config.read_text().replace("127.0.0.1:0", "127.0.0.1:8730"))
        yield House(config, running["connectwise"].double, capsys)
        assert running["connectwise"].double.effects == []  # whatever it found, it changed nothing
        assert not any("token" not in one.path for one in running["microsoft365"].double.requests)  # nor counted
    finally:
        for one in running.values():
            one.stop()


def test_nothing_found_ends_with_0_and_says_what_was_looked_at(house: House) -> None:
    status, out, _ = house.report()

    assert status == 0
    assert "5 open lines of 3 customers: no suspect." in out


def test_a_double_is_told_with_its_lines_who_changed_them_and_the_money(house: House) -> None:
    house.copy(1, quantity=Decimal(20))

    status, out, _ = house.report()

    assert status == 3
    for word in (ALDER, "M365-BP", "Managed Services", "30100", "Jo Admin", "two recurring lines", "560.00 USD"):
        assert word in out
    assert "560.00 USD a period billed twice if they are what they seem" in out


def test_json_names_what_was_covered(house: House) -> None:
    house.copy(1, quantity=Decimal(20))

    status, out, _ = house.report("--json")

    told = json.loads(out)
    assert status == 3
    assert told["covered"] == {"connections": ["cw"], "customers": 3, "lines": 6}
    assert told["errors"] == []
    (one,) = told["suspects"]
    assert (one["customer"], one["kinds"], one["amount"], one["currency"]) == (
        ALDER, ["two recurring lines"], "560.00", "USD",
    )  # fmt: skip
    assert [(line["quantity"], line["changed_by"]) for line in one["lines"]] == [("25", "Admin1"), ("20", "Jo Admin")]


def test_csv_begins_no_formula(house: House) -> None:
    house.copy(1, by="=cmd|calc", quantity=Decimal(20))

    status, out, _ = house.report("--csv")

    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 3
    assert [row["changed_by"] for row in rows] == ["Admin1", "'=cmd|calc"]


def test_one_customer_alone_may_be_asked_for(house: House) -> None:
    house.copy(1, quantity=Decimal(20))

    assert house.report("--customer", "birch*")[0] == 0
    assert house.report("--customer", ALDER)[0] == 3
    status, _, err = house.report("--customer", "Nobody*")
    assert status == 2
    assert err.endswith("syncd: --customer Nobody*: covers no customer of the mappings.\n")


def test_what_could_not_be_read_is_told_as_not_covered_and_ends_with_1(house: House) -> None:
    house.copy(1, quantity=Decimal(20))
    house.psa.fail("html", path="agreements/1002/additions", times=9)

    status, out, _ = house.report()

    assert status == 1
    assert f"not covered: cw / {BIRCHWOOD}" in out
    assert "two recurring lines" in out  # the others were judged all the same
    assert "1 could not be read and are not covered" in out


def test_csv_says_on_standard_error_what_is_not_covered(house: House) -> None:
    house.psa.fail("html", path="agreements/1002/additions", times=9)

    status, out, err = house.report("--csv")

    assert status == 1
    assert len(out.splitlines()) == 1
    assert f"not covered: cw / {BIRCHWOOD}" in err


def test_a_customer_that_the_system_does_not_know_is_not_covered(house: House) -> None:
    mapping = house.config.parent / "mappings" / "customers.toml"
    mapping.write_text(mapping.read_text().replace('cw = "AlderDental"', 'cw = "AlderDentistry"'))

    status, out, _ = house.report()

    assert status == 1
    assert f"not covered: cw / {ALDER}: cw has no customer 'AlderDentistry'" in out


@pytest.mark.parametrize("name", NOT_YET)
def test_other_reports_say_that_they_are_not_there_yet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", name, "--period", "2026-10"]) == 2

    assert capsys.readouterr().err == f"syncd: syncd report {name}: is not available yet in this version.\n"


def test_the_help_has_examples_and_lists_the_reports(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--help"]) == 0
    assert "duplicates" in capsys.readouterr().out
    assert run(["report", "duplicates", "--help"]) == 0
    assert "Examples:" in capsys.readouterr().out
