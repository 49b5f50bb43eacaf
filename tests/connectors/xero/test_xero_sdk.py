"""The official client library drives the double with its own models, transport and token calls, so that the double is
true: what it sends is understood, and what it is answered fits its models. Skipped where it is not installed.

The connector itself does not use the library; the README of the connector says why.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from xero_kit import Bench

from syncd.model import Found, Receipt

WHY = "xero-python (>= 15.2, < 16) is not installed: the double is not driven by it"
pytest.importorskip("xero_python", reason=WHY)
models: Any = importlib.import_module("xero_python.accounting.models")
client: Any = importlib.import_module("xero_python.api_client")
oauth2: Any = importlib.import_module("xero_python.api_client.oauth2")
AccountingApi: Any = importlib.import_module("xero_python.accounting").AccountingApi
IdentityApi: Any = importlib.import_module("xero_python.identity").IdentityApi
Refused: Any = importlib.import_module("xero_python.exceptions").AccountingBadRequestException
Contact, CreditNote, CreditNotes = models.Contact, models.CreditNote, models.CreditNotes
Invoice, Invoices, LineAmountTypes, LineItem = models.Invoice, models.Invoices, models.LineAmountTypes, models.LineItem
RepeatingInvoice, RepeatingInvoices, Schedule = models.RepeatingInvoice, models.RepeatingInvoices, models.Schedule

KEY = "syncd-test-key"


class Signed:
    """What the library needs of a configuration to sign with a token that somebody else fetched. Its own keeps one
    token for all clients of a process."""

    safe_chars_for_path_param = ""
    temp_folder_path = None

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_settings(self, name: str) -> dict[str, str]:
        return {"type": "oauth2", "in": "header", "key": "Authorization", "value": f"Bearer {self.token}"}


class Sdk:
    """The library against one bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        api = client.ApiClient(client.configuration.Configuration())
        kept: dict[str, Any] = {}
        api.oauth2_token_saver(kept.update)
        api.oauth2_token_getter(lambda: kept)
        token = oauth2.OAuth2Token("sandbox-client", "sandbox-secret")
        token.get_client_credentials_access_token(api, False)
        api.configuration = Signed(kept["access_token"])
        self.client = api
        self.tenant = bench.double.books.tenant
        self.api = AccountingApi(api, base_url=f"{bench.running.url}/api.xro/2.0")
        self.identity = IdentityApi(api, base_url=bench.running.url)

    def invoice(self, **fields: Any) -> Any:
        given = {
            "type": "ACCREC", "status": "DRAFT", "contact": Contact(contact_id=self.bench.customer().id),
            "date": date(2026, 11, 10), "due_date": date(2026, 11, 24), "line_amount_types": LineAmountTypes.EXCLUSIVE,
            "line_items": [LineItem(description="Visio", quantity=Decimal(3), item_code="VISIO-P2")],
        }  # fmt: skip
        return Invoice(**{**given, **fields})

    def create(self, *invoices: Any, key: str = KEY, **options: Any) -> Any:
        options = {"summarize_errors": False, "unitdp": 4, **options}
        return self.api.create_invoices(self.tenant, Invoices(invoices=list(invoices)), idempotency_key=key, **options)


@pytest.fixture
def sdk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sdk]:
    bench.double.extra_fields = False  # an unknown field makes the library's own token code fail
    for name in ("client_credentials_token_url", "refresh_token_url"):
        monkeypatch.setattr(oauth2.TokenApi, name, f"{bench.running.url}/connect/token")
    made = Sdk(bench)
    yield made
    made.client.rest_client.pool_manager.clear()


def test_the_organisation_and_who_is_connected(sdk: Sdk) -> None:
    [link] = sdk.identity.get_connections()
    [organisation] = sdk.api.get_organisations(sdk.tenant).organisations

    assert link.tenant_id == sdk.tenant
    assert (organisation.name, organisation.base_currency.value, organisation.is_demo_company) == (
        "Acme MSP", "USD", False,
    )  # fmt: skip


