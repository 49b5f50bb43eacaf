"""`syncd suggest` against the doubles: it proposes, writes comments only, and posts nothing."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncd.cli.main import hoist, run
from syncd.cli.suggesting import toml_of
from syncd.clock import make_clock
from syncd.core.suggest import Suggestion
from syncd.demo import Stage, start_doubles, write_files
from syncd.sandbox.world import small_msp


@dataclass
class House:
    """An MSP of five customers in doubles, and files in which nothing is mapped yet."""

    config: Path
    stage: Stage
    capture: pytest.CaptureFixture[str]

    @property
    def mappings(self) -> Path:
        return self.config.parent / "mappings"

    def suggest(self, *options: str) -> tuple[int, str, str]:
        status = run(hoist(["--config", str(self.config), "suggest", *options]))
        out, err = self.capture.readouterr()
        return status, out, err

    def told(self, *options: str) -> dict[str, Any]:
        status, out, _ = self.suggest("--json", *options)
        assert status == 0
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SYNCD_NOW", raising=False)
    world = small_msp(customers=5, today=make_clock()().date())
    running = start_doubles(["connectwise", "microsoft365"], world=world)
    try:
        stage = Stage(world, running)
        config = write_files(tmp_path, stage, every=60, port=8730)
        for file in (tmp_path / "mappings").glob("*.toml"):
            file.unlink()
        (tmp_path / "mappings" / "msp.toml").write_text("# nothing is mapped yet\n")
        yield House(config, stage, capsys)
        assert running["connectwise"].double.effects == []  # whatever it proposed, it changed nothing
    finally:
        for one in running.values():
            one.stop()


def accept(text: str) -> str:
    """What a person does: the first # of each line goes away."""
    return "\n".join(line.removeprefix("#") for line in text.split("\n"))


def test_a_first_look_proposes_customers_and_rules_with_score_and_reason(house: House) -> None:
    told = house.told()

    customers = {one["name"]: one for one in told["suggestions"] if one["kind"] == "customer"}
    rules = {one["name"]: one for one in told["suggestions"] if one["kind"] == "rule"}
    assert set(customers) == {one.name for one in house.stage.world.companies}
    assert customers["Alder Dental Group"]["mapping"] == {
        "name": "Alder Dental Group", "cw": "AlderDental", "m365": "alderdental.example"
    }  # fmt: skip
    assert all(one["score"] >= 88 and one["reason"] for one in customers.values())
    assert rules["Microsoft 365 Business Premium"]["mapping"] == {
        "name": "Microsoft 365 Business Premium",
        "count": {"from": "m365", "sku": "SPB"},
        "bill": {"to": "cw", "agreement": "Managed Services", "product": "M365-BP"},
    }
    assert "FLOW_FREE" not in json.dumps(told)
    assert told["written"] is None
    assert sorted(path.name for path in house.mappings.iterdir()) == ["msp.toml"]


def test_write_makes_comments_that_count_only_when_a_person_accepts_them(house: House) -> None:
    status, out, _ = house.suggest("--write")
    file = house.mappings / "suggested.toml"
    first = file.read_bytes()

    assert status == 0
    assert "written as comments" in out
    assert tomllib.loads(first.decode()) == {}
    assert house.told("--write")["written"] == []  # all of it stands there: nothing is written twice
    assert file.read_bytes() == first

    file.write_text(accept(first.decode()))
    assert run(["--config", str(house.config), "check"]) == 0
    house.capture.readouterr()
    after = house.told()
    assert after["suggestions"] == []
    assert after["open"] == []


def test_what_is_new_is_appended_and_every_word_that_stood_there_stays(house: House) -> None:
    mine = '# my own words\r\n[[ignore]]\r\nfrom = "m365"\r\ncustomer = ["Alder*"]\r\n'
    file = house.mappings / "suggested.toml"
    file.write_bytes(mine.encode())

    written = house.told("--write")["written"]

    now = file.read_bytes().decode()
    assert now.startswith(mine)
    assert "\n" not in now.replace("\r\n", "")
    assert tomllib.loads(now) == tomllib.loads(mine)
    assert written
    assert "Alder" not in now.removeprefix(mine)
    assert all(now.count(f"syncd suggest {one}:") == 1 for one in written)


def test_only_what_is_missing_is_proposed_beside_a_persons_own_mapping(house: House) -> None:
    """A mapped customer is extended, never written again."""
    (house.mappings / "msp.toml").write_text('[[customer]]\nname = "Alder"\ncw = "AlderDental"\n')

    alder = next(one for one in house.told()["suggestions"] if one["extends"] == "Alder")

    assert alder["mapping"] == {"m365": "alderdental.example"}
    assert all(line.startswith("##") for line in alder["toml"].splitlines())


def test_what_could_not_be_read_is_said_and_ends_with_1(house: House) -> None:
    house.stage.breaks("Birchwood Legal LLP", "consent")

    status, out, _ = house.suggest()

    assert status == 1
    assert "not covered m365 / Birchwood Legal LLP" in out
    assert "Microsoft 365 Business Premium" in out  # the others were read


def test_a_source_that_lets_nobody_in_leaves_the_rest_unproposed_and_says_so(house: House) -> None:
    text = house.config.read_text()
    house.config.write_text(re.sub(r'(client_secret *= )"[^"]*"', r'\1"wrong"', text))

    status, out, _ = house.suggest("--write")

    assert status == 1
    assert "not covered m365" in out
    assert not (house.mappings / "suggested.toml").exists()


def test_whatever_a_system_calls_its_customers_a_proposal_is_comments_and_then_toml() -> None:
    name = 'A "B" \x00\u2028[[rule]]\n# \x7f'
    one = Suggestion("customer", name, 90, f"cw calls it {name}", {"name": name, "cw": name}, (("cw", "1"),))

    assert tomllib.loads(toml_of(one)) == {}
    assert tomllib.loads(accept(toml_of(one))) == {"customer": [{"name": name, "cw": name}]}
    extended = toml_of(Suggestion("customer", name, 90, name, {"m365": name}, (("m365", "1"),), extends=name))
    assert tomllib.loads(extended) == tomllib.loads(accept(extended)) == {}


def test_set_up_works_before_there_is_any_mapping_file_and_nothing_else_does(house: House) -> None:
    (house.mappings / "msp.toml").unlink()
    config = ["--config", str(house.config)]

    for command in (["plan"], ["run", "--once"], ["run"]):
        assert run([*config, *command]) == 2
        assert "holds no *.toml file." in house.capture.readouterr().err

    assert run([*config, "check"]) == 0
    assert "warning: config.toml › [syncd] › mappings: the folder" in house.capture.readouterr().err
    status, _, err = house.suggest("--write")
    assert status == 0
    assert "holds no *.toml file, so nothing can be planned or billed." in err
    assert (house.mappings / "suggested.toml").exists()
