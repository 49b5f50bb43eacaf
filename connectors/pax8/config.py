"""The keys of a `pax8` connection. Reads no file and speaks to nobody."""

from __future__ import annotations

from pydantic import Field

from syncd.connect.settings import HttpSettings, SecretRef

API = "https://api.pax8.com"


class Pax8Settings(HttpSettings):
    """`[connections.NAME]` with `kind = "pax8"`."""

    client_id: str = Field(
        min_length=1, description="Client id from Pax8 › Integrations › API credentials.", examples=["…"]
    )
    client_secret: SecretRef = Field(
        description="Client secret that Pax8 showed when the credentials were created.",
        examples=['{ env = "PAX8_CLIENT_SECRET" }'],
    )
    # The vendor names no limit; clients met one of about 1,000. Other integrations of the MSP share it.
    requests_per_minute: int | None = Field(300, ge=1, description="Upper bound of requests in a minute.")

    @property
    def root(self) -> str:
        """Root of the API, without version."""
        return self.base_url or API

    @property
    def token_root(self) -> str:
        """Root of the sign-in: the API's own host, unless configured."""
        return self.token_url or self.root
