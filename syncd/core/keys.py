"""Names that last: identities, idempotency keys, markers, fingerprints. All derived, none drawn.

A derived key makes two writers, or a restored backup, name an operation alike; it holds no time, no attempt, no process
(RELIABILITY, rule 2).
"""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal

from syncd.model import Operation
from syncd.money import plain

# How the identities of syncd's own actions begin: messages and tickets move no money.
OWN = "own:"

_SEPARATOR = "\x1f"  # cannot stand in a name, so no two lists of parts give one text


def digest(*parts: str) -> str:
    """SHA-256 over the parts, as hex."""
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()


def short(*parts: str, length: int = 12) -> str:
    """A short name for people: base32 of the digest, lower case, without letters that look like digits' twins."""
    raw = hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()
    enough = raw[: -(-length // 8) * 5]  # five bytes make eight letters, and encoding is slow
    return base64.b32encode(enough).decode().lower()[:length]


def line_id(customer: str, rule: str, connection: str) -> str:
    """A plan line's id: the same in every cycle."""
    return short("line", customer, rule, connection, length=10)


def recurring(connection: str, agreement_id: str, remote_line_id: str) -> str:
    """Identity of a recurring line's quantity: the remote record itself, whoever's rule moves it."""
    return f"quantity:{connection}:{agreement_id}:{remote_line_id}"


def added(connection: str, agreement_id: str, product_id: str, customer: str, rule: str) -> str:
    """Identity of a recurring line that does not exist yet."""
    return f"add:{connection}:{agreement_id}:{product_id}:{short(customer, rule)}"


def dated(connection: str, agreement_id: str, product_id: str, customer: str, rule: str, period: str) -> str:
    """Identity of syncd's own dated lines of one rule in one period: they sum to what was due."""
    return f"lines:{connection}:{agreement_id}:{product_id}:{short(customer, rule)}:{period}"


def family(identity: str) -> str:
    """What the dated lines of one rule have in common over all periods; "" for any other identity."""
    return identity.rpartition(":")[0] if identity.startswith("lines:") else ""


def message(channel: str) -> str:
    """Identity of what a channel is to be told: one message is open at a time, a newer one takes its place."""
    return f"{OWN}message:{channel}"


def ticket(channel: str, condition: str) -> str:
    """Identity of the ticket of one condition."""
    return f"{OWN}ticket:{channel}:{short(condition, length=16)}"


def channel_of(identity: str) -> str:
    """The channel of an identity that `message` or `ticket` made."""
    return ":".join(identity.removeprefix(OWN).split(":")[1:3])


def key(installation: str, operation: Operation, identity: str, period: str, generation: int) -> str:
    """The operation's name for ever. `generation`: terminal entries of that identity so far, so that 5→6, 6→5, 5→6 in
    one month are three keys and a repeat of one step is one."""
    return digest("key", installation, operation, identity, period, str(generation))


def mark_prefix(installation: str) -> str:
    """How this installation's marks begin on remote records; another installation's begin differently."""
    return f"sd-{installation.lower()[:4]}-"


def marker(installation: str, operation_key: str) -> str:
    """The mark on the remote record: 24 characters, ASCII, one line (ConnectWise serialNumber holds 50)."""
    return mark_prefix(installation) + short("marker", operation_key, length=16)


def fingerprint(identity: str, rule_content: str, target: Decimal, billed: Decimal) -> str:
    """The situation in which a decision was made: it holds until the line, the rule, the target or the billed moves."""
    return short("situation", identity, rule_content, plain(target), plain(billed), length=16)
