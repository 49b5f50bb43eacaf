"""What the daemon tells the pages: one immutable snapshot, replaced as a whole, read by any thread.

Owns the state that health, metrics and dashboard show. Does not own how it is worded (`health`, `show`) nor anything
that the ledger already keeps. What always holds: a reader sees one moment, never half of an update.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from syncd.config import Config
from syncd.core.rules import Mode
from syncd.cycle import Cycle

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Source:
    """One connection as its last cycle found it. `up` is None before it was read once; `suspect` is a sentence."""

    name: str
    kind: str
    up: bool | None = None
    last_good: datetime | None = None
    suspect: str = ""
    message: str = ""
    troubles: int = 0  # customers that could not be read, where the connection itself answers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of the daemon.

    `trouble`: why the last cycle failed by itself, `broken`: why the ledger is not trusted, `doubt`: why the clock is
    not; empty where all is well. `restored`: the ledger went back, and was not looked through yet. `faults` are
    sentences about the files as they stand now. `running_since` and `due_within` are for the look whether a cycle is
    stuck: monotonic seconds, and the longest time one may take.
    `results`, `entries`, `alerts` and `requests` count since the process began.
    """

    mode: Mode = Mode.OBSERVE
    zone: ZoneInfo = _UTC
    every: timedelta = timedelta(hours=1)
    schedule: str = ""
    sources: tuple[Source, ...] = ()
    cycle: Cycle | None = None
    ended_at: datetime | None = None
    seconds: float = 0.0
    running_since: float | None = None
    idle_since: float | None = None
    trouble: str = ""
    broken: str = ""
    doubt: str = ""
    restored: bool = False
    faults: tuple[str, ...] = ()
    stopping: bool = False
    results: Mapping[str, int] = field(default_factory=dict)
    alerts: Mapping[tuple[int, str], tuple[int, int]] = field(default_factory=dict)  # channel -> (sent, failed)
    entries: Mapping[str, int] = field(default_factory=dict)
    requests: int = 0
    head: tuple[int, str] | None = None

    @property
    def due_within(self) -> float:
        """Seconds after which a running or missing cycle counts as stuck: four intervals, at least an hour."""
        return max(4 * self.every.total_seconds(), 3600.0)


class Board:
    """Holds the newest snapshot. Written by the daemon, read by the pages."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._now = Snapshot(idle_since=monotonic())
        self._monotonic = monotonic
        self.ended: Callable[[float], None] = lambda seconds: None  # set by the metrics, for their histogram

    def show(self) -> Snapshot:
        """The newest snapshot."""
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        """The clock of `running_since`."""
        return self._monotonic()

    def configured(self, config: Config) -> None:
        """The files are valid and in force."""
        with self._lock:
            known = {one.name: one for one in self._now.sources}
            self._now = replace(
                self._now,
                mode=min(config.house.mode, config.house.ceiling, key=list(Mode).index),
                zone=config.house.zone,
                every=config.every,
                schedule=config.cron,
                faults=(),
                sources=tuple(
                    replace(known.get(name, Source(name, one.kind)), kind=one.kind)
                    for name, one in sorted(config.connections.items())
                ),
            )

    def faulty(self, faults: tuple[str, ...]) -> None:
        """The files have faults: nothing is read or posted until they are mended."""
        with self._lock:
            self._rest(faults=faults, results=_more(self._now.results, "skipped"))

    def began(self) -> None:
        """A cycle begins."""
        with self._lock:
            self._now = replace(self._now, running_since=self._monotonic(), idle_since=None)

    def ended_well(self, cycle: Cycle, at: datetime, head: tuple[int, str]) -> None:
        """A cycle went through; what vendors did wrong is in it."""
        with self._lock:
            before = self._now
            seconds = self._monotonic() - (before.running_since or self._monotonic())
            entries = dict(before.entries)
            for entry in cycle.entries:
                entries[str(entry.state)] = entries.get(str(entry.state), 0) + 1
            alerts = dict(before.alerts)
            for one in cycle.alerts:
                sent, failed = alerts.get((one.number, one.kind), (0, 0))
                alerts[one.number, one.kind] = sent + one.sent, failed + one.failed
            self._rest(
                cycle=cycle,
                ended_at=at,
                seconds=seconds,
                trouble="",
                sources=tuple(_source(one, cycle, at) for one in before.sources),
                results=_more(before.results, "incomplete" if cycle.failed else "whole"),
                entries=MappingProxyType(entries),
                alerts=MappingProxyType(alerts),
                requests=before.requests + cycle.requests,
                head=head,
            )
        self.ended(seconds)

    def failed(self, trouble: str) -> None:
        """A cycle failed by itself: the disk, the ledger, a fault of ours."""
        with self._lock:
            self._rest(trouble=trouble, results=_more(self._now.results, "error"))

    def broke(self, why: str) -> None:
        """The ledger cannot be trusted: nothing is posted until the process starts again."""
        with self._lock:
            self._rest(broken=why, results=_more(self._now.results, "error"))

    def forgot(self, restored: bool) -> None:
        """Whether the ledger may have forgotten what it posted, so that every change waits for a person."""
        with self._lock:
            self._now = replace(self._now, restored=restored)

    def doubted(self, why: str) -> None:
        """Why the clock is not believed in this cycle; "" where it is."""
        with self._lock:
            self._now = replace(self._now, doubt=why)

    def stops(self) -> None:
        """The daemon is ending."""
        with self._lock:
            self._now = replace(self._now, stopping=True)

    def _rest(self, **changes: Any) -> None:
        """No cycle runs any more. Called with the lock held."""
        self._now = replace(self._now, running_since=None, idle_since=self._monotonic(), **changes)


def _more(counts: Mapping[str, int], name: str) -> Mapping[str, int]:
    return MappingProxyType({**counts, name: counts.get(name, 0) + 1})


def _source(before: Source, cycle: Cycle, at: datetime) -> Source:
    """A connection-wide error takes it down; errors of single customers are counted."""
    whole = [error for error in cycle.plan.errors if error.connection == before.name and not error.customer]
    single = {error.customer for error in cycle.plan.errors if error.connection == before.name and error.customer}
    return replace(
        before,
        up=not whole,
        last_good=before.last_good if whole else at,
        suspect=cycle.plan.suspects.get(before.name, ""),
        message=whole[0].message if whole else "",
        troubles=len(single),
    )
