"""``/v1``: what programs call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from chartulary import formats, receipts
from chartulary.errors import Problem
from chartulary.readers import read_apart
from chartulary.register import Register
from chartulary.report import Report
from chartulary.service.accept import choose
from chartulary.snapshot import Unknown

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(prefix="/v1")

JSON, FHIR, TURTLE, LINES = "application/json", "application/fhir+json", "text/turtle", "application/x-ndjson"
CLAIMS = {
    "application/edi-x12": "An X12 837I or 837P interchange",
    FHIR: "A FHIR R4 Claim, or a Bundle with some",
    JSON: "Claim JSON (`claim.schema.json`), or FHIR",
    TURTLE: "A claim in the claim vocabulary",
    "application/ld+json": "The same as JSON-LD; no context is fetched",
    "text/csv": "A table in the layout of Tuva's `medical_claim`",
    LINES: "A claim (claim JSON or FHIR) a line; answered line by line while they come",
}
WHOLE = [kind for kind in CLAIMS if kind != LINES]
"""Types of bodies that are answered as a whole."""
_ALSO = {"application/x12": 1, "application/octet-stream": 1, "text/plain": 1, "": 1}
"""Types that say little: what came is told from its content, as it always is."""
_PENDING = 32 * 1024 * 1024
"""Answers to lines that wait for a caller who sends all before it reads; beyond this, reading waits for it."""
_LINES_AT_ONCE = 64


def the_service(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


Serving = Annotated["Service", Depends(the_service)]
KnownOn = Annotated[
    date | None, Query(alias="as-known-on", description="Answer with what was published by this day (yyyy-mm-dd).")
]
UnknownGives = Annotated[Unknown, Query(description="What an unknown requirement gives.")]


def decision_id(service: Service, as_known_on: date | None, what: str, body: bytes) -> str:
    """Names a decision by all that it hangs on: the same content, register, day and version give the same name."""
    return receipts.decision_id(service.register.revision, as_known_on, what, body)


def made_by(service: Service, as_known_on: date | None, decision: str) -> dict[str, str]:
    """Headers that say what an answer was made by, so that it can be made again."""
    return {
        "Chartulary-Decision": decision,
        "Chartulary-Register-Revision": service.register.revision,
        "Chartulary-As-Known-On": str(as_known_on or "all"),
    }


def acceptable(request: Request, offered: list[str]) -> str:
    """The media type to answer in.

    Raises:
        HTTPException: the caller takes none of those offered.
    """
    chosen = choose(request.headers.get("accept"), offered)
    if chosen is None:
        raise HTTPException(406, f"this is offered as {', '.join(offered)}")
    return chosen


# --- Claims -----------------------------------------------------------------------------------------------------------

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "No claim could be read; says why, and where"},
    406: {"description": "The answer is not offered in a form that the caller takes"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is of a type that holds no claims"},
}
"""What a request with claims may be refused for."""


def claims_as(*kinds: str) -> dict[str, Any]:
    """A body with claims, for the OpenAPI document."""
    content = {kind: {"schema": {"type": "object" if kind in (JSON, FHIR) else "string"}} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}


def kind_of_body(request: Request, kinds: Collection[str]) -> str:
    """The media type of a body with claims.

    Raises:
        HTTPException: it is none of those that hold claims.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in kinds and kind not in _ALSO:
        raise HTTPException(415, f"claims are read from {', '.join(kinds)}")
    return kind


@router.post(
    "/validate",
    tags=["claims"],
    summary="Hold claims against the policies",
    response_class=Response,
    responses={
        200: {
            "description": "What was found; a claim with a violation is an answer like any other",
            "content": {
                JSON: {"schema": {"type": "object"}},
                FHIR: {"schema": {"type": "object"}},
                TURTLE: {"schema": {"type": "string"}},
                LINES: {"schema": {"type": "string"}},
            },
        },
        **REFUSALS,
    },
    openapi_extra=claims_as(*CLAIMS),
)
async def validate(
    request: Request,
    service: Serving,
    as_known_on: KnownOn = None,
    unknown: UnknownGives = "review",
) -> Response:
    """Holds each claim of the body against every policy known on the day.

    Says for each claim its outcome, and for each finding the provision, what to mend, and the sentences it rests on.
    What could not be read stands under `problems` and costs only itself.
    """
    if kind_of_body(request, CLAIMS) == LINES:
        acceptable(request, [LINES])
        decision = {"Chartulary-Register-Revision": service.register.revision}
        return _WhileReading(_lines(request, service, as_known_on, unknown), media_type=LINES, headers=decision)
    form = acceptable(request, [JSON, FHIR, TURTLE, LINES])
    body = await request.body()
    decision = made_by(service, as_known_on, decision_id(service, as_known_on, unknown, body))

    def work() -> tuple[bytes, int]:
        reports, problems = _held(service, body, as_known_on, unknown)
        return _written(service, form, reports, problems, as_known_on, decision["Chartulary-Decision"]), (
            200 if reports else 400
        )

    content, status = await to_thread.run_sync(work, limiter=service.threads)
    return Response(content, status, media_type=form, headers=decision)


def _held(
    service: Service, body: bytes, as_known_on: date | None, unknown: Unknown, source: str = "request"
) -> tuple[list[Report], list[Problem]]:
    claims, problems = read_apart(body, source=source)
    return service.validate(claims, as_known_on=as_known_on, unknown=unknown), problems


