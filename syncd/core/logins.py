"""When a sign-in is over that lives on by being used, and whether a person should be told already. Pure.

A vendor that rotates refresh tokens ends one that nobody used for long (Xero 60 days, Microsoft 90, QuickBooks 100),
and some end all of them one day (QuickBooks after five years). Each use moves the first of these; so one that is near
is either the second, or of a connection that is hardly ever used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

# So long before the end it is told.
SOON = timedelta(days=14)
MEND = "Sign in anew before that and put the new refresh token where refresh_token points; `syncd check` shows the end."


@dataclass(frozen=True, slots=True)
class Login:
    """The sign-in of one connection: when it is over, and when that was looked at. Both by the real clock, UTC."""

    connection: str
    ends: datetime
    seen: datetime

    @property
    def soon(self) -> bool:
        """Whether it is time to tell."""
        return self.ends - self.seen <= SOON

    @property
    def told(self) -> str:
        """`the sign-in of qbo ends on 2026-12-03 (UTC), in 12 days`"""
        if self.ends <= self.seen:
            return f"the sign-in of {self.connection} ended on {self.ends:%Y-%m-%d} (UTC)"
        days = (self.ends - self.seen).days
        left = "within a day" if days < 1 else f"in {days} day{'' if days == 1 else 's'}"
        return f"the sign-in of {self.connection} ends on {self.ends:%Y-%m-%d} (UTC), {left}"
