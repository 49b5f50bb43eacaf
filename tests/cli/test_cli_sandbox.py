"""What `syncd sandbox` prints for a vendor's double is a table that loads and signs in, for every vendor."""

from __future__ import annotations

from pathlib import Path

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.demo import connection_toml, start_doubles


def test_the_tables_that_are_printed_load(tmp_path: Path) -> None:
    kinds = Kinds()
    wanted = [kind for kind, connector in kinds.items() if connector.sandbox]
    running = start_doubles(wanted)
    try:
        tables = [connection_toml(kind, one.url, one.double.settings) for kind, one in running.items()]
        (tmp_path / "mappings").mkdir()
        (tmp_path / "config.toml").write_text(
            "\n\n".join(['[syncd]\ntimezone = "America/Chicago"', *tables]), encoding="utf-8"
        )
        config, _ = load(tmp_path / "config.toml", kinds, {}, may_be_empty=True)
    finally:
        for one in running.values():
            one.stop()

    assert sorted(config.connections) == sorted(wanted)
    assert config.connections["alternative_payments"].settings.posting is True
