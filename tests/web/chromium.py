"""Debian's chromium without a window, spoken to over its DevTools pipe (Chrome DevTools Protocol, `--remote-debugging-
pipe`): messages are JSON that end with a zero byte, the browser reads from descriptor 3 and writes to descriptor 4.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_WAIT = 60.0  # seconds; a loaded machine starts it slowly
# Puts the two pipes where the browser looks for them.
_PIPED = "import os, sys; [os.dup2(int(sys.argv[one]), 2 + one) for one in (1, 2)]; os.execv(sys.argv[3], sys.argv[3:])"


class Chromium:
    """One page. `asked`: the addresses that it requested; `told`: what it complained of in its console."""

    def __init__(self, profile: Path) -> None:
        if PROGRAM is None:
            raise RuntimeError("no chromium is installed")
        self.asked: list[str] = []
        self.told: list[str] = []
        self._number, self._session = 0, ""
        self._rest = b""
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in (theirs_in, theirs_out)]
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
            "--hide-scrollbars",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PIPED, *map(str, high), PROGRAM, *arguments],
            pass_fds=high, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for one in (theirs_in, theirs_out, *high):
            os.close(one)
        page = next(one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._out)  # it ends by itself when nobody speaks to it any more
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)

    def open(self, url: str, *, width: int = 1280, dark: bool = False) -> None:
        """Loads an address in a window so wide, and waits until it is drawn."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=1160, deviceScaleFactor=1, mobile=False)
        self._call("Emulation.setEmulatedMedia", features=features)
        self._call("Page.navigate", url=url)
        while self.ask("document.readyState") != "complete" or self.ask("location.href") != url:
            time.sleep(0.02)

    def ask(self, expression: str) -> Any:
        """What an expression comes to in the page, as JSON tells it."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": arguments}
        asked |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return dict(message["result"])
            self._note(message)

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + _WAIT
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(until - time.monotonic(), 0))
            more = os.read(self._in, 1 << 16) if ready else b""
            if not more:
                raise TimeoutError("chromium does not answer")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(told["request"]["url"])
            case "Log.entryAdded":
                self.told.append(f"{told['entry']['level']}: {told['entry']['text']}")
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.told.append(str(told))
