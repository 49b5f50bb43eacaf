"""The keys of `[connections.NAME]` with kind "netsuite". Owns names, defaults and what makes a value wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from syncd.connect.settings import Duration, HttpSettings, SecretRef, is_loopback

MACHINE = ("client_id", "certificate_id", "private_key")
# The smallest accounts have five places for all integrations together.
MOST_AT_ONCE = 2
TOKEN = ("consumer_key", "consumer_secret", "token_id", "token_secret")


class NetSuiteSettings(HttpSettings):
    """Keys of a NetSuite connection."""

    account: str = Field(
        description="Account id as NetSuite shows it under Setup › Company › Company Information.",
        examples=["1234567_SB1"],
    )
    client_id: str = Field(
        "", description="Client id of the integration record (OAuth 2.0).", examples=["0f1e2d3c4b5a"]
    )
    certificate_id: str = Field(
        "",
        description="Id of the certificate's mapping, as Setup › OAuth 2.0 Client Credentials shows it.",
        examples=["aBcDeFgHiJkL"],
    )
    private_key: SecretRef | None = Field(
        None,
        description="PEM with the private key, and best with its certificate too; text or path of a file.",
        examples=['{ file = "/run/secrets/netsuite.pem" }'],
    )
    consumer_key: SecretRef | None = Field(
        None,
        description="Consumer key (token-based authentication only).",
        examples=['{ env = "NETSUITE_CONSUMER_KEY" }'],
    )
    consumer_secret: SecretRef | None = Field(
        None,
        description="Consumer secret (token-based authentication only).",
        examples=['{ env = "NETSUITE_CONSUMER_SECRET" }'],
    )
    token_id: SecretRef | None = Field(
        None, description="Token id (token-based authentication only).", examples=['{ env = "NETSUITE_TOKEN_ID" }']
    )
    token_secret: SecretRef | None = Field(
        None,
        description="Token secret (token-based authentication only).",
        examples=['{ env = "NETSUITE_TOKEN_SECRET" }'],
    )
    charge_type: str = Field(
        "",
        pattern=r"-?\d+|",
        description="Internal id of the charge type that charges get; only your account shows it.",
        examples=["-19"],
    )
    approval: bool = Field(
        True,
        description="Send invoices as pending approval; false only where the account has no approval routing and "
        "invoices may post at once.",
    )
    currency: str = Field(
        "",
        pattern=r"[A-Z]{3}|",
        description="The account's only currency (ISO 4217), where Multiple Currencies is switched off.",
        examples=["USD"],
    )
    timeout: Duration = Field(
        timedelta(seconds=120), description="Longest silence within one request; scripts of the account may be slow."
    )
    concurrency: int | None = Field(
        1,
        ge=1,
        le=64,
        description=f"Simultaneous requests, {MOST_AT_ONCE} at most: the account's integrations share one small pool.",
    )

    @field_validator("account")
    @classmethod
    def _an_account(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9]+([_-][A-Za-z0-9]+)?", value):
            raise ValueError('must be an account id like "1234567" or "1234567_SB1"')
        return value.upper().replace("-", "_")

    @model_validator(mode="after")
    def _few_at_once(self) -> Self:
        own_machine = is_loopback(urlsplit(self.host).hostname or "")  # a double or a tunnel
        if (self.concurrency or 1) > MOST_AT_ONCE and not own_machine:
            raise ValueError(f"concurrency must be at most {MOST_AT_ONCE}")
        return self

    @model_validator(mode="after")
    def _one_sign_in(self) -> Self:
        machine = [bool(getattr(self, name)) for name in MACHINE]
        token = [bool(getattr(self, name)) for name in TOKEN]
        if any(machine) == any(token):
            raise ValueError(f"needs either {', '.join(MACHINE)} or {', '.join(TOKEN)}")
        if any(machine) and not all(machine):
            raise ValueError(f"needs {', '.join(MACHINE)} together")
        if any(token) and not all(token):
            raise ValueError(f"needs {', '.join(TOKEN)} together")
        return self

    @property
    def by_certificate(self) -> bool:
        """Whether it signs in with a certificate; else with tokens."""
        return bool(self.client_id)

    @property
    def host(self) -> str:
        """Root of the account's own host. An underscore of the account id is a hyphen there."""
        account = self.account.lower().replace("_", "-")
        return self.base_url or f"https://{account}.suitetalk.api.netsuite.com"

    @property
    def root(self) -> str:
        """Root of the REST services."""
        return f"{self.host}/services/rest"

    @property
    def token_address(self) -> str:
        """Where tokens are fetched; also the audience of the assertion."""
        return f"{self.token_url or self.host}/services/rest/auth/oauth2/v1/token"
