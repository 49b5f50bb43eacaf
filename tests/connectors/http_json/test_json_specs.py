"""The recipes of vendors whose description is published, against doubles made from that description.

The double takes a list's path, parameters and shape from the document, fills each record by its schema, and puts in
only the fields that a story needs. Whatever the recipe asks that the document does not know is refused with 400.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped, unused-ignore]
import pytest
from json_kit import Bench, quantities, read
from recipe_kit import recipes
from werkzeug.wrappers import Request, Response

from syncd.errors import VendorError
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import small_msp

SPECS = Path(__file__).parents[4] / "shared" / "specs"
RECIPES = {recipe.name: recipe for recipe in recipes()}
WORLD = small_msp(customers=12)


def document(name: str) -> dict[str, Any]:
    path = SPECS / f"{name}.json"
    if not path.exists():
        pytest.skip(f"the vendor's description is not beside the project (../shared/specs/{name}.json)")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def resolved(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        place: Any = spec
        for step in schema["$ref"].removeprefix("#/").split("/"):
            place = place[step]
        schema = place
    return schema


def sample(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """A value of this shape, with every property that it names."""
    schema = resolved(spec, schema)
    if "example" in schema:
        return schema["example"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: sample(spec, one) for name, one in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return False
    return "text"


class SpecDouble(Double):
    """Serves one list of a description; `answer` makes a page of it from the parameters asked."""

    def __init__(
        self, spec: Mapping[str, Any], path: str, signed: Callable[[Request], bool], answer: Callable[..., Any]
    ) -> None:
        super().__init__(path)
        self.spec = spec
        operation = spec["paths"][path]["get"]
        self.known = {one["name"]: one for one in operation["parameters"]}
        response = next(operation["responses"][code] for code in ("200", "default") if code in operation["responses"])
        self.shape = response["schema"] if "schema" in response else response["content"]["application/json"]["schema"]

        def listed(request: Request) -> Response:
            if not signed(request):
                return json_response({"error": "unauthorized"}, 401)
            if unknown := set(request.args) - set(self.known):
                return json_response({"error": f"unknown parameters {sorted(unknown)}"}, 400)
            for name, value in request.args.items():
                kind = self.known[name]
                kind = {**kind, **kind.get("schema", {})}
                if kind.get("type") == "integer" and not kind.get("minimum", 0) <= int(value) <= kind.get(
                    "maximum", 10**9
                ):
                    return json_response({"error": f"{name} is out of bounds"}, 400)
            return json_response(answer(request.args))

        self.route("GET", path, listed)

    def row(self, **fields: Any) -> dict[str, Any]:
        """One record by the list's schema, with these fields put in; each must be one that the schema knows."""
        shape = resolved(self.spec, self.shape)
        items = shape["items"] if "items" in shape else next(iter(shape["properties"].values()))["items"]
        made = sample(self.spec, items)
        assert set(fields) <= set(made), "the story puts in what the vendor does not tell"
        return {**made, **fields}

    def judge(self, body: Any) -> None:
        """Raises where an answer has another shape than described."""
        names = {name: self.spec[name] for name in ("definitions", "components") if name in self.spec}
        jsonschema.Draft202012Validator({**self.shape, **names}).validate(body)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Double, str], Any]]:
    with ExitStack() as benches:

        def begin(double: Double, recipe: str) -> Any:
            for name, value in RECIPES[recipe].environ.items():
                monkeypatch.setenv(name, value)
            bench = benches.enter_context(Bench(tmp_path, double))
            return bench.open(RECIPES[recipe].settings, base_url=bench.url, requests_per_minute=None)

        yield begin


def huntress(cap: int = 5) -> SpecDouble:
    """Organizations by page token; never more than `cap` on a page."""

    def signed(request: Request) -> bool:
        given = request.authorization
        return given is not None and (given.username, given.password) == (
            "value-of-huntress_key",
            "value-of-huntress_secret",
        )

    def answer(asked: Mapping[str, str]) -> Any:
        start = int(asked.get("page_token", "token-0").removeprefix("token-"))
        end = start + min(int(asked.get("limit", 10)), cap)
        frame = {"next_page_token": f"token-{end}", "next_page_url": "https://x"} if end < len(rows) else {}
        return {"organizations": rows[start:end], "pagination": frame}

    double = SpecDouble(document("huntress"), "/v1/organizations", signed, answer)
    rows = [
        double.row(
            id=100 + company.number,
            name=company.name,
            agents_count=company.devices,
            billable_identity_count=len(company.people),
            sat_learner_count=0,
            logs_sources_count=1,
        )
        for company in WORLD.companies
    ]
    return double


