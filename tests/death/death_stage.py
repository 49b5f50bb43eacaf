"""The stage of the deaths: one PSA double over HTTP, the admin's files, real processes, and the double's own record.

A scene is a change that is about to be posted. It is set once; then its folder and the double's state are put back
before each death. What must come out is what came out when nobody died: the same effects, to the mark on the record.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from death_process import Alive as Alive
from death_process import Step as Step
from death_process import Zygote as Zygote

from connectors.connectwise.sandbox import ConnectWiseDouble, build
from syncd.core.entries import OPEN, Entry, EntryState
from syncd.ledger import Ledger
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import small_msp

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
# What the zygote's child ends with where the command raised what no command may.
CRASHED = 70
# Longer than the quiet time after which an absent change may be sent again.
QUIET = timedelta(minutes=6)
ALDER, BIRCHWOOD, CEDAR, ELM = "AlderDental", "Birchwood", "CedarSons", "ElmStreet"
CONFIG = """
[syncd]
timezone = "America/Chicago"
mode = "{mode}"
[safety]
settle = 1
[connections.seats]
kind = "csv"
path = "seats.csv"
customer = "Account"
sku = "Plan"
quantity = "Seats"
[connections.cw]
kind = "connectwise"
company = "acme"
public_key = {{ env = "CW_PUBLIC_KEY" }}
private_key = {{ env = "CW_PRIVATE_KEY" }}
client_id = "sandbox"
base_url = "{url}"
retry_wait = "0.01s"
timeout = "{timeout}"
[web]
listen = "127.0.0.1:{port}"
{alerts}
"""
CUSTOMER = '[[customer]]\nname = "{name}"\nseats = "{name}"\ncw = "{name}"\n'
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}"]
count = {{ from = "seats", sku = "{product}", measure = "quantity" }}
bill = {{ to = "cw", agreement = "Managed Services*", product = "{product}" }}
{keys}
"""


