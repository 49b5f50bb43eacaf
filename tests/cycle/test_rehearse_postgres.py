"""A rehearsal beside a ledger in PostgreSQL: the copy that it plays on is a file, the database stays as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import ALDER, Stage

sys.path.insert(0, str(Path(__file__).parents[1] / "ledger"))

from postgres_kit import Cluster, cluster


@pytest.fixture
def server() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.mark.slow
def test_a_ledger_in_postgresql_is_rehearsed_on_a_copy(tmp_path: Path, server: Cluster) -> None:
    stage = Stage(tmp_path, ledger=False)
    try:
        stage.configure(mode="post", syncd={"database": server.fresh()})
        first = stage.run("run", "--once", "--json")
        assert first.status == 0, first.err
        before = stage.run("ledger", "--json").json

        stage.hire(ALDER, 2)
        done = stage.run("rehearse", "--json")

        assert done.status == 0, done.err
        (entry,) = done.json["entries"]
        assert (entry["from"], entry["to"], entry["state"], entry["effects"]) == ("27", "29", "posted", 1)
        assert stage.run("ledger", "--json").json == before
        assert stage.run("ledger", "verify").status == 0
    finally:
        stage.close()
