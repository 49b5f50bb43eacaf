"""Posts charges, invoices and credit memos: what is sent, what its answer means, and the look whether it is there.

Every record is created once, by a POST that bears an external id derived from the postings: NetSuite refuses a second
one. It is never written again, and never by PUT, which would overwrite a person's changes and may double the lines. The
idempotency key of NetSuite does nothing on ordinary requests, so none is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from connectors.netsuite import payloads
from connectors.netsuite.abilities import CHARGE, OPERATIONS
from connectors.netsuite.api import RECORD
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.errors import is_duplicate, refused
from connectors.netsuite.own import CREDIT, INVOICE, NON_BILLABLE, REJECTED, VOIDED
from connectors.netsuite.payloads import Document, Marked, Record, number
from connectors.netsuite.read import Reader
from connectors.netsuite.records import (
    CREDIT_MEMO,
    PREFIX,
    customer_of,
    difference,
    external_id,
    line_difference,
    lines_of,
    lost,
    marks_of,
    record_of,
    sent,
    shape_of,
    touched,
    written,
)
from connectors.netsuite.suiteql import Select, beginning, holding, whole, whole_number
from syncd.connect.documents import charges
from syncd.connect.http import Reply
from syncd.connect.outcome import outcome
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Outcome, Posting, Receipt, Refused, Sight, Unknown, Wire

_ID = re.compile(r"/(\d+)/?$")
_KIND = {CREDIT_MEMO: CREDIT, "invoice": INVOICE}
_ENDED = {VOIDED: "was voided", REJECTED: "was rejected"}
# How a record is taken back.
_REMEDY = {
    CHARGE: "delete it, or set it to Non-Billable",
    "invoice": "delete or void it",
    CREDIT_MEMO: "delete or void it",
}


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, settings: NetSuiteSettings) -> None:
        self._reader = reader
        self._api = reader.api
        self._settings = settings

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The request for one record that holds these postings. Pure."""
        return written(postings, self._settings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads back what came of it."""
        try:
            reply = self._api.send(wire)
        except VendorError as error:  # not on the list of what may be asked: nothing left
            return Refused(error.code, str(error))
        if isinstance(reply, Reply):
            try:
                if 200 <= reply.status < 300:
                    return self._made(posting, wire, reply)
                if is_duplicate(reply):
                    return self._there(posting, wire)
            except VendorError as error:
                return Unknown(f"{reply.where} answered with status {reply.status}, and the look at it failed: {error}")
        return outcome(
            reply,
            receipt=lambda _: None,
            refused=refused,
            throttled_is_harmless=OPERATIONS[posting.operation].throttled_is_harmless,
        )

    def find(self, posting: Posting) -> Sight:
        """Looks whether the posting is there, by its external id and by its mark. Raises VendorError."""
        record, own = record_of(posting), external_id((posting,))
        found: dict[str, Record] = {}
        shown = self._record(f"{RECORD}/{record}/eid:{own}", record)
        if shown is not None:
            if posting.marker not in marks_of(shown):
                # The id is made of the posting's key: the same customer's is the posting's, whatever its memo says now.
                mine = customer_of(shown) == posting.customer_id
                return Moved(
                    f"{_called(record, shown)} bears syncd's external id {own}, but not its mark",
                    arrived=_remote(record, shown) if mine else "",
                )
            found[str(shown.id)] = shown
        bearing = self._bearing(posting, record)
        if shown is None and own in bearing.values():
            # One of the two answers is older than the other; which, only time tells.
            raise VendorError("incomplete", f"SuiteQL shows {own}, and NetSuite's record service does not (yet)")
        for one in bearing:
            if one not in found:
                shown = self._record(f"{RECORD}/{record}/{one}", record)
                if shown is None:
                    raise VendorError("incomplete", f"NetSuite lists the {record} #{one} and does not show it")
                found[one] = shown
        standing = [one for one in found.values() if not _ended(one)]
        if len(standing) > 1:
            which = ", ".join(f"#{one.id}" for one in standing)
            return Moved(
                f"{len(standing)} NetSuite {record} records bear the mark {posting.marker} ({which}); "
                + (
                    "delete all but one, or set them to Non-Billable"
                    if record == CHARGE
                    else "delete or void all but one"
                )
            )
        looked = [*standing, *found.values()]
        return self._sight(posting, record, looked[0]) if looked else self._unmarked(posting, record)

    def _bearing(self, posting: Posting, record: str) -> dict[str, str]:
        """The customer's records that bear a posting's mark: id -> external id. Raises VendorError."""
        rows = self._listed(posting, record, f"memo LIKE {holding(posting.marker)}")
        mine = (row for row in rows if posting.marker in {one.mark for one in charges(row.memo or "")})
        return {number(row.id): row.externalid or "" for row in mine}

    def _listed(self, posting: Posting, record: str, which: str) -> Sequence[Marked]:
        """The customer's records of a type, narrowed. Raises VendorError."""
        customer = whole_number(posting.customer_id)
        if record == CHARGE:
            select = Select("memo, externalid", "charge", f"billto = {customer} AND {which}")
        else:
            where = f"entity = {customer} AND type = '{_KIND[record]}' AND {which}"
            select = Select("memo, externalid", "transaction", where)
        return whole(self._api, Marked, select).rows

    def _unmarked(self, posting: Posting, record: str) -> Sight:
        """A shared document that lost marks cannot say which postings it holds: one with the posting's item may
        hold it, and a person looks. A charge is never shared, and known by its own external id."""
        if record == CHARGE:
            return Absent()
        for row in self._listed(posting, record, f"externalid LIKE {beginning(PREFIX[record])}"):
            if not lost(record, row.externalid or "", row.memo or ""):
                continue
            shown = self._record(f"{RECORD}/{record}/{number(row.id)}", record)
            if shown is None:
                raise VendorError("incomplete", f"NetSuite lists the {record} #{number(row.id)} and does not show it")
            lines = lines_of(shown)
            holds = lines is None or any(str(one.item) == posting.product_id for one in lines)
            missing = lost(record, row.externalid or "", shown.memo or "")
            if holds and missing and not _ended(shown):
                return Moved(
                    f"{_called(record, shown)} bears syncd's external id, {missing}, and "
                    f"{posting.product or posting.product_id}: put its memo back, or {_REMEDY[record]}",
                    perhaps=True,
                )
        return Absent()

    def _sight(self, posting: Posting, record: str, shown: Record) -> Sight:
        """What a record that bears the posting's mark says of it."""
        name = _called(record, shown)
        if ended := _ended(shown):
            return Moved(f"{name} {ended}", arrived=_remote(record, shown))
        # A script of the account may have changed it as it was made; what was changed later is a person's to explain.
        arrived = _remote(record, shown) if touched(shown) else ""
        marks, lines = charges(shown.memo or ""), lines_of(shown)
        if lines is None or len(lines) != len(marks):
            return Moved(f"{name} shows {len(lines or ())} lines for {len(marks)} of syncd's marks", arrived=arrived)
        place = [one.mark for one in marks].index(posting.marker)
        meant = sent(self.gather((posting,)))
        told = self._other_currency(posting, shown) or (
            difference(meant, shown, posting.currency)
            if len(marks) == 1
            else line_difference((lines_of(meant) or [])[0], lines[place], posting.currency)
        )
        if told:
            return Moved(f"{name} {told}", arrived=arrived)
        quantity = lines[place].quantity if marks[place].readable else None
        return Found(_remote(record, shown), marks[place].shown(quantity) if quantity is not None else None)

    def _made(self, posting: Posting, wire: Wire, reply: Reply) -> Outcome:
        """The receipt for a creation. It comes without a body: the new record's id stands in Location."""
        told = _ID.search(reply.headers.get("location", "").partition("?")[0])
        if reply.status != 204 or told is None:
            return Unknown(f"{reply.where} answered with status {reply.status} and names no new record")
        record = wire.path.rpartition("/")[2]
        shown = self._record(f"{wire.path}/{told[1]}", record)
        if shown is None:
            return Unknown(f"NetSuite answered that it made the {record} #{told[1]}, and does not show it")
        return self._receipt(posting, wire, record, shown)

    def _there(self, posting: Posting, wire: Wire) -> Outcome:
        """What a refusal for a doubled external id means: ours is there already, or another customer's is.

        The id is made of the postings' keys: the same customer's is ours, whatever became of its memo, and to say
        otherwise would have each posting sent again under an id of its own.
        """
        record, meant = wire.path.rpartition("/")[2], sent(wire)
        shown = self._record(f"{wire.path}/eid:{meant.external_id}", record)
        if shown is None:
            return Unknown(f"NetSuite says that {meant.external_id} exists already, and does not show it")
        name = _called(record, shown)
        if marks_of(shown) != marks_of(meant):
            if customer_of(shown) != customer_of(meant):
                return Refused(
                    "invalid",
                    f"{name} bears the external id {meant.external_id} and is not syncd's; it is not touched: clear "
                    "that id in NetSuite",
                )
            if ended := _ended(shown):
                return Refused("invalid", f"{name} was syncd's and {ended}; its external id is used")
            lost = "not every mark of it" if marks_of(shown) else "no mark of it any more"
            return Unknown(f"{name} bears syncd's external id and {lost}: put its memo back, or {_REMEDY[record]}")
        return self._receipt(posting, wire, record, shown)

    def _receipt(self, posting: Posting, wire: Wire, record: str, shown: Record) -> Outcome:
        meant = sent(wire)
        name = _called(record, shown)
        told = difference(meant, shown, posting.currency) or self._other_currency(posting, shown)
        if not told and (shown.external_id or "").lower() != meant.external_id:
            told = f"bears the external id {shown.external_id or 'none'} instead of {meant.external_id}"
        if not told and marks_of(shown) != marks_of(meant):
            told = "does not bear syncd's mark in its memo"
        if not told:
            told = _standing(meant, shown)
        if told:
            return Unknown(f"{name} is there, but {told}")
        return Receipt(_remote(record, shown), f"{name}: as sent")

    def _other_currency(self, posting: Posting, shown: Record) -> str:
        """Words where a record is in another currency than was meant. Raises VendorError where it cannot be told."""
        if not posting.currency or shown.currency is None or self._settings.currency:
            return ""
        told = self._reader.currencies.get().get(str(shown.currency), "")
        return (
            "" if told == posting.currency else f"is in {told or 'an unknown currency'} instead of {posting.currency}"
        )

    def _record(self, path: str, record: str) -> Record | None:
        """A record with its lines, fresh; None where NetSuite itself says that there is none. Raises VendorError."""
        reply = self._api.one(path)
        if reply is None:
            return None
        shown: Record = reply.parse(shape_of(record))
        asked = path.rpartition("/")[2]
        right = shown.external_id == asked[4:] if asked.startswith("eid:") else str(shown.id) == asked
        if not right or not str(shown.id):
            raise VendorError("wrong_tenant", f"NetSuite answered with the {record} #{shown.id} when asked for {asked}")
        return shown


def _standing(meant: Record, shown: Record) -> str:
    """Words where a new record does not wait for a person as it should."""
    if isinstance(meant, payloads.Charge) and isinstance(shown, payloads.Charge):
        stage = str(shown.stage or "")
        return "" if stage == str(meant.stage) else f"stands at stage {stage or 'none'} instead of {meant.stage}"
    if isinstance(meant, Document) and isinstance(shown, Document) and meant.approval_status is not None:
        status = str(shown.approval_status or "")
        return (
            "" if status == str(meant.approval_status) else "does not await approval: it may have been posted at once"
        )
    return ""


def _ended(shown: Record) -> str:
    """What became of a record, in words; "" while it stands."""
    if isinstance(shown, payloads.Charge):
        return "was made non-billable" if str(shown.stage) == NON_BILLABLE else ""
    return _ENDED.get(str(shown.status), "") if shown.status is not None else ""


def _called(record: str, shown: Record) -> str:
    return f"the NetSuite {record} #{shown.id}"


def _remote(record: str, shown: Record) -> str:
    return f"{record} {shown.id}"
