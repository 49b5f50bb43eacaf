"""Proposals for customers: what counts as evidence, what is doubtful, and that order changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import suggest_names as names
from syncd.core.resolve import resolve
from syncd.core.rules import Customer, Ignore, Mappings, RemoteKey
from syncd.core.suggest import Open, Pair, Suggestion, pick
from syncd.core.suggest_customers import provisional, suggest_customers
from syncd.model import Moment, RemoteCustomer
from syncd.periods import month_of

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
MOMENT = Moment(NOW, NOW.date(), month_of(NOW.date()))
TENANT = "5d2f6a10-91b4-4c6e-8b1e-0d8f0c1f7a11"


def proposed(
    mappings: Mappings | None = None, billing: Sequence[str] = ("cw",), **listed: Sequence[RemoteCustomer] | None
) -> tuple[tuple[Suggestion, ...], tuple[Open, ...]]:
    mappings = mappings or Mappings()
    return suggest_customers(mappings, listed, resolve(mappings.customers, listed, {}, {}), billing, MOMENT)


def company(id_: str, name: str, *identifiers: str, links: tuple[str, ...] = ()) -> RemoteCustomer:
    return RemoteCustomer(id_, name, identifiers, links=links)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Contoso Dental, LLC", "CONTOSO DENTAL"),
        ("Lärche Optik GmbH & Co. KG", "Larche Optik"),
        ("O'Neill & Sons Ltd.", "ONeill and Sons"),
        ("The Straße Company", "Strasse"),
        ("Ibérica S. A.", "Iberica S.L."),
        ("Acme Inc. ", "acme, Corp"),
    ],
)
def test_spellings_of_one_company_read_the_same(one: str, other: str) -> None:
    assert names.company_words(one) == names.company_words(other)


@pytest.mark.parametrize("name", ["Co", "The Limited", "LLC", "SA"])
def test_a_name_that_is_only_a_legal_form_stays_a_name(name: str) -> None:
    assert names.company_words(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://www.Contoso.com/about", "contoso.com"),
        ("contoso.onmicrosoft.com", "contoso.onmicrosoft.com"),
        ("gmail.com", ""),
        ("ContosoDental", ""),
        ("12", ""),
    ],
)
def test_domains(text: str, expected: str) -> None:
    assert names.domain(text) == expected


def test_the_label_of_a_domain_is_what_the_company_chose() -> None:
    found = [names.domain_label(one) for one in ("contoso.onmicrosoft.com", "www.contoso.co.uk", "mail.contoso.com")]

    assert found == ["contoso"] * 3


@pytest.mark.parametrize(
    ("psa", "cloud", "score", "why"),
    [
        (company("7", "Contoso", links=(TENANT,)), company(TENANT.upper(), "Other"), 100, "same id"),
        (company("co-7f3a", "Contoso"), company("x", "Other", "CO-7F3A"), 97, "keeps the id"),
        (company("co-7f3a", "Contoso LLC"), company("x", "Contoso", "CO-7F3A"), 100, "keeps the id"),
        (company("7", "Contoso"), company("x", "Other", "7"), 82, "keeps the id 7"),
        (company("7", "A", links=("https://contoso.com",)), company("x", "B", "contoso.com"), 95, "same domain"),
        (company("7", "Contoso Dental"), company("x", "contoso dental"), 90, "the same name"),
        (company("7", "Contoso Dental LLC"), company("x", "Contoso Dental"), 88, "legal form"),
        (company("7", "Contoso Dental"), company("x", "B", "contosodental.com"), 82, "domain says"),
        (company("7", "Contoso Dental"), company("x", "Contoso Dentl"), 72, "alike"),
    ],
)
def test_evidence_and_its_worth(psa: RemoteCustomer, cloud: RemoteCustomer, score: int, why: str) -> None:
    (found,), left = proposed(cw=[psa], m365=[cloud])

    assert found.score == score
    assert why in found.reason
    assert found.ids == (("cw", psa.id), ("m365", cloud.id))
    assert left == ()


@pytest.mark.parametrize(
    ("psa", "cloud"),
    [
        (company("7", "Maple Dental 13"), company("x", "Maple Dental 18")),
        (company("7", "Contoso"), company("x", "Fabrikam")),
        (company("7", "A", links=("gmail.com",)), company("x", "B", "gmail.com")),
    ],
)
def test_no_evidence_is_no_proposal(psa: RemoteCustomer, cloud: RemoteCustomer) -> None:
    found, left = proposed(cw=[psa], m365=[cloud])

    assert found == ()
    assert {(one.connection, one.near) for one in left if one.connection == "m365"} <= {("m365", False)}
    assert len(left) == 2


def test_two_near_candidates_are_told_and_none_is_proposed() -> None:
    found, left = proposed(
        cw=[company("7", "Contoso LLC"), company("8", "Contoso Inc")], m365=[company("x", "Contoso", "contoso.com")]
    )

    assert found == ()
    assert "'Contoso LLC' (88)" in next(one.reason for one in left if one.id == "x")
    assert "'Contoso Inc' (88)" in next(one.reason for one in left if one.id == "x")


def test_two_tenants_of_one_name_are_both_doubtful() -> None:
    found, left = proposed(cw=[company("7", "Contoso")], m365=[company("x", "Contoso"), company("y", "Contoso")])

    assert found == ()
    assert {one.id for one in left if one.near} == {"x", "y"}


def test_a_domain_that_contradicts_a_name_is_doubtful_and_an_id_is_not() -> None:
    """The domain of one company and the name of another: a person decides. A tenant map settles it."""
    psa = [company("7", "Contoso", links=("fabrikam.com",)), company("8", "Fabrikam")]
    assert proposed(cw=psa, m365=[company("x", "Fabrikam", "fabrikam.com")])[0] == ()

    psa = [company("7", "Contoso", links=(TENANT,)), company("8", "Fabrikam")]
    (found,), _ = proposed(cw=psa, m365=[company(TENANT, "Fabrikam", "fabrikam.com")])
    assert found.name == "Contoso"


def test_a_mapped_customer_is_extended_and_never_gets_a_second_key() -> None:
    mappings = Mappings((Customer("Contoso", {"cw": (RemoteKey("7"),), "pax8": (RemoteKey("p"),)}),))
    found, left = proposed(
        mappings,
        cw=[company("7", "Contoso")],
        m365=[company("x", "Contoso", "contoso.com")],
        pax8=[company("p", "Something"), company("q", "Contoso")],
    )

    (only,) = found
    assert (only.extends, dict(only.block)) == ("Contoso", {"m365": "contoso.com"})
    assert [(one.id, one.near) for one in left] == [("q", True)]
    keys = provisional(mappings, found).customers[0].keys
    assert keys["m365"] == (RemoteKey("x"),)
    assert keys["cw"] == (RemoteKey("7"),)


def test_one_company_gathers_what_every_system_knows_of_it() -> None:
    (found,), left = proposed(
        billing=("cw", "halo"),
        cw=[company("7", "Contoso", "Co", links=("contoso.com",))],
        halo=[company("3", "Contoso Ltd")],
        m365=[company("x", "Other", "contoso.com")],
        pax8=None,
    )

    assert dict(found.block) == {"name": "Contoso", "cw": "Co", "halo": "3", "m365": "contoso.com"}
    assert found.score == 88
    assert left == ()


def test_a_key_that_two_share_is_written_as_the_id() -> None:
    (found,), _ = proposed(
        cw=[company("7", "Contoso", "main"), company("8", "Unlike", "MAIN")], m365=[company("x", "Contoso")]
    )

    assert found.block["cw"] == "7"


def test_ignored_and_inactive_customers_are_left_alone() -> None:
    mappings = Mappings(ignores=(Ignore("m365", customers=("Contoso*",)),))
    found, left = proposed(
        mappings,
        cw=[company("7", "Contoso")],
        m365=[company("x", "Contoso"), RemoteCustomer("y", "Contoso", (), False)],
    )

    assert found == ()
    assert [one.connection for one in left] == ["cw"]


WORDS = ["Maple", "Oak", "Maple Dental", "Maple Dentall", "Óak", "oak llc", "Oak Inc", "Elm 1", "Elm 2", "maple.com"]
KEYS = ["maple.com", "oak.com", "oak.onmicrosoft.com", TENANT, "1", "2", "key"]
remotes = st.lists(
    st.builds(
        RemoteCustomer,
        st.sampled_from(["1", "2", "3", "4", TENANT]),
        st.sampled_from(WORDS),
        st.lists(st.sampled_from(KEYS), max_size=2).map(tuple),
        st.just(True),
        st.lists(st.sampled_from(KEYS), max_size=1).map(tuple),
    ),
    max_size=5,
    unique_by=lambda one: one.id,
)


@settings(max_examples=60, deadline=None)
@given(remotes, remotes, remotes, st.randoms(use_true_random=False))
def test_order_changes_nothing_and_no_id_is_proposed_for_two(
    cw: list[RemoteCustomer], halo: list[RemoteCustomer], m365: list[RemoteCustomer], dice: object
) -> None:
    listed = {"cw": cw, "halo": halo, "m365": m365}
    found, left = proposed(billing=("cw", "halo"), **listed)
    mixed = {name: dice.sample(listed[name], len(listed[name])) for name in reversed(listed)}  # type: ignore[attr-defined]

    assert proposed(billing=("halo", "cw"), **mixed) == (found, left)
    ids = Counter(id_ for one in found for id_ in one.ids)
    assert all(count == 1 for count in ids.values())
    told = {(one.connection, one.id) for one in left} | set(ids)
    assert told == {(name, one.id) for name, some in listed.items() for one in some}  # nobody is forgotten
    assert all(0 < one.score <= 100 for one in found)
    assert len({one.mark for one in found}) == len(found)
    assert len({one.name for one in found}) == len(found)


texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@given(texts)
def test_bringing_a_name_into_form_twice_changes_nothing_more(name: str) -> None:
    once = names.words(name)

    assert names.words(" ".join(once)) == once


@given(texts, texts)
def test_alikeness_is_the_same_in_both_directions(one: str, other: str) -> None:
    left, right = names.company_words(one), names.company_words(other)

    assert names.alikeness(left, right) == names.alikeness(right, left)
    assert names.alikeness(left, left) == (100 if left else 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(50, 100)), unique_by=lambda one: one[:2]))
def test_what_is_picked_has_no_near_rival(drawn: list[tuple[int, int, int]]) -> None:
    pairs = [Pair(left, right, score, "") for left, right, score in drawn]
    chosen, doubtful = pick(pairs)

    assert (chosen, doubtful) == pick(reversed(pairs))
    for one in chosen:
        rivals = [other for other in pairs if other != one and (other.left == one.left or other.right == one.right)]
        assert all(other.score <= one.score - 10 for other in rivals)
    assert {one.left for one in chosen} | set(doubtful) == {one.left for one in pairs}
    assert len({one.right for one in chosen}) == len(chosen)
