"""The keys of `[connections.NAME]` with kind "halopsa". Owns names, defaults and what makes a value wrong."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from syncd.connect.settings import HttpSettings, SecretRef, Url, is_loopback

# The least that reading and posting need; `actions` and `sites` are no scopes (they follow tickets and customers).
SCOPES = (
    "read:customers",
    "read:items",
    "edit:invoices",
    "edit:softwarelicensing",
    "edit:tickets",
    "read:assets",
)
# Halo publishes no limit; figures in the wild are 140 to 170 a minute, and other integrations share them.
REQUESTS_PER_MINUTE = 100
# Halo's built-in status "Closed" and its built-in outcome for an internal note (public integrations; see README).
CLOSED_STATUS = 9
INTERNAL_NOTE = 7


class HaloSettings(HttpSettings):
    """Keys of a HaloPSA connection."""

    base_url: Url = Field(
        description="Address of your Halo, as shown under Configuration › Integrations › Halo API, without /api.",
        examples=["https://acme.halopsa.com"],
    )
    client_id: str = Field(
        min_length=1,
        description="Client id of the API application.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    client_secret: SecretRef = Field(
        description="Secret of the API application.", examples=['{ env = "HALO_CLIENT_SECRET" }']
    )
    tenant: str = Field(
        "",
        description="Tenant of a hosted Halo; asked of Halo itself where it is left out. On-premise has none.",
        examples=["acme"],
    )
    scopes: list[str] = Field(
        list(SCOPES),
        min_length=1,
        description="Scopes that are asked for at sign-in, where the application grants fewer than the usual ones.",
        examples=[["read:customers", "read:items", "read:invoices"]],
    )
    invoicing: Literal["advance", "arrears"] = Field(
        "advance",
        description="Whether the invoice of a day bills the period that begins then, or the one just ended.",
        examples=["advance"],
    )
    ticket_type: int | None = Field(
        None, ge=1, description="Id of the type that alerts' tickets get; else Halo's own default.", examples=[1]
    )
    closed_status: int = Field(
        CLOSED_STATUS, ge=1, description="Id of the status that closes a ticket.", examples=[CLOSED_STATUS]
    )
    note_outcome: int = Field(
        INTERNAL_NOTE, ge=1, description="Id of the outcome of an internal note.", examples=[INTERNAL_NOTE]
    )
    concurrency: int | None = Field(2, ge=1, le=64, description="Simultaneous requests; Halo likes few.")
    requests_per_minute: int | None = Field(
        None, ge=1, description=f"Upper bound of requests in a minute; {REQUESTS_PER_MINUTE} unless it is a loopback."
    )

    @model_validator(mode="before")
    @classmethod
    def _budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and "requests_per_minute" not in values:
            host = urlsplit(str(values.get("base_url", ""))).hostname or ""
            if host and not is_loopback(host):
                return {**values, "requests_per_minute": REQUESTS_PER_MINUTE}
        return values

    @property
    def root(self) -> str:
        """Root of the API. The address is taken with or without its /api."""
        return f"{self.base_url.removesuffix('/api')}/api"