def ninjaone(cap: int = 50) -> SpecDouble:
    """Devices behind the last id, a bare array; never more than `cap` on a page."""

    def signed(request: Request) -> bool:
        return request.headers.get("Authorization") == "Bearer issued"

    def answer(asked: Mapping[str, str]) -> Any:
        behind = int(asked.get("after", 0))
        return [row for row in rows if row["id"] > behind][: min(int(asked.get("pageSize", 1000)), cap)]

    double = SpecDouble(document("ninjaone"), "/v2/devices", signed, answer)
    rows: list[dict[str, Any]] = []
    for company in WORLD.companies:
        for number in range(company.devices):
            kind = "WINDOWS_SERVER" if number < 2 else "WINDOWS_WORKSTATION"
            state = "PENDING" if number == company.devices - 1 else "APPROVED"
            rows.append(
                double.row(
                    id=len(rows) + 1,
                    organizationId=company.number,
                    nodeClass=kind,
                    approvalStatus=state,
                    systemName=f"{company.identifier}-{number}",
                )
            )

    def token(request: Request) -> Response:
        asked = {"grant_type": "client_credentials", "scope": "monitoring", "client_secret": "value-of-ninja_secret"}
        right = asked.items() <= request.form.to_dict().items()
        return json_response(
            {"access_token": "issued", "expires_in": 3600} if right else {"error": "invalid"}, 200 if right else 400
        )

    double.route("POST", "/ws/oauth/token", token)
    return double


def test_the_huntress_recipe_reads_a_double_made_from_its_description(start: Any) -> None:
    double = huntress()
    connection = start(double, "huntress")

    assert [one.name for one in connection.customers()] == [company.name for company in WORLD.companies]
    assert quantities(read(connection)) == {
        str(100 + company.number): {
            "edr": str(company.devices),
            "itdr": str(len(company.people)),
            "sat": "0",
            "siem": "1",
        }
        for company in WORLD.companies
    }
    assert {request.query.get("limit") for request in double.requests} == {"500"}


def test_the_ninjaone_recipe_reads_a_double_made_from_its_description(start: Any) -> None:
    readings = read(start(ninjaone(), "ninjaone"))

    assert quantities(readings) == {
        str(company.number): {"WINDOWS_SERVER": "2", "WINDOWS_WORKSTATION": str(company.devices - 3)}
        for company in WORLD.companies
    }
    assert all(len(one.subjects or ()) == one.quantity for reading in readings.values() for one in reading.counts)


@pytest.mark.parametrize(("make", "query"), [(huntress, {"limit": "500"}), (ninjaone, {"pageSize": "1000"})])
def test_the_doubles_answer_in_the_described_shape(make: Callable[[], SpecDouble], query: dict[str, str]) -> None:
    from werkzeug.test import Client

    double = make()
    client = Client(double)
    headers = {"Authorization": "Bearer issued"}
    auth = None if make is ninjaone else ("value-of-huntress_key", "value-of-huntress_secret")
    body = client.get(double.kind, query_string=query, headers=headers, auth=auth).get_json()

    # Huntress's document requires of an organization what its own example does not have.
    for one in double.spec.get("definitions", {}).values():
        one.pop("required", None)
    double.judge(body)
    assert body


def test_a_wrong_scope_or_key_is_said(start: Any) -> None:
    for make, name, secret in ((huntress, "huntress", "HUNTRESS_SECRET"), (ninjaone, "ninjaone", "NINJA_SECRET")):
        connection = start(make(), name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(secret, "another")
            with pytest.raises(VendorError) as refused:
                connection.sign_in()
            assert refused.value.code == "unauthorized"
