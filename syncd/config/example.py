"""`config.example.toml` and `mappings/example.toml`, written from the declarations of the keys.

`python -m syncd.config.example [FOLDER]` rewrites both; a test keeps them equal. What always holds: the files load as
valid together (with the environment variables that they name), and every optional key is there, commented out, with
its default, or with an example where it has none.
"""

from __future__ import annotations

import sys
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from syncd.config.build import PROMISED_KINDS
from syncd.config.mapping_schema import (
    CountTable,
    CustomerTable,
    ExampleTable,
    IgnoreTable,
    MappingFile,
    PopulationTable,
    RuleTable,
)
from syncd.config.price_schema import LATER_MODELS, PRICE_MODELS
from syncd.config.schema import TABLES, AlertTable, ConfigFile
from syncd.config.values import NOT_AVAILABLE, example_text, toml_text
from syncd.connect.contract import Abilities, Connector
from syncd.connect.registry import Kinds
from syncd.connect.settings import HttpSettings, Secret
from syncd.core.rules import Bound
from syncd.model import Operation

_NAMES = {
    "connectwise": "cw",
    "halopsa": "halo",
    "microsoft365": "m365",
    "partnercenter": "partner",
    "quickbooks": "qbo",
    "alternative_payments": "payments",
    "http_json": "backup",
    "csv": "files",
}
_CUSTOMER_KEYS = {"connectwise": "ContosoDental", "microsoft365": "contoso.onmicrosoft.com"}
_SELECTORS = {"agreement": "Managed Services*", "product": "M365-BP", "item": "M365 BP", "price": "price_m365_bp"}
# Examples for the keys that every HTTP connection shares and that have no default to show.
_SHARED = {
    "base_url": "https://api.example.com",
    "token_url": "https://login.example.com",
    "concurrency": 4,
    "requests_per_minute": 300,
    "ca_bundle": "/etc/ssl/certs/acme.pem",
    "proxy": "http://127.0.0.1:3128",
}
# Defaults that are written in another form than they are kept in ("25%"); there the first example is the default.
_OWN_FORM = (Decimal, Bound, timedelta, tuple)


def render_config(kinds: Mapping[str, Connector]) -> str:
    """The text of config.example.toml."""
    lines = _words(
        "An example of config.toml, written from the declarations in the code by `python -m syncd.config.example`. "
        "Keys that are commented out show their default, or an example where they have none. "
        "Relative paths are relative to this file."
    )
    for name, field in ConfigFile.model_fields.items():
        if name == "connections":
            lines += _connections(kinds, field)
        elif name == "alerts":
            lines += ["", *_words(_about(field)), "#[[alerts]]", *_keys(AlertTable)]
        else:
            lines += ["", *_words(_about(field)), f"[{name}]", *_keys(TABLES[name])]
    return "\n".join(lines) + "\n"


def shown_kinds(kinds: Mapping[str, Connector]) -> list[str]:
    """syncd's own kinds in the order of INTERFACE 2; where none is installed, whatever is."""
    return [kind for kind in PROMISED_KINDS if kind in kinds] or sorted(kinds)


def _connections(kinds: Mapping[str, Connector], field: FieldInfo) -> list[str]:
    lines = ["", *_words(_about(field))]
    lines += _words(
        'A secret is { env = "NAME" } or { file = "/path" }; written out it is accepted with a warning. '
        f"Kinds: {', '.join(shown_kinds(kinds))}."
    )
    shared_in = ""
    for kind in shown_kinds(kinds):
        connector, name = kinds[kind], _NAMES.get(kind, kind)
        lines += ["", *_words(f"{connector.title}: {_does(connector.abilities)}."), f"[connections.{name}]"]
        live = live_settings(connector, name)
        shared = _shared_keys(connector.settings)
        hidden = shared if shared_in else frozenset()
        lines += _keys(connector.settings, live, hidden)
        if shared and shared_in:
            lines += _words(f"Also here, as in [connections.{shared_in}]: {', '.join(sorted(shared))}.")
        elif shared:
            shared_in = name
    return lines


def _does(abilities: Abilities) -> str:
    reads = f"reads {', '.join(sorted(abilities.reads))}"
    if abilities.measures:
        reads += f" (measures {', '.join(sorted(abilities.measures))})"
    return f"{reads}; posts {', '.join(sorted(abilities.operations)) or 'nothing'}"


def _shared_keys(settings: type[BaseModel]) -> frozenset[str]:
    """The keys of every HTTP connection that this kind leaves as they are."""
    if not issubclass(settings, HttpSettings):
        return frozenset()
    own = settings.model_fields
    return frozenset(
        name
        for name, field in HttpSettings.model_fields.items()
        if name != "kind" and own[name].default == field.default and own[name].description == field.description
    )


