"""A PostgreSQL of the tests' own: one private cluster for the whole run, one empty database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ledger_kit import Watch

from syncd.ledger import Ledger

_NUMBERS = count(1)


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where there is no PostgreSQL on this machine."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name)):
        if (folder / "initdb").exists() and float(folder.parent.name) >= 14:
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """One server on a socket in a folder of its own; nothing of it listens on the network but loopback."""

    def __init__(self, folder: Path, bin_: Path, port: int) -> None:
        self.folder, self.bin, self.port = folder, bin_, port

    def run(self, program: str, *arguments: str) -> str:
        """A program of PostgreSQL's, as a user that it accepts: never root."""
        more: dict[str, Any] = {}
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            more = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self.bin / program), *arguments], check=False, capture_output=True, text=True, cwd="/", timeout=300,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}, **more,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        self.run(
            "pg_ctl", "start", "-w", "-t", "240", "-D", str(self.folder / "cluster"), "-l", str(self.folder / "log"),
            "-o", f"-k {self.folder} -p {self.port} -c listen_addresses=127.0.0.1 -c max_connections=60",
        )  # fmt: skip

    def stop(self, how: str = "fast") -> None:
        self.run("pg_ctl", "stop", "-w", "-t", "240", "-m", how, "-D", str(self.folder / "cluster"))

    def fresh(self, template: str = "template1") -> str:
        """The URL of a new, empty database, with a password that must be shown nowhere."""
        name = f"ledger{next(_NUMBERS)}"
        self.sql("postgres", f"CREATE DATABASE {name} OWNER syncd TEMPLATE {template}")
        return self.url(name)

    def make_template(self) -> None:
        """Makes the ledger that `copy` copies: quicker than migrating one for each test."""
        self.sql("postgres", "CREATE DATABASE made OWNER syncd")
        Ledger.open(self.url("made"), Watch(), folder=self.folder).close()

    def copy(self) -> str:
        """The URL of a new ledger; all have one installation."""
        return self.fresh("made")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://syncd:hunter2@127.0.0.1:{self.port}/{name}"

    def sql(self, database: str, *statements: str) -> list[Any]:
        """Statements as the superuser, each committed by itself; the rows of the last."""
        with closing(self.connect(database)) as opened:
            for statement in statements:
                done = opened.execute(statement)
            return done.fetchall() if done.description else []

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.folder), port=self.port, user="postgres", dbname=database, autocommit=True)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Runs one; skips the test where it cannot."""
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL (initdb) on this machine; on Debian: apt-get install postgresql")
    if os.getuid() == 0 and not any(one.pw_name == "postgres" for one in pwd.getpwall()):
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    # Not below pytest's own folder: the path of a socket has at most 107 characters, and postgres must reach it.
    folder = Path(tempfile.mkdtemp(prefix="syncd-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        made = Cluster(folder, found, _free_port())
        (folder / "cluster").mkdir(mode=0o700)
        if os.getuid() == 0:
            shutil.chown(folder / "cluster", "postgres", "postgres")
        made.run(
            "initdb", "-D", str(folder / "cluster"), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
            "--auth-local=trust", "--auth-host=scram-sha-256", "--data-checksums", "--no-sync",
        )  # fmt: skip
        made.start()
        try:
            made.sql("postgres", "CREATE ROLE syncd LOGIN PASSWORD 'hunter2'")
            yield made
        finally:
            made.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def pooler(postgres: Cluster, folder: Path) -> Iterator[int]:
    """A PgBouncer in transaction mode before the cluster; its port. Skips the test where there is none."""
    found = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        pytest.skip("no pgbouncer on this machine; on Debian: apt-get install pgbouncer")
    port, home = _free_port(), Path(tempfile.mkdtemp(prefix="syncd-pgb-"))
    (home / "users").write_text('"syncd" "hunter2"\n')
    (home / "ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = plain\nauth_file = {home}/users\npool_mode = transaction\n"
        "max_client_conn = 50\n"
    )
    more: dict[str, Any] = {}
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        more = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        for one in (home, home / "users", home / "ini"):
            shutil.chown(one, "postgres", "postgres")
    process = subprocess.Popen([found, str(home / "ini")], cwd="/", stderr=subprocess.DEVNULL, **more)
    try:
        for _ in range(50):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(home, ignore_errors=True)
