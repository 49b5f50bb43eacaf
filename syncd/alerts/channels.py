"""The channels of `[[alerts]]`: their names in the ledger, what they want to hear, how they fared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from syncd.config import Config
from syncd.config.build import alert_place
from syncd.config.schema import AlertTable
from syncd.core import keys
from syncd.core.episodes import Condition

# How the names of message channels begin; no connection is called so, because a name in TOML that holds a colon is
# quoted by hand.
PREFIX = "alert:"
Kind = Literal["message", "ticket"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One `[[alerts]]` table. `name` is how the ledger knows it: it stays when filters, repeat or order change.

    `place` and `number` are for people.
    """

    number: int
    name: str
    place: str
    table: AlertTable

    @property
    def kind(self) -> Kind:
        """Whether people are told, or a ticket is kept."""
        return "ticket" if self.table.ticket is not None else "message"

    @property
    def daily(self) -> bool:
        """One message a day instead of one per cycle."""
        return self.table.digest == "daily"

    def wants(self, condition: Condition) -> bool:
        """Whether it passes `on` and `tags`. What concerns no customer passes no `tags`."""
        if not set(self.table.on) & set(condition.kinds):
            return False
        return self.table.tags is None or bool(set(self.table.tags) & set(condition.tags))


@dataclass(frozen=True, slots=True)
class Fared:
    """How a channel fared in one cycle. `problem`: why its last message did not leave, as a sentence; "" where it did
    or nothing was to be told. `resting` says why a channel was left alone (tickets in observe)."""

    number: int
    kind: Kind
    sent: int = 0
    failed: int = 0
    problem: str = ""
    resting: str = ""


def channels(config: Config, installation: str) -> tuple[Channel, ...]:
    """All channels of a config, in the file's order. Two that tell the same place get different names."""
    seen: Counter[str] = Counter()
    found = []
    for number, table in enumerate(config.alerts, 1):
        if table.ticket is not None:
            where = ("ticket", table.ticket.connection, table.ticket.board, table.ticket.company)
        else:
            assert table.to is not None  # the schema: either of the two
            where = ("message", table.to.env, table.to.file, table.to.literal)
        name = PREFIX + keys.short("channel", installation, *where, length=10)
        seen[name] += 1
        if seen[name] > 1:
            name += f"-{seen[name]}"
        found.append(Channel(number, name, alert_place(config.path.name, number), table))
    return tuple(found)
