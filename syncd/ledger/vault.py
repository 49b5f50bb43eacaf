"""Rotating tokens of one connection, sealed in the ledger (`connect.rotating.Vault`).

They are AES-256-GCM under a key derived from the seed, the refresh token that the admin configured: it lies in a file
or the environment and never in the ledger, so a stolen ledger or backup opens nothing. Tokens that grew out of another
sign-in do not open, which is right: they are void. Connection and sign-in are bound to each seal, so that one row
cannot stand in for another. A row that cannot be opened counts as not kept, and is told.
"""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from syncd.connect.rotating import Tokens
from syncd.ledger.codec import digest
from syncd.ledger.store import Ledger

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_log = structlog.get_logger()
_NONCE = 12  # bytes, as NIST SP 800-38D advises for GCM


class _Body(msgspec.Struct):
    refresh: str
    access: str
    good_until: datetime
    ends: datetime | None = None


class LedgerVault:
    """See the module."""

    def __init__(self, ledger: Ledger, connection: str) -> None:
        self._ledger = ledger
        self._connection = connection
        # When the refresh token that was last kept or found here is over; None where no vendor told, or none was asked.
        self.ends: datetime | None = None

    def turn(self) -> AbstractContextManager[object]:
        """One process at a time, over the whole installation."""
        return self._ledger.turn(f"tokens of {self._connection}")

    def newest(self, seed: str) -> Tokens | None:
        """What was kept last and grew out of this seed."""
        from cryptography.exceptions import InvalidTag

        kept = self._ledger.sealed(self._connection)
        if kept is None or kept[0] != self._named(seed):
            return None
        nonce, sealed = kept[1][:_NONCE], kept[1][_NONCE:]
        try:
            body = msgspec.json.decode(self._cipher(seed).decrypt(nonce, sealed, self._bound(kept[0])), type=_Body)
        except (InvalidTag, msgspec.DecodeError, ValueError):
            _log.warning("tokens_altered", connection=self._connection, consequence="the configured one is used")
            return None
        self.ends = body.ends
        return Tokens(body.refresh, body.access, body.good_until, body.ends)

    def keep(self, seed: str, tokens: Tokens) -> None:
        """One committed transaction."""
        named, nonce = self._named(seed), secrets.token_bytes(_NONCE)
        body = msgspec.json.encode(_Body(tokens.refresh, tokens.access, tokens.good_until, tokens.ends))
        sealed = self._cipher(seed).encrypt(nonce, body, self._bound(named))
        self._ledger.keep_sealed(self._connection, named, nonce + sealed)
        self.ends = tokens.ends

    def _cipher(self, seed: str) -> AESGCM:
        # Loaded where a token rotates, and nowhere else.
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        salt = self._ledger.installation.encode()
        return AESGCM(HKDF(hashes.SHA256(), length=32, salt=salt, info=b"syncd rotating tokens").derive(seed.encode()))

    def _named(self, seed: str) -> str:
        """Which sign-in the tokens grew out of. A refresh token is random, so its hash tells nothing of it."""
        return digest(f"{self._connection}\n{seed}".encode())

    def _bound(self, named: str) -> bytes:
        return f"{self._connection}\n{named}".encode()
