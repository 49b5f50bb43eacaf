"""How a mapping's pattern covers a name: as it is written, or as a glob; case is ignored."""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache

_MARKS = frozenset("*?[")


def covers(pattern: str, name: str) -> bool:
    """Whether `pattern` is this name or a glob (`*`, `?`, `[…]`) over it.

    The name itself always covers: "Contoso [East]" means that customer, whatever its brackets mean in a glob.
    """
    return covering((pattern,))(name)


@lru_cache(maxsize=4096)
def covering(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """`covers` with any of several patterns, worked out once: a plan of 12,000 lines asks half a million times."""
    wanted = [pattern.casefold() for pattern in patterns]
    plain = frozenset(wanted)
    globs = [pattern for pattern in wanted if not _MARKS.isdisjoint(pattern)]
    if not globs:
        return lambda name: name.casefold() in plain
    match = re.compile("|".join(map(translate, globs))).match
    return lambda name: (given := name.casefold()) in plain or match(given) is not None
