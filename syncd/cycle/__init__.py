"""One cycle, readable as the specification: recover, read, plan, write down, post, settle, alert.

No decision is made here: `core` plans and judges, `posting` sends, the ledger remembers, `alerting` tells. A cycle
in which nothing changed writes no entry and commits twice.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from syncd.alerts.channels import Fared
from syncd.clock import JUMP, Clock
from syncd.config import Config
from syncd.connect.contract import Connector
from syncd.core.entries import OPEN, Entry, EntryState, Observation, Past
from syncd.core.evidence import canonical, keep_rule
from syncd.core.intents import Writing, write_down
from syncd.core.memory import known_customers
from syncd.core.plan import Plan, make_plan
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import Mappings, Mode
from syncd.core.shown import derivation_json
from syncd.cycle.alerting import Scene, tell
from syncd.cycle.connections import Opened, logins, open_connections
from syncd.cycle.posting import post_all, recover
from syncd.cycle.reading import Evidence, Progress, Readings, read_world
from syncd.cycle.sent import with_sent
from syncd.cycle.tracks import recalled, silent
from syncd.ledger import Ledger
from syncd.ledger.cycles import TRUSTED, UNMARKED
from syncd.model import Moment
from syncd.periods import local_date, month_of

log = structlog.get_logger()

# What a cycle's instant is worth: besides the two words that the ledger knows.
BELIEVED = ""
# Who approved what `syncd apply` posts: whoever applied the plan.
APPLY = "apply"


@dataclass(frozen=True, slots=True)
class Cycle:
    """What one cycle saw and did. `entries`: those that ended, or began to wait, in this cycle.
    `alerts`: how each channel fared; no exit status rests on it. `clock`: what its instant is worth as a mark that the
    clock may not fall behind. `restored`: the ledger may have forgotten what it posted before. `kept`, `quiet`: how
    many changes it therefore keeps back, and for how long."""

    id: str
    plan: Plan
    entries: tuple[Entry, ...]
    waiting: int
    in_doubt: int
    requests: int
    alerts: tuple[Fared, ...] = ()
    clock: str = BELIEVED
    restored: bool = False
    kept: int = 0
    quiet: timedelta = timedelta()

    @property
    def failed(self) -> bool:
        """A source or posting failed, or a line is blocked (INTERFACE 4: exit status 1)."""
        return self.plan.failing or self.in_doubt > 0 or any(entry.state is EntryState.FAILED for entry in self.entries)

    @property
    def exit_status(self) -> int:
        """1 where something failed, else 3 where something waits for a person (to approve it, or to mend it in the
        billing system) or is kept back after a restore, or a guard tripped, also where nothing is written down because
        of the mode; else 0."""
        by_hand = any(line.action is Action.HOLD and not line.effects for line in self.plan.lines)
        return 1 if self.failed else 3 if self.waiting or self.kept or by_hand or self.guarded else 0

    @property
    def guarded(self) -> bool:
        """Whether a guard tripped, beyond what a person let through in this cycle."""
        posted = {entry.intent.key for entry in self.entries if entry.state is EntryState.POSTED}
        return bool(self.plan.suspects) or any(
            line.guards and not (line.effects and all(effect.posting.key in posted for effect in line.effects))
            for line in self.plan.lines
        )

    def summary(self) -> dict[str, Any]:
        """The canonical line of a cycle: counts only, no names."""
        actions: dict[str, int] = defaultdict(int)
        states: dict[str, int] = defaultdict(int)
        guards: dict[str, int] = defaultdict(int)
        for line in self.plan.lines:
            actions[str(line.action)] += 1
            for guard in line.guards:
                guards[str(guard)] += 1
        for entry in self.entries:
            states[str(entry.state)] += 1
        return {
            "mode": str(self.plan.mode),
            "lines": len(self.plan.lines),
            "actions": dict(sorted(actions.items())),
            "guards": dict(sorted(guards.items())),
            "entries": dict(sorted(states.items())),
            "errors": len(self.plan.errors),
            "unmapped": len(self.plan.unmapped_products) + len(self.plan.unmapped_customers),
            "suspect": sorted(self.plan.suspects),
            "waiting": self.waiting,
            "in_doubt": self.in_doubt,
            "requests": self.requests,
            "checksum": self.plan.checksum,
            **({"clock": self.clock} if self.clock != BELIEVED else {}),
            **({"restored": True} if self.restored else {}),
            **({"kept": self.kept} if self.kept else {}),
            **self._told(),
        }

    def _told(self) -> dict[str, Any]:
        """Messages and tickets, where there is a channel."""
        if not self.alerts:
            return {}
        counts = {"sent": sum(one.sent for one in self.alerts), "failed": sum(one.failed for one in self.alerts)}
        return {"alerts": counts | {"failing": [one.number for one in self.alerts if one.problem]}}


def moment_of(config: Config, now: datetime) -> Moment:
    """The instant, the MSP's day and its own billing period."""
    today = local_date(now, config.house.zone)
    return Moment(now, today, month_of(today, config.house.period_anchor))


