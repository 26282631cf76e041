"""What stands before every request: who may call, how much may come, how long it may take; and what is counted.

Nothing of a body or a query string is kept, logged or told in an error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chartulary.service.settings import Settings, is_loopback

_ALWAYS_OPEN = frozenset({"/healthz", "/readyz"})
_STREAMS = "application/x-ndjson"
_SAFETY = (
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
log = logging.getLogger("chartulary.service")


class Metrics:
    """Counts for Prometheus; no value and no label is taken from a claim."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "chartulary_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "chartulary_request_seconds",
            "Time to the end of an answer",
            ("route",),
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.working = Gauge("chartulary_requests_in_progress", "Requests being answered", registry=self.registry)
        self.claims = Counter("chartulary_claims", "Claims held", ("outcome",), registry=self.registry)


class Refused(Exception):  # noqa: N818
    """A request that is not let through; its text is one line."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Guard:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500
        started = False

        async def safely(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _SAFETY if pair[0] not in there)]
            await send(message)

        headers = {name.lower(): value for name, value in scope["headers"]}
        open_to_all = scope["path"] in _ALWAYS_OPEN
        self._working += 1
        self._metrics.working.set(self._working)
        try:
            self._let_in(headers, open_to_all)
            if self._working > self._settings.concurrency and not open_to_all:
                raise Refused(503, "too many requests at once; send it again", **{"retry-after": "1"})
            await self._app(scope, self._limited(headers, receive), safely)
        except Refused as refused:
            if not started:
                await _answer(safely, refused.status, str(refused), refused.headers)
        except Exception as fault:
            # The kind of a fault says nothing of a claim; its text and its traceback may.
            log.error("%s %s failed: %s", scope["method"], _route(scope), type(fault).__name__)
            if not started:
                await _answer(safely, 500, "this is a fault of the server, and was counted", {})
        finally:
            self._working -= 1
            self._metrics.working.set(self._working)
            route = _route(scope)
            self._metrics.requests.labels(route, scope["method"], str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

    def _let_in(self, headers: MutableMapping[bytes, bytes], open_to_all: bool) -> None:
        """Refuses strangers: without the token; or, on a loopback address, under another site's name."""
        settings = self._settings
        if settings.token is None:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if settings.loopback and name and not is_loopback(name):
                raise Refused(421, "this service answers on this machine only; see --host")
            return
        if not open_to_all and not _shows(headers.get(b"authorization", b""), settings.token):
            raise Refused(401, "a token is needed", **{"www-authenticate": 'Basic realm="chartulary", charset="UTF-8"'})

    def _limited(self, headers: MutableMapping[bytes, bytes], receive: Receive) -> Receive:
        """The body, refused as soon as it is too large or too slow."""
        settings = self._settings
        limit: int | None = settings.body_limit
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() == _STREAMS.encode():
            limit = None  # lines are limited one by one
        told = headers.get(b"content-length", b"")
        too_large = Refused(413, f"the body is larger than {settings.body_limit:,} bytes")
        if limit is not None and told.isdigit() and int(told) > limit:
            raise too_large
        seen = 0
        ended = False

        async def wait() -> Message:
            nonlocal seen, ended
            if ended:
                return await receive()  # only the end of the connection is left to come
            try:
                message = await asyncio.wait_for(receive(), settings.seconds)
            except TimeoutError:
                raise Refused(408, f"nothing came for {settings.seconds:g} seconds") from None
            seen += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if limit is not None and seen > limit:
                raise too_large
            return message

        return wait


def _shows(header: bytes, token: str) -> bool:
    """Whether a caller shows the token: as a bearer, or as the password that a browser asks for."""
    kind, _, value = header.decode("latin-1").partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind.lower() != "bearer":
        return False
    return secrets.compare_digest(value.encode(), token.encode())


def _route(scope: Scope) -> str:
    """The pattern of a path, never the path itself: names of things would make a metric each."""
    return str(getattr(scope.get("route"), "path", None) or "other")


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    body = msgspec.json.encode({"error": text})
    sent: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    sent += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
