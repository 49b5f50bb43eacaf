"""The ledger as a file: where it lies, whether that place can hold a database, its permissions, its durable naming.

Knows nothing of what is inside.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from syncd.errors import Fault, SyncdError, UserFault

_log = structlog.get_logger()

_MOUNTS = Path("/proc/self/mountinfo")
# SQLite's page "How To Corrupt An SQLite Database File" (2.1) and its WAL page: locks and the shared memory of the
# write-ahead log do not work between machines. Types as /proc/self/mountinfo names them.
_NETWORK = frozenset(
    "nfs nfs4 cifs smb2 smb3 smbfs ncpfs afs coda ceph lustre glusterfs beegfs gpfs orangefs pvfs2 davfs "
    "fuse.sshfs fuse.glusterfs fuse.ceph fuse.davfs fuse.s3fs fuse.rclone fuse.gcsfuse fuse.goofys "
    "fuse.juicefs fuse.cephfs fuse.curlftpfs".split()
)
# Errors that another place for the file mends.
_ELSEWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG})


def locate(url: str, folder: Path) -> Path:
    """The file behind `sqlite:///state/syncd.db` (relative to `folder`) or `sqlite:////var/lib/syncd.db`.

    Raises UserFault for anything else.
    """
    place = "[syncd] database"
    try:
        parts = make_url(url)
    except ArgumentError:
        raise UserFault(Fault(place, f"{url!r} is not a database URL.", _EXAMPLE)) from None
    shown = parts.render_as_string(hide_password=True)
    backend = parts.get_backend_name()
    if backend != "sqlite":
        raise UserFault(Fault(place, f"{shown} is not a kind of database that syncd can keep a ledger in.", _EXAMPLE))
    if parts.query or not parts.database or parts.database == ":memory:" or parts.host:
        raise UserFault(Fault(place, f"{shown} does not name a file, plainly and without options.", _EXAMPLE))
    return folder.absolute() / parts.database


_EXAMPLE = 'Write it like "sqlite:///state/syncd.db".'


def side(path: Path, suffix: str) -> Path:
    """A file beside the database: `-wal`, `-shm`, `.lock`."""
    return path.with_name(path.name + suffix)


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that holds (or would hold) `path`; empty where the machine does not tell."""
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""  # not Linux
    real = path.resolve()
    longest, found = -1, ""
    for row in table.splitlines():
        # proc(5): ID parent major:minor root MOUNT-POINT options tags… - TYPE source super-options
        left, _, right = row.partition(" - ")
        fields, tail = left.split(" "), right.split(" ")
        if len(fields) < 5 or not tail[0]:
            continue
        point = Path(_unescape(fields[4]))
        # A later mount over the same point hides the earlier one.
        if real.is_relative_to(point) and len(point.parts) >= longest:
            longest, found = len(point.parts), tail[0]
    return found


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def refuse_network(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raises UserFault where `path` is on a network file system."""
    kind = file_system(path, mounts)
    if kind in _NETWORK:
        raise UserFault(
            Fault(
                "[syncd] database",
                f"{path} is on a network file system ({kind}), where locks do not hold and a ledger gets corrupted.",
                "Put it on a disk of this machine.",
            )
        )


def make_folder(path: Path) -> None:
    """The folder that will hold `path`. Raises SyncdError where it cannot be made."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SyncdError(f"the folder {path.parent} cannot be made: {error.strerror}.") from None


def make_private(path: Path, *, wanted: Path | None = None) -> None:
    """A new, empty file of mode 0600. Raises SyncdError where it cannot be made or is already there.

    `wanted`: the file that a person named, for which this one is made first; then UserFault, where another name helps.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        if wanted is not None and error.errno in _ELSEWHERE:
            mend = "Name a file in a folder that is there and that syncd may write to."
            raise UserFault(Fault(str(wanted), f"cannot be written ({error.strerror}).", mend)) from None
        raise SyncdError(f"{wanted or path} cannot be made: {error.strerror}.") from None


def keep_private(path: Path) -> None:
    """Takes away what group and others may do with an existing ledger; says so where it cannot."""
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            path.chmod(0o600)
            _log.warning("ledger_made_private", path=str(path), was=f"{mode & 0o777:04o}")
    except OSError as error:
        _log.warning("ledger_not_private", path=str(path), error=error.strerror)


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(made: Path, path: Path) -> bool:
    """Gives a finished file its name, durably, and never over another: False where the name is taken.

    `made` is gone afterwards. Raises SyncdError where the disk refuses.
    """
    try:
        sync(made)
        try:
            os.link(made, path)  # fails where the name is taken; rename would overwrite
        except FileExistsError:
            return False
        except OSError:
            if path.exists():
                return False
            made.rename(path)  # a file system without hard links
        sync(path.parent)
        return True
    except OSError as error:
        raise SyncdError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        forget(made)


def forget(path: Path) -> None:
    """Removes a database file that nobody uses yet, with what SQLite left beside it."""
    for one in (path, side(path, "-wal"), side(path, "-shm"), side(path, "-journal")):
        with suppress(OSError):
            one.unlink(missing_ok=True)


def refuse_leftovers(path: Path) -> None:
    """Raises UserFault where the database is missing but its write-ahead log is there.

    SQLite would throw that log away, or play it into another database of the same name; it may hold the newest
    entries of the one that was moved.
    """
    log = side(path, "-wal")
    if path.exists():
        return
    if log.exists() and log.stat().st_size:
        raise UserFault(
            Fault(
                str(path),
                f"is missing, but {log.name} is there and may hold its newest entries.",
                "Put the ledger back beside it, or move that file away too.",
            )
        )
    for leftover in (log, side(path, "-shm")):
        if leftover.exists():  # empty, or an index into nothing
            leftover.unlink()
