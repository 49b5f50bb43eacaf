"""A rehearsal cannot write to a real system, even where the code that should keep it from doing so is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stage import ALDER, Stage, environment

from syncd.clock import make_clock
from syncd.config import load
from syncd.connect.contract import Connection, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.registry import Kinds
from syncd.errors import VendorError
from syncd.model import Posting, Wire
from syncd.rehearse import rehearse
from syncd.rehearse.stage import only_to
from syncd.rehearse.tape import PlayedBack, Recording, Tape, WouldWrite, reading_only

REAL = "https://api-na.myconnectwise.net"
SANDBOX = "http://127.0.0.1:9"


def ways_out() -> tuple[list[Http], Any]:
    """Makes connections' ways out, and keeps them."""
    gate = Gate(
        concurrency=1, requests_per_minute=None, patience=timedelta(seconds=1), now=lambda: datetime.now(UTC)
    )  # fmt: skip
    made: list[Http] = []

    def make(base_url: str, **options: Any) -> Http:
        made.append(Http(base_url, gate=gate, timeout=1.0, first_wait=0.01, **options))
        return made[-1]

    return made, make


@pytest.mark.parametrize(
    "address", [REAL, "http://127.0.0.1:10", "https://127.0.0.1:9", "http://127.0.0.1.example.com:9", "http://[::1]:9"]
)
def test_a_way_out_leads_to_the_sandbox_and_nowhere_else(address: str) -> None:
    made, make = ways_out()

    with pytest.raises(WouldWrite, match="sandbox only"):
        only_to(SANDBOX, make, "cw")(address)
    assert made == []


def test_the_sign_in_host_is_the_sandbox_too() -> None:
    made, make = ways_out()

    with pytest.raises(WouldWrite, match=r"api-na\.myconnectwise\.net"):
        only_to(SANDBOX, make, "cw")(SANDBOX, also=(SANDBOX, REAL))
    assert made == []


def test_a_proxy_is_refused() -> None:
    _, make = ways_out()

    with pytest.raises(WouldWrite, match="no proxy"):
        only_to(SANDBOX, make, "cw")(SANDBOX, proxy="http://127.0.0.1:3128")


@pytest.mark.parametrize("address", [REAL, "http://10.0.0.1:80", "http://sandbox.example.com"])
def test_what_is_no_loopback_is_no_sandbox(address: str) -> None:
    _, make = ways_out()

    with pytest.raises(WouldWrite, match="loopback only"):
        only_to(address, make, "cw")


def test_a_link_or_a_path_of_a_posting_leads_nowhere_else() -> None:
    _, make = ways_out()
    http = only_to(SANDBOX, make, "cw")(SANDBOX)

    answer = http.send(Wire("POST", f"{REAL}/v4_6_release/apis/3.0/finance/agreements/1/additions", b"{}"))
    assert "another host" in str(answer)
    with pytest.raises(VendorError, match="another host"):
        http.read(f"{REAL}/v4_6_release/apis/3.0/system/info")
    http.close()


def test_the_reading_of_the_real_systems_has_no_sending() -> None:
    _, make = ways_out()
    http = reading_only(make, "cw")(REAL)

    with pytest.raises(WouldWrite, match="cw: a rehearsal does not write to a real system"):
        http.send(Wire("PATCH", "/anything", b"{}"))
    http.close()


def test_a_connection_that_is_recorded_or_played_back_sends_nothing(stage: Stage) -> None:
    posting: Any = None
    for connection in (Recording(None, Tape("cw")), PlayedBack(Tape("cw"))):  # type: ignore[arg-type]
        with pytest.raises(WouldWrite):
            connection.send(posting, Wire("POST", "/"))


@dataclass(frozen=True)
class Stubborn:
    """ConnectWise, with a defect: whatever it is told, it speaks to one address."""

    real: Any
    url: str

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "real"), name)

    def open(self, settings: Any, context: Context) -> Connection:
        opened: Connection = self.real.open(settings.model_copy(update={"base_url": self.url}), context)
        return opened


def test_a_connector_that_speaks_to_the_real_address_is_stopped_before_the_first_byte(stage: Stage) -> None:
    kinds: Any = {**Kinds()}
    kinds["connectwise"] = Stubborn(kinds["connectwise"], stage.psa_serving.url)

    with environment(stage.variables()):
        config, mappings = load(stage.config_path, kinds, os.environ)
        with pytest.raises(WouldWrite, match="speaks to its sandbox only"):
            rehearse(config, mappings, kinds, make_clock())

    assert stage.foreign_writes() == []
    assert stage.quantity(ALDER) == 25


@dataclass(frozen=True)
class Eager(Stubborn):
    """ConnectWise, with a worse defect: it writes while it reads."""

    def open(self, settings: Any, context: Context) -> Connection:
        return Writing(self.real.open(settings, context))  # type: ignore[return-value]


class Writing:
    """Sends a quantity before it tells a customer's lines."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def lines(self, customers: Any, moment: Any) -> Iterator[Any]:
        body = b'[{"op":"replace","path":"quantity","value":99}]'
        self._inner._api.send(Wire("PATCH", "finance/agreements/1001/additions/30100", body))
        return iter(self._inner.lines(customers, moment))

    def send(self, posting: Posting, wire: Wire) -> Any:
        return self._inner.send(posting, wire)


def test_a_connector_that_writes_while_it_reads_writes_nothing(stage: Stage) -> None:
    kinds: Any = {**Kinds()}
    kinds["connectwise"] = Eager(kinds["connectwise"], "")

    with environment(stage.variables()):
        config, mappings = load(stage.config_path, kinds, os.environ)
        done = rehearse(config, mappings, kinds, make_clock())

    assert done.exit_status == 1
    assert stage.foreign_writes() == []
    assert stage.quantity(ALDER) == 25
