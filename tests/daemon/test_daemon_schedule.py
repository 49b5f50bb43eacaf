"""When cycles run: the first at once, intervals and crontab lines, changes of them, and the end."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from daemon_kit import write_files

from syncd.clock import real_now
from syncd.config import Config, load_config
from syncd.connect.registry import Kinds
from syncd.schedule import LOOK, Schedule


def config(folder: Path, old: str = "", new: str = "") -> Config:
    path = folder / "config.toml"
    if not path.exists():
        write_files(folder)
    if old:
        path.write_text(path.read_text().replace(old, new))
    return load_config(path, Kinds())


def test_the_first_cycle_runs_at_once_and_the_next_after_the_interval(tmp_path: Path) -> None:
    ran = threading.Event()
    schedule = Schedule(ran.set, config(tmp_path))
    schedule.start()
    try:
        assert ran.wait(30)
        following = schedule._job.trigger.get_next_fire_time(None, real_now()) - real_now()

        # One hour, give or take the jitter of one minute.
        assert timedelta(minutes=58) < following < timedelta(minutes=62)
        assert (schedule._job.max_instances, schedule._job.coalesce, schedule._job.misfire_grace_time) == (
            1,
            True,
            None,
        )
    finally:
        schedule.stop()


def test_a_crontab_line_is_in_the_zone_of_the_msp(tmp_path: Path) -> None:
    schedule = Schedule(lambda: None, config(tmp_path, 'every = "1h"', 'cron = "30 6 * * 1"'))
    schedule.start()
    try:
        following = schedule._job.trigger.get_next_fire_time(None, real_now()).astimezone(ZoneInfo("America/Chicago"))

        assert (following.hour, following.minute, f"{following:%a}") == (6, 30, "Mon")
    finally:
        schedule.stop()


def test_a_changed_interval_is_taken_over(tmp_path: Path) -> None:
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    schedule = Schedule(tick, config(tmp_path))
    schedule.start()
    schedule.follow(config(tmp_path))
    schedule.follow(config(tmp_path, 'every = "1h"', 'every = "0.2s"'))
    end = time.monotonic() + 5
    while count < 3 and time.monotonic() < end:
        time.sleep(0.02)
    schedule.stop()

    assert count >= 3


def test_the_end_waits_for_the_running_cycle(tmp_path: Path) -> None:
    entered, ended = threading.Event(), threading.Event()

    def tick() -> None:
        entered.set()
        time.sleep(0.3)
        ended.set()

    schedule = Schedule(tick, config(tmp_path))
    schedule.start()
    assert entered.wait(30)
    schedule.stop()

    assert ended.is_set()


def test_a_cycle_besides_the_schedule_runs_while_the_scheduled_one_is_busy(tmp_path: Path) -> None:
    asked: list[str] = []
    go, answered = threading.Event(), threading.Event()

    def busy() -> None:
        go.wait(30)

    schedule = Schedule(busy, config(tmp_path))
    schedule.start()
    schedule.now(answered.set, lambda: asked.append("asked"))
    try:
        assert answered.wait(30)
        assert asked == ["asked"]
    finally:
        go.set()
        schedule.stop()


@pytest.mark.parametrize(("minutes", "overdue"), [(0, False), (70, False), (74, True)])
def test_an_interval_that_passed_long_ago_is_overdue(tmp_path: Path, minutes: int, overdue: bool) -> None:
    schedule = Schedule(lambda: None, config(tmp_path))

    assert LOOK < 60
    assert schedule.overdue(minutes * 60) is overdue


def test_with_a_crontab_line_nothing_is_overdue(tmp_path: Path) -> None:
    schedule = Schedule(lambda: None, config(tmp_path, 'every = "1h"', 'cron = "0 6 1 * *"'))

    assert not schedule.overdue(10**6)
