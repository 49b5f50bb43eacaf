"""The keys of `[connections.NAME]` with kind "connectwise". Owns names, defaults and what makes a value wrong."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from syncd.connect.settings import HttpSettings, SecretRef, is_loopback

SERIAL_NUMBER = "serialNumber"

# The vendor's cloud hosts: sign-in site -> host of the API (developer guide, "Cloud URL"). The plain host answers
# "SSL is required"; any other host is on-premise and serves both.
API_HOSTS = {
    "na.myconnectwise.net": "api-na.myconnectwise.net",
    "eu.myconnectwise.net": "api-eu.myconnectwise.net",
    "au.myconnectwise.net": "api-au.myconnectwise.net",
    "aus.myconnectwise.net": "api-aus.myconnectwise.net",
    "za.myconnectwise.net": "api-za.myconnectwise.net",
    "staging.connectwisedev.com": "api-staging.connectwisedev.com",
}

# Throttling bites above some 1,000 requests a minute, and other integrations share the same servers.
CLOUD_REQUESTS_PER_MINUTE = 300


def _site(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a host like na.myconnectwise.net")
    text = value.strip().rstrip("/")
    address = text if "://" in text else f"https://{text}"
    parts = urlsplit(address)
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", parts.netloc) or parts.path or parts.query or parts.fragment:
        raise ValueError("must be a host like na.myconnectwise.net, without path")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError("must begin with https:// (plain http:// is accepted for loopback hosts only)")
    for site, api in API_HOSTS.items():  # the API's own host was given: the sign-in host is meant
        if parts.hostname == api:
            return f"https://{site}"
    return address


class ConnectWiseSettings(HttpSettings):
    """Keys of a ConnectWise PSA connection."""

    company: str = Field(min_length=1, description="Company id as typed on the PSA's sign-in page.", examples=["acme"])
    public_key: SecretRef = Field(description="Public key of the API member.", examples=['{ env = "CW_PUBLIC_KEY" }'])
    private_key: SecretRef = Field(
        description="Private key of the API member.", examples=['{ file = "/run/secrets/cw_private_key" }']
    )
    client_id: str = Field(
        min_length=1,
        description="The integration's GUID from ConnectWise's developer site; sent with every request.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    marker: str = Field(
        SERIAL_NUMBER,
        min_length=1,
        description='Where syncd marks its own additions: "serialNumber", or the caption of a custom text field.',
        examples=["serialNumber"],
    )
    site: Annotated[str, BeforeValidator(_site)] = Field(
        "https://na.myconnectwise.net",
        description="Host of the PSA's sign-in page; the API's host and code base are found from it.",
        examples=["na.myconnectwise.net"],
    )
    api_version: str = Field(
        "2025.1",
        pattern=r"^\d{4}\.\d{1,2}$",
        description="API version that is asked for, so that a release of the vendor does not change the answers.",
        examples=["2025.1"],
    )
    cancelled_day: Literal["billed", "free"] = Field(
        "billed",
        description="Whether the PSA still bills the day on which an addition is cancelled.",
        examples=["billed"],
    )
    invoicing: Literal["advance", "arrears"] = Field(
        "advance",
        description="Whether the invoice of a day bills the period that begins then, or the one just ended; "
        "an agreement whose period type is Future or Both is always in advance.",
        examples=["advance"],
    )
    closed_status: str = Field(
        "",
        description="Status that closes a ticket, where a board has several closed ones and flags none as default.",
        examples=["Closed"],
    )
    concurrency: int | None = Field(4, ge=1, le=64, description="Simultaneous requests; the vendor asks for few.")
    requests_per_minute: int | None = Field(
        None,
        ge=1,
        description=f"Upper bound of requests in a minute; {CLOUD_REQUESTS_PER_MINUTE} unless base_url is set.",
    )

    @model_validator(mode="before")
    @classmethod
    def _cloud_budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("base_url") and "requests_per_minute" not in values:
            return {**values, "requests_per_minute": CLOUD_REQUESTS_PER_MINUTE}
        return values


def api_root(site: str) -> str:
    """Root address of the API that belongs to a sign-in site; unknown hosts (on-premise) serve both themselves."""
    parts = urlsplit(site)
    return f"{parts.scheme}://{API_HOSTS.get(parts.netloc.lower(), parts.netloc)}"