# The most optional keys that a kind needs together, where it can sign in in several ways.
_TOGETHER = 3


def live_settings(connector: Connector, name: str) -> dict[str, str]:
    """Key -> value as TOML: what the kind requires, and the fewest optional keys, a secret first, that it cannot do
    without."""
    live: dict[str, str] = {"kind": toml_text(connector.kind)}
    references: dict[str, str] = {}
    for key, field in connector.settings.model_fields.items():
        if _holds(field.annotation, Secret):
            references[key] = f"{{ env = {toml_text(f'{name}_{key}'.upper())} }}"
        if field.is_required() and key != "kind":
            live[key] = references.get(key) or _shown(key, field)
    examples = {key: _shown(key, field) for key, field in connector.settings.model_fields.items() if field.examples}
    optional = {key: references.get(key) or examples[key] for key in {**references, **examples} if key not in live}
    for keys in (some for count in range(_TOGETHER + 1) for some in combinations(optional, count)):
        attempt = {**live, **{key: optional[key] for key in keys}}
        if _valid(connector.settings, attempt):
            return attempt
    return live


def _valid(settings: type[BaseModel], live: Mapping[str, str]) -> bool:
    try:
        settings.model_validate(tomllib.loads("\n".join(f"{key} = {value}" for key, value in live.items())))
    except ValidationError:
        return False
    return True


