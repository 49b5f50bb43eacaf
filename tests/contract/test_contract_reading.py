"""What every connector promises of its reads, over real HTTP against its own double."""

from __future__ import annotations

import pytest
from contract_kit import ALL, KINDS, MOMENT, Stage, stage

from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Query, RemoteCustomer, State

# What may happen to a read and must not be noticed: the same answer comes in the end. The quick run leaves some out.
NIGHTLY = ("slow", "drop_before", "unavailable", "500_before", "truncate")
LASTING = ["html", *(pytest.param(one, marks=pytest.mark.slow) for one in ("drop_before", "unavailable"))]
PASSING = ("drop_before", "drop_after", "500_before", "throttle", "unavailable", "truncate", "slow")


# Kinds that count something; books and billing platforms may only bill.
COUNTING = [kind for kind in KINDS if ALL[kind].abilities.default_measure]


def default_query(one: Stage) -> Query:
    return Query(one.connector.abilities.default_measure)


def counts(one: Stage, customers: list[RemoteCustomer]) -> dict[str, dict[str, str]]:
    """customer -> sku -> quantity, of everything that was read whole."""
    if not one.connector.abilities.default_measure:
        return {}
    asks = [Ask(customer, (default_query(one),)) for customer in customers]
    found = {}
    for reading in one.connection.counts(asks, MOMENT):
        assert reading.state is State.KNOWN, reading.reason
        found[reading.customer_id] = {count.sku: str(count.quantity) for count in reading.counts}
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_signing_in_tells_who_answered(kind: str) -> None:
    with stage(kind) as one:
        assert one.connection.sign_in().identity


@pytest.mark.parametrize("kind", KINDS)
def test_refused_credentials_are_said_and_never_shown(kind: str) -> None:
    with stage(kind) as one:
        one.double.fail("unauthorized", times=1000)

        with pytest.raises(VendorError) as refused:
            one.connection.sign_in()

        assert refused.value.code in ("unauthorized", "forbidden")
        assert not any(secret in str(refused.value) for secret in secrets(one))


def secrets(one: Stage) -> list[str]:
    """The values of the connection's secret keys."""
    fields = one.connector.settings.model_fields.items()
    return [one.double.settings[name] for name, field in fields
            if "Secret" in str(field) and name in one.double.settings]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_customers_are_listed_whole_and_once(kind: str) -> None:
    with stage(kind) as one:
        customers = one.connection.customers()

        assert len(customers) >= 3
        assert len({customer.id for customer in customers}) == len(customers)
        assert all(customer.name for customer in customers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault", [pytest.param(one, marks=[pytest.mark.slow] if one in NIGHTLY else []) for one in PASSING]
)
def test_a_passing_fault_changes_no_answer(kind: str, fault: str) -> None:
    with stage(kind) as calm:
        listed = list(calm.connection.customers())
        expected = counts(calm, listed)
    with stage(kind) as one:
        one.double.fail(fault, times=2, seconds=1.3)
        customers = list(one.connection.customers())
        one.double.fail(fault, times=2, seconds=1.3)

        assert [customer.name for customer in customers] == [customer.name for customer in listed]
        assert counts(one, customers) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_is_an_error_and_never_an_empty_list(kind: str, fault: str) -> None:
    with stage(kind) as one:
        one.double.fail(fault, times=1000)

        with pytest.raises(VendorError) as failed:
            one.connection.customers()

        assert failed.value.code in ("malformed", "unavailable", "unauthorized", "timeout")


@pytest.mark.parametrize("kind", COUNTING)
@pytest.mark.parametrize("fault", LASTING)
def test_counts_that_cannot_be_read_are_unknown_and_never_zero(kind: str, fault: str) -> None:
    with stage(kind) as one:
        customers = list(one.connection.customers())
        one.double.fail(fault, times=1000)
        asks = [Ask(customer, (default_query(one),)) for customer in customers]

        try:
            readings = list(one.connection.counts(asks, MOMENT))
        except VendorError:
            readings = []

        assert all(reading.state is not State.KNOWN for reading in readings)


@pytest.mark.parametrize("kind", COUNTING)
def test_every_known_reading_says_how_it_knows(kind: str) -> None:
    with stage(kind) as one:
        asks = [Ask(customer, (default_query(one),)) for customer in one.connection.customers()]
        readings = list(one.connection.counts(asks, MOMENT))

        assert {reading.customer_id for reading in readings} == {ask.customer.id for ask in asks}
        assert all(reading.proof for reading in readings if reading.state is State.KNOWN)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_changes_nothing_and_shows_no_secret(kind: str) -> None:
    with stage(kind) as one:
        one.connection.sign_in()
        counts(one, list(one.connection.customers()))
        assert secrets(one)
        assert one.writes() == 0
        for request in one.double.requests:
            told = f"{request.path} {request.query} {request.headers}"
            assert not any(secret in told for secret in secrets(one))


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_to_another_host_is_not_followed(kind: str) -> None:
    with stage(kind) as one, stage(kind) as other:
        for way in one.ways:
            with pytest.raises(VendorError, match="another host"):
                way.read(f"{other.running.url}/anything")

        assert other.double.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_abilities_are_consistent(kind: str) -> None:
    with stage(kind) as one:
        abilities = one.connector.abilities

        assert abilities.reads or abilities.operations
        assert bool(abilities.default_measure) == bool(abilities.measures)
        assert abilities.default_measure in {"", *abilities.measures}
        assert {measure.number for measure in abilities.measures.values()} <= abilities.reads
        for measure in abilities.measures.values():
            assert measure.filters <= set(abilities.filters)
        for delivery in abilities.operations.values():
            assert bool(delivery.marker) == (delivery.vendor_class in ("M", "K", "U"))
