"""``/v1/repair``: claims mended as far as the data allows, in the file that they came in. Nothing of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from chartulary import formats
from chartulary import repair as mending
from chartulary.claim import Claim
from chartulary.edits import decoded
from chartulary.errors import Problem
from chartulary.readers import read_apart
from chartulary.repair import Repaired
from chartulary.report import Report
from chartulary.service.api import (
    JSON,
    REFUSALS,
    WHOLE,
    KnownOn,
    Serving,
    UnknownGives,
    acceptable,
    claims_as,
    decision_id,
    kind_of_body,
    made_by,
)
from chartulary.snapshot import Unknown

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(prefix="/v1")

BYTES = "application/octet-stream"


def mended(
    service: Service,
    data: bytes,
    claims: Sequence[Claim],
    reports: Sequence[Report],
    problems: Sequence[Problem],
    *,
    as_known_on: date | None,
    unknown: Unknown,
    tick: Callable[[], None],
) -> Repaired:
    """The file with its claims mended, which were read and judged already; ``tick`` is the clock of the request.

    Raises:
        TooMuch: it took too long.
    """
    snapshot = service.snapshot(as_known_on, unknown)

    def judge(claim: Claim) -> Report:
        tick()
        return replace(snapshot.validate(claim), as_known_on=as_known_on)

    return mending.mended(data, claims, reports, problems, snapshot, judge=judge)


@router.post(
    "/repair",
    tags=["claims"],
    summary="Mend what the data mends without judgement",
    response_class=Response,
    responses={
        200: {
            "description": "What was changed and why, what is left to a person, and the file; or, as Accept asks, the "
            "file alone, in the type that it was sent in: the same bytes where nothing is mended",
            "content": {JSON: {"schema": {"type": "object"}}, BYTES: {"schema": {"type": "string"}}},
        },
        **REFUSALS,
    },
    openapi_extra=claims_as(*WHOLE),
)
async def repair(
    request: Request,
    service: Serving,
    as_known_on: KnownOn = None,
    unknown: UnknownGives = "review",
) -> Response:
    """Mends what names its own mend: a successor code, a modifier, a condition code, a note, a revenue code.

    The file is written back with every other byte as it was, read again and judged: what was mended is gone and nothing
    is new, or the claim stays as it came. What hangs on clinical facts, or is a choice, is listed and left alone.
    """
    kind = kind_of_body(request, WHOLE)
    media = acceptable(request, [JSON, BYTES, *([kind] if kind not in ("", JSON, BYTES) else [])])
    body = await request.body()
    made = made_by(service, as_known_on, decision_id(service, as_known_on, f"repair?{unknown}", body))

    def work() -> Response:
        claims, problems = read_apart(body, source="request")
        service.admit(claims, instead="“chartulary repair” takes any number")
        tick = service.clock()
        reports = service.validate(claims, as_known_on=as_known_on, unknown=unknown, tick=tick)
        repaired = mended(service, body, claims, reports, problems, as_known_on=as_known_on, unknown=unknown, tick=tick)
        if media != JSON and claims:
            return Response(repaired.data, media_type=media, headers=made)
        told: dict[str, Any] = {"decision": made["Chartulary-Decision"]}
        if not claims:
            told["error"] = str(problems[0])
        told |= mending.repaired_json(repaired, service.snapshot(as_known_on, unknown))
        told |= {"as_known_on": as_known_on, "file": decoded(repaired.data)[0] if claims else None}
        return Response(formats.encoded(told), 200 if claims else 400, media_type=JSON, headers=made)

    return await to_thread.run_sync(work, limiter=service.threads)
