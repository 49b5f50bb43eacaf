"""What goes wrong at an MSP, and what syncd makes of it: the sentence, the exit status, and that nothing wrong left.

Every test here also asks the PSA's own record, and that customers who have nothing to do with it are planned.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, PREMIUM, Stage, only_birchwood, rule, told

from syncd.ledger import Ledger

IDLE = {"action": "none"}


# Mappings that do not fit the systems


def test_a_customer_that_matches_none(pair: Stage) -> None:
    pair.map(rule("Business Premium", PREMIUM), AlderDental={"cw": "AlderDental2"})
    done = pair.cycle()
    assert done.status == 1
    assert done.line(ALDER)["action"] == "blocked"
    assert told(done, ALDER) == [("not_found", "cw has no customer 'AlderDental2'")]
    assert only_birchwood(pair)
    checked = pair.run("check", "--json")
    assert checked.status == 2
    assert checked.json["faults"] == [f"cw / {ALDER}: cw has no customer 'AlderDental2'"]


def test_a_tenant_that_matches_none(pair: Stage) -> None:
    pair.map(rule("Business Premium", PREMIUM), AlderDental={"m365": "alder.example"})
    done = pair.cycle()
    assert done.status == 1
    assert done.line(ALDER)["reason"] == "used is unknown: m365 has no customer 'alder.example'"
    assert only_birchwood(pair)


def test_a_customer_that_matches_two(pair: Stage) -> None:
    twin = pair.psa.tables["company/companies"][251] | {"id": 900, "identifier": "AlderTwo"}
    pair.psa.tables["company/companies"][900] = twin
    pair.map(rule("Business Premium", PREMIUM), AlderDental={"cw": ALDER})
    done = pair.cycle()
    assert done.status == 1
    assert done.line(ALDER)["action"] == "blocked"
    [(_, sentence)] = told(done, ALDER)
    assert sentence == f"cw has 2 customers '{ALDER}' (ids 251, 900); name one by id"
    assert only_birchwood(pair)
    pair.map(rule("Business Premium", PREMIUM), AlderDental={"cw": "251"})
    assert pair.cycle().status == 0
    assert pair.quantity(ALDER) == 27


def test_an_agreement_that_matches_two_where_a_line_must_be_made(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "*", "product": "VISIO-P2"}
    pair.map(rule("Business Premium", PREMIUM, bill=bill, true_up="line"))
    done = pair.cycle()
    assert done.status == 1
    line = done.line(ALDER)
    assert (line["action"], line["findings"]) == ("blocked", ["leakage", "ambiguous agreement"])
    assert line["reason"] == (
        "2 agreements match `agreement`: 'Managed Services' (1001), 'Co-managed Devices' (2001); narrow it to one"
    )
    assert done.line(BIRCHWOOD)["action"] != "blocked"
    assert pair.effects_of(ALDER) == []
    assert len(pair.effects_of(BIRCHWOOD)) == 1


def test_an_agreement_that_matches_two_where_a_line_may_be_created(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "*", "product": "VISIO-P2"}
    pair.map(rule("Business Premium", PREMIUM, bill=bill, create=True))
    done = pair.cycle()
    assert done.status == 1
    assert "narrow it to one" in done.line(ALDER)["reason"]
    assert pair.effects_of(ALDER) == []


def test_an_agreement_that_matches_two_does_no_harm_where_one_has_the_line(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "*", "product": "M365-BP"}
    pair.map(rule("Business Premium", PREMIUM, bill=bill))
    assert pair.cycle().status == 0
    assert pair.quantity(ALDER) == 27


def test_an_agreement_that_matches_none(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "Support*", "product": "M365-BP"}
    pair.map(rule("Business Premium", PREMIUM, bill=bill, create=True), only=(ALDER,))
    done = pair.cycle()
    assert done.status == 1
    assert done.line(ALDER)["reason"] == "no open agreement matches `agreement`"
    assert pair.writes() == []


def test_two_open_additions_of_one_product(pair: Stage) -> None:
    row = pair.addition(ALDER)
    pair.psa.tables["additions"][77_000] = row | {"id": 77_000}
    done = pair.cycle()
    assert done.status == 1
    line = done.line(ALDER)
    assert (line["action"], line["findings"], line["billed"]) == ("blocked", ["overbilling", "duplicate line"], "50")
    assert line["reason"].startswith("2 open lines bill 'M365-BP': ")
    assert str(row["id"]) in line["reason"]
    assert "77000" in line["reason"]
    assert only_birchwood(pair)


def test_an_inactive_catalogue_product(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "Managed Services*", "product": "OLD-AV"}
    pair.map(rule("Business Premium", PREMIUM, bill=bill, create=True))
    done = pair.cycle()
    assert done.status == 1
    for customer in (ALDER, BIRCHWOOD):
        assert done.line(customer)["action"] == "blocked"
        assert "the ConnectWise product OLD-AV is inactive" in done.line(customer)["reason"]
    assert pair.writes() == []


def test_a_product_that_is_not_in_the_catalogue(pair: Stage) -> None:
    bill = {"to": "cw", "agreement": "Managed Services*", "product": "M365-XX"}
    pair.map(rule("Premium", PREMIUM, bill=bill), rule("Exchange", "EXCHANGESTANDARD"))
    done = pair.cycle()
    assert done.status == 1
    assert done.line(ALDER, "Premium")["reason"] == "cw has no product 'M365-XX'"
    assert done.line(ALDER, "Premium")["action"] == "blocked"
    assert done.line(BIRCHWOOD, "Exchange")["action"] == "none"
    assert pair.run("check").status == 2
    assert pair.writes() == []


def test_two_rules_for_one_line(pair: Stage) -> None:
    pair.map(rule("Premium", PREMIUM), rule("Premium again", PREMIUM, customers=[ALDER]))
    done = pair.cycle()
    assert done.status == 1
    for name in ("Premium", "Premium again"):
        assert done.line(ALDER, name)["action"] == "blocked"
        assert "let one rule bill it" in done.line(ALDER, name)["reason"]
    assert only_birchwood(pair)


# Vendors that do not answer


def test_a_source_that_is_down(pair: Stage) -> None:
    pair.graph_serving.stop()
    done = pair.cycle()
    assert done.status == 1
    [error] = done.json["errors"]
    assert (error["connection"], error["customer"], error["code"]) == ("m365", None, "unavailable")
    assert "cannot be reached (connection refused or unknown host)" in error["message"]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert pair.effects == []


def test_a_psa_that_is_down(pair: Stage) -> None:
    pair.psa_serving.stop()
    done = pair.cycle()
    assert done.status == 1
    [error] = done.json["errors"]
    assert (error["connection"], error["code"]) == ("cw", "unavailable")
    assert [(line["used"], line["billed"]) for line in done.json["lines"]] == [("27", None), ("15", None)]
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}


def test_a_psa_that_goes_down_between_plan_and_posting(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Ledger.write

    def then_down(ledger: Ledger, *arguments: Any) -> Any:
        written = write(ledger, *arguments)
        pair.psa_serving.stop()
        return written

    monkeypatch.setattr(Ledger, "write", then_down)
    done = pair.cycle()
    assert done.status == 1
    assert [one["state"] for one in pair.entries()] == ["planned", "planned"]
    assert {one["code"] for one in done.json["errors"]} == {"unavailable"}
    assert pair.effects == []


def test_a_slow_answer_about_one_customer_stops_nobody_else(pair: Stage) -> None:
    pair.configure(cw={"timeout": "0.5s"})
    pair.psa.fail("slow", path="agreements/1001/additions$", times=20, seconds=1.2)
    done = pair.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert (code, "did not answer in time" in sentence) == ("timeout", True)
    assert (done.line(ALDER)["billed"], done.line(ALDER)["action"]) == (None, "blocked")
    assert only_birchwood(pair)


@pytest.mark.slow
def test_a_sign_in_host_that_does_not_answer_is_not_waited_for(pair: Stage) -> None:
    pair.configure(m365={"timeout": "0.5s"})
    pair.graph.double.fail("slow", path=f"{pair.company(ALDER).tenant_id}/oauth2", times=20, seconds=1.2)
    done = pair.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert (code, "did not answer in time" in sentence) == ("timeout", True)
    assert done.line(ALDER)["action"] == "blocked"
    assert only_birchwood(pair)


@pytest.mark.parametrize("vendor", ["m365", "cw"])
def test_a_web_page_instead_of_data(pair: Stage, vendor: str) -> None:
    if vendor == "m365":
        pair.graph.double.fail("html", path="/v1.0/contracts")
    else:
        pair.psa.fail("html", path="finance/agreements$")
    done = pair.cycle()
    assert done.status == 1
    assert {one["code"] for one in done.json["errors"]} == {"malformed"}
    assert (
        "a web page instead of data (a proxy, a sign-in page or a wrong base_url?)" in done.json["errors"][0]["message"]
    )
    assert done.actions() == {ALDER: "blocked", BIRCHWOOD: "blocked"}
    assert pair.effects == []
    assert pair.cycle().status == 0  # it was the only one


@pytest.mark.parametrize("what", ["500_before", "unavailable", "drop_before", "throttle", "truncate"])
def test_a_passing_trouble_while_reading_is_read_over(pair: Stage, what: str) -> None:
    pair.psa.retry_after = "0"
    pair.psa.fail(what, method="GET", path="finance/agreements$")
    pair.graph.double.fail(what if what != "throttle" else "500_before", path="/v1.0/users")
    done = pair.cycle()
    assert done.status == 0, done.err
    assert done.json["errors"] == []
    assert len(pair.effects) == 2


def test_a_pause_longer_than_a_cycle_defers_and_outlives_the_process(pair: Stage) -> None:
    pair.psa.retry_after = "86400"
    pair.psa.fail("throttle", method="GET", path="company/companies")
    requests = [len(pair.psa.requests)]
    for _ in range(2):
        done = pair.cycle()
        assert done.status == 1
        assert {one["code"] for one in done.json["errors"]} == {"deferred"}
        assert "longer than a cycle" in done.json["errors"][0]["message"]
        requests.append(len(pair.psa.requests))
    assert requests[2] == requests[1]  # the second process does not even ask
    assert pair.effects == []
    pair.pass_time(days=1, seconds=1)
    pair.psa.retry_after = "0"
    assert pair.cycle().status == 0


# Clocks


def test_a_clock_that_falls_back_posts_nothing(pair: Stage) -> None:
    pair.map(rule("Business Premium", PREMIUM, true_up="line"))
    pair.configure(mode="observe")
    pair.cycle()
    pair.configure()
    pair.now -= timedelta(days=31)
    done = pair.cycle()
    assert done.status == 1
    [error] = done.json["errors"]
    assert error["code"] == "clock"
    assert error["message"].startswith(
        "the clock shows 2026-10-20 15:00 UTC, earlier than the last cycle (2026-11-20 16:00 UTC); nothing is posted"
    )
    assert done.actions() == {ALDER: "post", BIRCHWOOD: "post"}
    assert pair.writes() == []
    assert pair.entries() == []
    pair.now += timedelta(days=31)
    assert pair.cycle().status == 0
    assert {one["period"] for one in pair.entries()} == {"2026-11"}


def test_the_hour_that_comes_twice_is_no_fall(pair: Stage) -> None:
    pair.now = pair.now.replace(month=11, day=1, hour=1, minute=50)  # the night on which summer time ends
    pair.cycle()
    pair.now = pair.now.replace(minute=5, fold=1)
    assert pair.cycle().status == 0
