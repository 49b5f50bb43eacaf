"""What ConnectWise keeps of a company elsewhere feeds proposals, and nothing else."""

from __future__ import annotations

from typing import Any

from cw_kit import Bench

TENANT = "5d2f6a10-91b4-4c6e-8b1e-0d8f0c1f7a11"


def field(caption: str, value: Any) -> dict[str, Any]:
    return {"id": 1, "caption": caption, "type": "Text", "entryMethod": "EntryField", "value": value}


def test_the_web_site_and_tenants_in_custom_fields_are_links_and_other_fields_are_not(bench: Bench) -> None:
    companies = bench.double.tables["company/companies"]
    companies[251]["website"] = "https://www.alderdental.example/"
    companies[251]["customFields"] = [
        field("M365 tenant", f" {TENANT} "),
        field("Tenant domain", "alder.onmicrosoft.com"),
        field("Tier", "Gold"),
        field("Seats", 12),
        field("Note", "see contoso.com for more"),
        field("Empty", None),
    ]

    first, second, *_ = bench.connect().customers()

    assert first.links == ("https://www.alderdental.example/", TENANT, "alder.onmicrosoft.com")
    assert second.links == ()
