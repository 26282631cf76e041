"""``/v1/timeline``: the picture of a code over dates of service; the same as files that a page links."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from chartulary import history, picture
from chartulary.errors import ChartularyError
from chartulary.service.api import KnownOn, Serving, acceptable, decision_id, made_by
from chartulary.service.views import given

router = APIRouter()

SVG, PNG = "image/svg+xml", "image/png"
_KINDS = {"svg": SVG, "png": PNG}
_ASKED = ("code", "payer", "setting", "lob", "request")

First = Annotated[date | None, Query(alias="from", description="The first day of service to show (yyyy-mm-dd).")]
Last = Annotated[date | None, Query(alias="until", description="The last day of service to show (yyyy-mm-dd).")]


@router.get(
    "/v1/timeline",
    tags=["questions"],
    summary="What a code was asked for over dates of service, as a picture",
    response_class=Response,
    responses={
        200: {
            "description": "One sheet of A4",
            "content": {SVG: {"schema": {"type": "string"}}, PNG: {"schema": {"type": "string", "format": "binary"}}},
        },
        400: {"description": "A parameter names nothing in the register, or the register holds nothing on it"},
        406: {"description": "The picture is not offered in a form that the caller takes"},
        501: {"description": "This server cannot draw a PNG"},
    },
)
async def timeline(
    request: Request,
    service: Serving,
    code: Annotated[str, Query(description="A code or a product.")],
    payer: str,
    setting: str = "",
    lob: str = "",
    kind: Annotated[str, Query(alias="request", description="`claim` or `prior-authorization`.")] = "",
    first: First = None,
    last: Last = None,
    as_known_on: KnownOn = None,
) -> Response:
    """Draws each rule over the days on which it holds, when changes came out, and since when one could know them."""
    form = acceptable(request, [SVG, PNG])
    asked = dict(zip(_ASKED, (code, payer, setting, lob, kind), strict=True))
    return await _drawn(service, form, asked, first, last, as_known_on)


@router.get("/timeline.{kind}", include_in_schema=False)
async def file(
    request: Request, service: Serving, kind: str, first: First = None, last: Last = None, as_known_on: KnownOn = None
) -> Response:
    """The same under an address that says what it is, for a browser."""
    if kind not in _KINDS:
        raise HTTPException(404, f"a picture ends in {' or '.join(_KINDS)}")
    asked = {name: value for name, value in given(request).items() if name in _ASKED}
    return await _drawn(service, _KINDS[kind], asked, first, last, as_known_on)


async def _drawn(
    service: Serving,
    form: str,
    asked: dict[str, str],
    first: date | None,
    last: date | None,
    as_known_on: date | None,
) -> Response:
    def work() -> bytes:
        found = history.trace(
            service.contents(as_known_on), service.snapshot, asked, first=first, last=last, as_known_on=as_known_on
        )
        text = picture.svg(found)
        if form == SVG:
            return text.encode()
        try:
            return picture.png(text)
        except ChartularyError as fault:
            raise HTTPException(501, str(fault)) from None

    content = await to_thread.run_sync(work, limiter=service.threads)
    decision = decision_id(service, as_known_on, f"timeline?{form}&{first}&{last}&{sorted(asked.items())}", b"")
    return Response(content, media_type=form, headers=made_by(service, as_known_on, decision))
