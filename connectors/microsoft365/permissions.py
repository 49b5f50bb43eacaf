"""Which application permission each call needs, and what to say where one is missing or too wide (least privilege).

Sources: the permission tables of the calls' own pages in Microsoft Graph's documentation. `Directory.Read.All` covers
all of them; it is only needed in the partner tenant, for the customer list.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

_WIDE = "Directory.Read.All"


@dataclass(frozen=True, slots=True)
class Need:
    """A call, the smallest permission for it, the wider ones that do as well, and what is lost without it."""

    path: str
    least: str
    enough: frozenset[str]
    use: str
    optional: bool = False


def _need(path: str, least: str, *more: str, use: str, optional: bool = False) -> Need:
    return Need(path, least, frozenset({least, *more}), use, optional)


NEEDS = (
    _need("/contracts", _WIDE, use="the customer list"),
    _need("/subscribedSkus", "LicenseAssignment.Read.All", "Organization.Read.All", _WIDE, use="every count"),
    _need("/directory/subscriptions", "Organization.Read.All", _WIDE, use="telling trials"),
    _need("/organization", "Organization.Read.All", _WIDE, use="proving that it is the right tenant"),
    _need("/reports/", "Reports.Read.All", use="the measure active without Entra ID P1", optional=True),
    _need("/groups", "GroupMember.Read.All", "Group.Read.All", _WIDE, use="the filter group", optional=True),
    _need("/users", "User.Read.All", _WIDE, use="the measures assigned, active and users"),
)
SIGN_INS = _need("/users", "AuditLog.Read.All", use="the measure active", optional=True)


def needed(path: str) -> str:
    """The smallest permission for a path; "" where none is known."""
    return next((need.least for need in NEEDS if need.path in path), "")


def advice(roles: Set[str]) -> tuple[str, ...]:
    """What an admin should know about the permissions that a token of the partner tenant holds."""
    lacking: dict[str, list[str]] = {}
    for need in NEEDS:
        if not need.optional and not roles & need.enough:
            lacking.setdefault(need.least, []).append(need.use)
    warnings = [f"The app lacks {least}, which is needed for {', '.join(uses)}." for least, uses in lacking.items()]
    useful = {need.least for need in (*NEEDS, SIGN_INS)}
    covered = {role for need in NEEDS if not roles & {need.least} for role in roles & need.enough}
    if wider := sorted(roles - useful - covered):
        warnings.append(
            f"The app holds more than syncd uses: {', '.join(wider)}. Take it away where nothing else does."
        )
    return tuple(warnings)
