"""`syncd check` tells a rule that means nobody: a warning, because its customers may still come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncd.cli.main import hoist, run

CONFIG = """
[syncd]
timezone = "America/Chicago"

[connections.files]
kind = "csv"
path = "*.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
"""
MAPPING = """
[[customer]]
name = "Contoso"
files = "contoso"

[[rule]]
name = "Northern"
customers = ["North*"]
count = { from = "files", sku = "backup" }
true_up = "alert"
"""


def test_a_rule_whose_globs_cover_nobody_is_a_note_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "all.toml").write_text(MAPPING)

    assert run(hoist(["check", "--offline", "--json", "--config", str(tmp_path / "config.toml")])) == 0

    told = json.loads(capsys.readouterr().out)
    place = 'mappings/all.toml › rule "Northern"'
    assert told["faults"] == []
    assert told["warnings"] == [
        f"{place}: customers: 'North*' covers no customer",
        f"{place}: makes no line: no customer that it means is in the systems it names",
    ]
