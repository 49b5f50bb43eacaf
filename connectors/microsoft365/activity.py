"""Who used an account in the last 30 days: from sign-ins, else from Microsoft's usage report.

Where neither tells, the answer is unknown and never "inactive". The report is a file on another host; it is fetched
without our token, whose business it is not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlsplit

from connectors.microsoft365.graph import Graph
from connectors.microsoft365.payloads import User
from syncd.connect.http import Http, Reply
from syncd.connect.settings import is_loopback
from syncd.errors import VendorError

DAYS = 30
# Domains to which Graph may send us for a report. office.com is documented; the others are the same service in other
# clouds and unconfirmed. Anything else is refused.
_REPORT_DOMAINS = ("office.com", "office.net", "microsoft.com", "office365.us", "microsoft.us", "office365.cn")
_NAME, _DELETED, _REFRESHED = "User Principal Name", "Is Deleted", "Report Refresh Date"
_ACTIVITY = " Last Activity Date"


@dataclass(frozen=True, slots=True)
class Activity:
    """Judges one user at a time: True, False, or None where it is not known. `source` is shown beside the count."""

    used: Callable[[User], bool | None]
    source: str


def from_sign_ins(now: datetime) -> Activity:
    """By the last successful sign-in, else the later of the other two dates.

    Successes are recorded since 1 December 2023 only; the other two count failed attempts too.
    """
    since = now - timedelta(days=DAYS)

    def used(user: User) -> bool | None:
        seen = user.sign_in_activity
        if seen is None:
            return False  # asked for and not there: never signed in
        others = (seen.last_sign_in_date_time, seen.last_non_interactive_sign_in_date_time)
        last = seen.last_successful_sign_in_date_time or max((one for one in others if one), default=None)
        return last is not None and last >= since

    return Activity(used, f"signed in within {DAYS} days")


def from_report(report: Report, today: date) -> Activity:
    """By the latest activity in any service.

    An account younger than the report cannot be in it and counts as used; an older one that is not in it is unknown.
    """
    since = today - timedelta(days=DAYS)

    def used(user: User) -> bool | None:
        name = user.user_principal_name.casefold()
        if name in report.last_used:
            last = report.last_used[name]
            return last is not None and last >= since
        created = user.created_date_time
        return True if created is not None and created.date() >= report.refreshed else None

    return Activity(used, f"active within {DAYS} days by the usage report of {report.refreshed}")


@dataclass(frozen=True, slots=True)
class Report:
    """Sign-in name in lower case -> day of the latest activity, None where the report shows none."""

    refreshed: date
    last_used: Mapping[str, date | None]


def fetch_report(graph: Graph, open_http: Callable[..., Http]) -> Report:
    """The tenant's report of active users. Raises VendorError, also where it conceals the names."""
    reply = graph.read(f"reports/getOffice365ActiveUserDetail(period='D{DAYS}')", accept={200, 302})
    if reply.status == 302:
        return parse_report(_download(reply.headers.get("location", ""), graph, open_http))
    return parse_report(reply.body)


def _download(location: str, graph: Graph, open_http: Callable[..., Http]) -> bytes:
    parts = urlsplit(location)
    host = (parts.hostname or "").lower()
    ours = any(host == domain or host.endswith(f".{domain}") for domain in _REPORT_DOMAINS)
    local = is_loopback(host) and is_loopback(urlsplit(graph.service.http.base_url).hostname or "")
    if parts.username or not (local or (ours and parts.scheme == "https")):
        raise VendorError(
            "malformed", f"Graph sends us to {host or 'nowhere'} for the usage report; it is not followed."
        )
    way = open_http(f"{parts.scheme}://{parts.netloc}", explain=_explain_download)
    try:
        return way.read(location, scope=graph.tenant).body
    except VendorError as error:
        if error.code in ("stopped", "deferred"):
            raise
        # The address is a key to the file: its path is kept out of the message.
        raise VendorError(
            error.code, f"the usage report could not be downloaded from {host}.", status=error.status
        ) from None
    finally:
        way.close()


def _explain_download(reply: Reply) -> tuple[str, str]:
    return "unavailable" if reply.status >= 500 else "incomplete", "the usage report was not given"


def parse_report(body: bytes) -> Report:
    """Reads the CSV by its headings: Microsoft adds columns. Raises VendorError."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise VendorError("malformed", "the usage report is not UTF-8 text.") from None
    rows = csv.DictReader(io.StringIO(text))
    columns = rows.fieldnames or ()
    activity = [column for column in columns if column.endswith(_ACTIVITY)]
    if not activity or not {_NAME, _REFRESHED} <= set(columns):
        raise VendorError("malformed", "the usage report lacks the columns that tell who was active.")
    last_used: dict[str, date | None] = {}
    refreshed: date | None = None
    for line, row in enumerate(rows, start=2):
        if None in row.values() or None in row:
            raise VendorError("incomplete", f"the usage report breaks off in line {line}.")
        refreshed = _day(row[_REFRESHED], line) or refreshed
        if row.get(_DELETED, "").strip().casefold() == "true":
            continue
        days = [day for column in activity if (day := _day(row[column], line))]
        last_used[row[_NAME].strip().casefold()] = max(days, default=None)
    if refreshed is None:
        raise VendorError("incomplete", "the usage report is empty; who is active is not known.")
    if last_used and not any("@" in name for name in last_used):
        raise VendorError(
            "forbidden",
            "the usage report conceals its names, so who is active is not known. An admin of the tenant can show them:"
            " Microsoft 365 admin centre, Settings, Org settings, Reports.",
        )
    return Report(refreshed, last_used)


def _day(text: str, line: int) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError:
        raise VendorError("malformed", f"the usage report holds no date where one belongs, in line {line}.") from None
