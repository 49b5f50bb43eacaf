"""The one error of the simulation's judges."""

from __future__ import annotations


class Wrong(BaseException):
    """An invariant does not hold. The text before the first colon names it. No handler of errors catches it: a model
    vendor raises it in the middle of a posting."""
