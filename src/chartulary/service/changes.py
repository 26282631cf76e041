"""``/changes``: a question with what was known on two days, and what makes the difference."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from chartulary import question
from chartulary.hindsight import Comparison
from chartulary.service import asking
from chartulary.service.api import Serving
from chartulary.service.compare import hindsight
from chartulary.service.pages import page
from chartulary.service.views import given, known_on

if TYPE_CHECKING:
    from chartulary.service.app import Service

router = APIRouter(include_in_schema=False)

_FIRST, _SECOND = "known", "known-later"
_FIELDS = ("code", "payer", "setting", "lob", "request", "dos", _FIRST, _SECOND)


@router.get("/changes")
def changes(request: Request, service: Serving) -> Response:
    """What one would have answered on one day, what on another, and which change makes the difference."""
    told = {name: value for name, value in given(request).items() if name in _FIELDS}
    (first, wrong), (second, also_wrong) = known_on(told, _FIRST), known_on(told, _SECOND)
    contents = service.contents(max(first, second) if first and second else None)
    form = question.read(contents, told, date.today())
    faults = {_FIRST: wrong or ("" if first else "give a day"), _SECOND: also_wrong}
    form.errors |= {name: fault for name, fault in faults.items() if fault}
    compared = _compared(service, form, (first, second)) if form.asked and not form.errors else None
    return page(
        request,
        "changes.html",
        view="Changes",
        status=400 if form.asked and form.errors else 200,
        form=form,
        errors=form.errors if form.asked else {},
        compared=compared,
        choices={name: question.choices(contents, name) for name in ("payer", "setting", "lob", "request")},
        suggestions=question.suggestions(contents),
        examples=[] if compared else [change for change in asking.latest_changes(service.contents()) if change.known],
        label=contents.reader.label,
        one_day=timedelta(days=1),
        today=date.today(),
    )


def _compared(service: Service, form: question.Form, known: tuple[date | None, date | None]) -> Comparison:
    assert form.subject is not None
    before, after = (service.contents(day).answer(form.subject, form.values, form.day) for day in known)
    return hindsight(service, *known).between(before, after)
