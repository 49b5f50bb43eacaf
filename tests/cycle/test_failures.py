"""What goes wrong at an MSP, and what syncd makes of it: the sentence, the exit status, and that nothing wrong left.

Every test here also asks the PSA's own record, and that customers who have nothing to do with it are planned.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, DOGWOOD, PREMIUM, Done, Stage, rule

from syncd.ledger import Ledger
from syncd.ledger import sqlite as ledger_sqlite
from syncd.ledger.lock import WriterLock

IDLE = {"action": "none"}


@pytest.fixture
def pair(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder with 2 seats unbilled, and Birchwood with 1, who must not suffer for what happens to Alder."""
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 1)
    return stage


def only_birchwood(stage: Stage) -> bool:
    """Whether Birchwood's posting alone reached the PSA."""
    return [one.detail["quantity"]["to"] for one in stage.effects] == [15] and bool(stage.effects_of(BIRCHWOOD))


def told(done: Done, customer: str) -> list[tuple[str, str]]:
    """(code, message) of the errors about one customer."""
    return [(one["code"], one["message"]) for one in done.json["errors"] if one["customer"] == customer]


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
    pair.configure(cw={"timeout": "0.15s"})
    pair.psa.fail("slow", path="agreements/1001/additions$", times=20, seconds=0.4)
    done = pair.cycle()
    assert done.status == 1
    [(code, sentence)] = told(done, ALDER)
    assert (code, "did not answer in time" in sentence) == ("timeout", True)
    assert (done.line(ALDER)["billed"], done.line(ALDER)["action"]) == (None, "blocked")
    assert only_birchwood(pair)


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


# The ledger's disk


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes of any file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_sends_nothing(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.configure(settle=2)
    pair.cycle()
    with sqlite3.connect(pair.database) as opened:
        (pages,) = opened.execute("PRAGMA page_count").fetchone()
    opened.close()
    monkeypatch.setattr(ledger_sqlite, "PRAGMAS", (*ledger_sqlite.PRAGMAS, f"max_page_count = {pages}"))
    done = pair.cycle()
    assert done.status == 1
    assert "the disk is full" in done.err
    assert "syncd.db could not grow" in done.err
    monkeypatch.undo()
    assert pair.writes() == []
    assert pair.entries() == []
    assert pair.cycle().status == 0  # there is space again, and nothing was lost
    assert len(pair.effects) == 2
    assert pair.verified()


def test_a_disk_that_refuses_sends_nothing(pair: Stage) -> None:
    pair.configure(settle=2)
    pair.cycle()
    with files_no_larger_than(64 * 1024):
        done = pair.cycle()
    assert done.status == 1
    assert str(pair.database) in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0
    assert len(pair.effects) == 2
    assert pair.verified()


def test_a_ledger_that_is_locked(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.configure(settle=2)
    pair.cycle()
    monkeypatch.setattr(ledger_sqlite, "BUSY_MILLISECONDS", 50)
    with sqlite3.connect(pair.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        done = pair.cycle()
        other.execute("ROLLBACK")
    other.close()
    assert done.status == 1
    assert f"the ledger {pair.database} is locked by" in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0


def test_a_ledger_that_another_process_holds(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger.claim, "__defaults__", (timedelta(0),))
    held = WriterLock(pair.database.with_name("syncd.db.lock"), "run", pair.now, timedelta(0))
    done = pair.cycle()
    held.release()
    assert done.status == 1
    assert 'is held by "syncd run" (process ' in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0


def test_a_ledger_that_a_newer_program_wrote(pair: Stage) -> None:
    with sqlite3.connect(pair.database) as opened:
        opened.execute("UPDATE alembic_version SET version_num = '9999'")
    opened.close()
    for done in (pair.cycle(), pair.plan(), pair.run("ledger")):
        assert done.status == 2
        assert "was written by a newer syncd (schema 9999" in done.err
    assert pair.writes() == []


def test_a_file_that_is_no_ledger(pair: Stage) -> None:
    pair.database.write_bytes(b"not a database, but long enough to have a header of its own" * 40)
    done = pair.cycle()
    assert done.status == 4
    assert str(pair.database) in done.err
    assert pair.writes() == []


def test_a_folder_that_cannot_be_made(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1, ledger=False)
    (stage.folder / "state").write_text("a file where a folder should be")
    done = stage.cycle()
    assert done.status in (1, 2)
    assert str(stage.folder / "state") in done.err
    assert stage.writes() == []
