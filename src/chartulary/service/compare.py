"""``/v1/compare``: a question or a claim with what was known on two days, and what makes the difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from chartulary import formats
from chartulary.claim import Claim
from chartulary.hindsight import ClaimComparison, Hindsight
from chartulary.hindsight import formats as hindsight_formats
from chartulary.readers import read_apart
from chartulary.report import Report
from chartulary.service.api import (
    JSON,
    REFUSALS,
    WHOLE,
    Serving,
    UnknownGives,
    acceptable,
    claims_as,
    decision_id,
    kind_of_body,
    made_by,
)
from chartulary.snapshot import Unknown

router = APIRouter(prefix="/v1")

_OBJECT: dict[str, Any] = {"content": {JSON: {"schema": {"type": "object"}}}}

First = Annotated[date, Query(alias="known", description="What was known on this day (yyyy-mm-dd).")]
Second = Annotated[
    date | None, Query(alias="known-later", description="And on this; left out, all that the register holds.")
]


def hindsight(service: Serving, first: date | None, second: date | None, unknown: Unknown = "review") -> Hindsight:
    """The register on two days of knowledge, on snapshots that requests share."""
    snapshots = (service.snapshot(first, unknown), service.snapshot(second, unknown))
    return Hindsight(service.register, since=first, until=second, unknown=unknown, snapshots=snapshots)


@router.get(
    "/compare",
    tags=["questions"],
    summary="What a code required, with what was known on two days",
    response_class=Response,
    responses={
        200: _OBJECT,
        400: {"description": "A parameter names nothing in the register, or is no day"},
        406: {"description": "The answer is not offered in a form that the caller takes"},
    },
)
def compare(
    request: Request,
    service: Serving,
    code: str,
    payer: str,
    dos: Annotated[str, Query(description="The day of service (yyyy-mm-dd).", json_schema_extra={"format": "date"})],
    first: First,
    second: Second = None,
    setting: str | None = None,
    lob: str | None = None,
    kind: Annotated[str | None, Query(alias="request", description="`claim` or `prior-authorization`.")] = None,
) -> Response:
    """The provisions that only one day's answer has, or has otherwise; the amendments behind that; both answers."""
    acceptable(request, [JSON])
    given = {"code": code, "payer": payer, "dos": dos, "setting": setting, "lob": lob, "request": kind}
    asked = {name: value for name, value in given.items() if value is not None}
    compared = hindsight(service, first, second).compare("requirements", **asked)
    what = f"compare?{(first, second)}&{sorted(compared.parameters.items())}"
    return _answer(
        service, second, decision_id(service, second, what, b""), hindsight_formats.comparison_json(compared)
    )


@router.post(
    "/compare",
    tags=["claims"],
    summary="Hold claims against what was known on two days",
    response_class=Response,
    responses={
        200: {"description": "Findings on either day, what differs, and the amendments behind that", **_OBJECT},
        **REFUSALS,
    },
    openapi_extra=claims_as(*WHOLE),
)
async def compare_claims(
    request: Request,
    service: Serving,
    first: First,
    second: Second = None,
    unknown: UnknownGives = "review",
) -> Response:
    """Holds each claim of the body against every policy known on either day.

    Says for each claim what was found on the one and on the other, what differs and in which direction, and which
    amendments make the difference.
    """
    kind_of_body(request, WHOLE)
    acceptable(request, [JSON])
    body = await request.body()
    decision = decision_id(service, second, f"compare?{(first, second, unknown)}", body)

    def work() -> Response:
        claims, problems = read_apart(body, source="request")
        before, after = (service.validate(claims, as_known_on=day, unknown=unknown) for day in (first, second))
        both = hindsight(service, first, second, unknown)
        compared = [both.beside(*pair) for pair in zip(before, after, strict=True)]
        told = hindsight_formats.claims_json(compared, both, service.register.revision)
        told["problems"] = problems
        if not claims:
            told = {"error": str(problems[0]), **told}
        return _answer(service, second, decision, told, 200 if claims else 400)

    return await to_thread.run_sync(work, limiter=service.threads)


def beside(
    service: Serving, judged: Sequence[tuple[Claim, Report]], known: tuple[date | None, date], unknown: Unknown
) -> tuple[Hindsight, list[ClaimComparison]]:
    """Claims that were judged with what was known on one day, judged on another as well; the earlier day comes first.

    Raises:
        TooMuch: it took too long.
    """
    here, there = known
    reports = [report for _, report in judged]
    again = service.validate([claim for claim, _ in judged], as_known_on=there, unknown=unknown)
    if here and here <= there:
        both, pairs = hindsight(service, here, there, unknown), zip(reports, again, strict=True)
    else:
        both, pairs = hindsight(service, there, here, unknown), zip(again, reports, strict=True)
    return both, [both.beside(*pair) for pair in pairs]


def _answer(service: Serving, known: date | None, decision: str, told: dict[str, Any], status: int = 200) -> Response:
    content = formats.encoded({"decision": decision, **told})
    return Response(content, status, media_type=JSON, headers=made_by(service, known, decision))
