"""Who holds licences in a tenant, and which of them a rule's filters let pass.

Owns the users list and the members of groups. A filter that rests on a field which Graph does not show raises, it
never lets everybody or nobody pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from urllib.parse import quote

from connectors.microsoft365.graph import (
    EVENTUAL,
    NON_PREMIUM,
    CutShort,
    Graph,
    Refused,
    Rows,
    explain,
    fault_code,
    page_of,
    url,
)
from connectors.microsoft365.payloads import Group, Member, Page, User
from syncd.connect.contract import Filter
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import Filters, Subject

FILTERS: Mapping[str, Filter] = {
    "enabled": Filter("flag", "accounts that may sign in (true) or may not (false)"),
    "member": Filter("flag", "members of the tenant (true) or guests (false)"),
    "domain": Filter("texts", "domains of the sign-in name"),
    "group": Filter("texts", "groups by display name or id; members of groups inside count too"),
    "department": Filter("texts", "departments, as written in the directory; case is ignored"),
    "exclude_users": Filter("globs", "sign-in names to leave out"),
}

_FIELDS = "id,userPrincipalName,accountEnabled,userType,department,createdDateTime,assignedLicenses"
# Graph's largest page of users; with sign-ins 120 when Microsoft introduced it (microsoft-graph-docs PR 20842).
_PAGE, _PAGE_WITH_SIGN_INS = 999, 120
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Passes = Callable[[User], bool]


def licensed_users(graph: Graph, *, sign_ins: bool = False) -> Rows[User]:
    """Every user that holds a licence. Raises VendorError, CutShort where two readings in a row do not add up.

    The list is read again once where it changed under the reader's hands. Only licensed users were asked for: one
    without a licence shows that the index and the users' own data disagree, and then nobody knows who is missing.
    """
    path = url(
        "users",
        select=_FIELDS + (",signInActivity" if sign_ins else ""),
        filter="assignedLicenses/$count ne 0",
        count="true",
        top=_PAGE_WITH_SIGN_INS if sign_ins else _PAGE,
    )
    shape: Callable[[Reply], Page[User]] = page_of(User)
    for last in (False, True):
        first = graph.read(path, headers=EVENTUAL)
        try:
            users = graph.rows(shape, first, key=lambda user: user.id, what="licensed users", headers=EVENTUAL)
        except CutShort:
            if last:
                raise
        else:
            bare = sum(not user.assigned_licenses for user in users.rows)
            if bare:
                raise VendorError(
                    "malformed", f"Graph's index answers with users that hold no licence ({bare} of them)."
                )
            return users
    raise AssertionError("the loop above returns or raises")


def users_with_sign_ins(graph: Graph) -> Rows[User] | None:
    """The licensed users with their sign-ins, None where this tenant does not show them.

    Graph now and then calls a premium tenant non-premium (microsoft-graph-docs issue 14118), so that answer is asked
    for twice. Without the permission AuditLog.Read.All the sign-ins are not shown either.
    """
    for last in (False, True):
        try:
            return licensed_users(graph, sign_ins=True)
        except Refused as refusal:
            if last or refusal.reason != NON_PREMIUM:
                return None
    raise AssertionError("the loop above returns or raises")


def is_guest(user: User) -> bool:
    """Whether a user comes from another tenant; accounts older than `userType` are told by their name."""
    return user.user_type == "Guest" if user.user_type else "#EXT#" in user.user_principal_name.upper()


def subject(user: User) -> Subject:
    """A user as the evidence shows it."""
    if user.account_enabled is False:
        state = "disabled"
    elif is_guest(user):
        state = "guest"
    else:
        state = "active" if user.account_enabled else ""
    return Subject(user.id, user.user_principal_name, state)


def may_sign_in(user: User) -> bool:
    """Whether the account is enabled. Raises VendorError where Graph does not say."""
    if user.account_enabled is None:
        raise VendorError("incomplete", "Graph does not say of every user whether the account is enabled.")
    return user.account_enabled


def passes(where: Filters, members: Callable[[str], frozenset[str]]) -> Passes:
    """One test of a user for all filters of a query. `members` gives the ids in a group. Raises VendorError."""
    tests = [_test(name, values, members) for name, values in where]
    return lambda user: all(test(user) for test in tests)


def _test(name: str, values: tuple[str | bool, ...], members: Callable[[str], frozenset[str]]) -> Passes:
    texts = tuple(str(value).strip().casefold() for value in values)
    match name:
        case "enabled":
            return lambda user: may_sign_in(user) is (values[0] is True)
        case "member":
            return lambda user: is_guest(user) is not (values[0] is True)
        case "domain":
            domains = frozenset(text.removeprefix("@") for text in texts)
            return lambda user: user.user_principal_name.casefold().rpartition("@")[2] in domains
        case "department":
            return lambda user: (user.department or "").strip().casefold() in texts
        case "exclude_users":
            return lambda user: not any(fnmatchcase(user.user_principal_name.casefold(), text) for text in texts)
        case "group":
            inside = frozenset().union(*(members(str(value)) for value in values))
            return lambda user: user.id in inside
        case _:
            raise VendorError("unsupported", f"Microsoft 365 has no filter {name}; it has {', '.join(FILTERS)}.")


def group_members(graph: Graph, group: str) -> frozenset[str]:
    """Ids of everything in a group, also in the groups inside it. Raises VendorError.

    A GUID is taken as the group's id, anything else as its display name, which must be one group's only. Direct
    members never stand in for all of them: whoever is in a group inside would vanish from the count without a word.
    """
    found = group if _GUID.fullmatch(group) else _group_id(graph, group)
    path = url(f"groups/{quote(found, safe='')}/transitiveMembers", select="id", top=_PAGE)
    first = graph.read(path, accept={200, 404})
    if first.status == 404:
        if fault_code(first)[0] == "Request_ResourceNotFound":
            raise VendorError("not_found", f"tenant {graph.tenant} has no group {group}.", status=404)
        # A proxy's 404, or a front that does not know nested members: it says nothing about the group.
        raise VendorError("malformed", f"{explain(first)[1]}; who is in the group {group} is not known.", status=404)
    shape: Callable[[Reply], Page[Member]] = page_of(Member)
    return frozenset(member.id for member in graph.rows(shape, first, key=lambda one: one.id, what="members").rows)


def _group_id(graph: Graph, name: str) -> str:
    escaped = name.replace("'", "''")
    first = graph.read(url("groups", select="id,displayName", filter=f"displayName eq '{escaped}'"))
    shape: Callable[[Reply], Page[Group]] = page_of(Group)
    groups = graph.rows(shape, first, key=lambda one: one.id, what="groups").rows
    found = [one.id for one in groups if (one.display_name or "").casefold() == name.casefold()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise VendorError("not_found", f'tenant {graph.tenant} has no group called "{name}".')
    raise VendorError(
        "invalid", f'tenant {graph.tenant} has {len(found)} groups called "{name}". Name the one by its id.'
    )
