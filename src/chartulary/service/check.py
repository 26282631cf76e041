"""``/check``: claims from a file or a text, with what was found beside their lines. Nothing of them is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Any, get_args

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from chartulary import repair as mending
from chartulary.claim import Claim, Line
from chartulary.errors import Problem
from chartulary.hindsight import ClaimComparison, Hindsight
from chartulary.readers import read_claims_from
from chartulary.register import Snapshot
from chartulary.report import Change, ClaimOutcome, Finding, Governing, Repair, Report
from chartulary.service import compare, pages, repair, uploads
from chartulary.service.api import Serving, decision_id, made_by
from chartulary.snapshot import Unknown
from chartulary.terms import POL

router = APIRouter(include_in_schema=False)

_CLAIMS_SHOWN = 50
_LINES_SHOWN = 100
"""Of each claim; those with findings come before others."""
_PROBLEMS_SHOWN = 50
_GRAVEST: tuple[ClaimOutcome, ...] = get_args(ClaimOutcome)
_WORDS: dict[ClaimOutcome, tuple[str, str]] = {
    "violation": ("violation", "violations"),
    "needs-review": ("needs review", "need review"),
    "conformant": ("conformant", "conformant"),
    "not-applicable": ("not applicable", "not applicable"),
}
"""What an outcome is called, of one claim and of several."""


@dataclass(frozen=True, slots=True)
class _Mend:
    """What a repair makes of a field."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A finding, with what a page says beside it."""

    finding: Finding
    mend: _Mend | None
    stronger: str | None
    """What the provision that it gives way to is called."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a claim, and what was found on it."""

    line: Line
    found: tuple[_Found, ...]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A provision that governs, on which lines; ``None`` among them is the claim itself."""

    governing: Governing
    lines: str
    policy: str


@dataclass(frozen=True, slots=True)
class _Aside:
    """A policy that was looked at and does not govern, and the provision by which it stands back, if one says so."""

    policy: str
    label: str
    by: Governing | None


@dataclass(frozen=True, slots=True)
class _Checked:
    """A claim with its report, as a page shows them."""

    claim: Claim
    report: Report
    on_claim: tuple[_Found, ...]
    rows: tuple[_Row, ...]
    left_out: int
    """Lines that are not shown…"""
    left_out_with_findings: int
    """…and how many of them have findings."""
    governing: tuple[tuple[str, tuple[_Rule, ...]], ...]
    """By the label of the policy."""
    aside: tuple[_Aside, ...]
    compared: ClaimComparison | None
    """With what was known on another day, where one was named."""
    mending: mending.Repair | None
    """What a repair would do; None where there was no time to tell."""


@router.get("/check")
def form(request: Request) -> Response:
    """The form."""
    return _page(request, dict(request.query_params))


@router.post("/check")
async def check(request: Request, service: Serving) -> Response:
    """The claims of a file or a text, held against the policies."""
    asked: dict[str, str] = {}
    try:
        data, source = await _sent(request, service.settings.body_limit, asked)
        known, unknown = uploads.day(asked.get("as-known-on"), "as-known-on"), _unknown(asked.get("unknown", "review"))
        other = uploads.day(asked.get("compare-with"), "compare-with")
        to_mend = asked.get("as") == "mended"
        what = f"repair?{unknown}" if to_mend else f"{unknown}&{other}" if other else unknown
        decision = decision_id(service, known, what, data)

        def work() -> Response:
            if to_mend and (file := _mended(service, data, source, known, unknown)):
                return file
            answer = _held(service, data, source, known, other, unknown)
            answer |= {"decision": decision, "source": source, "unknown": unknown}
            status = 200 if answer["total"] else 400
            return _page(request, asked, status=status, answer=answer, as_known_on=known)

        page = await to_thread.run_sync(work, limiter=service.threads)
        page.headers.update(made_by(service, known, decision))
    except uploads.Unfit as fault:
        page = _page(request, asked, status=fault.status, wrong=fault)
    page.headers["Cache-Control"] = "no-store"
    return page


def _page(request: Request, asked: dict[str, str], *, status: int = 200, **values: Any) -> Response:
    values = {"wrong": None, "answer": None, **values}
    return pages.page(request, "check.html", view="Check", status=status, asked=asked, **values)


# --- What came --------------------------------------------------------------------------------------------------------


async def _sent(request: Request, limit: int, asked: dict[str, str]) -> tuple[bytes, str]:
    """The bytes of a file or a text, and what to call it; what else the form says goes into ``asked``."""
    sent = await uploads.form(request, limit=limit, files=1, at="file", wanted="one file, or one text")
    for name in ("as-known-on", "compare-with", "unknown", "as"):
        value = sent.get(name)
        if isinstance(value, str) and value:
            asked[name] = value
    file, text = sent.get("file"), sent.get("text")
    if isinstance(file, UploadFile):
        data = await uploads.content(file)
        if data or file.filename:
            return data, uploads.name_of(file)
    if isinstance(text, str) and text.strip():
        return text.encode("utf-8", "replace"), "the text"
    raise uploads.Unfit("file", "choose a file, or paste a claim")


def _unknown(text: str) -> Unknown:
    for known in get_args(Unknown):
        if text == known:
            return text  # type: ignore[return-value]
    raise uploads.Unfit("unknown", "an unknown requirement gives review or info")


# --- What was found ---------------------------------------------------------------------------------------------------


def _held(
    service: Serving, data: bytes, source: str, known: date | None, other: date | None, unknown: Unknown
) -> dict[str, Any]:
    """What the page says: counts by outcome, the gravest claims, and problems; on another day as well, if one is given.

    Raises:
        Unfit: these are more claims than a page takes.
    """
    tick = service.clock()
    claims, reports, problems = _judged(service, data, source, known, unknown, tick)
    counts = Counter(report.outcome for report in reports)
    # Stable: claims of an outcome stay as they came.
    gravest = sorted(zip(claims, reports, strict=True), key=lambda pair: _GRAVEST.index(pair[1].outcome))
    shown = gravest[:_CLAIMS_SHOWN]
    snapshot = service.snapshot(known, unknown)
    both: Hindsight | None = None
    compared: Sequence[ClaimComparison | None] = [None] * len(shown)
    try:
        if other:
            both, compared = compare.beside(service, shown, (known, other), unknown)
    except HTTPException as refused:
        raise uploads.Unfit("compare-with", refused.detail, refused.status_code) from None
    try:
        repaired = repair.mended(
            service, data, claims, reports, problems, as_known_on=known, unknown=unknown, tick=tick
        )
        repairs = {id(claim): each for claim, each in zip(claims, repaired.repairs, strict=True)}
    except HTTPException:  # it took too long; what was found is worth more
        repairs = {}
    return {
        "counts": {outcome: counts[outcome] for outcome in _GRAVEST if counts[outcome]},
        "total": len(reports),
        "words": _WORDS,
        "claims": [
            _checked(*pair, snapshot, beside, repairs.get(id(pair[0])))
            for pair, beside in zip(shown, compared, strict=True)
        ],
        "both": both,
        "problems": problems[:_PROBLEMS_SHOWN],
        "more_problems": max(len(problems) - _PROBLEMS_SHOWN, 0),
        "days": _days,
        "change": _change,
    }


def _mended(service: Serving, data: bytes, source: str, known: date | None, unknown: Unknown) -> Response | None:
    """The file with its claims mended, to keep; None where no claim can be read.

    Raises:
        Unfit: these are more claims than a page takes, or it took too long.
    """
    tick = service.clock()
    claims, reports, problems = _judged(service, data, source, known, unknown, tick)
    if not claims:
        return None
    try:
        repaired = repair.mended(
            service, data, claims, reports, problems, as_known_on=known, unknown=unknown, tick=tick
        )
    except HTTPException as refused:
        raise uploads.Unfit("file", refused.detail, refused.status_code) from None
    name = PurePosixPath(source)
    headers = uploads.attached(f"{name.stem}.mended{name.suffix}")
    return Response(repaired.data, media_type=repair.BYTES, headers=headers)


def _judged(
    service: Serving, data: bytes, source: str, known: date | None, unknown: Unknown, tick: Callable[[], None]
) -> tuple[list[Claim], list[Report], list[Problem]]:
    """Claims with their reports, and what could not be read.

    Raises:
        Unfit: these are more claims than a page takes.
    """
    claims: list[Claim] = []
    problems: list[Problem] = []
    most = service.settings.claims
    for item in read_claims_from(data, source=source):
        if isinstance(item, Problem):
            problems.append(item)
        elif len(claims) < most:
            claims.append(item)
        else:
            raise uploads.Unfit(
                "file", f"these are more than {most:,} claims; “chartulary validate” takes any number", 413
            )
    try:
        reports = service.validate(claims, as_known_on=known, unknown=unknown, tick=tick)
    except HTTPException as refused:
        raise uploads.Unfit("file", refused.detail, refused.status_code) from None
    return claims, reports, problems


def _checked(
    claim: Claim, report: Report, snapshot: Snapshot, compared: ClaimComparison | None, made: mending.Repair | None
) -> _Checked:
    by_position: dict[int | None, list[_Found]] = {}
    for finding in report.findings:
        line = claim.lines[finding.position - 1] if finding.position else None
        stronger = snapshot.reader.label(finding.overridden_by) if finding.overridden_by else None
        mend = _mend(claim, line, finding.repair_action, snapshot) if finding.repair_action else None
        by_position.setdefault(finding.position, []).append(_Found(finding, mend, stronger))
    places = range(1, len(claim.lines) + 1)
    shown = sorted(sorted(places, key=lambda place: place not in by_position)[:_LINES_SHOWN])
    return _Checked(
        claim=claim,
        report=report,
        on_claim=tuple(by_position.get(None, ())),
        rows=tuple(_Row(claim.lines[place - 1], tuple(by_position.get(place, ()))) for place in shown),
        left_out=len(claim.lines) - len(shown),
        left_out_with_findings=len(by_position.keys() - {None, *shown}),
        governing=_governing(report, snapshot),
        aside=_aside(report, snapshot),
        compared=compared,
        mending=made,
    )


def _mend(claim: Claim, line: Line | None, repair: Repair, snapshot: Snapshot) -> _Mend | None:
    """A field before and after a repair; None where a claim has no such field."""
    scheme = next((s for s in snapshot.coding.schemes if s.label == repair.system), None)
    if scheme is None:
        return None
    before: tuple[str | None, ...] | None = None
    if line is not None:
        before = {
            "modifier": line.modifiers,
            "procedureCode": (line.code,),
            "revenueCode": (line.revenue_code,),
        }.get(scheme.field)
    if before is None:
        before = {
            "conditionCode": claim.condition_codes,
            "diagnosis": tuple(diagnosis.code for diagnosis in claim.diagnoses),
            "procedure": tuple(procedure.code for procedure in claim.procedures),
            "drg": (claim.drg,),
        }.get(scheme.field)
    if before is None:
        return None
    stood = [code for code in before if code]
    if repair.action == "add":
        after = [*stood, repair.code]
    elif repair.replaces in stood:
        after = [repair.code if code == repair.replaces else code for code in stood]
    elif len(before) == 1:
        after = [repair.code]
    else:
        return None
    return _Mend(scheme.noun, ", ".join(stood) or "none", ", ".join(after))


def _governing(report: Report, snapshot: Snapshot) -> tuple[tuple[str, tuple[_Rule, ...]], ...]:
    """Provisions that govern, by policy; each once, with its lines."""
    lines: dict[str, list[int | None]] = {}
    one: dict[str, Governing] = {}
    for governing in report.governed_by:
        one.setdefault(governing.provision, governing)
        lines.setdefault(governing.provision, []).append(governing.line)
    policies: dict[str, list[_Rule]] = {}
    for provision, governing in one.items():
        policy = _policy_of(provision, snapshot)
        rule = _Rule(governing, _lines_in_words(lines[provision]), policy)
        policies.setdefault(policy, []).append(rule)
    return tuple((snapshot.reader.label(policy), tuple(rules)) for policy, rules in policies.items())


def _aside(report: Report, snapshot: Snapshot) -> tuple[_Aside, ...]:
    """Policies with rules about these codes, payer and days, of which none is in force here; and those that say why."""
    facts = snapshot.facts
    broken = {finding.provision for finding in report.findings if finding.outcome == "violation"}
    back: dict[str, Governing] = {}
    for governing in report.governed_by:
        # One that asks for something is a gate: it sets its policy aside only where it is broken.
        if not facts.has(governing.provision, POL.gate, True) or governing.provision in broken:
            for policy in facts.objects(governing.provision, POL.suspends):
                back.setdefault(policy, governing)
    governs = {_policy_of(governing.provision, snapshot) for governing in report.governed_by}
    aside = [*back, *(policy for policy in report.considered if policy not in governs and policy not in back)]
    return tuple(_Aside(policy, snapshot.reader.label(policy), back.get(policy)) for policy in aside)


def _policy_of(provision: str, snapshot: Snapshot) -> str:
    version = provision.partition("#")[0]
    return str(snapshot.facts.value(version, POL.versionOf) or version)


def _lines_in_words(numbers: list[int | None]) -> str:
    on = [number for number in numbers if number is not None]
    if not on:
        return "the claim"
    named = ", ".join(map(str, on[:6])) + (f" and {len(on) - 6} more" if len(on) > 6 else "")
    lines = f"line{'s' if len(on) > 1 else ''} {named}"
    return lines if len(on) == len(numbers) else f"the claim, {lines}"


# --- Words ------------------------------------------------------------------------------------------------------------


def _days(first: date | None, last: date | None) -> str:
    if first == last or last is None:
        return first.isoformat() if first else "no day"
    return f"{first or '…'} to {last}"


def _change(change: Change) -> str:
    """When an amendment took effect, and since when anyone could know it."""
    since = _between(change.published_earliest, change.published_latest)
    day = change.effective_from or f"some day of {_between(change.effective_earliest, change.effective_latest)}"
    return f"for dates of service from {day}, by {change.document}, published {since}"


def _between(earliest: date | None, latest: date | None) -> str:
    if earliest is None:
        return f"by {latest}" if latest else "on a day that no source gives"
    return str(earliest) if earliest == latest else f"between {earliest} and {latest or '…'}"
