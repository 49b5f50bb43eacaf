"""The keys of `[connections.NAME]` with kind "alternative_payments": how to sign in, and what must be proved before
anything is posted. Reads no file and speaks to nobody.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from syncd.connect.settings import HttpSettings, SecretRef

API = "https://public-api.alternativepayments.io"
# The vendor allows 5 requests a second for each key.
REQUESTS_PER_MINUTE = 240
NOBODY = "none"


class PaymentsSettings(HttpSettings):
    """Keys of an Alternative Payments connection."""

    client_id: str = Field(
        min_length=1, description="Client id of the API key (Partner Dashboard › Team Preferences).", examples=["…"]
    )
    client_secret: SecretRef = Field(
        description="Secret of the API key; shown once.", examples=['{ env = "ALTPAY_CLIENT_SECRET" }']
    )
    posting: bool = Field(False, description="Whether invoices may be created; each one waits for a person.")
    amount_unit: Literal["major", "minor"] | None = Field(
        None, description="What a line's amount is written in, as the set-up proof showed.", examples=["major"]
    )
    amount_basis: Literal["per_unit", "line"] | None = Field(
        None, description="Whether a line's amount is that of one unit or of the line.", examples=["per_unit"]
    )
    primary_integration: str = Field(
        "",
        description='The system from which Alternative Payments copies invoices; "none" where there is none.',
        examples=["connectwise"],
    )
    due_days: int = Field(30, ge=0, le=365, description="Days from the last day charged to the due date.")
    requests_per_minute: int | None = Field(
        REQUESTS_PER_MINUTE, ge=1, description="Upper bound of requests in a minute."
    )

    @model_validator(mode="after")
    def _proved(self) -> PaymentsSettings:
        """`posting = true` stands only beside the set-up proof, and where no other system makes the invoices."""
        if not self.posting:
            return self
        unset = [name for name in ("amount_unit", "amount_basis") if getattr(self, name) is None]
        if unset:
            raise ValueError(
                f"posting = true needs {' and '.join(unset)}: make one invoice in the demo environment and read it "
                "back (the connector's README says how), because an amount may mean dollars or cents"
            )
        if self.primary_integration != NOBODY:
            named = f'"{self.primary_integration}"' if self.primary_integration else "not said"
            raise ValueError(
                f'posting = true needs primary_integration = "{NOBODY}" (it is {named}): invoices of a primary '
                "integration come over by themselves, and posting them too bills the customer twice"
            )
        return self

    @property
    def root(self) -> str:
        """Root of the API."""
        return self.base_url or API

    @property
    def token_root(self) -> str:
        """Root of the sign-in: the API's own host, unless configured."""
        return self.token_url or self.root
