"""The thread that serves the pages. The socket is bound before the daemon goes on, so that a taken port is told."""

from __future__ import annotations

import socket
import threading

import structlog
import uvicorn

from syncd.clock import Clock
from syncd.errors import SyncdError
from syncd.web.app import make_app
from syncd.web.board import Board
from syncd.web.books import Books

log = structlog.get_logger()

# A page is made in milliseconds; whoever still reads after this long is cut off when the daemon ends.
_GRACE = 3


class Server:
    """Serves from construction until `stop`. Signals stay with the daemon: uvicorn takes them in a main thread only."""

    def __init__(self, host: str, port: int, board: Board, books: Books, clock: Clock) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                make_app(board, books, clock, [host]),
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                http="h11",
                loop="asyncio",
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException:
            # The daemon's work does not depend on its pages; the container's health check finds that they are gone.
            log.exception("web_ended")

    def stop(self) -> None:
        """Ends the pages; open answers get a moment to finish."""
        self._server.should_exit = True
        self._thread.join(timeout=_GRACE + 2)
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise SyncdError(
            f"config.toml › [web] › listen: {host}:{port} cannot be listened on ({error.strerror}). "
            "Name another port, or end what listens there."
        ) from None
