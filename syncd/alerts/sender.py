"""A process of its own that hands one message to Apprise, or only checks a channel's address. Run as a script.

Why a process: Apprise drives some hundred services through libraries of their own, none of which syncd controls. Here
their way out is fenced once for all of them, a service that hangs is ended by killing the process, and syncd itself
neither loads them nor lends them its environment. It imports nothing of syncd.

The task comes on standard input as JSON (`url`, `title`, `body`, `seconds`; without `body` the address is only
checked), so that no secret stands in the process list; the answer goes to standard output: `{"problem": "…"}`, empty
where all is well. No answer repeats the address or any part of it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

# Besides link-local addresses: where clouds serve credentials to whoever asks from inside (AWS on IPv6, Google on IPv6,
# Alibaba, Oracle, Azure).
METADATA = tuple(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
REFUSED = "its host is a link-local or metadata address, which is refused"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ADDRESSED = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class Refused(OSError):
    """An address that nothing is sent to. An OSError, so that every library takes it for a failed connection."""


def is_refused(address: str) -> bool:
    """Whether an IP address is link-local or a cloud's metadata service; False for what is no IP address."""
    try:
        found: Any = ipaddress.ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return False
    if found.version == 6:
        found = found.ipv4_mapped or (ipaddress.ip_address(int(found) & 0xFFFFFFFF) if found in _NAT64 else found)
    return bool(found.is_link_local or found in METADATA)


class Fence:
    """Watches every connection of this process. `problem`: the last thing that went wrong, in our own words."""

    def __init__(self) -> None:
        self.problem = ""

    def raise_up(self) -> None:
        """From here on nothing reaches a refused address, and no redirect is followed. Cannot be taken down again."""
        # The hook sees the address that is really used, after the name was resolved: a name that resolves differently
        # the second time gains nothing.
        sys.addaudithook(self._look)
        import requests

        plain = requests.Session.send
        fence = self

        def send(session: Any, request: Any, **options: Any) -> Any:
            fence.refuse(urlsplit(request.url).hostname or "")  # behind a proxy the hook sees only the proxy
            options["allow_redirects"] = False
            try:
                reply = plain(session, request, **options)
            except requests.Timeout:
                fence.problem = "its server did not answer in time"
                raise
            except requests.RequestException:
                fence.problem = fence.problem or "its server could not be reached"
                raise
            if 300 <= reply.status_code < 400:
                fence.problem = "its server answered with a redirect, which is not followed"
                raise requests.TooManyRedirects("a redirect is not followed")
            if reply.status_code >= 400:
                fence.problem = f"its server answered with status {reply.status_code}"
            return reply

        requests.Session.send = send  # type: ignore[assignment,method-assign]

    def refuse(self, host: str) -> None:
        """Raises Refused where the host is, or its name resolves to, an address that nothing is sent to."""
        if is_refused(host):
            self.problem = REFUSED
            raise Refused(REFUSED)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _ADDRESSED and len(arguments) > 1 and isinstance(arguments[1], tuple) and arguments[1]:
            self.refuse(str(arguments[1][0]))


def main() -> None:
    """Reads the task, answers, ends."""
    task = json.loads(sys.stdin.buffer.read())
    if hasattr(signal, "alarm"):
        signal.alarm(int(task["seconds"]) + 1)  # also where syncd itself died meanwhile
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints does not reach the answer
    logging.disable(logging.CRITICAL)
    try:
        problem = run(task)
    except Exception as error:  # a service's plugin failed: that is its problem, told by its kind alone
        problem = f"its plugin failed ({type(error).__name__})"
    with os.fdopen(answers, "w") as out:
        json.dump({"problem": problem}, out)
    out_of_here()


def run(task: dict[str, Any]) -> str:
    """What is wrong, "" where the message was delivered (or the address is one that Apprise knows)."""
    fence = Fence()
    fence.raise_up()
    import apprise

    asset = apprise.AppriseAsset(
        app_id="syncd", app_desc="syncd", app_url="", http_redirects=False, async_mode=False, storage_mode="memory"
    )
    channel = apprise.Apprise(asset=asset)
    if not channel.add(task["url"]) or not len(channel):
        return "Apprise does not understand its address"
    for service in channel:
        service.redirects = False  # an address may ask for them (`?redirect=yes`)
    if "body" not in task:
        return next(filter(None, map(_host_problem, channel)), "")
    done = channel.notify(
        body=task["body"], title=task["title"], body_format=apprise.NotifyFormat.TEXT, timeout=task["seconds"]
    )
    return "" if done else fence.problem or "its service did not take the message"


def _host_problem(service: Any) -> str:
    """Whether the service's host, where it has one of its own, is an address that nothing is sent to."""
    host = getattr(service, "smtp_host", "") or getattr(service, "host", "")
    if not isinstance(host, str) or not host:
        return ""
    with contextlib.suppress(OSError, UnicodeError):
        found = {str(row[4][0]) for row in socket.getaddrinfo(host, None)}
        if any(map(is_refused, found)):
            return REFUSED
    return REFUSED if is_refused(host) else ""


def out_of_here() -> None:
    """Ends at once: a thread of a service that hangs keeps nobody."""
    os._exit(0)


if __name__ == "__main__":
    main()
