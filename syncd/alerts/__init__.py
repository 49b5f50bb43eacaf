"""Telling people and opening tickets about what is wrong: channels, what is written down for them, how it leaves.

`core.episodes` decides what is news; the ledger is the outbox, so that what was told is kept in the transaction that
writes the message down; `cycle.alerting` runs it after everything else. What always holds: nothing here decides what is
posted to a billing system, and no channel that fails harms a cycle.
"""

from __future__ import annotations
