"""config.toml, from its tables to `Config`: every table judged, connections by their kind's own model.

Owns what only holds over several keys (the schedule, the connections, secrets that can be read). Does not own the
shape of a table (`schema`) or mappings (`mapping_build`). What always holds: `Draft.config` is there only where there
is no fault.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from syncd.config.digest import digest
from syncd.config.faults import did_you_mean, read_toml, salvage, shape
from syncd.config.mapping_schema import CustomerTable
from syncd.config.schema import (
    TABLES,
    AlertTable,
    ConfigFile,
    EvidenceTable,
    SafetyTable,
    SyncdTable,
    WebTable,
    check_database,
    host_and_port,
)
from syncd.config.types import Config, ConnectionConfig, EvidenceConfig, Link, WebConfig
from syncd.config.values import NOT_AVAILABLE, key_text
from syncd.connect.contract import Connector
from syncd.connect.settings import Secret
from syncd.core.rules import House, Mode, Safety
from syncd.errors import Fault
from syncd.model import Operation

M = TypeVar("M", bound=BaseModel)
# The table of INTERFACE 2, in its order: kinds that are promised, and told from kinds that are misspelt.
PROMISED_KINDS = tuple(
    "connectwise halopsa microsoft365 partnercenter pax8 quickbooks xero netsuite stripe alternative_payments "
    "http_json csv".split()
)
EVERY = timedelta(hours=1)
TICKETS = frozenset({Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET})


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be understood of a config. `links` and `mappings_folder` serve mappings even where it has faults;
    `mappings_key` is the place that names that folder."""

    config: Config | None
    links: Mapping[str, Link]
    mappings_folder: Path | None
    mappings_key: str = ""


def draft_config(
    path: Path, kinds: Mapping[str, Connector], environ: Mapping[str, str], *, secrets: bool
) -> tuple[Draft, list[Fault]]:
    """Read and judge the file. `secrets=False` does not look whether secrets can be read."""
    path = path.absolute()
    shown = path.name
    raw, faults = read_toml(path, shown)
    if raw is None:
        return Draft(None, {}, None), faults
    faults += _strangers(raw, shown)
    house = _table(SyncdTable, raw, shown, faults)
    if isinstance(raw.get("syncd"), dict) and {"every", "cron"} <= raw["syncd"].keys():
        faults.append(Fault(f"{shown} › [syncd] › cron", "is set beside every.", "Keep one of them."))
    connections, links = _connections(raw, kinds, shown, faults)
    safety = _table(SafetyTable, raw, shown, faults)
    evidence = _table(EvidenceTable, raw, shown, faults)
    alerts = _alerts(raw, links, shown, faults)
    web = _table(WebTable, raw, shown, faults)
    ceiling = _ceiling(environ, faults)
    warnings: list[str] = []
    for connection in connections.values():
        place = f"{shown} › [connections.{key_text(connection.name)}]"
        _judge_secrets(connection.settings, place, path.parent, environ, faults if secrets else None, warnings)
    for number, alert in enumerate(alerts, 1):
        place = alert_place(shown, number)
        _judge_secrets(alert, place, path.parent, environ, faults if secrets else None, warnings)
    if house:
        # Every command needs the ledger, so its reference is always looked up.
        _judge_secrets(house, f"{shown} › [syncd]", path.parent, environ, faults, warnings)
    database = _database(house, f"{shown} › [syncd] › database", path.parent, faults) if house else ""
    known, lost = (house, frozenset[str]()) if house else salvage(SyncdTable, raw.get("syncd"), {})
    folder = path.parent / known.mappings if known and "mappings" not in lost else None
    key = mappings_key(path)
    if faults or not (house and safety and evidence and web and folder):
        return Draft(None, links, folder, key), list(dict.fromkeys(faults))
    content = digest([house, safety, evidence, web, {name: one.settings for name, one in connections.items()}])
    config = Config(
        path=path,
        folder=path.parent,
        house=House(
            mode=Mode(house.mode),
            zone=ZoneInfo(house.timezone),
            period_anchor=house.period_anchor,
            currency=house.currency,
            safety=Safety(**{name: getattr(safety, name) for name in SafetyTable.model_fields}),
            ceiling=ceiling,
            content=content,
        ),
        every=house.every or EVERY,
        cron=house.cron or "",
        database=database,
        concurrency=house.concurrency,
        connections=connections,
        mappings_folder=folder,
        evidence=EvidenceConfig(evidence.subjects, evidence.keep),
        alerts=alerts,
        web=WebConfig(web.listen, *host_and_port(web.listen), linked="listen" in web.model_fields_set),
        warnings=tuple(warnings),
    )
    return Draft(config, links, folder, key), []


