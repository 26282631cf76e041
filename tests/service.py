"""A real server for tests: uvicorn on a free port of this machine; and a watch on what a process writes."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from chartulary.service.app import create_app
from chartulary.service.settings import Settings


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Where an application is served, as ``http://127.0.0.1:port``, while this lasts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service for tests; what is prepared is kept between servers."""
    return Settings(cache=tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def server(kept: Settings) -> Iterator[str]:
    """Where the service is, with its usual limits."""
    with serving(create_app(kept)) as url:
        yield url


_written: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _written is not None and event == "open":
        path, mode, flags = arguments
        if isinstance(path, str) and (set(str(mode)) & set("wax+") or int(flags or 0) & 3):
            _written.append(path)
    elif _written is not None and event.startswith("tempfile."):
        _written.append(str(arguments[0]))


sys.addaudithook(_watch)


@pytest.fixture
def written() -> Iterator[list[str]]:
    """What this process opens to write, or makes as a temporary file, while a test runs."""
    global _written
    _written = []
    yield _written
    _written = None
