"""Folders that a glob goes through and cannot see into: an error that names them, never a smaller sum."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from csv_kit import HEADER, Open, ask, failure, numbers, write

import connectors.csv.folders as folders
from syncd.errors import VendorError


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    """exports/site-a with 40 and exports/site-b, a link to a share, with 60."""
    exports = tmp_path / "exports"
    for place, quantity in ((exports / "site-a", 40), (tmp_path / "share", 60)):
        place.mkdir(parents=True)
        write(place, HEADER + f"Contoso,GB,{quantity}\n")
    (exports / "site-b").symlink_to(tmp_path / "share")
    return exports


@pytest.mark.parametrize(
    "path",
    ["exports/*/*.csv", "exports/**/*.csv", "**/*.csv", "*/*/*.csv", "exports/site-?/export.csv", "exports/**"],
)
def test_a_share_that_is_not_mounted_is_an_error_and_not_left_out(connect: Open, sites: Path, path: str) -> None:
    (sites.parent / "share").rename(sites.parent / ".away")

    error = failure(connect(path=path))

    assert error.code == "unavailable"
    assert "exports/site-b: " in str(error)
    assert len(str(error).splitlines()) == 1
    with pytest.raises(VendorError):
        ask(connect(path=path), "Contoso")


def test_while_every_folder_is_seen_all_files_are_added(connect: Open, sites: Path, tmp_path: Path) -> None:
    (sites / "notes.txt").write_text("no folder")
    (sites / ".hidden").symlink_to("nowhere")
    (sites / "site-c").mkdir()

    for path in ("exports/*/*.csv", "exports/**/*.csv", "exports/*/export.csv", f"{tmp_path}/exports/*/*.csv"):
        assert numbers(connect(path=path)) == {"GB": 100}, path


@pytest.mark.parametrize("path", ["exports/*/*.csv", "exports/**/*.csv", "exports/*/**/*.csv", "exports/site-b/*.csv"])
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EACCES, "forbidden", "exports/site-b: may not be looked into"),
        (errno.ESTALE, "unavailable", "exports/site-b: cannot be looked into (Stale file handle)"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_an_error(
    connect: Open, sites: Path, monkeypatch: pytest.MonkeyPatch, path: str, number: int, code: str, words: str
) -> None:
    honest = folders._listed

    def refuse(place: Path) -> list[str]:
        if place.name == "site-b":
            raise OSError(number, os.strerror(number))
        return honest(place)

    # As root no folder is refused, so the refusal is made.
    monkeypatch.setattr(folders, "_listed", refuse)

    error = failure(connect(path=path))

    assert error.code == code
    assert words in str(error)


def test_a_folder_that_does_not_answer_is_an_error(connect: Open, sites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Path.stat

    def dead(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.name == "site-b" and follow_symlinks:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return honest(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", dead)

    assert "exports/site-b: cannot be looked into" in str(failure(connect(path="exports/*/*.csv")))


def test_a_link_in_a_circle_is_an_error(connect: Open, sites: Path) -> None:
    (sites / "site-d").symlink_to("site-d")

    assert "exports/site-d: cannot be looked into" in str(failure(connect(path="exports/*/*.csv")))


def test_a_dangling_file_is_told_once(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + "Contoso,GB,1\n", "a.csv")
    (tmp_path / "b.csv").symlink_to("nowhere")

    assert str(failure(connect(path="**/*.csv"))).splitlines()[0].startswith("b.csv: cannot be read")
    assert len(str(failure(connect(path="**/*.csv"))).splitlines()) == 1
