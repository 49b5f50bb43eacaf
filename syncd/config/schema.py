"""The tables of config.toml: every key with its type, its default, its description and an example.

`config.example.toml` is written from these declarations, and the faults of `syncd check` quote them. Connections are
the exception: their keys are declared by each connector. What always holds: for an optional key with a default, the
first example is that default.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from syncd.config.cron import check_cron
from syncd.config.faults import did_you_mean
from syncd.config.values import Percent, Quantity, Share, Table, Text, Texts
from syncd.connect.settings import Duration, Secret, SecretRef, is_loopback

ModeName = Literal["observe", "propose", "post"]
ALERT_REASONS = ("drift", "held", "failed", "source", "threshold", "unmapped", "renewal")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; "America" is a folder: OSError
        zones = available_timezones()
        near = did_you_mean(value, zones, listed=False)
        if any(zone.startswith(f"{value}/") for zone in zones):
            near = "Add the city, like America/Chicago."
        raise ValueError(f'"{value}" is no IANA time zone. {near or "Write it like America/Chicago."}') from None
    return value


def _currency(value: str) -> str:
    if not re.fullmatch("[A-Za-z]{3}", value):
        raise ValueError('must be the three letters of ISO 4217, like "USD"')
    return value.upper()


def check_database(value: str) -> str:
    """A ledger's URL. Raises ValueError, which never shows it."""
    scheme, separator, rest = value.partition("://")
    if separator and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        if not urlsplit(value).path.strip("/"):
            raise ValueError('must name a database, like "postgresql+psycopg://user@host/name"')
        return value
    if scheme != "sqlite" or not rest.startswith("/") or rest.strip("/") in ("", ":memory:") or "?" in rest:
        raise ValueError('must name a file, like "sqlite:///state/syncd.db"')
    return value


def _database_or_secret(value: Any) -> Any:
    """A URL of PostgreSQL may hold a password, so it may stand elsewhere, as any secret may."""
    if isinstance(value, dict):
        if (
            len(value) != 1
            or not value.keys() <= {"env", "file"}
            or not all(isinstance(x, str) for x in value.values())
        ):
            raise ValueError('must be a URL, or { env = "NAME" } or { file = "/path" } where one stands')
        return Secret(**value)
    if isinstance(value, str) and "://" in value and urlsplit(value).password:
        return Secret(literal=check_database(value))
    return check_database(value) if isinstance(value, str) else value


