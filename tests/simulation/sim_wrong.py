"""The one error of the simulation's judges."""

from __future__ import annotations


class Wrong(AssertionError):
    """An invariant does not hold. The text before the first colon names it."""
