"""How a mapping's pattern covers a name: as it is written, or as a glob; case is ignored."""

from __future__ import annotations

from fnmatch import fnmatchcase


def covers(pattern: str, name: str) -> bool:
    """Whether `pattern` is this name or a glob (`*`, `?`, `[…]`) over it.

    The name itself always covers: "Contoso [East]" means that customer, whatever its brackets mean in a glob.
    """
    wanted, given = pattern.casefold(), name.casefold()
    return wanted == given or fnmatchcase(given, wanted)
