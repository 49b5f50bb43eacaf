"""When the daemon's cycles run. The scheduler follows the wall clock, which may jump; `overdue` sees that it did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import structlog

from syncd.clock import real_now
from syncd.config import Config
from syncd.connect.settings import write_duration

log = structlog.get_logger()

# How often the main thread looks whether a cycle is overdue: the scheduler follows the wall clock, which may jump back.
LOOK = 30.0


class Schedule:
    """When cycles run: the first at once, then every interval (with a little jitter) or as the crontab line says."""

    def __init__(self, tick: Callable[[], None], config: Config) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler

        self._tick = tick
        # A late cycle runs all the same (the default drops one that is a second late), and several late ones are one.
        self._scheduler: Any = BackgroundScheduler(
            timezone=config.house.zone,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._rule = self._of(config)
        self._config = config
        self._job: Any = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """From here on cycles run."""
        self._job = self._scheduler.add_job(self._tick, self._trigger(self._config), next_run_time=real_now())
        self._scheduler.start()

    def follow(self, config: Config) -> None:
        """Takes over a changed interval, crontab line or zone."""
        with self._lock:
            if self._of(config) != self._rule:
                self._rule, self._config = self._of(config), config
                self._job.reschedule(self._trigger(config))
                log.info("rescheduled", every=config.cron or write_duration(config.every))

    def now(self, job: Callable[[], None], ask: Callable[[], None]) -> None:
        """A cycle besides the schedule; it waits for the running one."""
        ask()
        self._scheduler.add_job(job, next_run_time=real_now())

    def overdue(self, idle_seconds: float) -> bool:
        """Whether an interval passed long ago without a cycle: the wall clock, which the scheduler follows, jumped."""
        config = self._config
        return not config.cron and idle_seconds > config.every.total_seconds() * 1.2 + 2 * LOOK

    def stop(self) -> None:
        """Returns when the running cycle has ended."""
        # In this order: the scheduler's thread may be handing out a job at this moment, and must find it there.
        self._scheduler.pause()
        self._scheduler.remove_all_jobs()
        self._scheduler.shutdown(wait=True)

    @staticmethod
    def _of(config: Config) -> tuple[timedelta, str, str]:
        return config.every, config.cron, config.house.zone.key

    @staticmethod
    def _trigger(config: Config) -> Any:
        from apscheduler.triggers.cron import CronTrigger
        from apscheduler.triggers.interval import IntervalTrigger

        zone = config.house.zone
        if config.cron:
            return CronTrigger.from_crontab(config.cron, timezone=zone)
        seconds = config.every.total_seconds()
        return IntervalTrigger(seconds=seconds, timezone=zone, jitter=min(seconds / 20, 60))