def mappings_key(path: Path) -> str:
    """The place in a config file that names the mappings folder."""
    return f"{path.name} › [syncd] › mappings"


def _table(model: type[M], raw: Mapping[str, Any], shown: str, faults: list[Fault]) -> M | None:
    name = next(name for name, known in TABLES.items() if known is model)
    table, found = shape(model, raw.get(name, {}), f"{shown} › [{name}]")
    faults += found
    return table


def _strangers(raw: Mapping[str, Any], shown: str) -> Iterator[Fault]:
    """Whatever stands at the top of the file and is none of its tables."""
    headings = {name: f"[[{name}]]" if name == "alerts" else f"[{name}]" for name in ConfigFile.model_fields}
    for name in [name for name in raw if name not in headings]:
        value = raw[name]
        home = next((table for table, model in TABLES.items() if name in model.model_fields), "")
        if not isinstance(value, dict | list) and home:
            yield Fault(f"{shown} › {key_text(name)}", "unknown key.", f"It belongs under [{home}].")
            continue
        word = "table" if isinstance(value, dict | list) else "key"
        place = f"{shown} › [{key_text(name)}]" if word == "table" else f"{shown} › {key_text(name)}"
        near = did_you_mean(name, headings, form="{}", listed=False)
        for known, heading in headings.items():
            near = near.replace(f" {known}?", f" {heading}?")
        if not near and isinstance(value, dict) and "kind" in value:
            near = f"Did you mean [connections.{key_text(name)}]?"
        yield Fault(place, f"unknown {word}.", near or f"Known: {', '.join(headings.values())}.")


def _connections(
    raw: Mapping[str, Any], kinds: Mapping[str, Connector], shown: str, faults: list[Fault]
) -> tuple[dict[str, ConnectionConfig], dict[str, Link]]:
    tables = raw.get("connections", {})
    connections: dict[str, ConnectionConfig] = {}
    links: dict[str, Link] = {}
    if not isinstance(tables, dict):
        faults.append(Fault(f"{shown} › [connections]", "must hold tables like [connections.m365]."))
        return connections, links
    if not tables and not any("[connections" in fault.mend for fault in faults):
        mend = 'Add one, like [connections.m365] with kind = "microsoft365".'
        faults.append(Fault(f"{shown} › [connections]", "there is no connection at all.", mend))
    own_keys = set(CustomerTable.model_fields)
    for name, table in tables.items():
        place = f"{shown} › [connections.{key_text(name)}]"
        links[name] = Link(name, "", None)
        if not name.strip() or name in own_keys:
            faults.append(Fault(place, "a customer could not name it.", "Give the connection another name."))
        if not isinstance(table, dict):
            faults.append(Fault(place, f"must be a table. Write it under a line [connections.{key_text(name)}]."))
            continue
        connector = _connector(table, kinds, place, faults)
        if connector is None:
            continue
        kind = table["kind"]
        links[name] = Link(name, kind, connector.abilities)
        settings, found = shape(connector.settings, table, place)
        faults += found
        if settings is not None:
            links[name] = Link(name, kind, connector.abilities.under(settings))
            connections[name] = ConnectionConfig(name, kind, settings)
    return connections, links


def _connector(
    table: Mapping[str, Any], kinds: Mapping[str, Connector], place: str, faults: list[Fault]
) -> Connector | None:
    """The connector that `kind` names, or None with the fault told."""
    installed = sorted(kinds)
    kind = table.get("kind")
    has = f"This version has {', '.join(installed)}." if installed else ""
    if not isinstance(kind, str) or not kind:
        faults.append(Fault(f"{place} › kind", "must be text in quotes." if "kind" in table else "is missing.", has))
    elif kind not in kinds and kind in PROMISED_KINDS:
        faults.append(Fault(f"{place} › kind", f'"{kind}" {NOT_AVAILABLE}', has))
    elif kind not in kinds:
        mend = did_you_mean(kind, [*installed, *PROMISED_KINDS], listed=False) or has
        faults.append(Fault(f"{place} › kind", f'there is no kind "{kind}".', mend))
    else:
        try:
            return kinds[kind]
        except Exception as error:  # a third party's module may fail in any way while it is imported
            what = f'the connector "{kind}" cannot be loaded ({type(error).__name__}: {error}).'
            faults.append(Fault(f"{place} › kind", what, "Reinstall its package."))
    return None


