"""Puts the service together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import generate_latest
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from chartulary.ask import Answer
from chartulary.claim import Claim
from chartulary.errors import ChartularyError
from chartulary.register import Register, Snapshot
from chartulary.report import Report
from chartulary.service import api, pages
from chartulary.service.guard import Guard, Metrics
from chartulary.service.settings import Settings
from chartulary.snapshot import Unknown

_SNAPSHOTS_KEPT = 8
_THREADS = 4


class Service:
    """What every request shares."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.register = Register.load(policies=settings.policies, cache=settings.cache)
        self.threads = CapacityLimiter(_THREADS)
        """Work on claims waits for one of few threads: more of them only take turns."""
        self._snapshot = lru_cache(maxsize=_SNAPSHOTS_KEPT)(self._make)

    def _make(self, day: date | None, unknown: Unknown) -> Snapshot:
        return Snapshot(self.register, day, unknown, self.register.kept)

    def snapshot(self, as_known_on: date | None, unknown: Unknown = "review") -> Snapshot:
        """What was known on a day; days between two publications share a snapshot."""
        return self._snapshot(self.register.day_like(as_known_on), unknown)

    def validate(self, claims: list[Claim], *, as_known_on: date | None, unknown: Unknown) -> list[Report]:
        """Holds claims against what was known on a day."""
        reports = self.snapshot(as_known_on, unknown).validate_all(claims)
        asked = [replace(report, as_known_on=as_known_on) for report in reports]
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
        yield

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
    app.include_router(api.question_routes(service.register))
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
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