def look(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    *,
    counting: bool,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Plan:
    """Reads everything and plans; posts nothing and writes nothing. This is `syncd plan`."""
    past, amnesia = ledger.past(), ledger.restored
    with open_connections(config, kinds, clock, ledger, stop=stop) as opened:
        moment = moment_of(config, clock())
        past = replace(past, forgot=moment.today) if amnesia else past
        seen = read_world(opened, mappings, past, moment, evidence=_evidence(config, past), progress=progress)
        past, seen = _recalled(config, past, seen, ledger, opened, mappings, moment)
        return _plan(config, mappings, seen, past, moment, seen.errors, counting=counting)


def run_cycle(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    agreed: Callable[[Plan], bool] | None = None,
    trust_clock: bool = False,
) -> Cycle:
    """One full cycle. The ledger must be claimed.

    `agreed` is for `apply`: whether the plan is the one that a person agreed to. That one is posted, also where the
    mode is propose; any other raises PlanMoved and posts nothing. `trust_clock`: a person says that the clock is right,
    and that it was wrong where the ledger is ahead of it; what was noted before is no mark from here on. Raises
    UserFault, LedgerBusy or LedgerBroken; what vendors do wrong is in the result.
    """
    now = clock()
    doubts = () if trust_clock else _doubt(ledger, now)
    if doubts:
        config = _lowered(config, Mode.OBSERVE)
    amnesia = ledger.restored
    if amnesia:
        # A restored ledger may have forgotten what it posted: a person lets each change through until everything that
        # is mapped was read whole once (RELIABILITY, rule 12).
        log.warning("ledger_restored", consequence="every change waits for a person until one cycle read everything")
        config = _asking(_lowered(config, Mode.PROPOSE))
    cycle = ledger.begin_cycle(str(config.house.mode), now.astimezone(config.house.zone))
    with structlog.contextvars.bound_contextvars(cycle=cycle):
        with open_connections(config, kinds, clock, ledger, remember=True, stop=stop) as opened:
            troubles = recover(ledger, opened, now, believed=config.house.ceiling is not Mode.OBSERVE)
            past = ledger.past()
            moment = moment_of(config, now)
            seen = read_world(opened, mappings, past, moment, evidence=_evidence(config, past), progress=progress)
            past, seen = _recalled(config, past, seen, ledger, opened, mappings, moment)
            errors = (*doubts, *seen.errors, *troubles)
            plan = _plan(config, mappings, seen, past, moment, errors, counting=agreed is None)
            if agreed is not None and not agreed(plan):
                raise PlanMoved(plan)
            waiting = ledger.entries(states=OPEN)
            writing = write_down(plan, waiting, seen.views, past, applying=agreed is not None, restored=amnesia)
            written = _write(ledger, cycle, writing, seen.observations)
            posted = post_all(
                ledger, opened, writing.sendable, stop=stop, progress=progress, restored_for=ledger.restored_for(now)
            )
            plan = replace(plan, errors=(*plan.errors, *posted.errors), logins=logins(opened))
            ended = {entry.id: entry for entry in (*written, *posted.ended)}
            result = Cycle(
                cycle,
                plan,
                tuple(ended.values()),
                waiting=len(ledger.entries(states={EntryState.HELD})),
                in_doubt=len(ledger.entries(states={EntryState.UNKNOWN})),
                requests=sum(one.requests() for one in opened.values()),
                clock=_clock_word(config, trusted=trust_clock),
                restored=amnesia,
                kept=posted.kept,
                quiet=posted.quiet,
            )
            _close(ledger, result, seen, past, mappings, opened, counting=agreed is None)
            if amnesia and not plan.errors and not result.in_doubt:
                ledger.trust()
            told = tell(Scene(config, mappings, ledger, opened, seen.views, cycle, plan, result.entries, now, stop))
        result = replace(result, alerts=told)
        log.info("cycle", **result.summary(), seconds=round((clock() - now).total_seconds(), 3))
        return result


class PlanMoved(Exception):
    """The world or the files moved since the plan was made; `plan` is what they say now."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("the world or the files moved since this plan was made")
        self.plan = plan


def _lowered(config: Config, ceiling: Mode) -> Config:
    """The config with a lower ceiling for every customer's mode."""
    lowest = min(config.house.ceiling, ceiling, key=list(Mode).index)
    return replace(config, house=replace(config.house, ceiling=lowest))


def _asking(config: Config) -> Config:
    """The config without `foreign_edit = "accept"`: what a ledger forgot that it wrote itself looks like an edit."""
    if config.house.safety.foreign_edit != "accept":
        return config
    return replace(config, house=replace(config.house, safety=replace(config.house.safety, foreign_edit="hold")))


def _doubt(ledger: Ledger, now: datetime) -> tuple[ReadError, ...]:
    """A clock that fell back says the wrong period: nothing is posted by it (RELIABILITY, "Time")."""
    latest = ledger.latest_as_of(after=now + JUMP)
    if latest is None:
        return ()
    sentence = (
        f"the clock shows {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC, earlier than the last cycle "
        f"({latest:%Y-%m-%d %H:%M} UTC); nothing is posted in this cycle. Check the machine's clock; "
        "if it is right now and was wrong then: syncd run --once --trust-clock"
    )
    return (ReadError("syncd", "", "clock", sentence),)


def _clock_word(config: Config, *, trusted: bool) -> str:
    """Under the ceiling observe nothing can be posted: because the clock is not believed, or in a rehearsal with
    SYNCD_NOW. Such an instant is no mark."""
    return TRUSTED if trusted else UNMARKED if config.house.ceiling is Mode.OBSERVE else BELIEVED


def _plan(
    config: Config,
    mappings: Mappings,
    seen: Readings,
    past: Past,
    moment: Moment,
    errors: Iterable[ReadError],
    *,
    counting: bool,
) -> Plan:
    return make_plan(
        mappings, config.house, seen.views, seen.resolution, past, moment, errors=errors, counting=counting
    )


def _recalled(
    config: Config,
    past: Past,
    seen: Readings,
    ledger: Ledger,
    opened: Mapping[str, Opened],
    mappings: Mappings,
    moment: Moment,
) -> tuple[Past, Readings]:
    past = with_sent(past, seen.views, mappings.rules, ledger, moment.today)
    return recalled(past, seen, ledger, opened, mappings, config.house, moment, _evidence(config, past))


def _evidence(config: Config, past: Past) -> Evidence:
    return Evidence(config.evidence.subjects, past.installation)


def _write(ledger: Ledger, cycle: str, writing: Writing, observations: Sequence[Observation]) -> Sequence[Entry]:
    """Intentions first: nothing leaves before this is durable. No commit where there is nothing to write."""
    for entry, reason in writing.hold:
        ledger.settle(entry, EntryState.HELD, note=reason)
    if writing.approve:
        ledger.approve(writing.approve, by=APPLY)
    if not writing.supersede and not writing.intents:
        return ()
    return ledger.write(cycle, writing.supersede, writing.intents, observations)


def _close(
    ledger: Ledger,
    cycle: Cycle,
    seen: Readings,
    past: Past,
    mappings: Mappings,
    opened: Mapping[str, Opened],
    *,
    counting: bool,
) -> None:
    plan = cycle.plan
    sightings = {line.id: line.sighting for line in plan.lines if line.sighting is not None}
    if not counting:
        sightings = {line.id: past.sightings[line.id] for line in plan.lines if line.id in past.sightings}
    failed = {error.connection for error in plan.errors if not error.customer}
    fresh = [name for name in opened if name not in failed]
    ledger.end_cycle(
        cycle.id,
        cycle.summary(),
        observations=(
            *seen.observations,
            *silent(seen, past, fresh),
            *(keep_rule(rule) for rule in mappings.rules),
        ),
        sightings=sightings,
        customers=known_customers(seen.views, seen.resolution, past, plan, mappings.rules),
        lines=_Derivations(plan),
        fresh=fresh,
    )


class _Derivations(Mapping[str, bytes]):
    """Plan line id -> its derivation, written out only when it is looked at: 12,000 together are 11 MiB."""

    def __init__(self, plan: Plan) -> None:
        self._lines = {line.id: line for line in plan.lines}

    def __getitem__(self, line_id: str) -> bytes:
        return canonical(derivation_json(self._lines[line_id]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)