def alert_place(shown: str, number: int) -> str:
    """How messages name one `[[alerts]]` table, counted from 1."""
    return f"{shown} › [[alerts]] {number}"


def _alerts(
    raw: Mapping[str, Any], links: Mapping[str, Link], shown: str, faults: list[Fault]
) -> tuple[AlertTable, ...]:
    """The channels, each judged by itself and against the connection that its tickets are in."""
    tables = raw.get("alerts", [])
    if not isinstance(tables, list):
        faults.append(Fault(f"{shown} › [alerts]", "must be a list of tables.", "Write [[alerts]]."))
        return ()
    channels = []
    for number, table in enumerate(tables, 1):
        place = alert_place(shown, number)
        channel, found = shape(AlertTable, table, place)
        faults += found
        if channel is not None:
            channels.append(channel)
            faults += _ticket_faults(channel, links, f"{place} › ticket.in")
    return tuple(channels)


def _ticket_faults(alert: AlertTable, links: Mapping[str, Link], place: str) -> Iterator[Fault]:
    if alert.ticket is None:
        return
    name = alert.ticket.connection
    able = [known for known, link in links.items() if link.abilities and link.abilities.operations.keys() >= TICKETS]
    known = f"These can: {', '.join(sorted(able))}." if able else ""
    if name not in links:
        yield Fault(place, f'there is no connection "{name}".', did_you_mean(name, links) or known)
    elif links[name].abilities is not None and name not in able:
        yield Fault(place, f'connection "{name}" ({links[name].kind}) opens no tickets.', known)


def _ceiling(environ: Mapping[str, str], faults: list[Fault]) -> Mode:
    """`SYNCD_MODE`, which overrides every mode downwards."""
    text = environ.get("SYNCD_MODE", "")
    if not text:
        return Mode.POST
    if text not in list(Mode):
        faults.append(Fault("SYNCD_MODE", f'"{text}" is no mode.', did_you_mean(text, list(Mode))))
        return Mode.OBSERVE
    return Mode(text)


def _database(house: SyncdTable, place: str, folder: Path, faults: list[Fault]) -> str:
    """The ledger's URL: `sqlite:///` and an absolute path (a relative one is relative to the file), or PostgreSQL's.
    "" where it stands elsewhere and cannot be read, which is told already, or is none."""
    url = house.database
    if isinstance(url, Secret):
        if url.problem(folder):
            return ""
        try:
            url = check_database(url.reveal(folder))
        except ValueError as error:
            faults.append(Fault(place, f"what it refers to {error}."))
            return ""
    return f"sqlite:///{folder / url.removeprefix('sqlite:///')}" if url.startswith("sqlite:///") else url


def _judge_secrets(
    settings: BaseModel,
    place: str,
    folder: Path,
    environ: Mapping[str, str],
    faults: list[Fault] | None,
    warnings: list[str],
) -> None:
    """Faults for secrets that cannot be read (None: not looked), warnings for those that others can read."""
    for key, secret in _secrets(settings, ""):
        where = f"{place} › {key}"
        if secret.literal:
            warnings.append(
                f'{where}: the secret stands in the file itself. Use {{ env = "NAME" }} or {{ file = "/path" }}.'
            )
        if secret.file:
            path = folder / secret.file
            try:
                open_to_all = bool(path.stat().st_mode & stat.S_IROTH)
            except OSError:
                open_to_all = False  # told below, where it matters that the file can be read
            if open_to_all:
                warnings.append(f"{where}: every user of this machine can read {path}. Run chmod o-r on it.")
        if faults is None:
            continue
        if secret.env:
            if not environ.get(secret.env):
                what = f"the environment variable {secret.env} is not set."
                faults.append(Fault(where, what, "Set it where syncd is started."))
        elif problem := secret.problem(folder):
            faults.append(Fault(where, problem))


def _secrets(value: object, key: str) -> Iterator[tuple[str, Secret]]:
    """Every secret of a settings model, with its key; nested tables too."""
    match value:
        case Secret():
            yield key, value
        case BaseModel():
            for name, field in type(value).model_fields.items():
                yield from _secrets(getattr(value, name), f"{key}.{field.alias or name}".lstrip("."))
        case Mapping():
            for name, one in value.items():
                yield from _secrets(one, f"{key}.{name}".lstrip("."))
        case list() | tuple():
            for position, one in enumerate(value, 1):
                yield from _secrets(one, f"{key}[{position}]")
