"""Crontab lines: checked here, and handed on with weekdays by name.

APScheduler counts weekdays from Monday = 0, crontab from Sunday = 0 (and 7). A number that one of them reads as
another day would move an MSP's cycle silently, so numbers never leave this module.
"""

from __future__ import annotations

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = {**{name: number for number, name in enumerate(_DAYS)}, **{str(n): n for n in range(7)}, "7": 7}


def check_cron(line: str) -> str:
    """The line with its weekdays as names. Raises ValueError where it is no crontab line of five fields."""
    from apscheduler.triggers.cron import CronTrigger  # its import is only worth it where cron is used

    fields = line.split()
    wanted = 'must be minute, hour, day, month and weekday, like "15 * * * *"'
    if len(fields) != 5:
        raise ValueError(wanted)
    fields[4] = _weekdays(fields[4].casefold(), wanted)
    named = " ".join(fields)
    try:
        CronTrigger.from_crontab(named, timezone="UTC")
    except ValueError as error:
        raise ValueError(f"{wanted} ({error})") from None
    return named


def _weekdays(field: str, wanted: str) -> str:
    """`1-5` -> `mon,tue,wed,thu,fri`; `*` and lists of names stay what they mean."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = 0, 6
        elif first in _NAMED and (not dash or last in _NAMED):
            start = _NAMED[first]
            end = _NAMED[last] if dash else (6 if step else start)
            if last == "sun":
                end = 7
        else:
            raise ValueError(wanted)
        if start > end or (step and (not step.isdecimal() or int(step) == 0)):
            raise ValueError(wanted)
        days |= {day % 7 for day in range(start, end + 1, int(step or 1))}
    return ",".join(_DAYS[day] for day in sorted(days))
