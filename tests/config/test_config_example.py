"""The example files: equal to what the declarations give, valid, and true about every default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import pytest
from config_kit import KINDS
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from syncd.config import mapping_schema, price_schema, schema
from syncd.config.example import render_config, render_mappings, write_examples
from syncd.config.load import load
from syncd.config.values import Table, toml_text
from syncd.connect.contract import Connector
from syncd.connect.registry import Kinds
from syncd.errors import UserFault

ROOT = Path(__file__).parents[2]
FILES = ("config.example.toml", "mappings/example.toml")


OWN = (
    "connectwise", "halopsa", "microsoft365", "partnercenter", "pax8", "quickbooks", "xero", "netsuite", "stripe",
    "alternative_payments", "http_json", "csv",
)  # fmt: skip


def own_kinds() -> Mapping[str, Connector]:
    """syncd's own connectors, without what else may be installed here."""
    installed = Kinds()
    return {kind: installed[kind] for kind in OWN}


def environment(text: str) -> dict[str, str]:
    """A value for every variable that an example names."""
    return dict.fromkeys(re.findall(r'env = "(\w+)"', text), "value")


@pytest.mark.parametrize(
    ("file", "render"), [("config.example.toml", render_config), ("mappings/example.toml", render_mappings)]
)
def test_files_are_what_the_declarations_give(file: str, render: Any) -> None:
    assert (ROOT / file).read_text(encoding="utf-8") == render(own_kinds()), "run python -m syncd.config.example"


def test_files_load_together() -> None:
    path = ROOT / "config.example.toml"
    config, mappings = load(path, own_kinds(), environment(path.read_text(encoding="utf-8")))

    assert {connection.kind for connection in config.connections.values()} == set(OWN)
    assert config.warnings == ()
    assert [customer.name for customer in mappings.customers] == ["Contoso Dental"]
    assert all(rule.examples for rule in mappings.rules)


@pytest.mark.parametrize("kinds", [KINDS, {"cloud": KINDS["cloud"]}, {"psa": KINDS["psa"]}, {"books": KINDS["books"]}])
def test_examples_of_any_kinds_load(tmp_path: Path, kinds: Mapping[str, Connector]) -> None:
    write_examples(tmp_path, kinds)
    path = tmp_path / "config.example.toml"
    config, _ = load(path, kinds, environment(path.read_text(encoding="utf-8")))

    assert config.connections.keys() == kinds.keys()


def optional_lines() -> list[tuple[str, int]]:
    return [
        (file, number)
        for file in FILES
        for number, line in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines())
        if re.match(r"#\w+ = ", line)
    ]


def test_every_optional_key_may_be_taken_in_as_it_stands(tmp_path: Path) -> None:
    kinds = own_kinds()
    (tmp_path / "mappings").mkdir()
    refused = []
    for file, number in optional_lines():
        texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
        lines = texts[file].splitlines()
        lines[number] = lines[number][1:]
        texts[file] = "\n".join(lines)
        for name, text in texts.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        try:
            load(tmp_path / "config.example.toml", kinds, environment(texts["config.example.toml"]))
        except UserFault:
            refused.append(lines[number].split(" = ")[0])

    # A second credential, and one key of another one that needs all four; customers that the request does not name; the
    # keys of [[alerts]] without their header; what only goes with a price, or with true_up = "usage".
    signed = ["consumer_key", "consumer_secret", "token_id", "token_secret"]
    alerts = ["to", "ticket", "on", "repeat", "digest", "tags"]
    assert refused == ["certificate", *signed, "each", *alerts, "notify", "aggregate", "grace"]


def tables() -> Iterator[type[BaseModel]]:
    for module in (schema, mapping_schema, price_schema):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Table) and value is not Table:
                yield value


FIELDS = [
    pytest.param(table, name, field, id=f"{table.__name__}.{name}")
    for table in dict.fromkeys(tables())
    for name, field in table.model_fields.items()
]


@pytest.mark.parametrize(("table", "name", "field"), FIELDS)
def test_every_key_has_a_description_and_an_example(table: type[BaseModel], name: str, field: FieldInfo) -> None:
    assert field.description
    assert field.examples


@pytest.mark.parametrize(("table", "name", "field"), FIELDS)
def test_example_is_valid_and_is_the_default_where_there_is_one(
    table: type[BaseModel], name: str, field: FieldInfo
) -> None:
    assert field.examples
    raw = tomllib.loads(f"key = {toml_text(field.examples[0])}", parse_float=Decimal)["key"]
    if table is schema.ConfigFile or table is mapping_schema.MappingFile:
        return
    value: Any = TypeAdapter(with_metadata(field), config=None).validate_python(raw)
    default = field.get_default(call_default_factory=True)

    if isinstance(default, bool | int | Decimal | timedelta) or (isinstance(default, str) and default):
        assert value == default


def with_metadata(field: FieldInfo) -> Any:
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
