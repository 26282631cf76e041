"""``/v1/compare``: a question answered with what was known on two days, and what makes the difference."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from chartulary import formats, hindsight_formats
from chartulary.hindsight import Hindsight
from chartulary.service.api import JSON, Serving, acceptable, decision_id, made_by

router = APIRouter(prefix="/v1")


@router.get(
    "/compare",
    tags=["questions"],
    summary="What a code required, with what was known on two days",
    response_class=Response,
    responses={
        200: {"content": {JSON: {"schema": {"type": "object"}}}},
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
    first: Annotated[date, Query(alias="known", description="What was known on this day (yyyy-mm-dd).")],
    second: Annotated[
        date | None, Query(alias="known-later", description="And on this; left out, all that the register holds.")
    ] = None,
    setting: str | None = None,
    lob: str | None = None,
) -> Response:
    """The provisions that only one day's answer has, or has otherwise; the amendments behind that; both answers."""
    acceptable(request, [JSON])
    days = (first, second)
    snapshots = (service.snapshot(first), service.snapshot(second))
    hindsight = Hindsight(service.register, since=first, until=second, snapshots=snapshots)
    given = {"code": code, "payer": payer, "dos": dos, "setting": setting, "lob": lob}
    compared = hindsight.compare("requirements", **{name: value for name, value in given.items() if value is not None})
    asked = f"compare?{days}&{sorted(compared.parameters.items())}"
    decision = decision_id(service, second, asked, b"")
    told = {"decision": decision, **hindsight_formats.comparison_json(compared)}
    return Response(formats.encoded(told), media_type=JSON, headers=made_by(service, second, decision))
