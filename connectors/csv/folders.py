"""Which folders a glob goes through and cannot see into.

Owns the walk along the parts of the pattern. Does not own which files match (`glob`) or what they hold (`read`).
Python's glob leaves out a folder that cannot be listed and a link that leads nowhere without a word; an unmounted share
would take its rows out of the sum, and the rest would look whole.
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path, PurePath

from syncd.errors import Fault


def unseen(pattern: str, folder: Path) -> dict[str, OSError]:
    """Every folder on the way of `pattern` below `folder` that the system does not show, with its reason."""
    walk = _Walk(folder)
    *inner, last = PurePath(pattern).parts or ("",)
    reached = [""]
    for part in inner:
        reached = [further for name in reached for further in walk.through(name, part)]
    for name in reached:
        walk.through(name, last) if last == "**" or not has_magic(last) else walk.names(name)
    return walk.troubles


def fault(name: str, error: OSError) -> tuple[Fault, str]:
    """What to tell of a folder that is not seen, and the code of it."""
    if isinstance(error, PermissionError):
        what = "may not be looked into by the user that runs syncd."
        return Fault(name, what, "Grant it the right to list the folder."), "forbidden"
    if isinstance(error, FileNotFoundError):
        what = "is a link that leads nowhere, so the files behind it are missing."
        return Fault(name, what, "Mount what it leads to, or take the link away."), "unavailable"
    what = f"cannot be looked into ({error.strerror or error})."
    return Fault(name, what, "See that it is on a disk that answers."), "unavailable"


class _Walk:
    """One walk. `troubles`: name -> why it is not seen; names are relative to the folder, as glob writes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.troubles: dict[str, OSError] = {}

    def through(self, name: str, part: str) -> list[str]:
        """The folders that one part of the pattern leads to from the folder `name`."""
        if part == "**":
            below = [one for one in self.names(name) if not one.startswith(".")]
            deeper = [os.path.join(name, one) for one in below if self._is_folder(os.path.join(name, one))]
            return [name, *(further for one in deeper for further in self.through(one, part))]
        if has_magic(part):
            hidden = part.startswith(".")
            matched = [one for one in self.names(name) if fnmatch(one, part) and (hidden or one[0] != ".")]
        else:
            matched = [part]
        return [path for path in (os.path.join(name, one) for one in matched) if self._is_folder(path)]

    def names(self, name: str) -> list[str]:
        """What the folder holds; nothing, and a trouble kept, where it does not tell."""
        try:
            return sorted(_listed(self._folder / name))
        except OSError as error:
            self.troubles[name] = error
            return []

    def _is_folder(self, name: str) -> bool:
        path = self._folder / name
        try:
            return stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            # What is simply not there is no trouble: the glob finds nothing, and that is told.
            if not isinstance(error, FileNotFoundError) or path.is_symlink():
                self.troubles[name] = error
            return False


def _listed(path: Path) -> list[str]:
    return os.listdir(path)
