"""The keys of `[connections.NAME]` with kind "xero". Owns names, defaults and what makes a value wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from syncd.connect.settings import HttpSettings, SecretRef, Url, is_loopback

# Xero allows one app 60 calls a minute and 5 at once for each organisation; people and reports share them.
REQUESTS_PER_MINUTE = 50
MOST_AT_ONCE = 5
# Scopes of apps made since 2 March 2026. Those made before ask for "accounting.transactions" instead of the first.
SCOPES = ("accounting.invoices", "accounting.contacts.read", "accounting.settings.read")


class XeroSettings(HttpSettings):
    """Keys of a Xero connection."""

    base_url: Url = Field("https://api.xero.com", description="Root of the API; the same for the demo company.")
    token_url: Url = Field("https://identity.xero.com", description="Root of the sign-in host.")
    client_id: str = Field(
        min_length=1, description="Client id of the app.", examples=["0123456789ABCDEF0123456789ABCDEF"]
    )
    client_secret: SecretRef = Field(
        description="Client secret of the app.", examples=['{ env = "XERO_CLIENT_SECRET" }']
    )
    tenant_id: str = Field(
        min_length=1,
        description="Id of the organisation whose books are meant; one sign-in may reach several.",
        examples=["00000000-0000-0000-0000-000000000000"],
    )
    refresh_token: SecretRef | None = Field(
        None,
        description="First refresh token of a web app (code flow); leave it out for a custom connection.",
        examples=['{ env = "XERO_REFRESH_TOKEN" }'],
    )
    scopes: list[str] = Field(
        list(SCOPES),
        min_length=1,
        description="Scopes that a custom connection asks for, where the app has others than the usual ones.",
        examples=[["accounting.transactions", "accounting.contacts.read", "accounting.settings.read"]],
    )
    concurrency: int | None = Field(
        3, ge=1, le=MOST_AT_ONCE, description=f"Simultaneous requests; Xero takes {MOST_AT_ONCE} of an app."
    )
    requests_per_minute: int | None = Field(
        None,
        ge=1,
        description=f"Upper bound of requests in a minute; {REQUESTS_PER_MINUTE} unless it is a loopback.",
        examples=[REQUESTS_PER_MINUTE],
    )

    @model_validator(mode="before")
    @classmethod
    def _budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and "requests_per_minute" not in values:
            host = urlsplit(str(values.get("base_url") or "https://api.xero.com")).hostname or ""
            if host and not is_loopback(host):
                return {**values, "requests_per_minute": REQUESTS_PER_MINUTE}
        return values