class Stage:
    """Files, the double and commands. `url`: where the double is reached, if not directly."""

    config, customer = CONFIG, CUSTOMER

    def __init__(self, folder: Path, zygote: Zygote) -> None:
        self.folder = folder
        self.zygote = zygote
        self.psa = self.double()
        self._start = self.state_of_psa()
        self._serving: Running = serve(self.psa)
        self.url = self._serving.url
        self.now = NOW
        self.timeout = "5s"
        self.mode = "post"
        self.port = 8730
        self.alerts = ""
        self._runs = 0

    def double(self) -> ConnectWiseDouble:
        """The vendor in which all is posted."""
        return build(small_msp(customers=5, today=TODAY), per_minute=0)

    def close(self) -> None:
        self._serving.stop()

    def clear(self) -> None:
        """An empty stage without a ledger, as on the first day."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.put_back(self._start)
        self.now, self.mode, self.timeout, self.alerts, self.url = NOW, "post", "5s", "", self._serving.url

    # Files

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def database(self) -> Path:
        return self.state / "syncd.db"

    def write(self, rules: str, seats: Mapping[tuple[str, str], int]) -> None:
        """config.toml, the mappings and the counts."""
        (self.folder / "mappings").mkdir(parents=True, exist_ok=True)
        self.configure()
        names = sorted({name for name, _ in seats})
        text = "".join(self.customer.format(name=name) for name in names) + rules
        (self.folder / "mappings" / "all.toml").write_text(text, encoding="utf-8")
        rows = "".join(f"{name},{product},{count}\n" for (name, product), count in seats.items())
        (self.folder / "seats.csv").write_text(f"Account,Plan,Seats\n{rows}", encoding="utf-8")

    def configure(self, **keys: Any) -> None:
        """Writes config.toml, with these of `url`, `mode`, `timeout`, `port` and `alerts` from now on."""
        for name, value in keys.items():
            setattr(self, name, value)
        told = {name: getattr(self, name) for name in ("url", "mode", "timeout", "port", "alerts")}
        text = self.config.format(**told)
        (self.folder / "config.toml").write_text(text, encoding="utf-8")

    # Commands

    def start(self, *arguments: str, **steps: Any) -> Alive:
        """A command of its own process; `steps` as in death_steps.Steps, `record` a path."""
        self._runs += 1
        out, err = (self.folder / f"{name}-{self._runs}" for name in ("out", "err"))
        given = [*arguments, "--config", str(self.folder / "config.toml")]
        asked = {"arguments": given, "environ": self.environ(), "out": str(out), "err": str(err), "steps": steps}
        return Alive(self.zygote.ask(do="start", **asked)["pid"], self.zygote, out, err)

    def run(self, *arguments: str, **steps: Any) -> int:
        """As `start`, and waits; the exit status."""
        alive = self.start(*(arguments or ("run", "--once", "--json")), **steps)
        status = alive.wait()
        assert status is not None, f"{arguments} hangs"
        assert status != CRASHED, alive.said
        assert "Traceback" not in alive.said, alive.said
        self.said = alive.said
        return status

    def steps_of(self, *arguments: str) -> list[Step]:
        """Every step of a command, in the order in which it comes to them."""
        record = self.folder / "record"
        record.unlink(missing_ok=True)
        self.run(*arguments, record=str(record))
        rows = [line.split("\t") for line in record.read_text().splitlines()]
        return [Step(name, int(nth), phase) for name, nth, phase in rows]

    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
        return {
            **kept,
            "CW_PUBLIC_KEY": "public-key-of-acme",
            "CW_PRIVATE_KEY": "private-key-of-acme",
            "SYNCD_NOW": self.now.isoformat(),
        }

    # What is there

    def ledger(self) -> Ledger:
        return Ledger.open("sqlite:///state/syncd.db", lambda: self.now, folder=self.folder, create=False)

    def entries(self) -> list[Entry]:
        with self.ledger() as ledger:
            return ledger.entries()

    def state_of_psa(self) -> bytes:
        """The double's records and its record of effects."""
        kept = {}
        with self.psa.lock:
            for name, value in vars(self.psa).items():
                with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                    kept[name] = pickle.dumps(value)
        return pickle.dumps(kept)

    def put_back(self, psa: bytes) -> None:
        """The double as it was."""
        with self.psa.lock:
            for name, value in pickle.loads(psa).items():
                setattr(self.psa, name, pickle.loads(value))


@dataclass(frozen=True)
class Moment:
    """All that a scene consists of, at one instant."""

    files: Path
    psa: bytes
    now: datetime


def keep(stage: Stage, scratch: Path) -> Moment:
    """The stage as it is."""
    files = Path(tempfile.mkdtemp(dir=scratch))
    shutil.copytree(stage.folder, files, dirs_exist_ok=True)
    return Moment(files, stage.state_of_psa(), stage.now)


def put_back(stage: Stage, moment: Moment) -> None:
    """The stage as it was."""
    shutil.rmtree(stage.folder)
    shutil.copytree(moment.files, stage.folder)
    stage.put_back(moment.psa)
    stage.now = moment.now


@dataclass(frozen=True)
class End:
    """How it ended: what the PSA's double did, what the ledger says of it. Compared with the end without a death."""

    effects: tuple[str, ...]
    entries: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, stage: Stage) -> End:
        effects = tuple(f"{one.what} {one.record} {dict(one.detail)}" for one in stage.psa.effects)
        return cls(
            effects,
            tuple(
                (one.intent.key, str(one.state), str(one.intent.before), str(one.intent.to), one.remote_id)
                for one in stage.entries()
            ),
        )


def rest(stage: Stage, *, patience: int = 5) -> int:
    """Starts syncd again and again, an hour's tenth apart, until it has nothing to do; how often it took.

    Nobody does anything meanwhile: no command but `run --once`.
    """
    for number in range(1, patience + 1):
        status = stage.run()
        unsettled = [one for one in stage.entries() if one.state in OPEN]
        if status == 0 and not unsettled:
            return number
        stage.now += QUIET
    raise AssertionError(f"not at rest after {patience} starts: status {status}, {stage.said}, {unsettled}")


