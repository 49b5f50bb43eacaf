"""`/metrics`: the board's snapshot in Prometheus' text format. Labels name connections, never customers.

Values are read at the scrape, all from one snapshot, so that no scrape sees half of a cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from syncd import __version__
from syncd.core.entries import EntryState
from syncd.core.guards import Guard
from syncd.core.policy import Action
from syncd.web.board import Board, Snapshot

CONTENT_TYPE = CONTENT_TYPE_LATEST
RESULTS = ("whole", "incomplete", "error", "skipped")
FINDINGS = ("leakage", "overbilling", "shelfware", "unlicensed", "books gap")
_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics(Collector):
    """A registry of its own, so that two daemons in one process (tests, the demo) do not meet."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._registry = CollectorRegistry()
        duration = Histogram(
            "syncd_cycle_duration_seconds",
            "How long a cycle took that went through.",
            registry=self._registry,
            buckets=_BUCKETS,
        )
        board.ended = duration.observe
        self._registry.register(self)

    def text(self) -> bytes:
        """What a scrape gets."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """The registry asks before anything is known."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families but the histogram."""
        now = self._board.show()
        info = {"version": __version__, "mode": str(now.mode)}
        yield InfoMetricFamily("syncd", "What runs here.", value=info)
        yield _count("syncd_cycles", "Cycles since the start, by how they ended.", "result", RESULTS, now.results)
        states = [str(state) for state in EntryState]
        yield _count("syncd_entries", "Ledger entries that ended or began to wait.", "state", states, now.entries)
        yield CounterMetricFamily("syncd_requests", "HTTP requests to vendors.", value=now.requests)
        yield from _plan(now)
        yield from _sources(now)
        yield from _alerts(now)
        restored = "1 until everything was read once after a restore."
        yield GaugeMetricFamily("syncd_ledger_restored", restored, value=int(now.restored))
        if now.head is not None:
            yield GaugeMetricFamily("syncd_ledger_events", "Events in the ledger's record.", value=now.head[0])
            witness = {"hash": now.head[1]}
            yield InfoMetricFamily("syncd_ledger_head", "The end of the record, for a witness outside.", value=witness)


def _plan(now: Snapshot) -> Iterator[Metric]:
    cycle = now.cycle
    if cycle is None or now.ended_at is None:
        return
    last = now.ended_at.timestamp()
    yield GaugeMetricFamily("syncd_last_cycle_timestamp_seconds", "When the last cycle ended that went through.", last)
    lines = Counter(str(line.action) for line in cycle.plan.lines)
    yield _gauge("syncd_lines", "Lines of the last plan, by action.", "action", [str(one) for one in Action], lines)
    tripped = Counter(str(guard) for line in cycle.plan.lines for guard in line.guards)
    names = [str(one) for one in Guard]
    yield _gauge("syncd_guarded_lines", "Lines that a guard holds back, by guard.", "guard", names, tripped)
    # A finding may name what it found ("rival writer: NAME"); the label is its kind.
    found = Counter(one.partition(":")[0] for line in cycle.plan.lines for one in line.findings)
    kinds = dict.fromkeys((*FINDINGS, *sorted(found)))
    yield _gauge("syncd_findings", "Lines of the last plan, by what differs.", "finding", kinds, found)
    yield GaugeMetricFamily("syncd_held", "Changes that wait for a person.", value=cycle.waiting)
    yield GaugeMetricFamily("syncd_unknown", "Postings whose outcome is not known yet.", value=cycle.in_doubt)
    unmapped = {"customer": len(cycle.plan.unmapped_customers), "product": len(cycle.plan.unmapped_products)}
    yield _gauge("syncd_unmapped", "What sources show and nobody mapped.", "what", unmapped, unmapped)


def _sources(now: Snapshot) -> Iterator[Metric]:
    up = GaugeMetricFamily("syncd_source_up", "1 where the last cycle could read it.", labels=["connection"])
    suspect = GaugeMetricFamily(
        "syncd_source_suspect", "1 where its total fell too far to be believed.", labels=["connection"]
    )
    good = GaugeMetricFamily(
        "syncd_source_last_good_timestamp_seconds", "When it was last read well.", labels=["connection"]
    )
    for source in now.sources:
        if source.up is not None:
            up.add_metric([source.name], int(source.up))
            suspect.add_metric([source.name], int(bool(source.suspect)))
        if source.last_good is not None:
            good.add_metric([source.name], source.last_good.timestamp())
    until = "When its sign-in is over if nobody uses it before."
    ends = GaugeMetricFamily("syncd_login_ends_timestamp_seconds", until, labels=["connection"])
    for login in now.cycle.plan.logins if now.cycle else ():
        ends.add_metric([login.connection], login.ends.timestamp())
    yield from (up, suspect, good, ends)


def _alerts(now: Snapshot) -> Iterator[Metric]:
    """How the channels of `[[alerts]]` fare; a channel is named by its place in the file."""
    labels = ["channel", "kind"]
    sent = CounterMetricFamily("syncd_alerts_sent", "Messages and changes of tickets that left.", labels=labels)
    failed = CounterMetricFamily("syncd_alerts_failed", "Those that could not leave; tried again.", labels=labels)
    failing = GaugeMetricFamily("syncd_alerts_failing", "1 where the last one could not leave.", labels=labels)
    for (number, kind), (left, stayed) in sorted(now.alerts.items()):
        sent.add_metric([str(number), kind], left)
        failed.add_metric([str(number), kind], stayed)
    for one in now.cycle.alerts if now.cycle else ():
        failing.add_metric([str(one.number), one.kind], int(bool(one.problem)))
    yield from (sent, failed, failing)


def _gauge(name: str, about: str, label: str, values: Iterable[str], counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(value, 0))
    return family


def _count(name: str, about: str, label: str, values: Iterable[str], counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, about, labels=[label])
    for value in values:
        family.add_metric([value], counts.get(value, 0))
    return family
