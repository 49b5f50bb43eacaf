"""What a list of users must show before anybody of it is counted: licences, sign-ins, everybody, members of groups."""

from __future__ import annotations

from decimal import Decimal

import pytest
from m365_recorded import Recorded, units, user, users

from syncd.model import State

GROUP = "aaaaaaaa-0000-4000-8000-000000000001"


def test_ids_differ_in_case_and_mean_the_same(recorded: Recorded) -> None:
    recorded.say("users", users(user(1), user(2)))
    units(recorded, 3)
    count = recorded.count("assigned")
    assert (count.quantity, count.note) == (Decimal(2), "consumedUnits says 3")


def test_one_product_shown_twice_on_one_person_is_one_seat(recorded: Recorded) -> None:
    twice = '[{"skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"},{"skuId":"CBDC14AB-D96C-4C30-B9F4-6ADA7CDC1D46"}]'
    recorded.say("users", users(user(1, assignedLicenses=twice)))
    units(recorded, 1)
    assert recorded.count("assigned").quantity == 1


def test_a_list_with_fewer_rows_than_declared_is_partial(recorded: Recorded) -> None:
    recorded.say("users", users(user(1), user(2), count=3))
    (reading,) = recorded.ask("assigned")
    assert (reading.state, reading.code) == (State.PARTIAL, "incomplete")


@pytest.mark.parametrize(
    "fields",
    [{"id": ""}, {"userPrincipalName": "null"}, {"assignedLicenses": ""}, {"assignedLicenses": '[{"skuId":null}]'}],
)
def test_a_user_without_what_counts_is_malformed(recorded: Recorded, fields: dict[str, str]) -> None:
    recorded.say("users", users(user(1, **fields)))
    assert [one.code for one in recorded.ask("assigned")] == ["malformed"]


def test_an_account_whose_state_is_hidden_is_not_guessed(recorded: Recorded) -> None:
    seen = '{"lastSuccessfulSignInDateTime":"2026-11-19T08:00:00Z"}'
    recorded.say("users", users(user(1, accountEnabled="null", signInActivity=seen)))
    units(recorded, 1)
    active, assigned = recorded.ask("active", "assigned")
    assert (active.state, active.code) == (State.UNKNOWN, "incomplete")
    assert assigned.counts[0].quantity == 1


@pytest.mark.parametrize(
    ("seen", "active"),
    [
        ('{"lastSuccessfulSignInDateTime":"2026-10-22T08:00:00Z"}', 1),
        ('{"lastSuccessfulSignInDateTime":"2026-10-20T08:00:00Z","lastSignInDateTime":"2026-11-19T08:00:00Z"}', 0),
        ('{"lastSignInDateTime":"2026-10-01T08:00:00Z","lastNonInteractiveSignInDateTime":"2026-11-19T08:00:00Z"}', 1),
        ('{"lastSignInDateTime":null,"lastNonInteractiveSignInDateTime":null}', 0),
        ('{"lastSuccessfulSignInDateTime":"0001-01-01T00:00:00Z"}', 0),
    ],
)
def test_which_sign_in_counts(recorded: Recorded, seen: str, active: int) -> None:
    recorded.say("users", users(user(1, signInActivity=seen)))
    units(recorded, 1)
    assert recorded.count("active").quantity == active


def test_where_nobody_shows_a_sign_in_they_are_not_taken_for_absent(recorded: Recorded) -> None:
    recorded.say("users", users(user(1), user(2)))
    units(recorded, 2)
    (reading,) = recorded.ask("active")  # no sign-ins shown, and no report either
    assert (reading.state, reading.code) == (State.UNKNOWN, "not_found")


@pytest.mark.parametrize(
    ("status", "fault", "code"),
    [
        (404, '{"error":{"code":"Request_ResourceNotFound","message":""}}', "not_found"),
        (404, '{"error":{"code":"UnknownError","message":""}}', "malformed"),
        (404, '{"error":{"code":"ResourceNotFound","message":"Resource could not be discovered."}}', "malformed"),
        (404, "<html>no such page</html>", "malformed"),
        (405, '{"error":{"code":"UnknownError","message":""}}', "invalid"),
        (501, '{"error":{"code":"NotImplemented","message":""}}', "unsupported"),
    ],
)
def test_direct_members_never_stand_in_for_all_members(recorded: Recorded, status: int, fault: str, code: str) -> None:
    recorded.say("users", users(user(1), user(2)))
    units(recorded, 2)
    recorded.say(f"groups/{GROUP}/members", '{"value":[{"id":"1"}]}')
    recorded.say(f"groups/{GROUP}/transitiveMembers", fault, status)
    (reading,) = recorded.ask("assigned", where=(("group", (GROUP,)),))
    assert (reading.state, reading.code, reading.counts) == (State.UNKNOWN, code, ())
    assert f"/v1.0/groups/{GROUP}/members" not in [one.path for one in recorded.double.requests]


@pytest.mark.parametrize("measure", ["assigned", "active", "users"])
def test_a_user_without_a_licence_among_the_licensed_is_malformed(recorded: Recorded, measure: str) -> None:
    recorded.say("users", users(user(1), user(2, assignedLicenses="[]")))
    units(recorded, 1)
    (reading,) = recorded.ask(measure)
    assert (reading.state, reading.code, reading.counts) == (State.UNKNOWN, "malformed", ())
    assert "Graph's index answers with users that hold no licence" in reading.reason


@pytest.mark.parametrize(
    ("consumed", "held", "known"),
    [(1, 0, False), (2, 1, True), (3, 1, False), (20, 19, True), (40, 38, True), (40, 37, False)],
)
def test_holders_may_stay_a_little_behind_consumed_units(
    recorded: Recorded, consumed: int, held: int, known: bool
) -> None:
    recorded.say("users", users(*(user(number) for number in range(held))))
    units(recorded, consumed)
    assigned, some, consumes = (
        *recorded.ask("assigned"),
        *recorded.ask("assigned", where=(("domain", ("contoso.example",)),)),
        *recorded.ask("consumed"),
    )
    assert consumes.counts[0].quantity == consumed
    assert assigned.state == some.state == (State.KNOWN if known else State.UNKNOWN)
    if not known:
        assert assigned.code == some.code == "incomplete"
        assert f"{held} people hold SPB by the list of users, {consumed} by consumedUnits" in assigned.reason


def test_an_empty_index_is_no_zero(recorded: Recorded) -> None:
    recorded.say("users", users())
    assert [one.code for one in recorded.ask("assigned", "active", "users")] == ["incomplete"] * 3