def whole(stage: Stage) -> bool:
    """Whether the record proves itself and nothing waits."""
    with stage.ledger() as ledger:
        return ledger.verify() == [] and all(one.state is EntryState.POSTED for one in ledger.entries())


# Scenes


def rule(name: str, customer: str, product: str, keys: str) -> str:
    return RULE.format(name=name, customer=customer, product=product, keys=keys)


SET = rule("Set", ALDER, "M365-BP", 'true_up = "quantity"')
PAIR = rule("Set", ALDER, "M365-BP", 'true_up = "quantity"\nprorate = "daily"')
ADD = rule("Add", ELM, "VISIO-P2", 'true_up = "quantity"\ncreate = true')
LINE = rule("Line", BIRCHWOOD, "M365-BP", 'true_up = "line"')
CREDIT = rule("Credit", CEDAR, "M365-BS", 'true_up = "line"\ndecrease = "now"')


def set_quantity(stage: Stage) -> None:
    stage.write(SET, {(ALDER, "M365-BP"): 27})


def add_line(stage: Stage) -> None:
    stage.write(ADD, {(ELM, "VISIO-P2"): 3})


def post_line(stage: Stage) -> None:
    stage.write(LINE, {(BIRCHWOOD, "M365-BP"): 16})


def pair(stage: Stage) -> None:
    stage.write(PAIR, {(ALDER, "M365-BP"): 27})


def post_credit(stage: Stage) -> None:
    stage.write(CREDIT, {(CEDAR, "M365-BS"): 10})
    assert stage.run() == 0
    stage.write(CREDIT, {(CEDAR, "M365-BS"): 8})


def undo(stage: Stage) -> None:
    set_quantity(stage)
    taken_back(stage)


def end_line(stage: Stage) -> None:
    add_line(stage)
    taken_back(stage)


def taken_back(stage: Stage) -> None:
    """What was just mapped is posted, undone and approved."""
    assert stage.run() == 0
    [entry] = stage.entries()
    assert stage.run("undo", entry.id, "--why", "wrong customer", "--by", "Dana") == 0
    assert stage.run("approve", "--all", "--by", "Dana") == 0


SCENES: Mapping[str, Callable[[Stage], None]] = {
    "set_quantity": set_quantity,
    "add_line": add_line,
    "end_line": end_line,
    "post_line": post_line,
    "post_credit": post_credit,
    "pair": pair,
    "undo": undo,
}


@dataclass
class Scene:
    """A change that is about to be posted, its steps, and how it ends when nobody dies."""

    stage: Stage
    start: Moment
    steps: list[Step]
    end: End
    scratch: Path
    deaths: int = field(default=0)

    @classmethod
    def play(cls, stage: Stage, scratch: Path, prepare: Callable[[Stage], None]) -> Scene:
        """Sets the stage and lets it run once without a death."""
        stage.clear()
        with tempfile.TemporaryDirectory() as empty:
            Ledger.open("sqlite:///state/syncd.db", lambda: NOW, folder=Path(empty)).close()
            shutil.copytree(Path(empty, "state"), stage.state)
        prepare(stage)
        start = keep(stage, scratch)
        before = len(stage.psa.effects)
        steps = stage.steps_of("run", "--once", "--json")
        assert len(stage.psa.effects) > before
        assert rest(stage) == 1
        assert whole(stage)
        end = End.of(stage)
        return cls(stage, start, steps, end, scratch)

    def die(self, step: Step, *arguments: str, since: Moment | None = None, **steps: Any) -> Stage:
        """The process dies at a step; the stage is left as the death left it."""
        put_back(self.stage, since or self.start)
        given = arguments or ("run", "--once", "--json")
        status = self.stage.run(*given, at=list(step), **steps)
        assert status == -signal.SIGKILL, f"it never came to {step}"
        self.deaths += 1
        return self.stage

    def judge(self, told: object) -> int:
        """Restarts until it is quiet, and compares with the end without a death. How many starts it took."""
        starts = rest(self.stage)
        end = End.of(self.stage)
        assert end == self.end, told
        assert whole(self.stage), told
        return starts
