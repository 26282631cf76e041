"""Runs the service until it is interrupted."""

from __future__ import annotations

import logging
import socket
import sys

import uvicorn

from chartulary.errors import ChartularyError
from chartulary.service.app import create_app
from chartulary.service.settings import Settings


def run(settings: Settings) -> None:
    """Listens, and answers.

    Raises:
        ChartularyError: the register cannot be read, or the address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # asyncio sends at once only where a socket says that it is TCP's; else each answer waits 40 ms for the caller.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host.strip("[]"), settings.port))
    except OSError as fault:
        raise ChartularyError(f"{settings.host}:{settings.port}: cannot listen there: {fault.strerror}") from None
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    app = create_app(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"Chartulary listens on http://{host}:{listening.getsockname()[1]}/", file=sys.stderr, flush=True)
    # No access log: a path or query may tell of a claim. No Server header: it helps nobody.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=True,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )
    server.run(sockets=[listening])
