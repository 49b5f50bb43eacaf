"""The keys of `[connections.NAME]` with kind "stripe", and what a key of Stripe's tells by its shape."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from syncd.connect.settings import HttpSettings, SecretRef
from syncd.errors import VendorError

API = "https://api.stripe.com"
# Shapes change between versions, and without the header the account's own default applies.
VERSION = "2026-10-28.endive"

_KEY = re.compile(r"(?P<sort>sk|rk)_(?P<mode>live|test)_\w+")


class StripeSettings(HttpSettings):
    """Keys of a Stripe connection."""

    api_key: SecretRef = Field(
        description="Restricted key (rk_live_…) of the account; one that begins with rk_test_ is the test mode.",
        examples=['{ env = "STRIPE_API_KEY" }'],
    )
    concurrency: int | None = Field(4, ge=1, le=64, description="Simultaneous requests.")
    # 25 a second for each endpoint, and in test mode for all together; other integrations share it.
    requests_per_minute: int | None = Field(1200, ge=1, description="Upper bound of requests in a minute.")

    @property
    def root(self) -> str:
        """Root of the API, without version."""
        return self.base_url or API


@dataclass(frozen=True, slots=True)
class Key:
    """What the shape of an API key tells. `secret` is never shown."""

    secret: str
    live: bool
    restricted: bool

    @property
    def mode(self) -> str:
        """As people say it: "live mode", or so that nobody can miss it."""
        return "live mode" if self.live else "TEST MODE"

    def __repr__(self) -> str:
        return f"Key({self.mode})"


def key(text: str) -> Key:
    """Judges a key by its shape. Raises VendorError `unauthorized` for one that cannot be used, without showing it."""
    found = _KEY.fullmatch(text)
    if found is None:
        kind = text.split("_", 1)[0] if text[:3] in ("pk_", "ek_", "wh_", "whs") else ""
        why = {"pk": "is a publishable key, which browsers use", "whsec": "is a webhook's signing secret"}.get(
            kind, "does not begin with rk_live_, rk_test_, sk_live_ or sk_test_"
        )
        raise VendorError(
            "unauthorized",
            f"api_key {why}. Make a restricted key in Stripe › Developers › API keys and put it into api_key",
        )
    return Key(text, found["mode"] == "live", found["sort"] == "rk")