def _keys(model: type[BaseModel], live: Mapping[str, str] | None = None, hidden: Iterable[str] = ()) -> Iterator[str]:
    """Each key with its description above it; commented out unless it is live."""
    live = live or {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key in hidden:
            continue
        if key != "kind":
            yield from _words(_about(field))
        yield f"{key} = {live[key]}" if key in live else f"#{key} = {_shown(key, field)}"


def _shown(key: str, field: FieldInfo) -> str:
    """A key's default where it has one to show, else its example."""
    default = field.get_default(call_default_factory=True)
    if field.is_required() or default in (None, "", (), {}, []):
        example = field.examples[0] if field.examples else _SHARED.get(key, default)
        return toml_text("…") if example in (None, PydanticUndefined) else example_text(example)
    if field.examples and any(isinstance(default, kind) for kind in _OWN_FORM):
        return example_text(field.examples[0])
    return toml_text(default)


def _about(field: FieldInfo) -> str:
    return field.description or ""


def _holds(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_holds(part, wanted) for part in get_args(annotation))


def _words(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def render_mappings(kinds: Mapping[str, Connector]) -> str:
    """The text of mappings/example.toml; its connections are those of config.example.toml."""
    shown = {kind: kinds[kind].abilities for kind in shown_kinds(kinds)}
    billing = next((kind for kind, abilities in shown.items() if Operation.SET_QUANTITY in abilities.operations), "")
    # A system that bills can count as well; an example counts where nothing is billed.
    counting = [kind for kind, abilities in shown.items() if abilities.measures and kind != billing]
    sources = [kind for kind in counting if "billed" not in shown[kind].reads] or counting
    about = MappingFile.model_fields
    lines = _words(
        "An example of a mapping file, written from the declarations in the code by `python -m syncd.config.example`. "
        "All *.toml files of the folder are read together; names are unique over all. "
        "Its connections are those of config.example.toml."
    )
    keys = {_NAMES.get(kind, kind): toml_text(_CUSTOMER_KEYS.get(kind, "Contoso Dental")) for kind in shown}
    lines += ["", *_words(_about(about["customer"]))]
    lines += _words("Besides its own keys it has one for each connection: how that system knows the customer.")
    lines += ["[[customer]]", *_keys(CustomerTable, {"name": '"Contoso Dental"'})]
    lines += _words(
        "The system's id, else its identifier, else its exact name; a list means several. "
        'A part of a tenant is written { id = "contoso.onmicrosoft.com", where = { domain = "east.contoso.com" } }.'
    )
    lines += [f"{name} = {value}" for name, value in keys.items()]
    if sources:
        lines += _populations(shown[sources[0]])
    if sources and billing:
        lines += ["", *_words(_about(about["rule"])), "[[rule]]", *_rule(sources[0], billing, shown)]
        if len(sources) > 1 and Operation.POST_LINE in shown[billing].operations:
            lines += ["", *_second_rule(sources[-1], billing, shown)]
    if sources:
        live = {"from": toml_text(_NAMES.get(sources[0], sources[0])), "sku": '["FLOW_FREE", "WINDOWS_STORE"]'}
        lines += ["", *_words(_about(about["ignore"])), "[[ignore]]", *_keys(IgnoreTable, {**live, "why": '"free"'})]
    return "\n".join(lines) + "\n"


def _populations(abilities: Abilities) -> list[str]:
    flags = sorted(name for name, known in abilities.filters.items() if known.kind == "flag")
    if not flags:
        return []
    live = {"name": '"billable user"', "where": toml_text(dict.fromkeys(flags, True))}
    lines = ["", *_words(MappingFile.model_fields["population"].description or ""), "[[population]]"]
    return [*lines, *_keys(PopulationTable, live)]


def _rule(source: str, billing: str, shown: Mapping[str, Abilities]) -> Iterator[str]:
    count: dict[str, str] = {"from": _NAMES.get(source, source), "sku": "SPB"}
    measures = shown[source].measures
    measure = "assigned" if "assigned" in measures else shown[source].default_measure or min(measures)
    count["measure"] = measure
    bill = _bill(billing, shown)
    live = {"name": toml_text("M365 Business Premium"), "count": toml_text(count), "bill": toml_text(bill)}
    checks = _cross_checks(source, billing, shown)
    for name, field in RuleTable.model_fields.items():
        if name == "example":
            continue
        yield from _words(_about(field))
        if name == "count":
            yield from _parts(CountTable)
        if name == "bill":
            selectors = (*shown[billing].bill_keys, *shown[billing].bill_options)
            yield from _words(f"  {billing} names it by {', '.join(selectors)}.")
        if name == "price":
            later = f"{' and '.join(LATER_MODELS)} {NOT_AVAILABLE.replace('is', 'are', 1)}"
            yield from _words(f"  Models: {', '.join(one for one in PRICE_MODELS if one not in LATER_MODELS)}; {later}")
        yield f"{name} = {live[name]}" if name in live else f"#{name} = {checks.get(name) or _shown(name, field)}"
    yield from _words(_about(RuleTable.model_fields["example"]))
    yield from _example(27, 27)


def _cross_checks(source: str, billing: str, shown: Mapping[str, Abilities]) -> dict[str, str]:
    """`bought` and `invoiced` as the kinds at hand can answer them."""
    checks = {}
    bought = next((name for name, one in sorted(shown[source].measures.items()) if one.number == "bought"), "")
    if bought:
        checks["bought"] = toml_text({"from": _NAMES.get(source, source), "sku": "SPB", "measure": bought})
    if "invoiced" in shown[billing].reads:
        checks["invoiced"] = toml_text({"from": _NAMES.get(billing, billing), "item": _SELECTORS["product"]})
    return checks


def _example(count: int, target: int) -> Iterator[str]:
    yield "[[rule.example]]"
    yield from _keys(ExampleTable, {"count": str(count), "target": str(target)})


def _parts(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        text = f"{field.alias or name}: {_about(field)}"
        yield from textwrap.wrap(text, 110, initial_indent="#   ", subsequent_indent="#     ")


def _bill(billing: str, shown: Mapping[str, Abilities]) -> dict[str, str]:
    chosen = {key: _SELECTORS.get(key, key) for key in shown[billing].bill_keys}
    if "agreement" in shown[billing].bill_options:
        chosen = {"agreement": _SELECTORS["agreement"], **chosen}
    return {"to": _NAMES.get(billing, billing), **chosen}


def _second_rule(source: str, billing: str, shown: Mapping[str, Abilities]) -> Iterator[str]:
    """A variable part on top of the core: a flat fee that holds 100, sold in steps of 50."""
    bill = _bill(billing, shown)
    if "product" in bill:
        bill["product"] = "BACKUP-50"
    yield from _words("A variable part: 100 are inside the flat fee, what is above is sold in steps of 50.")
    yield "[[rule]]"
    yield 'name = "Backup storage"'
    yield f"count = {toml_text({'from': _NAMES.get(source, source), 'sku': 'Backup*'})}"
    yield f"bill = {toml_text(bill)}"
    yield 'true_up = "line"'
    yield "included = 100"
    yield 'round = "up"'
    yield "to = 50"
    yield from _example(320, 250)


def write_examples(folder: Path, kinds: Mapping[str, Connector]) -> None:
    """Write both files below `folder`."""
    (folder / "mappings").mkdir(exist_ok=True)
    (folder / "config.example.toml").write_text(render_config(kinds), encoding="utf-8")
    (folder / "mappings" / "example.toml").write_text(render_mappings(kinds), encoding="utf-8")


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2], Kinds())
