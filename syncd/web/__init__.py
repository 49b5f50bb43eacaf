"""The daemon's own pages: health, metrics and a read-only dashboard, on loopback.

`board` is what the daemon tells the pages, `app` the routes, `server` the thread that serves them. Pages never change
anything; what waits for a person is decided with the command line. What always holds: every answer carries the
security headers, no page needs a script or anything from another host, `/healthz`, `/readyz` and `/metrics` name no
customer.
"""

from __future__ import annotations

from syncd.web.board import Board
from syncd.web.server import Server

__all__ = ["Board", "Server"]
