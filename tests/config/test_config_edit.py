"""Blocks that syncd adds: what stood in the file stays as it was, and the file is replaced whole or not at all."""

from __future__ import annotations

import os
import stat
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from config_kit import CUSTOMER, RULE, Folder
from hypothesis import given
from hypothesis import strategies as st

from syncd.config.edit import add_customer, add_ignore, add_rule
from syncd.core.rules import RemoteKey
from syncd.errors import UserFault

# Blocks that alternate, with comments that belong to one of them.
OLD = f"""# Our customers
{CUSTOMER}  # the first one

# about the rule
{RULE}
  [[rule.example]]   # Anna asked for this
  count = 1
  target = 1

# the second customer
[[customer]]
name = "Fabrikam"
cloud = "fabrikam.com"
# end of the file"""


@pytest.fixture
def path(folder: Folder) -> Path:
    folder.mapping(OLD)
    return folder.path / "mappings" / "m.toml"


def test_added_customer_loads_and_all_else_stays(folder: Folder, path: Path) -> None:
    add_customer(
        path,
        'Northwind "East"',
        {"cloud": {"id": "n.com", "where": {"domain": ["east", "ost"]}}, "psa": ["1", "2"]},
        tags=["pilot"],
        mode="observe",
        note="score 0.97: same domain\nsecond line",
    )
    _, mappings = folder.load()
    added = mappings.customers[-1]

    assert path.read_text().startswith(OLD + "\n\n# score 0.97: same domain\n# second line\n[[customer]]\n")
    assert (added.name, added.tags, added.mode) == ('Northwind "East"', ("pilot",), "observe")
    assert added.keys == {
        "cloud": (RemoteKey("n.com", (("domain", ("east", "ost")),)),),
        "psa": (RemoteKey("1"), RemoteKey("2")),
    }


def test_added_rule_loads_with_its_examples(folder: Folder, path: Path) -> None:
    add_rule(
        path,
        {
            "name": "Backup",
            "count": [{"from": "cloud", "sku": "B*", "factor": Decimal("0.50")}],
            "bill": {"to": "psa", "agreement": "Managed*", "product": "B"},
            "example": [{"count": 27, "target": Decimal("27")}, {"count": 1, "target": 1}],
            "create": True,
        },
    )
    rule = folder.load()[1].rules[-1]

    assert path.read_text().startswith(OLD)
    assert (rule.name, rule.count[0].factor, rule.create, len(rule.examples)) == ("Backup", Decimal("0.5"), True, 2)


def test_added_ignore_loads(folder: Folder, path: Path) -> None:
    add_ignore(path, "cloud", skus=["FLOW_FREE"], customers=["X"], why="free", until=date(2027, 6, 30))
    ignore = folder.load()[1].ignores[-1]

    assert (ignore.connection, ignore.skus, ignore.customers) == ("cloud", ("FLOW_FREE",), ("X",))
    assert (ignore.why, ignore.until) == ("free", date(2027, 6, 30))


def test_file_is_made_where_there_is_none(folder: Folder) -> None:
    path = folder.path / "mappings" / "new.toml"
    add_customer(path, "Northwind", {"cloud": "n.com"})

    assert path.read_text() == '[[customer]]\nname = "Northwind"\ncloud = "n.com"\n'
    assert folder.faults() == []


def test_line_ends_and_byte_order_mark_stay(folder: Folder, path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + CUSTOMER.replace("\n", "\r\n").encode())
    add_ignore(path, "cloud", skus=["X"])
    content = path.read_bytes()

    assert content.startswith(b"\xef\xbb\xbf[[customer]]\r\n")
    assert content.count(b"\n") == content.count(b"\r\n")
    assert folder.load()[1].ignores[0].skus == ("X",)


def test_rights_and_links_stay(folder: Folder, path: Path) -> None:
    path.chmod(0o640)
    link = folder.path / "linked.toml"
    link.symlink_to(path)
    add_customer(link, "Northwind", {"cloud": "n.com"})

    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["m.toml"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[[customer]]\nname = "Northwind"\n', 'already has a customer "Northwind". Change it there.'),
        (
            'customer = [{ name = "A" }]\n',
            "a [[customer]] cannot be added at its end. Write its customer blocks with a header each: [[customer]].",
        ),
    ],
)
def test_refused_addition_leaves_the_file_alone(path: Path, content: str, message: str) -> None:
    path.write_text(content)
    with pytest.raises(UserFault) as raised:
        add_customer(path, "Northwind", {"cloud": "n.com"})

    assert str(raised.value) == f"{path}: {message}"
    assert path.read_text() == content


def test_broken_file_is_not_written_to(path: Path) -> None:
    path.write_text("[[customer\n")
    with pytest.raises(UserFault, match="line 1: is not valid TOML"):
        add_customer(path, "Northwind", {"cloud": "n.com"})

    assert path.read_text() == "[[customer\n"


def test_disk_that_fails_leaves_the_old_file_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("syncd.config.edit.os.fsync", full)
    with pytest.raises(UserFault, match=r"cannot be written \(No space left on device\)"):
        add_customer(path, "Northwind", {"cloud": "n.com"})

    assert path.read_text() == OLD
    assert os.listdir(path.parent) == ["m.toml"]


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, name: str, key: str) -> None:
    path = tmp_path_factory.mktemp("edit") / "m.toml"
    add_customer(path, name, {"cloud": {"id": key}})

    assert tomllib.loads(path.read_bytes().decode()) == {"customer": [{"name": name, "cloud": {"id": key}}]}
