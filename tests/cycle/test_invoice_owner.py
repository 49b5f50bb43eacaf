"""Who owns the invoice, over real HTTP: a PSA that exports its invoices, and a rule that posts into the same books."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.connectwise.sandbox import ConnectWiseDouble
from connectors.connectwise.sandbox import build as build_psa
from connectors.halopsa.sandbox import HaloDouble
from connectors.halopsa.sandbox import build as build_halo
from syncd.cli.main import hoist, run
from syncd.connect.registry import Kinds
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import small_msp

KINDS = Kinds()
BOOKS = ("quickbooks", "xero", "netsuite")
CONFIG = """
[syncd]
timezone = "America/Chicago"
mode = "post"
[safety]
settle = 1
[connections.files]
kind = "csv"
path = "counts.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
"""
MAPPING = """
[[customer]]
name = "Alder Dental Group"
files = "Alder Dental Group"
books = "Alder Dental Group"
psa = "Alder Dental Group"

[[rule]]
name = "Premium"
count = {{ from = "files", sku = "SPB" }}
bill = {{ to = "books", item = "M365-BP"{words} }}
true_up = "line"
"""


def double_of(kind: str) -> Double:
    module, _, function = KINDS[kind].sandbox.partition(":")
    made: Double = getattr(importlib.import_module(module), function)(small_msp(customers=3))
    return made


class Estate:
    """The admin's folder with books and a PSA."""

    def __init__(self, folder: Path, books: str, psa: str, psa_double: Double) -> None:
        self.folder = folder
        self.books_double = double_of(books)
        self.psa_double = psa_double
        self.running: list[Running] = []
        tables = [self._table("books", books, self.books_double), self._table("psa", psa, psa_double)]
        (folder / "config.toml").write_text(CONFIG + "".join(tables))
        (folder / "counts.csv").write_text("customer,sku,quantity\nAlder Dental Group,SPB,3\n")
        (folder / "mappings").mkdir()
        self.say("")

    def _table(self, name: str, kind: str, double: Double) -> str:
        running = serve(double)
        self.running.append(running)
        told = {"kind": kind, "base_url": running.url, "token_url": running.url, **double.settings, "retry_wait": "0s"}
        keys = "".join(f"{key} = {_toml(value)}\n" for key, value in told.items())
        return f"\n[connections.{name}]\n{keys}"

    def say(self, words: str) -> None:
        (self.folder / "mappings" / "first.toml").write_text(MAPPING.format(words=words))

    def run(self, *words: str) -> int:
        return run(hoist(["--config", str(self.folder / "config.toml"), *words]))


def _toml(value: Any) -> str:
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return str(value).lower() if isinstance(value, bool) else f'"{text}"'


@pytest.fixture
def raise_estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Estate]]:
    monkeypatch.setenv("SYNCD_NOW", "2026-11-20T12:00:00-06:00")
    made: list[Estate] = []

    def make(books: str, psa: str) -> Estate:
        double = (build_psa if psa == "connectwise" else build_halo)(small_msp(customers=3))
        made.append(Estate(tmp_path, books, psa, double))
        return made[-1]

    yield make
    for one in made:
        for running in one.running:
            running.stop()


@pytest.mark.parametrize("books", BOOKS)
def test_a_connectwise_that_exports_its_invoices_is_found_by_check(
    raise_estate: Callable[[str, str], Estate], capsys: Any, books: str
) -> None:
    estate = raise_estate(books, "connectwise")
    assert isinstance(estate.psa_double, ConnectWiseDouble)
    estate.psa_double.export(77)

    assert estate.run("check") == 2
    told = " ".join(capsys.readouterr().out.split())
    assert "Alder Dental Group would be billed twice in books: psa invoices it there already" in told
    assert "accounting batch GL-77" in told
    assert 'not_invoiced_by = "psa"' in told

    assert estate.run("run", "--once") == 1
    assert estate.books_double.effects == []


@pytest.mark.parametrize(("books", "field"), [("quickbooks", "qboid"), ("xero", "xeroid")])
def test_a_halo_that_syncs_its_invoices_is_found_by_check(
    raise_estate: Callable[[str, str], Estate], capsys: Any, books: str, field: str
) -> None:
    estate = raise_estate(books, "halopsa")
    assert isinstance(estate.psa_double, HaloDouble)
    estate.psa_double.push(field)

    assert estate.run("check") == 2
    assert "would be billed twice" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("books", BOOKS)
def test_where_the_rule_says_otherwise_in_so_many_words_it_is_posted(
    raise_estate: Callable[[str, str], Estate], capsys: Any, books: str
) -> None:
    estate = raise_estate(books, "connectwise")
    assert isinstance(estate.psa_double, ConnectWiseDouble)
    estate.psa_double.export(77)
    estate.say(', not_invoiced_by = "psa"')

    assert estate.run("check") == 0, capsys.readouterr().out
    assert estate.run("run", "--once") == 0, capsys.readouterr().out
    assert len(estate.books_double.effects) == 1


def test_a_psa_that_exports_nothing_is_no_reason(raise_estate: Callable[[str, str], Estate], capsys: Any) -> None:
    estate = raise_estate("quickbooks", "connectwise")

    assert estate.run("check") == 0, capsys.readouterr().out


def test_a_psa_that_cannot_be_asked_blocks_the_line(raise_estate: Callable[[str, str], Estate], capsys: Any) -> None:
    estate = raise_estate("quickbooks", "connectwise")
    estate.psa_double.fail("html", path="finance/invoices$", times=100)

    assert estate.run("run", "--once", "--json") == 1
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["action"], line["findings"][-1]) == ("blocked", "invoiced elsewhere")
    assert "whether psa sends its own invoices to books could not be read" in line["reason"]
    assert estate.books_double.effects == []
