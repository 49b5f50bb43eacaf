"""What was told on which channel: episodes as they were last told. Works inside the caller's transaction.

Kept in the transaction that writes the messages down, so that a process that dies between the two can neither lose a
message nor tell the same thing twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, delete, insert, select

from syncd.core.episodes import Episode
from syncd.errors import LedgerBroken
from syncd.ledger import tables
from syncd.ledger.codec import canonical, parse

Told = Mapping[str, Mapping[str, Episode]]  # channel -> key of the condition -> its episode


def load(connection: Connection) -> dict[str, dict[str, Episode]]:
    """All episodes, by channel and key. Raises LedgerBroken where one is not as it was written."""
    found: dict[str, dict[str, Episode]] = {}
    for row in connection.execute(select(tables.episode).order_by(tables.episode.c.channel, tables.episode.c.key)):
        what = f"the episode {row.key} of {row.channel}"
        try:
            episode = msgspec.convert(parse(row.body, what), Episode)
        except msgspec.ValidationError as error:
            raise LedgerBroken(f"{what} in the ledger is not as it was written ({error}).") from None
        found.setdefault(row.channel, {})[row.key] = episode
    return found


def keep(connection: Connection, told: Told) -> None:
    """Makes the table say exactly this of these channels; the others stay as they are."""
    table = tables.episode
    for channel, episodes in sorted(told.items()):
        known = {
            row.key: row.body
            for row in connection.execute(select(table.c.key, table.c.body).where(table.c.channel == channel))
        }
        wanted = {key: canonical(episode) for key, episode in episodes.items()}
        for key in sorted(key for key, body in known.items() if wanted.get(key) != body):
            connection.execute(delete(table).where(table.c.channel == channel, table.c.key == key))
        rows = [
            {"channel": channel, "key": key, "body": body}
            for key, body in sorted(wanted.items())
            if known.get(key) != body
        ]
        if rows:
            connection.execute(insert(table), rows)