def test_every_list_fits_the_librarys_models(sdk: Sdk) -> None:
    contacts = sdk.api.get_contacts(sdk.tenant, page=1, page_size=2, include_archived=True)
    assert len(contacts.contacts) == 2
    assert contacts.pagination.item_count == 5
    items = sdk.api.get_items(sdk.tenant, unitdp=4).items
    assert {item.code for item in items} >= {"M365-BP", "MS-BASE"}
    invoices = sdk.api.get_invoices(sdk.tenant, page=1, statuses=["AUTHORISED", "PAID"], unitdp=4).invoices
    assert all(isinstance(invoice.updated_date_utc, datetime) for invoice in invoices)
    assert all(invoice.line_items for invoice in invoices)
    assert sdk.api.get_credit_notes(sdk.tenant, page=1).credit_notes == []
    [template] = sdk.api.get_repeating_invoices(sdk.tenant).repeating_invoices
    assert (template.schedule.unit, template.line_items[0].item_code) == ("MONTHLY", "MS-BASE")


def test_lists_without_pages_have_no_lines(sdk: Sdk) -> None:
    invoices = sdk.api.get_invoices(sdk.tenant).invoices
    assert invoices
    assert not any(invoice.line_items for invoice in invoices)


def test_filters_as_the_library_sends_them(sdk: Sdk) -> None:
    sdk.create(sdk.invoice(invoice_number="A-1", reference="PO sd-x"), sdk.invoice(invoice_number="A-2"))

    def numbers(**options: Any) -> set[str]:
        found = sdk.api.get_invoices(sdk.tenant, page=1, **options).invoices
        return {one.invoice_number for one in found if one.invoice_number.startswith("A-")}

    assert numbers(invoice_numbers=["A-1"]) == {"A-1"}
    assert numbers(contact_i_ds=[sdk.bench.customer(2).id]) == set()
    assert numbers(where='Reference!=null AND Reference.Contains("sd-")') == {"A-1"}
    assert numbers(where='Type=="ACCREC" AND Date>=DateTime(2026,11,11)') == set()
    assert numbers(where=f'Contact.ContactID==Guid("{sdk.bench.customer().id}")') == {"A-1", "A-2"}
    assert numbers(search_term="po sd") == {"A-1"}


def test_put_creates_and_post_overwrites(sdk: Sdk) -> None:
    [made] = sdk.create(sdk.invoice(invoice_number="A-1")).invoices
    assert (made.status, made.sub_total, made.line_items[0].account_code) == ("DRAFT", Decimal(60), "200")

    [again] = sdk.create(sdk.invoice(invoice_number="A-1"), key="other").invoices
    assert again.has_errors
    assert "unique" in again.validation_errors[0].message
    assert again.invoice_id == "00000000-0000-0000-0000-000000000000"

    changed = Invoices(invoices=[sdk.invoice(invoice_number="A-1", reference="overwritten")])
    [over] = sdk.api.update_or_create_invoices(sdk.tenant, changed, idempotency_key="third").invoices
    assert (over.invoice_id, over.reference) == (made.invoice_id, "overwritten")


def test_one_bad_element_fails_all_where_errors_are_summarised(sdk: Sdk) -> None:
    bad = sdk.invoice(line_items=[LineItem(description="x", quantity=1, unit_amount=1, account_code="999")])
    with pytest.raises(Refused) as failed:
        sdk.create(sdk.invoice(), bad, summarize_errors=True)
    assert "Account code '999' is not a valid code" in str(failed.value)


def test_a_key_makes_a_repetition_harmless_until_it_ends(sdk: Sdk) -> None:
    first = sdk.create(sdk.invoice()).invoices[0].invoice_id
    assert sdk.create(sdk.invoice()).invoices[0].invoice_id == first
    sdk.bench.double.advance(11 * 60)
    assert sdk.create(sdk.invoice()).invoices[0].invoice_id != first

    with pytest.raises(Refused):
        sdk.create(sdk.invoice(), key="")


