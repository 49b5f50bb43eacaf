"""What holds for every answer: headers, hosts, and pages that need nothing but themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest
from web_kit import Browser, board_with, cycle, line, plan

from syncd.ledger import Ledger
from syncd.web.guard import HEADERS

ROUTES = (
    "/",
    "/drift",
    "/drift?action=all",
    "/held",
    "/ledger",
    "/healthz",
    "/readyz",
    "/metrics",
    "/static/site.css",
    "/static/icon.svg",
)
REFUSED = ("/nowhere", "/ledger/zzzzzzzz", "/static/../app.py", "/static/base.html", "/drift?action=bogus")


class Failing:
    """A ledger in which every question is a fault of ours."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError("canary-in-a-fault")


@pytest.fixture(scope="module")
def browser(shared_ledger: Ledger) -> Browser:
    return Browser(board_with(cycle(plan(line()))), shared_ledger)


@pytest.mark.parametrize("route", [*ROUTES, *REFUSED])
def test_every_answer_carries_every_security_header(browser: Browser, route: str) -> None:
    answer = browser.get(route)

    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    assert answer.status == (200 if route in ROUTES else 404)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(browser: Browser, route: str, method: str) -> None:
    answer = browser.get(route, method=method)

    assert answer.status == 405
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]


def test_a_fault_of_ours_shows_nothing_of_itself() -> None:
    answer = Browser(board_with(cycle(plan(line()))), Failing()).get("/ledger")

    assert answer.status == 500
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8730", "127.0.0.1.evil.example", "", "192.0.2.7:8730"])
def test_a_name_that_is_not_this_machine_is_refused(browser: Browser, host: str) -> None:
    """DNS rebinding: a foreign page's name that resolves to loopback."""
    answer = browser.get("/", host=host)

    assert answer.status == 421
    assert "Contoso" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["127.0.0.1:8730", "localhost:8730", "LOCALHOST", "[::1]:8730", "127.0.0.2"])
def test_every_name_of_loopback_is_answered(browser: Browser, host: str) -> None:
    assert browser.get("/healthz", host=host).status == 200


def test_what_another_site_loads_is_refused_and_a_link_from_it_is_not(browser: Browser) -> None:
    loaded = browser.get("/metrics", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")
    followed = browser.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate")

    assert (loaded.status, followed.status) == (403, 200)


@pytest.mark.parametrize("route", ["/", "/drift?action=all", "/held", "/ledger", "/nowhere"])
def test_pages_need_no_script_no_inline_style_and_nothing_from_elsewhere(browser: Browser, route: str) -> None:
    page = browser.get(route).text

    assert not re.search(r"<script|<iframe|\sstyle=|<style|\son\w+=|javascript:", page, re.IGNORECASE)
    assert not re.search(r"(?:src|href|action)=[\"'](?:https?:)?//", page)


def test_only_the_overview_looks_again_by_itself(browser: Browser) -> None:
    refreshing = [route for route in ROUTES if "refresh" in browser.get(route).headers]

    assert refreshing == ["/"]


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/healthz", "application/json"),
        ("/readyz", "application/json"),
        ("/static/site.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ],
)
def test_answers_say_what_they_are(browser: Browser, route: str, kind: str) -> None:
    assert browser.get(route).headers["content-type"] == kind


def test_metrics_are_the_text_format_of_prometheus(browser: Browser) -> None:
    assert browser.get("/metrics").headers["content-type"].startswith("text/plain; version=")
