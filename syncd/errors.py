"""What can go wrong, by who can mend it.

Each class carries the exit status of INTERFACE 4: 1 a system did not answer or refused, 2 the user's files or
arguments are wrong, 4 the record is broken. A message is one line that says what, where and how to mend it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class SyncdError(Exception):
    """Anything syncd tells a person in one line instead of a trace."""

    exit_status = 1


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One mistake in a file or an argument.

    `place` names file, table and key (`mappings/m365.toml › rule "Business Premium" › count.from`), `what` the
    mistake, `mend` the way out; `mend` may be empty where `what` already says it.
    """

    place: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" + (f" {self.mend}" if self.mend else "")


class UserFault(SyncdError):
    """The user's files or arguments are wrong; every fault found is told at once."""

    exit_status = 2

    def __init__(self, faults: Iterable[Fault] | Fault) -> None:
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class VendorError(SyncdError):
    """A vendor did not answer, refused, or answered something that cannot be trusted.

    It is an error of the lines that needed the answer, never a zero. `code` is one of
    `unauthorized` (sign-in refused, secret expired), `consent` (this customer's tenant has not agreed),
    `forbidden` (a right is missing), `not_found`, `throttled`, `deferred` (the vendor's wait is longer than a
    cycle), `unavailable` (connection refused, 5xx, proxy page), `timeout`, `malformed` (not the declared shape),
    `incomplete` (a page or rows are missing), `wrong_tenant`, `unsupported`,
    `invalid` (the vendor rejected the request), `in_doubt` (a record that only a person can explain), `stopped` (syncd
    itself is stopping).
    `status` is the HTTP status, 0 where there was none. The message names no secret and no person.
    """

    def __init__(self, code: str, message: str, *, status: int = 0, customer: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.customer = customer


class LedgerBusy(SyncdError):
    """Another process holds the ledger; the message names it."""


class LedgerBroken(SyncdError):
    """The record cannot be trusted: the hash chain, an integrity check or a projection does not agree."""

    exit_status = 4
