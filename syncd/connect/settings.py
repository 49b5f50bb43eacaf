"""The values that config files hold (secrets by reference, durations, addresses) and every connection's common keys."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from syncd.errors import Fault, UserFault

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret, or where to find it. Read anew at every `reveal`, so that a rotated file needs no restart."""

    literal: str = ""
    env: str = ""
    file: str = ""

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def problem(self, folder: Path = Path()) -> str:
        """Why it cannot be read, in words that name the variable or file and never the value; "" where it can."""
        if self.env:
            return "" if os.environ.get(self.env) else f"the environment variable {self.env} is not set."
        if self.file:
            path = folder / self.file
            try:
                return "" if path.read_text().strip() else f"the file {path} is empty."
            except (OSError, UnicodeDecodeError) as error:
                return f"the file {path} cannot be read ({getattr(error, 'strerror', None) or 'not text'})."
        return "" if self.literal else "is empty."

    def reveal(self, folder: Path = Path()) -> str:
        """The secret itself. Raises UserFault where it cannot be read."""
        if problem := self.problem(folder):
            raise UserFault(Fault("secret", problem))
        if self.env:
            return os.environ[self.env]
        return (folder / self.file).read_text().strip() if self.file else self.literal


def _secret(value: Any) -> Any:
    if isinstance(value, Secret):
        return value
    if isinstance(value, str) and value:
        return Secret(literal=value)
    if isinstance(value, dict) and len(value) == 1 and (set(value) <= {"env", "file"}):
        ((how, where),) = value.items()
        if isinstance(where, str) and where:
            return Secret(env=where) if how == "env" else Secret(file=where)
    raise ValueError('must be { env = "NAME" } or { file = "/path" }')


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdwy])", value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a duration like "30s", "15m", "1h", "2d" or "7y"')
    return timedelta(microseconds=int(Decimal(match[1]) * _UNITS[match[2]] * 1_000_000))


def _url(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be an address like https://api.example.com")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address like https://api.example.com, without user, query or fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https:// (plain http:// is accepted for loopback hosts only)")
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def write_duration(value: timedelta) -> str:
    """The largest whole unit: 1h, 90s."""
    seconds = int(value.total_seconds())
    for unit, size in sorted(_UNITS.items(), key=lambda pair: -pair[1]):
        if seconds and seconds % size == 0 and unit != "w":
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


SecretRef = Annotated[Secret, BeforeValidator(_secret), PlainSerializer(lambda _: "***")]
Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(write_duration)]
Url = Annotated[str, BeforeValidator(_url)]


class ConnectionSettings(BaseModel):
    """The keys that every connection accepts; a connector's settings add its own.

    Each field's description and first example are what `config.example.toml` and the docs show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    kind: str = Field(description="Which connector reads and posts here.")


class HttpSettings(ConnectionSettings):
    """The keys that every HTTP connection accepts besides its own."""

    base_url: Url = Field("", description="Root of the API; for a sandbox, a regional host or a national cloud.")
    token_url: Url = Field("", description="Root of the sign-in host, where it is another; the vendor's path is added.")
    timeout: Duration = Field(timedelta(seconds=30), description="Longest silence of the vendor within one request.")
    concurrency: int | None = Field(None, ge=1, le=64, description="Simultaneous requests; else [syncd] concurrency.")
    requests_per_minute: int | None = Field(None, ge=1, description="Upper bound of requests in a minute.")
    retry_wait: Duration = Field(timedelta(seconds=1), description="First wait where the vendor names none.")
    ca_bundle: str | None = Field(None, description="PEM file of the authorities to trust instead of the public ones.")
    proxy: Url | None = Field(None, description="HTTP proxy for this connection.")
