"""The keys, their defaults and what is declared."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.xero import connector
from connectors.xero.config import XeroSettings
from syncd.model import Operation

KEYS = {"kind": "xero", "client_id": "id", "client_secret": {"env": "X"}, "tenant_id": "t"}


def settings(**keys: Any) -> XeroSettings:
    return XeroSettings.model_validate({**KEYS, **keys})


def test_the_real_xero_is_the_default_with_its_limits() -> None:
    made = settings()
    assert (made.base_url, made.token_url) == ("https://api.xero.com", "https://identity.xero.com")
    assert (made.requests_per_minute, made.concurrency, made.refresh_token) == (50, 3, None)
    assert settings(base_url="http://127.0.0.1:8740").requests_per_minute is None
    assert settings(requests_per_minute=20).requests_per_minute == 20


@pytest.mark.parametrize("missing", ["client_id", "client_secret", "tenant_id"])
def test_what_must_be_there(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        XeroSettings.model_validate({name: value for name, value in KEYS.items() if name != missing})


def test_every_key_says_what_it_is() -> None:
    assert all(field.description for field in XeroSettings.model_fields.values())


def test_books_post_lines_and_credits_and_keep_no_quantity() -> None:
    abilities = connector.abilities
    assert set(abilities.operations) == {Operation.POST_LINE, Operation.POST_CREDIT}
    assert abilities.reads == {"invoiced"}
    assert not abilities.keeps_quantity
    assert abilities.bill_keys == ("item",)
    assert abilities.documents == 4
