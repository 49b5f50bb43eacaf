"""What is wrong with syncd itself, as conditions: a cycle that came to no end, files that cannot be used. Pure.

Whoever is told of any customer is told of these: nothing at all is read or billed meanwhile. They are over when a cycle
runs through, because no cycle finds them (`episodes_found`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from syncd.core.episodes import Condition, Conditions
from syncd.core.rules import Mappings

_CYCLE, _FILES = "cycle:failed", "files:faulty"


def cycle_failed(trouble: str, mappings: Mappings) -> Conditions:
    """All that is known after a cycle that ended early. `trouble`: why, as a sentence without secrets or users."""
    told = f"a cycle ended early: {trouble}"
    mend = "Nothing more is read or billed until one runs through, and the next one tries. If it lasts, look in the log"
    one = Condition(_CYCLE, ("failed",), told, mend, tags=_tags(mappings))
    # That it began says of the files that they were read, and nothing of anything else.
    return Conditions((one,), blind=lambda said: said.key != _FILES)


def files_faulty(faults: Sequence[str], mappings: Mappings) -> Conditions:
    """All that is known while the files have faults. `mappings`: the last ones without."""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    told = f"the files have faults, and nothing is read or billed until they are mended: {faults[0]}{more}"
    mend = "`syncd check` names each; the daemon reads them anew by itself"
    one = Condition(_FILES, ("failed",), told, mend, Decimal(len(faults)), tags=_tags(mappings))
    return Conditions((one,), blind=lambda said: True)


def _tags(mappings: Mappings) -> tuple[str, ...]:
    return tuple(sorted({tag for customer in mappings.customers for tag in customer.tags}))
