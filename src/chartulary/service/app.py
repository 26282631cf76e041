"""Puts the service together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from chartulary import markup
from chartulary.ask import Answer
from chartulary.claim import Claim
from chartulary.errors import ChartularyError
from chartulary.question import Ground
from chartulary.register import Register, Snapshot
from chartulary.report import Report
from chartulary.service import (
    api,
    changes,
    check,
    compare,
    drawn,
    explore,
    pages,
    policies,
    records,
    repair,
    sparql,
    things,
    views,
    worklist,
)
from chartulary.service.guard import Guard, Metrics
from chartulary.service.settings import Settings
from chartulary.service.workers import Workers
from chartulary.snapshot import Unknown

_SNAPSHOTS_KEPT = 8
_THREADS = 2


class TooMuch(HTTPException):
    """More than one request may ask for."""


class Service:
    """What every request shares."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.register = Register.load(policies=settings.policies, cache=settings.cache)
        self.threads = CapacityLimiter(_THREADS)
        """Work on claims waits for one of few threads: more of them only take turns."""
        self._snapshot = lru_cache(maxsize=_SNAPSHOTS_KEPT)(self._make)
        self._contents = lru_cache(maxsize=_SNAPSHOTS_KEPT)(lambda day: Ground(self._snapshot(day, "review")))
        self.workers = Workers(
            sparql.parts(self.snapshot),
            count=settings.query_workers,
            seconds=settings.query_seconds,
            rows=settings.query_rows,
        )

    def _make(self, day: date | None, unknown: Unknown) -> Snapshot:
        return Snapshot(self.register, day, unknown, self.register.kept)

    def snapshot(self, as_known_on: date | None, unknown: Unknown = "review") -> Snapshot:
        """What was known on a day; days between two publications share a snapshot."""
        return self._snapshot(self.register.day_like(as_known_on), unknown)

    def contents(self, as_known_on: date | None = None) -> Ground:
        """What pages say of what was known on a day."""
        return self._contents(self.register.day_like(as_known_on))

    @cached_property
    def things(self) -> things.Things:
        """All that the files state, to look things up by their names."""
        return things.Things(self.snapshot(None).quads)

    def admit(self, claims: Sequence[Claim], *, instead: str = "send them as lines (application/x-ndjson)") -> None:
        """Lets claims in that one request may ask about; ``instead`` says what else to do with more.

        Raises:
            TooMuch: they are too many, or one is too long.
        """
        settings = self.settings
        if len(claims) > settings.claims:
            raise TooMuch(413, f"more than {settings.claims:,} claims at once; {instead}")
        longest = max((len(claim.lines) for claim in claims), default=0)
        if longest > settings.lines:
            raise TooMuch(413, f"a claim with {longest:,} lines; {settings.lines:,} is the most")

    def clock(self) -> Callable[[], None]:
        """What is to be called now and then by work on claims; it raises :class:`TooMuch` once that takes too long."""
        seconds = self.settings.seconds
        end = time.monotonic() + seconds

        def tick() -> None:
            if time.monotonic() > end:
                raise TooMuch(503, f"this takes more than {seconds:g} seconds; send fewer claims at once")

        return tick

    def validate(
        self,
        claims: list[Claim],
        *,
        as_known_on: date | None,
        unknown: Unknown,
        tick: Callable[[], None] | None = None,
    ) -> list[Report]:
        """Holds claims against what was known on a day. ``tick`` is a :meth:`clock` that runs already.

        Raises:
            TooMuch: it would take, or took, too long.
        """
        self.admit(claims)
        tick, snapshot = tick or self.clock(), self.snapshot(as_known_on, unknown)
        asked: list[Report] = []
        for claim in claims:
            tick()
            asked.append(replace(snapshot.validate(claim), as_known_on=as_known_on))
        for report in asked:
            self.metrics.claims.labels(report.outcome).inc()
        return asked

    def ask(self, question: str, as_known_on: date | None, parameters: dict[str, str]) -> Answer:
        """Answers a question of ``queries/``."""
        return replace(self.snapshot(as_known_on).ask(question, **parameters), as_known_on=as_known_on)

    def warm(self) -> None:
        """Prepares what the first request would else wait for."""
        snapshot = self.snapshot(None)
        _ = snapshot.engine(), snapshot.reader, snapshot.store


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application.

    Raises:
        ChartularyError: a policy file cannot be read.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.warm()
        await service.workers.start()
        try:
            yield
        finally:
            await service.workers.close()

    app = FastAPI(
        title="Chartulary",
        version=version("chartulary"),
        summary="Coverage and coding policies as data: claims held against them, questions asked, every answer cited.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(api.router)
    app.include_router(sparql.router)
    app.include_router(api.question_routes(service.register))
    app.include_router(compare.router)
    app.include_router(drawn.router)
    app.include_router(repair.router)
    app.include_router(pages.router)
    app.include_router(views.router)
    app.include_router(changes.router)
    app.include_router(policies.router)
    app.include_router(records.router)
    app.include_router(check.router)
    app.include_router(worklist.router)
    app.include_router(explore.router)
    if (folder := explore.swagger()) is not None:
        app.mount("/static/swagger", StaticFiles(directory=folder), name="swagger")
    app.include_router(things.routes(service))
    app.mount("/static", StaticFiles(directory=markup.STATIC), name="static")
    app.add_exception_handler(ChartularyError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        return PlainTextResponse(f"ready: register {service.register.revision}\n")

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(service.metrics.registry), media_type="text/plain; version=0.0.4")

    app.add_middleware(Guard, settings=settings, metrics=service.metrics)
    return app


async def _refuse(_: Request, fault: Exception) -> Response:
    return JSONResponse({"error": str(fault).replace("--", "")}, status_code=400)


async def _invalid(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, RequestValidationError)
    told: list[Any] = list(fault.errors())
    first = told[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return JSONResponse({"error": f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}"}, status_code=422)


async def _http(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    return JSONResponse({"error": str(fault.detail)}, status_code=fault.status_code, headers=fault.headers)
