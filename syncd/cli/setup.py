"""`init`: the first files, by asking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

import typer

from syncd.cli.common import options
from syncd.cli.main import app
from syncd.errors import Fault, UserFault

CONFIG = """\
# Written by `syncd init`. Every key: config.example.toml. Secrets stay outside: {{ env = "NAME" }} or {{ file = "…" }}.
[syncd]
every    = "1h"
timezone = "{timezone}"
currency = "{currency}"
mode     = "observe"          # writes to no outside system; then "propose", then "post"
mappings = "mappings"
database = "sqlite:///state/syncd.db"

[connections.cw]
kind        = "connectwise"
company     = "{company}"
public_key  = {{ env = "CW_PUBLIC_KEY" }}
private_key = {{ env = "CW_PRIVATE_KEY" }}
client_id   = "{cw_client_id}"

[connections.m365]
kind          = "microsoft365"
tenant_id     = "{tenant_id}"
client_id     = "{m365_client_id}"
client_secret = {{ env = "M365_CLIENT_SECRET" }}
"""

MAPPING = """\
# Written by `syncd init`. The cookbook is in README.md; every key is in mappings/example.toml.
[[customer]]
name = "{customer}"           # what people read
m365 = "{tenant}"             # tenant id or domain
cw   = "{identifier}"         # ConnectWise id or identifier

[[rule]]
name    = "M365 Business Premium"
count   = {{ from = "m365", sku = "SPB", measure = "assigned" }}
bill    = {{ to = "cw", agreement = "Managed Services*", product = "M365-BP" }}
true_up = "quantity"
"""


@app.command(epilog="Example: mkdir syncd; cd syncd; syncd init")
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Where to write; the present folder by default.")] = Path(),
) -> int:
    """Asks, then writes config.toml and a first mapping; never over an existing file."""
    config = options(context).config or folder / "config.toml"
    mapping = config.parent / "mappings" / "first.toml"
    if standing := [path for path in (config, mapping) if path.exists()]:
        raise UserFault([Fault(str(path), "exists already; it is not written over.") for path in standing])
    answers = {
        "timezone": _timezone(),
        "currency": typer.prompt("Currency of your bills", default="USD").upper(),
        "company": typer.prompt("ConnectWise login company", default="acme"),
        "cw_client_id": typer.prompt("ConnectWise client id (a GUID from developer.connectwise.com)", default="…"),
        "tenant_id": typer.prompt("Your Microsoft partner tenant (id or domain)", default="…"),
        "m365_client_id": typer.prompt("Microsoft app registration (client id)", default="…"),
        "customer": typer.prompt("A first customer, as people call it", default="Contoso Dental"),
        "tenant": typer.prompt("… its Microsoft tenant (id or domain)", default="contoso.onmicrosoft.com"),
        "identifier": typer.prompt("… its ConnectWise identifier", default="ContosoDental"),
    }
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in answers.items()}
    for path, template in ((config, CONFIG), (mapping, MAPPING)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template.format(**escaped))
        typer.echo(f"Wrote {path}")
    typer.echo("Set CW_PUBLIC_KEY, CW_PRIVATE_KEY and M365_CLIENT_SECRET, then: syncd check, syncd plan")
    return 0


def _timezone() -> str:
    local = os.environ.get("TZ", "").lstrip(":") or _system_zone()
    zones = available_timezones()
    while True:
        zone: str = typer.prompt("Time zone of your bills", default=local if local in zones else "America/Chicago")
        if zone in zones:
            return zone
        typer.echo(f"{zone!r} is no IANA time zone; write it like America/Chicago or Europe/Berlin.", err=True)


def _system_zone() -> str:
    try:
        return str(Path("/etc/localtime").resolve()).split("zoneinfo/", 1)[1]
    except (OSError, IndexError):
        return ""
