"""A process that has imported everything and forks for each command: a start costs some ten milliseconds, not a second.

One line of JSON in, one out. It has no threads, so what it forks is as sound as a fresh interpreter; some tests start
those too. It ends with its standard input, and its children with it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

import death_steps
from death_steps import Steps

# What a cycle imports when it runs: the command line is lazy, a warm process is not.
NEEDED = """
syncd.cli.common syncd.cli.deciding syncd.cli.planning syncd.cli.record syncd.cli.setup syncd.cli.worlds
syncd.cli.tables syncd.cli.explaining syncd.connect.http syncd.connect.limits syncd.connect.registry syncd.core.shown
syncd.core.undo syncd.cycle syncd.daemon syncd.ledger.backup syncd.ledger.migrations syncd.logs syncd.web.server
connectors.connectwise.connection connectors.csv.read sqlalchemy.dialects.sqlite.pysqlite httpcore._sync.connection_pool
httpcore._sync.http11 h11 tenacity rich.console encodings.idna
""".split()


def main() -> None:
    """Serves until standard input ends."""
    import typer.main

    for name in NEEDED:
        importlib.import_module(name)
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)  # type: ignore[assignment]
    sys.modules["syncd.connect.registry"].entry_points = importlib.metadata.entry_points  # type: ignore[attr-defined]
    typer.main.get_command = functools.cache(typer.main.get_command)
    sys.modules["syncd.cli.main"]._register()
    typer.main.get_command(sys.modules["syncd.cli.main"].app)
    death_steps.watch()
    gc.freeze()
    children: set[int] = set()
    reachable = death_steps._kept != []
    print(json.dumps({"disk": reachable}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "start":
            pid = os.fork()
            if pid == 0:
                sys.stdin.close()
                command(asked)
            children.add(pid)
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = {"status": wait(asked["pid"], asked["seconds"])}
            if answer["status"] is not None:
                children.discard(asked["pid"])
        print(json.dumps(answer), flush=True)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGCONT)


def wait(pid: int, seconds: float) -> int | None:
    """The child's exit status, negative for a signal; None where it still runs after so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    return None


def command(asked: dict[str, Any]) -> None:
    """The child: one command as the script `syncd` runs it. Never returns."""
    status = 70
    try:
        for path, descriptor in ((os.devnull, 0), (asked["out"], 1), (asked["err"], 2)):
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(asked["environ"])
        steps = asked["steps"]
        record = steps.pop("record", "")
        at = steps.pop("at", None)
        descriptor = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if record else -1
        death_steps.begin(Steps(at=tuple(at) if at else None, record=descriptor, **steps))
        from syncd.cli.main import main as syncd

        try:
            syncd(asked["arguments"])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
