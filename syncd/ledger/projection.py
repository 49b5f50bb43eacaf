"""What an entry is after its events: pure, and the only place that knows. Writing uses it, verifying repeats it.

Rows are as stored (text and whole numbers). The first event of an entry holds the whole intent; later ones hold what
changed: `note`, `remote_id`, `decided_by`, and whatever else the cycle wants remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBroken
from syncd.ledger.chain import Link
from syncd.ledger.codec import instant, intent_of, parse
from syncd.ledger.tables import TERMINAL_STATES

# What an event may say about its entry beyond the new state.
SAID = frozenset({"note", "remote_id", "decided_by"})


def opened(link: Link, data: Mapping[str, Any]) -> dict[str, Any]:
    """The entry's row after its first event. `data` is that event's data, as `codec.created` made it.

    Raises LedgerBroken where the data is not what `created` makes.
    """
    try:
        intent, posting = data["intent"], data["intent"]["posting"]
        return {
            "seq": link.seq,
            "id": link.entry_id,
            "key": posting["key"],
            "identity": intent["identity"],
            "line": intent["line"],
            "customer": intent["customer"],
            "rule": intent["rule"],
            "connection": intent["connection"],
            "operation": posting["operation"],
            "period": intent["period"],
            "quantity": posting["quantity"],
            "before": intent["before"],
            "after": intent["to"],
            "amount": intent["amount"],
            "currency": intent["currency"],
            "fingerprint": intent["fingerprint"],
            "follows": intent["follows"],
            "undo_of": intent["undo_of"],
            "cycle": data["cycle"],
            "created_at": link.at,
            "state": link.to_state,
            "decided_by": intent["decided_by"],
            "attempts": 0,
            "remote_id": "",
            "note": "",
            "sent_at": None,
            "settled_at": link.at if link.to_state in TERMINAL_STATES else None,
            "hash": link.hash,
        }
    except (KeyError, TypeError) as error:
        raise LedgerBroken(f"the first event of entry {link.entry_id} is not as it was written ({error!r}).") from None


def moved(row: Mapping[str, Any], link: Link, data: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of `row` that a later event sets."""
    changes: dict[str, Any] = {"state": link.to_state, "hash": link.hash}
    # PostgreSQL keeps no NUL in text, and recording an outcome must never fail on one; JSON escapes it.
    changes |= {name: data[name].replace("\0", "?") for name in SAID if name in data}
    if link.to_state == EntryState.SENDING:
        changes |= {"attempts": row["attempts"] + 1, "sent_at": link.at}
    if link.to_state in TERMINAL_STATES:
        changes["settled_at"] = link.at
    return changes


def replay(links: Sequence[Link]) -> dict[str, Any]:
    """The entry's row after all its events, oldest first. Raises LedgerBroken where they do not follow each other."""
    row = opened(links[0], parse(links[0].data, f"event {links[0].seq}"))
    if links[0].from_state is not None:
        raise LedgerBroken(f"entry {links[0].entry_id} does not begin with event {links[0].seq}.")
    for link in links[1:]:
        if link.from_state != row["state"]:
            raise LedgerBroken(
                f"event {link.seq} moves entry {link.entry_id} from {link.from_state}, but it was {row['state']}."
            )
        row |= moved(row, link, parse(link.data, f"event {link.seq}"))
    return row


def entry_of(row: Mapping[str, Any], created: str) -> Entry:
    """The entry as the core knows it. `created` is the data of its first event. Raises LedgerBroken."""
    what = f"entry {row['id']}"
    return Entry(
        id=row["id"],
        intent=intent_of(parse(created, what), what),
        cycle=row["cycle"],
        state=state_of(row["state"], what),
        attempts=row["attempts"],
        created_at=instant(row["created_at"]),
        hash=row["hash"],
        remote_id=row["remote_id"],
        note=row["note"],
        decided_by=row["decided_by"],
        settled_at=_perhaps(row["settled_at"]),
        sent_at=_perhaps(row["sent_at"]),
    )


def state_of(text: str, what: str) -> EntryState:
    """The state behind its text. Raises LedgerBroken, naming `what`."""
    try:
        return EntryState(text)
    except ValueError:
        raise LedgerBroken(f"{what} in the ledger has a state that does not exist ({text!r}).") from None


def _perhaps(text: str | None) -> datetime | None:
    return None if text is None else instant(text)