def _written(
    service: Service,
    form: str,
    reports: list[Report],
    problems: list[Problem],
    as_known_on: date | None,
    decision: str,
) -> bytes:
    if form == FHIR:
        return formats.dump(formats.operation_outcome(reports, problems)).encode()
    if form == TURTLE and reports:
        return formats.reports_turtle(reports).encode()
    if form == LINES:
        items: list[Report | Problem] = [*reports, *problems]
        return b"".join(formats.line_json(item) + b"\n" for item in items)
    whole: dict[str, Any] = {"decision": decision}
    if not reports:
        whole["error"] = str(problems[0])
    whole |= formats.run_json(
        reports,
        problems,
        revision=service.register.revision,
        as_known_on=as_known_on,
        engine=reports[0].engine if reports else "",
    )
    return formats.encoded(whole)


class _WhileReading(StreamingResponse):
    """A stream made while the body still comes: Starlette's own would take in the rest, to see whether it ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


async def _lines(
    request: Request, service: Service, as_known_on: date | None, unknown: Unknown
) -> AsyncIterator[bytes]:
    """Answers to lines in their order, each with the number of its line, from 1."""
    answers: asyncio.Queue[bytes | None] = asyncio.Queue()
    pending = 0
    room = asyncio.Event()

    def work(lines: list[tuple[int, bytes | None]]) -> bytes:
        out: list[bytes] = []
        for number, line in lines:
            if line is None:
                problem = Problem(f"line {number}", "", f"longer than {service.settings.line_limit:,} bytes")
                out.append(formats.line_json(problem, line=number))
                continue
            try:
                reports, problems = _held(service, line, as_known_on, unknown, source=f"line {number}")
            except HTTPException as refused:
                reports, problems = [], [Problem(f"line {number}", "", str(refused.detail))]
            decision = decision_id(service, as_known_on, unknown, line)
            items: list[Report | Problem] = [*reports, *problems]
            out += [formats.line_json(item, line=number, decision=decision) for item in items]
        return b"".join(line + b"\n" for line in out)

    async def read() -> None:
        nonlocal pending
        try:
            async for lines in _cut(request.stream(), service.settings.line_limit):
                answer = await to_thread.run_sync(work, lines, limiter=service.threads)
                pending += len(answer)
                await answers.put(answer)
                while pending > _PENDING:
                    room.clear()
                    await room.wait()
        finally:
            await answers.put(None)

    reading = asyncio.create_task(read())
    try:
        while (answer := await answers.get()) is not None:
            pending -= len(answer)
            room.set()
            yield answer
        await reading
    finally:
        reading.cancel()


async def _cut(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[list[tuple[int, bytes | None]]]:
    """Cuts what comes into numbered lines, some at a time; None stands for one that is too long."""
    rest, number, skipping = b"", 0, False
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        whole: list[tuple[int, bytes | None]] = []
        for line in lines:
            number += 1
            if skipping or len(line) > limit:
                whole.append((number, None))
            elif line.strip():
                whole.append((number, line))
            skipping = False
        if len(rest) > limit:
            rest, skipping = b"", True
        for start in range(0, len(whole), _LINES_AT_ONCE):
            yield whole[start : start + _LINES_AT_ONCE]
    if skipping or rest.strip():
        yield [(number + 1, None if skipping else rest)]


# --- Questions --------------------------------------------------------------------------------------------------------

_JSON_TYPES = {"date": {"type": "string", "format": "date"}}


def question_routes(register: Register) -> APIRouter:
    """``/v1/queries``, and a route for every question with its own parameters."""
    questions = APIRouter(prefix="/v1/queries", tags=["questions"])

    @questions.get("", summary="The questions that can be asked")
    def _(request: Request) -> Any:
        """Every question, with its parameters and their kinds."""
        return {
            "queries": [
                {
                    "name": query.name,
                    "summary": query.summary,
                    "description": query.description,
                    "parameters": [{"name": p.name, "kind": p.kind, "default": p.default} for p in query.parameters],
                    "href": str(request.url_for("question", name=query.name)),
                }
                for query in register.queries.values()
            ]
        }

    for query in register.queries.values():
        questions.add_api_route(
            f"/{query.name}",
            _asking(query.name),
            summary=query.summary,
            description=query.description,
            response_class=Response,
            responses={
                200: {"content": {JSON: {"schema": {"type": "object"}}, "text/csv": {"schema": {"type": "string"}}}},
                400: {"description": "A parameter is missing, unknown, or names nothing in the register"},
                406: {"description": "The answer is not offered in a form that the caller takes"},
            },
            openapi_extra={
                "parameters": [
                    {
                        "name": p.name,
                        "in": "query",
                        "required": p.default is None,
                        "description": p.kind + (f" (default {p.default})" if p.default else ""),
                        "schema": _JSON_TYPES.get(p.kind, {"type": "string"}),
                    }
                    for p in query.parameters
                ]
            },
        )

    @questions.get("/{name}", name="question", include_in_schema=False)
    def _(name: str) -> Response:
        raise HTTPException(404, f"there is no question '{name}'; /v1/queries lists them")

    return questions


def _asking(name: str) -> Callable[..., Response]:
    def ask(request: Request, service: Serving, as_known_on: KnownOn = None) -> Response:
        form = acceptable(request, [JSON, "text/csv", "text/html"])
        if form == "text/html":
            return RedirectResponse(f"/ask/{name}?{request.url.query}", 303)
        given: dict[str, str] = {}
        for key, value in request.query_params.multi_items():
            if key in given:
                raise HTTPException(400, f"{key}: given twice")
            if key != "as-known-on":
                given[key] = value
        answer = service.ask(name, as_known_on, given)
        asked = f"{name}?{sorted(answer.parameters.items())}"
        decision = decision_id(service, as_known_on, asked, b"")
        headers = made_by(service, as_known_on, decision)
        if form == "text/csv":
            return Response(formats.answer_csv(answer), media_type="text/csv", headers=headers)
        return Response(
            formats.encoded({"decision": decision, **formats.answer_json(answer)}), media_type=JSON, headers=headers
        )

    return ask
