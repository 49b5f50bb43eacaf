"""Files that are missing, refused, changing or too large; sign-in and settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from csv_kit import GOOD, HEADER, NOW, Open, failure, write
from pydantic import ValidationError

import connectors.csv.read as reading_files
from connectors.csv import connector


def test_no_file_is_an_error(connect: Open, tmp_path: Path) -> None:
    error = failure(connect(path="exports/*.csv"))

    assert error.code == "incomplete"
    assert '[connections.backup] path: no file matches "exports/*.csv"' in str(error)


def test_a_folder_is_not_a_file(connect: Open, tmp_path: Path) -> None:
    (tmp_path / "exports.csv").mkdir()

    assert 'Name its files: "exports.csv/*.csv"' in str(failure(connect(path="exports.csv")))
    assert failure(connect()).code == "incomplete"


def test_a_pipe_is_refused_without_waiting_for_it(connect: Open, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "export.csv")

    error = failure(connect())

    assert (error.code, "not a plain file" in str(error)) == ("unavailable", True)


def test_a_dangling_link_is_an_error(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + GOOD, "a.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")

    assert str(failure(connect())).startswith("b.csv: cannot be read")


def test_a_refused_file_is_forbidden(connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, HEADER + GOOD)

    def refuse(*_: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    # As root no file is refused, so the refusal is made.
    monkeypatch.setattr(reading_files, "_content", refuse)

    assert failure(connect()).code == "forbidden"


def test_a_runaway_file_is_refused(connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, HEADER + GOOD * 100)
    monkeypatch.setattr(reading_files, "MAX_BYTES", 64)

    assert "is larger than" in str(failure(connect()))


@pytest.mark.parametrize("event", ["grows", "vanishes", "comes", "is replaced"])
def test_files_that_change_while_they_are_read_are_incomplete(
    connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    first = write(tmp_path, HEADER + GOOD, "a.csv")
    write(tmp_path, HEADER + "Fabrikam,GB,1\n", "b.csv")
    real = reading_files._content

    def meanwhile(path: Path, name: str, stamps: dict[str, Any]) -> bytes | None:
        content = real(path, name, stamps)
        if name == "b.csv":
            if event == "grows":
                first.write_text(first.read_text() + "Contoso,SEAT,4\n")
            elif event == "vanishes":
                first.unlink()
            elif event == "comes":
                write(tmp_path, HEADER + "Northwind,GB,1\n", "c.csv")
            else:
                write(tmp_path, HEADER + "Contoso,GB,2\n", "new").replace(first)
        return content

    monkeypatch.setattr(reading_files, "_content", meanwhile)

    error = failure(connect())

    assert error.code == "incomplete"
    assert "while" in str(error)
    assert str(error).startswith("c.csv" if event == "comes" else "a.csv")


def test_sign_in_reads_the_files_and_tells_when_they_are_old(connect: Open, tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + GOOD)
    fresh = int(NOW.timestamp()) - 86_400
    os.utime(path, (fresh, fresh))

    assert connect().sign_in().identity == "1 row in 1 file"
    assert connect().sign_in().warnings == ()

    os.utime(path, (fresh - 40 * 86_400, fresh - 40 * 86_400))

    (warning,) = connect().sign_in().warnings
    assert "41 days ago (2026-10-10)" in warning


def test_what_the_connector_declares() -> None:
    abilities = connector.abilities

    assert connector.kind == "csv"
    assert abilities.reads == {"used", "bought"}
    assert abilities.default_measure in abilities.measures
    assert (abilities.per_customer, dict(abilities.operations), connector.sandbox) == (False, {}, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": ""}, "at least 1 character"),
        ({"customer": "  "}, "must name a column"),
        ({"sku": None}, "Field required"),
        ({"subject": "sku"}, 'names the column "sku" twice'),
        ({"delimiter": ",,"}, "must be one character"),
        ({"delimiter": "."}, "must be one character"),
        ({"base_url": "https://example.com"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(connect: Open, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        connect(**changes)

    assert words in str(caught.value)
