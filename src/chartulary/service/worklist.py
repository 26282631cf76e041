"""``/worklist`` and ``/v1/worklist``: claims that a change touches which became known later. Nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from chartulary import batch, formats
from chartulary.claim import Claim
from chartulary.errors import ChartularyError, Problem
from chartulary.hindsight import formats as hindsight_formats
from chartulary.hindsight import page as worklist_page
from chartulary.hindsight.remittances import Remittances
from chartulary.hindsight.worklist import Pair, Wish, Worklist, gathered
from chartulary.readers import read_apart
from chartulary.service import compare, pages, uploads
from chartulary.service.api import JSON, LINES, REFUSALS, Serving, UnknownGives, acceptable, decision_id, made_by
from chartulary.snapshot import Unknown

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter()

_SHOWN = 200
"""Claims on a page, the first of each group before others; a file has all."""
_FILES = 200


@dataclass(frozen=True, slots=True)
class _Form:
    """A form in which a list may be had as a file."""

    media: str
    suffix: str
    name: str
    write: Callable[[Worklist], str | bytes]


FORMS = (
    _Form("text/csv", "csv", "CSV", hindsight_formats.as_csv),
    _Form("application/vnd.apache.parquet", "parquet", "Parquet", hindsight_formats.as_parquet),
    _Form(LINES, "jsonl", "JSON Lines", hindsight_formats.as_jsonl),
    _Form("text/html", "html", "a page to keep", worklist_page.as_html),
)
_BY_SUFFIX = {form.suffix: form for form in FORMS}
_BY_MEDIA = {form.media: form for form in FORMS}


@dataclass(slots=True)
class _Asked:
    """Files, and what is looked for."""

    since: date
    until: date | None
    any_reason: bool
    unknown: Unknown = "review"
    claims: list[tuple[str, bytes]] = field(default_factory=list)
    remits: list[tuple[str, bytes]] = field(default_factory=list)

    def decision(self, service: Service) -> dict[str, str]:
        """Headers that say what the list is made by."""
        told = f"worklist?{self.since}&{self.until}&{self.any_reason}&{self.unknown}"
        sent = b"".join(
            b"%d %d %s %s" % (len(name.encode()), len(data), name.encode(), data)
            for files in (self.claims, self.remits)
            for name, data in (*files, ("", b""))
        )
        return made_by(service, self.until, decision_id(service, self.until, told, sent))


def _listed(service: Service, asked: _Asked) -> Worklist:
    """The list.

    Raises:
        TooMuch: these are more claims than one request may ask about, or it took too long.
        HTTPException: remittances cannot be read here.
    """
    claims: list[Claim] = []
    problems: list[Problem] = []
    for name, data in asked.claims:
        own, faults = read_apart(data, source=name)
        claims += own
        problems += faults
    service.admit(claims, instead="“chartulary worklist” takes any number")
    tick = service.clock()
    remits = Remittances()
    for name, data in asked.remits:
        tick()
        try:
            remits.add(data, source=name)
        except ChartularyError as fault:
            raise HTTPException(501, str(fault).replace("--", "")) from None
    wish = Wish(
        since=asked.since, until=asked.until, remits=remits if asked.remits else None, any_reason=asked.any_reason
    )
    hindsight = compare.hindsight(service, asked.since, asked.until, asked.unknown)
    pair = Pair(batch.Settings(engine="python"), wish, hindsight)
    parts = [batch.Done(written=[], problems=problems)]
    for claim in claims:
        tick()
        parts.append(pair.hold([claim]))
    return gathered(parts, wish, hindsight)


async def _files(sent: FormData, name: str) -> list[tuple[str, bytes]]:
    found = []
    for file in sent.getlist(name):
        if isinstance(file, UploadFile) and (file.filename or file.size):
            found.append((uploads.name_of(file), await uploads.content(file)))
    return found


async def _sent(request: Request, service: Service) -> FormData:
    limit, wanted = service.settings.body_limit, "claim files as “claims” and 835 files as “remits”"
    return await uploads.form(request, limit=limit, files=_FILES, at="claims", wanted=wanted)


# --- For programs -----------------------------------------------------------------------------------------------------

_BINARY = {"type": "array", "items": {"type": "string", "format": "binary"}}


@router.post(
    "/v1/worklist",
    tags=["claims"],
    summary="Claims that a change touches which became known later",
    response_class=Response,
    responses={
        200: {
            "description": "The claims that fare otherwise by what became known between the two days; perhaps none",
            "content": {
                JSON: {"schema": {"type": "object"}},
                **{form.media: {"schema": {"type": "string"}} for form in FORMS},
            },
        },
        **{status: said for status, said in REFUSALS.items() if status != 415},
        501: {"description": "This installation cannot read remittances"},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["claims"],
                        "properties": {"claims": _BINARY, "remits": _BINARY},
                    }
                }
            },
        }
    },
)
async def worklist(
    request: Request,
    service: Serving,
    since: Annotated[date, Query(description="Against what was known on this day (yyyy-mm-dd).")],
    until: Annotated[date | None, Query(description="What was known on this day; left out, all that is known.")] = None,
    any_reason: Annotated[
        bool, Query(alias="any-reason", description="With remittances: also those denied for what does not fit.")
    ] = False,
    unknown: UnknownGives = "review",
) -> Response:
    """The claims of the files whose outcome is another with what was known on the second day.

    Says for each which way it turns, its lines, charge and paid amounts, the amendment with its days and sentences, and
    what the source says must be done. With 835 remittances, only claims that were denied or reduced.
    """
    media = acceptable(request, [JSON, *_BY_MEDIA])
    asked = _Asked(since, until, any_reason, unknown)
    try:
        sent = await _sent(request, service)
        asked.claims, asked.remits = await _files(sent, "claims"), await _files(sent, "remits")
        if not asked.claims:
            raise uploads.Unfit("claims", "send claim files as “claims”")
    except uploads.Unfit as fault:
        raise HTTPException(fault.status, fault.reason) from None
    made = asked.decision(service)

    def work() -> Response:
        found = _listed(service, asked)
        status = 200 if found.counts else 400
        if media in _BY_MEDIA and status == 200:
            return Response(_BY_MEDIA[media].write(found), media_type=media, headers=made)
        told: dict[str, Any] = {"decision": made["Chartulary-Decision"]}
        if not found.counts:
            told["error"] = str(found.problems[0])
        told |= hindsight_formats.worklist_json(found)
        return Response(formats.encoded(told), status, media_type=JSON, headers=made)

    return await to_thread.run_sync(work, limiter=service.threads)


# --- The page ---------------------------------------------------------------------------------------------------------


@router.get("/worklist", include_in_schema=False)
def form(request: Request) -> Response:
    """The form."""
    return _page(request, dict(request.query_params))


@router.post("/worklist", include_in_schema=False)
async def listed(request: Request, service: Serving) -> Response:
    """The list on a page, or, where a form is chosen for it, as a file to keep."""
    told: dict[str, str] = {}
    try:
        sent = await _sent(request, service)
        told = {
            name: text for name in ("since", "until", "any-reason", "as") if isinstance(text := sent.get(name), str)
        }
        since, until = (uploads.day(told.get(name), name) for name in ("since", "until"))
        if since is None:
            raise uploads.Unfit("since", "say against which day’s knowledge the claims are to be held")
        asked = _Asked(since, until, "any-reason" in told)
        asked.claims, asked.remits = await _files(sent, "claims"), await _files(sent, "remits")
        if not asked.claims:
            raise uploads.Unfit("claims", "choose a file with claims")
        if asked.any_reason and not asked.remits:
            raise uploads.Unfit("any-reason", "this goes with 835 files")
        made = asked.decision(service)
        page = await to_thread.run_sync(_answer, request, service, asked, told, made, limiter=service.threads)
        page.headers.update(made)
    except uploads.Unfit as fault:
        page = _page(request, told, status=fault.status, wrong=fault)
    page.headers["Cache-Control"] = "no-store"
    return page


def _answer(request: Request, service: Service, asked: _Asked, told: dict[str, str], made: dict[str, str]) -> Response:
    try:
        found = _listed(service, asked)
    except HTTPException as refused:
        at = "remits" if refused.status_code == 501 else "claims"
        raise uploads.Unfit(at, refused.detail, refused.status_code) from None
    if not found.counts:
        problem = found.problems[0]
        raise uploads.Unfit("claims", f"no claim could be read. {problem}")
    if chosen := _BY_SUFFIX.get(told.get("as", "")):
        name = f"worklist-{asked.since}-{asked.until or 'all'}.{chosen.suffix}"
        return Response(chosen.write(found), media_type=chosen.media, headers=uploads.attached(name))
    return _page(
        request,
        told,
        answer=True,
        **worklist_page.shown(found, most=_SHOWN),
        decision=made["Chartulary-Decision"],
        as_known_on=asked.until,
    )


def _page(request: Request, told: dict[str, str], *, status: int = 200, **values: Any) -> Response:
    values = {"wrong": None, "answer": False, **values}
    return pages.page(request, "worklist.html", view="Changes", status=status, asked=told, forms=FORMS, **values)