def host_and_port(listen: str) -> tuple[str, int]:
    """The two parts of `listen`. Raises ValueError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535 or (":" in host and not re.fullmatch(r"\[.+\]", host)):
        raise ValueError('must be a host and a port, like "127.0.0.1:8730"')
    return host.strip("[]"), int(port)


def _listen(value: str) -> str:
    host, _ = host_and_port(value)
    if not is_loopback(host):
        raise ValueError(
            "the daemon does not listen beyond loopback without a sign-in, and sign-in is not available yet in this "
            'version; use "127.0.0.1:8730"'
        )
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def _reasons(value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        if one not in ALERT_REASONS:
            raise ValueError(f'"{one}" is no reason for an alert. {did_you_mean(one, ALERT_REASONS)}')
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Currency = Annotated[str, AfterValidator(_currency)]
Database = Annotated[str | Secret, BeforeValidator(_database_or_secret)]
Listen = Annotated[str, AfterValidator(_listen)]
Interval = Annotated[Duration, AfterValidator(_positive)]
Cron = Annotated[str, AfterValidator(check_cron)]
Reasons = Annotated[Texts, AfterValidator(_reasons)]


class SyncdTable(Table):
    """`[syncd]`"""

    every: Interval | None = Field(
        None, description="How often a cycle starts; 1h where neither this nor cron is set.", examples=["1h"]
    )
    cron: Cron | None = Field(
        None,
        description="Instead of every: minute, hour, day, month, weekday (0 and 7 are Sunday), in the zone below.",
        examples=["15 * * * *"],
    )
    timezone: Zone = Field(
        "UTC",
        description="Billing periods, month ends and dates are local to the MSP: an IANA name like America/Chicago.",
        examples=["UTC"],
    )
    mode: ModeName = Field(
        "observe",
        description="observe writes to no outside system; propose lets every change wait for a person; "
        "post posts changes inside the safety limits, and the rest waits.",
        examples=["observe"],
    )
    mappings: Text = Field("mappings", description="Folder of the mapping files (*.toml).", examples=["mappings"])
    database: Database = Field(
        "sqlite:///state/syncd.db",
        description="The ledger. A path after three slashes is relative to this file, after four it is absolute. Or "
        "postgresql+psycopg://user:password@host/name, best as { env = } or { file = }.",
        examples=["sqlite:///state/syncd.db"],
    )
    concurrency: int = Field(
        8,
        ge=1,
        le=64,
        description="Simultaneous requests per connection, unless the vendor allows fewer.",
        examples=[8],
    )
    period_anchor: int = Field(
        1,
        ge=1,
        le=31,
        description="Day on which a billing period starts, unless the agreement says otherwise.",
        examples=[1],
    )
    currency: Currency = Field("USD", description="Of amounts whose system names none (ISO 4217).", examples=["USD"])


class SafetyTable(Table):
    """`[safety]`: what may be posted without a person."""

    source_drop: Share = Field(
        Decimal(25),
        description="A source whose total falls further than this since its last good cycle is suspect: "
        "nothing from it is posted.",
        examples=["25%"],
    )
    max_decrease: Share = Field(Decimal(20), description="Of one line in one cycle.", examples=["20%"])
    max_increase: Percent = Field(Decimal(100), description="Of one line in one cycle.", examples=["100%"])
    small_line: Quantity = Field(
        Decimal(5), description="Lines smaller than this are judged by max_step instead of percentages.", examples=[5]
    )
    max_step: Quantity = Field(Decimal(3), description="Units that a small line may move in one cycle.", examples=[3])
    to_zero: Literal["hold", "settle"] = Field(
        "hold", description="hold or settle: a line falling to zero, or a customer gone.", examples=["hold"]
    )
    foreign_edit: Literal["hold", "overwrite", "accept"] = Field(
        "hold",
        description="hold, overwrite or accept: somebody changed by hand what syncd last wrote.",
        examples=["hold"],
    )
    max_postings: int = Field(200, ge=0, description="In one cycle; the rest waits for the next.", examples=[200])
    max_amount: Quantity = Field(
        Decimal(5000), description="Money moved in one cycle, where prices are known.", examples=[5000]
    )
    settle: int = Field(
        2,
        ge=1,
        description="A difference must be seen in this many cycles in a row before it is posted.",
        examples=[2],
    )


class EvidenceTable(Table):
    """`[evidence]`"""

    subjects: Literal["names", "hashed", "none"] = Field(
        "names",
        description="names, hashed or none: what is kept of the users and devices behind a number.",
        examples=["names"],
    )
    keep: Interval = Field(timedelta(days=7 * 365), description="How long evidence is kept.", examples=["7y"])


class TicketTable(Table):
    """`ticket` of an alert."""

    connection: Text = Field(alias="in", description="The connection whose tickets are used.", examples=["cw"])
    board: Text = Field(description="The service board.", examples=["Billing"])
    company: Text = Field(
        description="The company that the ticket stands under, your own: id, else identifier, else exact name.",
        examples=["ACME MSP"],
    )


class AlertTable(Table):
    """`[[alerts]]`: one channel."""

    to: SecretRef | None = Field(
        None,
        description="An Apprise URL: Slack, Teams, e-mail, PagerDuty, ntfy, a JSON webhook…",
        examples=[{"env": "ALERT_URL"}],
    )
    ticket: TicketTable | None = Field(
        None,
        description="Instead of to: one ticket per episode, closed when it is over; none is written in observe.",
        examples=[{"in": "cw", "board": "Billing", "company": "ACME MSP"}],
    )
    on: Reasons = Field(ALERT_REASONS, description="What is worth a message.", examples=[list(ALERT_REASONS)])
    repeat: Interval = Field(
        timedelta(hours=24),
        description="The same unresolved thing is not repeated before this; its end is said once.",
        examples=["24h"],
    )
    digest: Literal["daily"] | None = Field(
        None, description="One message a day instead of one per cycle.", examples=["daily"]
    )
    tags: Texts | None = Field(None, description="Only these customers.", examples=[["pilot"]])

    @model_validator(mode="after")
    def _one_way(self) -> AlertTable:
        if (self.to is None) == (self.ticket is None):
            raise ValueError('needs either to = { env = "ALERT_URL" } or ticket = { in = "cw", board = "Billing" }')
        return self


class WebTable(Table):
    """`[web]`"""

    listen: Listen = Field(
        "127.0.0.1:8730", description="Dashboard, /healthz, /readyz and /metrics.", examples=["127.0.0.1:8730"]
    )


class ConfigFile(Table):
    """The whole file. The tables are validated one by one, so the types here only name them."""

    syncd: SyncdTable = Field(description="The house.", examples=[{}])
    connections: dict[str, Any] = Field(
        description="The systems that are read and billed in. The name is yours; mappings use it.", examples=[{}]
    )
    safety: SafetyTable = Field(description="What may be posted without a person.", examples=[{}])
    evidence: EvidenceTable = Field(description="What is kept to prove a number.", examples=[{}])
    alerts: list[AlertTable] = Field(
        description="Who is told what: each [[alerts]] is a channel of its own.", examples=[[]]
    )
    web: WebTable = Field(description="The daemon's own pages.", examples=[{}])


TABLES: dict[str, type[BaseModel]] = {
    "syncd": SyncdTable,
    "safety": SafetyTable,
    "evidence": EvidenceTable,
    "web": WebTable,
}
