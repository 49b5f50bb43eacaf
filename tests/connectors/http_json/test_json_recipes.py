"""Every recipe of docs/vendors: loads from the page, and reads the answer that stands beside it, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from connector_kit import MOMENT
from json_kit import QUANTITY, Bench, quantities, read
from recipe_kit import FOLDER, Recipe, recipes
from werkzeug.wrappers import Request

from connectors.csv import connector as csv_connector
from connectors.csv.config import CsvSettings
from syncd.config.load import load
from syncd.connect.contract import Ask, Context
from syncd.connect.registry import Kinds
from syncd.sandbox.kit import Double, json_response

ALL = recipes()
TOLD: dict[str, dict[str, dict[str, str]]] = {
    "acronis": {"a1f0-alder": {"workstations/pck_per_workload/none": "27"}},
    "datto-rmm": {"0f6d3c1e-0001": {"device": "29"}},
    "duo": {"Alder Dental Group": {"Essentials": "2"}},
    "huntress": {"11": {"edr": "29", "itdr": "27", "sat": "27", "siem": "0"}},
    "ingram-cloud": {"Alder Dental Group": {"Microsoft 365 Business Premium": "28"}},
    "ninjaone": {"7": {"WINDOWS_WORKSTATION": "1", "WINDOWS_SERVER": "1"}},
    "sentinelone": {"225494730938493804": {"Complete": "29"}},
    "sherweb": {"Alder Dental Group": {"MS-BP": "28"}},
    "streamone-ion": {"88": {"Microsoft 365 Business Premium": "28"}},
    "veeam-spc": {"7c3e-alder": {"points": "142.5"}},
}
NEEDED = ("**Least rights**", "**Traps**", "**Not confirmed**")
CW = '[connections.cw]\nkind = "connectwise"\ncompany = "acme"\npublic_key = "p"\nprivate_key = "k"\nclient_id = "c"\n'


def emptied(content: Any) -> Any:
    """The same answer with nothing in its lists."""
    if isinstance(content, list):
        return []
    return {name: emptied(value) for name, value in content.items()} if isinstance(content, dict) else content


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, Double("recipe")) as bench:
        yield bench


def serve_answers(double: Double, recipe: Recipe, signed: list[str]) -> None:
    """The page's answers to the first query of each path, and empty lists to every other (a further page)."""
    first: dict[str, dict[str, str]] = {}

    def answer(request: Request, body: str) -> Any:
        signed.append(request.headers.get("Authorization", ""))
        query = first.setdefault(request.path, dict(request.args))
        content = json.loads(body)
        return content if dict(request.args) == query else emptied(content)

    for path, body in recipe.answers.items():
        double.route("GET", path, lambda request, body=body: answer(request, body))
    auth = recipe.settings.get("auth", {})
    if "token_url" in auth:
        token = {"access_token": "issued", "expires_in": 3600, "refresh_token": "next"}
        double.route("POST", urlsplit(auth["token_url"]).path, lambda request: json_response(token))


def test_there_is_a_recipe_for_each_vendor_and_the_list_names_them_all() -> None:
    assert {recipe.name for recipe in ALL} == set(TOLD)
    listed = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"]({recipe.name}.md)" in listed for recipe in ALL)


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_a_recipe_loads_as_it_stands_on_the_page(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "m.toml").write_text(
        f'[[customer]]\nname = "Alder"\n{recipe.connection} = "1"\ncw = "Alder"\n' + recipe.mappings
    )
    (tmp_path / "config.toml").write_text('[syncd]\ntimezone = "UTC"\n' + CW + recipe.connections)

    config, mappings = load(tmp_path / "config.toml", Kinds(), recipe.environ)

    assert config.connections[recipe.connection].kind == recipe.settings["kind"]
    assert len(mappings.rules) == 1
    assert [warning for warning in config.warnings if f"connections.{recipe.connection}]" in warning] == []
    assert [heading for heading in NEEDED if heading not in recipe.text] == []


@pytest.mark.parametrize(
    "recipe", [one for one in ALL if one.settings["kind"] == "http_json"], ids=lambda recipe: recipe.name
)
def test_a_recipe_reads_the_answer_beside_it(recipe: Recipe, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in recipe.environ.items():
        monkeypatch.setenv(name, value)
    signed: list[str] = []
    serve_answers(bench.double, recipe, signed)
    root = bench.url + urlsplit(recipe.settings["base_url"]).path
    connection = bench.open(recipe.settings, base_url=root, ca_bundle=None)

    assert connection.sign_in().identity
    assert quantities(read(connection)) == TOLD[recipe.name]
    assert all(signed)
    assert all(request.method == "GET" or "token" in request.path for request in bench.double.requests)


@pytest.mark.parametrize(
    "recipe", [one for one in ALL if one.settings["kind"] == "csv"], ids=lambda recipe: recipe.name
)
def test_a_csv_recipe_reads_the_file_beside_it(recipe: Recipe, bench: Bench) -> None:
    for path, body in recipe.answers.items():
        (bench.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (bench.folder / path).write_text(body)

    def no_way(base_url: str, **options: Any) -> Any:
        raise AssertionError("a csv connection opens no network connection")

    context = Context(recipe.connection, no_way, lambda: MOMENT.now, MOMENT.now.tzinfo, bench.folder)  # type: ignore[arg-type]
    connection = csv_connector.open(CsvSettings.model_validate(recipe.settings), context)
    customers = connection.customers()
    readings = connection.counts([Ask(customer, (QUANTITY,)) for customer in customers], MOMENT)

    assert quantities({reading.customer_id: reading for reading in readings}) == TOLD[recipe.name]
