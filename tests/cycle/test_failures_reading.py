"""Sign-in that fails and answers that cannot be whole: nothing is taken for a number that was not read.

Every test here also asks the PSA's own record, and that customers who have nothing to do with it are planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, DOGWOOD, PREMIUM, Stage, only_birchwood, rule, told

from connectors.microsoft365.connection import Microsoft365Connection
from syncd.errors import Fault, UserFault

# Sign-in and consent


def test_an_expired_secret(pair: Stage) -> None:
    for tenant in pair.graph.tenants.values():
        tenant.faults["expired_secret"] = -1
    done = pair.cycle()
    assert done.status == 1
    [error] = done.json["errors"]
    assert (error["connection"], error["customer"], error["code"]) == ("m365", None, "unauthorized")
    assert "the client secret has expired (AADSTS7000222). Make a new one in the app registration." in error["message"]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert [line["billed"] for line in done.json["lines"]] == ["25", "14"]  # what could be read is shown
    assert pair.foreign_writes() == []
    assert pair.run("check").status == 1


def test_a_tenant_without_consent(pair: Stage) -> None:
    pair.break_tenant(ALDER, "consent")
    done = pair.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert code == "consent"
    assert "the tenant has not agreed to the app (AADSTS65001). Let an admin of that tenant consent to it." in sentence
    assert (done.line(ALDER)["used"], done.line(ALDER)["action"]) == (None, "blocked")
    assert only_birchwood(pair)


def test_a_wrong_key_of_the_psa(pair: Stage) -> None:
    pair.psa.private_key = "another-key"
    done = pair.cycle()
    assert done.status == 1
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert {one["connection"] for one in done.json["errors"]} == {"cw"}
    assert "private-key-of-acme" not in done.out + done.err
    assert pair.effects == []


def _unreadable() -> None:
    raise UserFault(Fault("config.toml › [connections.m365] › certificate", "the file cannot be read."))


def _broken() -> None:
    raise KeyError("value")


@pytest.mark.parametrize(("fault", "code"), [(_unreadable, "unauthorized"), (_broken, "malformed")])
def test_a_list_of_customers_that_fails_in_the_connector_itself(
    pair: Stage, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None], code: str
) -> None:
    """Its lines are blocked, and what the others show is told all the same."""
    monkeypatch.setattr(Microsoft365Connection, "customers", lambda connection: fault())
    done = pair.cycle()
    assert done.status == 1
    assert [(one["connection"], one["code"]) for one in done.json["errors"]] == [("m365", code)]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert [line["billed"] for line in done.json["lines"]] == ["25", "14"]
    assert pair.foreign_writes() == []


def test_a_secret_that_is_not_set(pair: Stage) -> None:
    done = pair.cycle(M365_CLIENT_SECRET="")
    assert done.status == 2
    assert "the environment variable M365_CLIENT_SECRET is not set" in done.err
    assert pair.writes() == []


def test_an_answer_for_another_tenant(pair: Stage) -> None:
    pair.break_tenant(ALDER, "wrong_tenant")
    done = pair.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert (code, "Nothing of it is used." in sentence) == ("wrong_tenant", True)
    assert only_birchwood(pair)


# Readings that are not whole


def test_a_page_that_is_missing(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2, graph={"page_size": 10})
    stage.hire(BIRCHWOOD, 1)
    stage.break_tenant(ALDER, "cut")
    done = stage.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert (code, sentence) == ("incomplete", "the list of licensed users has 10 of the 27 records that Graph counts.")
    line = done.line(ALDER)
    assert (line["states"]["used"], line["used"], line["action"]) == ("partial", None, "blocked")
    assert only_birchwood(stage)


def test_a_list_of_companies_that_is_half(pair: Stage) -> None:
    """The PSA says how many companies it has, and shows fewer."""
    shown = pair.psa.listed

    def half(request: Any, rows: Any) -> Any:
        rows = list(rows)
        return shown(request, rows[:1] if request.path.endswith("company/companies") else rows)

    pair.psa.listed = half  # type: ignore[method-assign]
    done = pair.cycle()
    assert done.status == 1
    [error] = done.json["errors"]
    assert (error["connection"], error["code"]) == ("cw", "incomplete")
    assert "company/companies gave 1 rows" in error["message"]
    assert "its count says 2" in error["message"]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert pair.writes() == []


def test_half_of_the_seats_are_not_believed(raise_stage: Callable[..., Stage]) -> None:
    """Every page was there, and the whole is too small: nothing of that source is posted, rises neither."""
    stage = raise_stage(4)
    stage.map(rule("Business Premium", PREMIUM, decrease="now"), only=(ALDER, BIRCHWOOD, DOGWOOD))
    stage.configure(mode="observe")
    stage.cycle()  # 52 seats are believed
    stage.configure(safety={"max_decrease": "90%"})
    stage.dismiss(ALDER, 15)
    stage.hire(BIRCHWOOD, 1)
    for _ in range(2):
        done = stage.cycle()
        assert done.status == 3
        assert done.actions() == {ALDER: "hold", BIRCHWOOD: "hold", DOGWOOD: "hold"}
        assert "m365 fell by 26.9%" in done.line(ALDER)["reason"]
        assert "more than source_drop 25%" in done.line(BIRCHWOOD)["reason"]
    assert stage.writes() == []


def test_an_empty_list_where_there_were_customers(pair: Stage) -> None:
    pair.configure(mode="observe")
    pair.cycle()
    pair.configure(safety={"max_decrease": "100%"})
    pair.map(rule("Business Premium", PREMIUM, decrease="now"))
    pair.graph.world = replace(pair.graph.world, companies=())
    for _ in range(2):
        done = pair.cycle()
        assert done.status == 1
        assert {one["code"] for one in done.json["errors"]} == {"gone"}
        assert done.line(ALDER)["states"]["used"] == "gone"
        assert done.actions() == {ALDER: "hold", BIRCHWOOD: "hold"}
        assert "'alderdental.example' is gone from m365" in done.line(ALDER)["reason"]
    assert pair.writes() == []


def test_an_empty_psa(pair: Stage) -> None:
    pair.cycle()
    effects = len(pair.effects)
    pair.psa.tables["company/companies"].clear()
    done = pair.cycle()
    assert done.status == 1
    assert "not a single company" in done.json["errors"][0]["message"]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert len(pair.effects) == effects


def test_a_tenant_that_shows_nothing_is_held(pair: Stage) -> None:
    pair.configure(mode="observe")
    pair.cycle()
    pair.configure(safety={"source_drop": "100%"})
    pair.map(rule("Business Premium", PREMIUM, decrease="now"))
    pair.dismiss(ALDER, 27)
    done = pair.cycle()
    assert done.line(ALDER)["action"] == "hold"
    assert "the line falls to zero" in done.line(ALDER)["reason"]
    assert only_birchwood(pair)


def test_a_customer_that_left_is_gone_and_never_zero(pair: Stage) -> None:
    pair.configure(mode="observe")
    pair.cycle()
    pair.configure(safety={"source_drop": "90%", "max_decrease": "100%"})
    pair.map(rule("Business Premium", PREMIUM, decrease="now"))
    pair.graph.world = replace(pair.graph.world, companies=pair.graph.world.companies[1:])
    done = pair.cycle()
    assert done.status == 1
    line = done.line(ALDER)
    assert (line["used"], line["states"]["used"], line["action"]) == (None, "gone", "hold")
    assert "gone" in line["findings"]
    assert only_birchwood(pair)
