"""The keys of `[connections.NAME]` with kind "quickbooks". Owns names, defaults and what makes a value wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from syncd.connect.settings import Duration, HttpSettings, SecretRef, is_loopback

API = "https://quickbooks.api.intuit.com"
LOGIN = "https://oauth.platform.intuit.com"
# Intuit allows 500 a minute and 10 a second for a company, all of its apps together: room is left for the others.
REQUESTS_PER_MINUTE = 400


class QuickBooksSettings(HttpSettings):
    """Keys of a QuickBooks Online connection. Intuit's sandbox companies are at sandbox-quickbooks.api.intuit.com, with
    client id and secret of their own."""

    realm_id: str = Field(
        pattern=r"^\d{5,30}$",
        description="Company id (realmId) that the sign-in to the company returned: digits without blanks.",
        examples=["9341453000000000"],
    )
    client_id: str = Field(
        min_length=1,
        description="Client id of the app at developer.intuit.com.",
        examples=["ABcdEfGh0000"],
    )
    client_secret: SecretRef = Field(
        description="Client secret of the app.", examples=['{ env = "QUICKBOOKS_CLIENT_SECRET" }']
    )
    refresh_token: SecretRef = Field(
        description="From one sign-in to the company; syncd keeps the ones that follow.",
        examples=['{ env = "QUICKBOOKS_REFRESH_TOKEN" }'],
    )
    timeout: Duration = Field(
        timedelta(seconds=130),
        description="Longest silence of the vendor within one request; QuickBooks itself gives up after 120 s.",
    )
    concurrency: int | None = Field(4, ge=1, le=10, description="Simultaneous requests; QuickBooks takes ten.")
    requests_per_minute: int | None = Field(
        None, ge=1, description=f"Upper bound of requests in a minute; {REQUESTS_PER_MINUTE} unless it is a loopback."
    )

    @model_validator(mode="before")
    @classmethod
    def _budget(cls, values: Any) -> Any:
        if isinstance(values, dict) and "requests_per_minute" not in values:
            host = urlsplit(str(values.get("base_url") or API)).hostname or ""
            if not is_loopback(host):
                return {**values, "requests_per_minute": REQUESTS_PER_MINUTE}
        return values

    @property
    def root(self) -> str:
        """Root of the API. The address is taken with or without its /v3."""
        return f"{(self.base_url or API).removesuffix('/v3')}/v3"

    @property
    def login_root(self) -> str:
        """Root of the sign-in host."""
        return self.token_url or LOGIN