def test_the_life_of_an_invoice(sdk: Sdk) -> None:
    id_ = sdk.create(sdk.invoice()).invoices[0].invoice_id

    def become(status: str) -> Any:
        changed = Invoices(invoices=[Invoice(status=status)])
        return sdk.api.update_invoice(sdk.tenant, id_, changed, idempotency_key=f"{KEY}-{status}").invoices[0]

    assert become("AUTHORISED").status == "AUTHORISED"
    with pytest.raises(Refused, match="not of valid status"):
        become("DELETED")
    assert become("VOIDED").status == "VOIDED"


def test_repeating_invoices_are_made_and_deleted_and_never_changed(sdk: Sdk) -> None:
    template = RepeatingInvoice(
        type="ACCREC", status="AUTHORISED", contact=Contact(contact_id=sdk.bench.customer().id),
        schedule=Schedule(period=1, unit="MONTHLY", due_date=14, due_date_type="DAYSAFTERBILLDATE",
                          start_date=date(2026, 10, 1)),
        line_items=[LineItem(description="Seats", quantity=Decimal(10), item_code="M365-BP")],
    )  # fmt: skip
    made = sdk.api.create_repeating_invoices(
        sdk.tenant, RepeatingInvoices([template]), idempotency_key=KEY
    ).repeating_invoices[0]  # fmt: skip
    read = {line.product: line.quantity for line in sdk.bench.billing().lines if not line.once}
    assert read["M365-BP"] == Decimal(10)

    def send(**fields: Any) -> Any:
        one = RepeatingInvoice(repeating_invoice_id=made.repeating_invoice_id, **fields)
        return sdk.api.update_repeating_invoice(
            sdk.tenant, made.repeating_invoice_id, RepeatingInvoices([one]), idempotency_key=f"k{sorted(fields)}"
        )

    with pytest.raises(Refused, match="can only be deleted"):
        send(reference="changed")
    send(status="DELETED")
    assert "M365-BP" not in {line.product for line in sdk.bench.billing().lines}


def test_what_the_library_writes_the_connector_reads(sdk: Sdk) -> None:
    sdk.create(sdk.invoice(status="AUTHORISED"))
    note = CreditNote(
        type="ACCRECCREDIT", status="AUTHORISED", contact=Contact(contact_id=sdk.bench.customer().id),
        date=date(2026, 11, 12), line_items=[LineItem(description="Visio", quantity=Decimal(1), item_code="VISIO-P2")],
    )  # fmt: skip
    sdk.api.create_credit_notes(
        sdk.tenant, CreditNotes(credit_notes=[note]), summarize_errors=False, unitdp=4, idempotency_key="n"
    )

    count = sdk.bench.counts()["VISIO-P2"]
    assert (count.quantity, count.amount) == (Decimal(2), Decimal("40.00"))


def test_what_the_connector_writes_the_library_reads(sdk: Sdk) -> None:
    posting = sdk.bench.line(quantity=Decimal(8), unit_price=None, amount=Decimal("10.02"))
    receipt = sdk.bench.post(posting)
    assert isinstance(receipt, Receipt)

    [made] = sdk.api.get_invoice(sdk.tenant, receipt.remote_id, unitdp=4).invoices
    assert (made.status, made.type, made.reference) == ("DRAFT", "ACCREC", "sd-t1-aaaa 8 20261101-20261130")
    assert (made.line_items[0].quantity, made.line_items[0].unit_amount) == (Decimal(8), Decimal("1.2525"))
    assert made.sub_total == Decimal("10.02")

    approved = Invoices(invoices=[Invoice(status="AUTHORISED", due_date=date(2026, 12, 14))])
    sdk.api.update_invoice(sdk.tenant, receipt.remote_id, approved, idempotency_key="approve")
    assert sdk.bench.connect().find(posting) == Found(receipt.remote_id, Decimal(8))
    assert sdk.bench.counts()["M365-BP"].quantity == Decimal(25 + 8)
